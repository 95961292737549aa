//! Where Sluice's own spans go, by the keys that all of Knative reads.

use super::{Data, SettingFault, Settings, shown};

/// The ConfigMap of Knative Serving about logs, metrics and traces, in its namespace.
pub const CONFIG_OBSERVABILITY: &str = "config-observability";

/// Where spans go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tracing {
    /// `tracing-protocol`.
    pub protocol: TraceProtocol,
    /// `tracing-endpoint`: a URL; with OTLP by HTTP down to its path.
    pub endpoint: String,
    /// `tracing-sampling-rate`: the share of traces that is sent, 0 to 1.
    pub sampling_rate: f64,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceProtocol {
    /// Not at all.
    #[default]
    None,
    /// OTLP by gRPC.
    Grpc,
    /// OTLP by HTTP, as protobuf.
    HttpProtobuf,
}

const PROTOCOL: &str = "tracing-protocol";
const ENDPOINT: &str = "tracing-endpoint";
const SAMPLING_RATE: &str = "tracing-sampling-rate";

impl Settings {
    /// Reads of `config-observability` what concerns traces; all other keys are
    /// Serving's. `None` where there is no such ConfigMap. The keys belong together:
    /// where one is wrong, all stay as they were.
    pub fn read_observability(&mut self, data: Option<&Data>) -> Vec<SettingFault> {
        let none = Data::new();
        match read(data.unwrap_or(&none)) {
            Ok(tracing) => {
                self.tracing = tracing;
                Vec::new()
            }
            Err(fault) => vec![fault],
        }
    }
}

fn read(data: &Data) -> Result<Tracing, SettingFault> {
    let value = |key: &str| data.get(key).map(|text| text.trim()).unwrap_or_default();
    let wrong = |key: &str, expected: &str| SettingFault {
        config_map: CONFIG_OBSERVABILITY,
        key: key.to_owned(),
        found: Some(shown(value(key))),
        expected: expected.to_owned(),
    };
    let protocol = match value(PROTOCOL) {
        "" | "none" => TraceProtocol::None,
        "grpc" => TraceProtocol::Grpc,
        "http/protobuf" => TraceProtocol::HttpProtobuf,
        _ => return Err(wrong(PROTOCOL, "none, grpc or http/protobuf")),
    };
    let endpoint = value(ENDPOINT);
    let is_right = match protocol {
        TraceProtocol::None => endpoint.is_empty(),
        _ => endpoint
            .strip_prefix("http://")
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')),
    };
    if !is_right {
        let expected = match protocol {
            TraceProtocol::None => "nothing where tracing-protocol is none",
            _ => "a URL of a collector that takes OTLP, http://HOST:PORT and no https",
        };
        return Err(wrong(ENDPOINT, expected));
    }
    let sampling_rate = match value(SAMPLING_RATE) {
        "" => 0.0,
        text => text
            .parse()
            .ok()
            .filter(|rate| (0.0..=1.0).contains(rate))
            .ok_or_else(|| wrong(SAMPLING_RATE, "a number from 0 to 1"))?,
    };
    Ok(Tracing {
        protocol,
        endpoint: endpoint.to_owned(),
        sampling_rate,
    })
}
