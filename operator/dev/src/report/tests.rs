use std::net::SocketAddr;

use super::*;

fn shown(events: &[Event], colour: bool) -> String {
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, colour);
    for event in events {
        screen.show(event).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn listen() -> Listen {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Listen {
        http: at(8080),
        https: at(8443),
        internal_http: at(8081),
        internal_https: at(8444),
        readiness: at(8090),
        statistics: at(8091),
    }
}

fn plan() -> Event {
    let split = |percent, service: &str| SplitView {
        percent,
        service: Some(service.into()),
        unavailable: None,
    };
    let route = |headers: &[(&str, &str)], splits| RouteView {
        prefix: "/".into(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        splits,
        respond: None,
    };
    Event::Plan {
        ingress: "default/hello".into(),
        change: PlanView::Serve {
            hash: "00".into(),
            rules: vec![RuleView {
                rule: 0,
                hosts: vec!["hello.example.com".into()],
                sides: vec![Side::External, Side::Internal],
                tls: false,
                redirect: false,
                routes: vec![
                    route(
                        &[("knative-serving-tag", "next")],
                        vec![split(100, "default/v2/80")],
                    ),
                    route(
                        &[],
                        vec![
                            split(90, "default/v1/80"),
                            SplitView {
                                percent: 10,
                                service: None,
                                unavailable: Some("service default/v3 is missing".into()),
                            },
                        ],
                    ),
                ],
            }],
        },
        revision: 1,
    }
}

#[test]
fn a_plan_shows_hosts_and_splits_and_ready_tells_what_to_try() {
    let ready = |milliseconds| Event::Ready {
        listen: listen(),
        milliseconds,
    };
    assert_eq!(
        shown(&[plan(), ready(312.4), ready(80.0)], false),
        "\
ingress default/hello serves
    hello.example.com
        / [knative-serving-tag: next]  100% default/v2/80
        /  90% default/v1/80, 10% 503 (service default/v3 is missing)
ready after 312 ms
    http                 http://127.0.0.1:8080
    https                https://127.0.0.1:8443
    cluster-local http   http://127.0.0.1:8081
    cluster-local https  https://127.0.0.1:8444
    readiness            http://127.0.0.1:8090/ready
    statistics           http://127.0.0.1:8091/stats/prometheus
try: curl -H 'Host: hello.example.com' http://127.0.0.1:8080/
ready again after 80 ms
"
    );
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let verdict = Event::Verdict {
        ingress: "default/hello".into(),
        outcome: Outcome::Refused,
        rejections: Vec::new(),
    };
    let events = [plan(), verdict, Event::Stopped];
    assert!(!shown(&events, false).contains('\x1b'));
    let coloured = shown(&events, true);
    assert!(coloured.contains("\x1b[31mrefused\x1b[0m"), "{coloured}");
}

#[test]
fn text_from_outside_cannot_steer_the_terminal() {
    let event = Event::Refused {
        kind: "RDS".into(),
        name: "ext/a/\x1b[2J".into(),
        ingress: None,
        detail: "one\ntwo\u{9b}".into(),
    };
    assert_eq!(
        shown(&[event], false),
        "envoy refused RDS ext/a/\\u{1b}[2J: one\\ntwo\\u{9b}\n"
    );
}

#[test]
fn progress_is_a_line_for_each_tenth() {
    let at = |bytes| Event::Locating {
        message: "fetching envoy".into(),
        bytes: Some((bytes, 100)),
    };
    let events: Vec<Event> = (0..=100).map(at).collect();
    let text = shown(&events, false);
    assert_eq!(text.lines().count(), 11, "{text}");
    assert!(text.ends_with("fetching envoy 100%\n"));
}

#[test]
fn events_are_objects_with_their_kind() {
    let event = serde_json::to_value(plan()).unwrap();
    assert_eq!(event["event"], "plan");
    assert_eq!(event["change"], "serve");
    assert_eq!(event["rules"][0]["routes"][1]["splits"][0]["percent"], 90);
    let ready = serde_json::to_value(Event::Ready {
        listen: listen(),
        milliseconds: 1.5,
    });
    let ready = ready.unwrap();
    assert_eq!(ready["event"], "ready");
    assert_eq!(ready["listen"]["internalHttp"], "127.0.0.1:8081");
    assert_eq!(
        serde_json::to_value(Event::Stopped).unwrap(),
        serde_json::json!({"event": "stopped"})
    );
}
