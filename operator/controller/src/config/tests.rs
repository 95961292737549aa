use super::*;

fn data<const N: usize>(entries: [(&str, &str); N]) -> Data {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn every_key_is_read() {
    let mut settings = Settings::default();
    let faults = settings.read_sluice(Some(&data([
        ("trusted-hops-count", " 2 "),
        ("access-log", "Enabled"),
        ("server-header", "true"),
        ("client-streams", "100"),
        ("https-port", "8443"),
        ("internal-certificate", "own"),
        ("_example", "anything: at all"),
    ])));
    assert_eq!(faults, []);
    assert_eq!(
        settings,
        Settings {
            trusted_hops: 2,
            access_log: true,
            server_header: true,
            client_streams: 100,
            https_port: 8443,
            internal_certificate: Some("own".into()),
            system_internal_tls: false,
            tracing: Tracing::default(),
        }
    );
}

#[test]
fn a_bad_value_keeps_the_last_good_one_of_its_key_only() {
    let mut settings = Settings::default();
    settings.read_sluice(Some(&data([
        ("trusted-hops-count", "2"),
        ("access-log", "true"),
    ])));
    let faults = settings.read_sluice(Some(&data([("trusted-hops-count", "-1")])));
    assert_eq!(settings.trusted_hops, 2, "cannot be read: stays");
    assert!(!settings.access_log, "is gone: goes back to its default");
    assert_eq!(
        faults[0].to_string(),
        "config-sluice: data[trusted-hops-count]: found \"-1\", expected a whole number from 0 \
         to 255; the value before it stays"
    );
}

#[test]
fn every_key_has_a_value_that_is_refused_and_then_kept() {
    for (key, good) in [
        ("trusted-hops-count", "7"),
        ("access-log", "true"),
        ("server-header", "true"),
        ("client-streams", "9"),
        ("https-port", "4443"),
    ] {
        let mut settings = Settings::default();
        assert_eq!(settings.read_sluice(Some(&data([(key, good)]))), []);
        let before = settings.clone();
        for bad in ["", "nonsense", "4294967296"] {
            let faults = settings.read_sluice(Some(&data([(key, bad)])));
            assert_eq!(faults.len(), 1, "{key}: {bad:?}");
            assert_eq!(settings, before, "{key}: {bad:?}");
        }
    }
}

#[test]
fn numbers_have_bounds() {
    for (key, bad) in [
        ("client-streams", "0"),
        ("https-port", "0"),
        ("https-port", "65536"),
    ] {
        let mut settings = Settings::default();
        assert_eq!(settings.read_sluice(Some(&data([(key, bad)]))).len(), 1);
        assert_eq!(settings, Settings::default());
    }
}

#[test]
fn an_unknown_key_is_named_with_those_that_there_are() {
    let mut settings = Settings::default();
    let faults = settings.read_sluice(Some(&data([("acess-log", "true")])));
    assert_eq!(
        faults[0].to_string(),
        "config-sluice: data[acess-log]: unknown key, expected one of trusted-hops-count, \
         access-log, server-header, client-streams, https-port, internal-certificate; remove it"
    );
    assert_eq!(settings, Settings::default());
}

#[test]
fn one_config_map_leaves_what_the_other_says() {
    let mut settings = Settings::default();
    settings.read_network(Some(&data([("system-internal-tls", "Enabled")])));
    settings.read_sluice(Some(&data([("access-log", "true")])));
    assert!(settings.system_internal_tls && settings.access_log);
    settings.read_network(None);
    assert!(!settings.system_internal_tls && settings.access_log);
    settings.read_sluice(None);
    assert_eq!(settings, Settings::default());
}

#[test]
fn serving_s_keys_are_none_of_ours_and_the_older_name_counts() {
    let mut settings = Settings::default();
    let faults = settings.read_network(Some(&data([
        ("ingress-class", "sluice"),
        ("internal-encryption", "true"),
    ])));
    assert_eq!(faults, []);
    assert!(settings.system_internal_tls);
    // The newer name is the one that counts where both stand.
    let both = data([
        ("internal-encryption", "true"),
        ("system-internal-tls", "Disabled"),
    ]);
    settings.read_network(Some(&both));
    assert!(!settings.system_internal_tls);
    let faults = settings.read_network(Some(&data([("system-internal-tls", "perhaps")])));
    assert_eq!(faults[0].expected, "Enabled or Disabled");
}

#[test]
fn the_suffix_comes_from_the_environment_then_the_search_list() {
    let searching =
        "nameserver 10.0.0.10\nsearch x.svc.corp.example svc.corp.example corp.example\n";
    assert_eq!(
        cluster_suffix(Some("k8s.example."), searching),
        "k8s.example"
    );
    assert_eq!(cluster_suffix(Some(" "), searching), "corp.example");
    assert_eq!(cluster_suffix(None, searching), "corp.example");
    assert_eq!(
        cluster_suffix(None, "search corp.example\n"),
        "cluster.local"
    );
    assert_eq!(cluster_suffix(None, ""), "cluster.local");
    // The resolver takes the last search line.
    let twice = "search svc.one\nsearch svc.two.\n";
    assert_eq!(cluster_suffix(None, twice), "two");
}

#[test]
fn translation_knows_the_private_gateway_by_three_names() {
    let options = Options {
        cluster_suffix: "corp.example".into(),
        ..Options::new("sluice-system", "pod")
    };
    let config = options.translation().unwrap();
    let names: Vec<&str> = config
        .private_gateways
        .iter()
        .map(|host| host.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "sluice-internal.sluice-system",
            "sluice-internal.sluice-system.svc",
            "sluice-internal.sluice-system.svc.corp.example",
        ]
    );
    assert_eq!(
        options.local_name(PUBLIC),
        "sluice.sluice-system.svc.corp.example"
    );
}

const PUBLIC: &str = PUBLIC_SERVICE;

#[test]
fn a_suffix_that_is_no_name_is_named() {
    let options = Options {
        cluster_suffix: "a b".into(),
        ..Options::new("sluice-system", "pod")
    };
    assert_eq!(
        options.translation().unwrap_err().to_string(),
        "cluster suffix: found \"a b\", which contains ' '; expected a DNS name such as \
         cluster.local"
    );
}

#[test]
fn tracing_is_read_as_all_of_knative_reads_it() {
    let mut settings = Settings::default();
    let faults = settings.read_observability(Some(&data([
        ("tracing-protocol", "http/protobuf"),
        (
            "tracing-endpoint",
            "http://collector.observability:4318/v1/traces",
        ),
        ("tracing-sampling-rate", "0.1"),
        ("metrics-protocol", "prometheus"),
        ("_example", "tracing-protocol: nonsense"),
    ])));
    assert_eq!(faults, []);
    let good = Tracing {
        protocol: TraceProtocol::HttpProtobuf,
        endpoint: "http://collector.observability:4318/v1/traces".into(),
        sampling_rate: 0.1,
    };
    assert_eq!(settings.tracing, good);
    for (protocol, endpoint, rate, key) in [
        ("stdout", "", "1", "tracing-protocol"),
        ("grpc", "", "1", "tracing-endpoint"),
        ("grpc", "https://collector:4317", "1", "tracing-endpoint"),
        (
            "http/protobuf",
            "http:///v1/traces",
            "1",
            "tracing-endpoint",
        ),
        ("none", "http://collector:4317", "1", "tracing-endpoint"),
        (
            "grpc",
            "http://collector:4317",
            "1.1",
            "tracing-sampling-rate",
        ),
        (
            "grpc",
            "http://collector:4317",
            "all",
            "tracing-sampling-rate",
        ),
    ] {
        let faults = settings.read_observability(Some(&data([
            ("tracing-protocol", protocol),
            ("tracing-endpoint", endpoint),
            ("tracing-sampling-rate", rate),
        ])));
        assert_eq!(faults.len(), 1, "{protocol} {endpoint} {rate}");
        assert_eq!(faults[0].key, key);
        assert_eq!(settings.tracing, good, "the last good ones stay");
    }
    settings.read_sluice(Some(&data([("access-log", "true")])));
    assert_eq!(settings.tracing, good, "another ConfigMap");
    assert_eq!(settings.read_observability(None), []);
    assert_eq!(settings.tracing, Tracing::default(), "gone: none");
}
