//! What an operator chooses: [`Options`] at the start, [`Settings`] in ConfigMaps
//! at any time.
//!
//! A ConfigMap can be wrong at any time, and traffic must not stop for it: a bad
//! value keeps the last good one of that key, and is named.

mod observability;
mod options;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use observability::{CONFIG_OBSERVABILITY, TraceProtocol, Tracing};
pub use options::{Options, Secrets, cluster_suffix, found_cluster_suffix};
pub(crate) use options::{PRIVATE_SERVICE, PUBLIC_SERVICE};

/// The ConfigMap of Knative Serving, in its namespace.
pub const CONFIG_NETWORK: &str = "config-network";
/// The ConfigMap of Sluice, in its own namespace.
pub const CONFIG_SLUICE: &str = "config-sluice";

/// The Secret of Knative Serving, in its namespace, with the certificate that the
/// activator shows and the authority of all of Serving's certificates.
pub(crate) const ROUTING_CERTIFICATES: &str = "routing-serving-certs";

/// Keys of a ConfigMap that only show what could stand there, as Knative has it.
const EXAMPLE: &str = "_example";

/// What `config-sluice`, `config-network` and `config-observability` say, as plain
/// data.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `config-sluice`, `trusted-hops-count`: how many balancers in front of the
    /// external listeners append to `X-Forwarded-For`.
    pub trusted_hops: u32,
    /// `config-sluice`, `access-log`: one line per request.
    pub access_log: bool,
    /// `config-sluice`, `server-header`: answers carry `server: envoy` where the
    /// backend named no server.
    pub server_header: bool,
    /// `config-sluice`, `client-streams`: concurrent streams of one HTTP/2 client
    /// connection.
    pub client_streams: u32,
    /// `config-sluice`, `https-port`: the port that a redirect names, unless 443.
    pub https_port: u16,
    /// `config-sluice`, `internal-certificate`: the Secret, in Sluice's namespace,
    /// whose certificate is shown for names that no Ingress has one for.
    pub internal_certificate: Option<String>,
    /// `config-network`, `system-internal-tls`: backends speak TLS.
    pub system_internal_tls: bool,
    /// `config-observability`, `tracing-…`: where Sluice's own spans go.
    pub tracing: Tracing,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_hops: 0,
            access_log: false,
            server_header: false,
            client_streams: 1024,
            https_port: 443,
            internal_certificate: None,
            system_internal_tls: false,
            tracing: Tracing::default(),
        }
    }
}

/// Something of a ConfigMap that does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingFault {
    /// The ConfigMap.
    pub config_map: &'static str,
    /// The key under `data`.
    pub key: String,
    /// What stands there; `None` for a key that is not known.
    pub found: Option<String>,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            config_map,
            key,
            found,
            expected,
        } = self;
        match found {
            Some(found) => write!(
                f,
                "{config_map}: data[{key}]: found {found:?}, expected {expected}; \
                 the value before it stays"
            ),
            None => write!(
                f,
                "{config_map}: data[{key}]: unknown key, expected one of {expected}; remove it"
            ),
        }
    }
}

type Data = BTreeMap<String, String>;
/// Writes a text into the settings, or says what would be right.
type Set = fn(&mut Settings, &str) -> Result<(), &'static str>;

const SLUICE_KEYS: [(&str, Set); 6] = [
    ("trusted-hops-count", |settings, text| {
        settings.trusted_hops = number(text, 0, 255, "a whole number from 0 to 255")?;
        Ok(())
    }),
    ("access-log", |settings, text| {
        settings.access_log = switch(text)?;
        Ok(())
    }),
    ("server-header", |settings, text| {
        settings.server_header = switch(text)?;
        Ok(())
    }),
    ("client-streams", |settings, text| {
        let expected = "a whole number from 1 to 2147483647";
        settings.client_streams = number(text, 1, i32::MAX.unsigned_abs(), expected)?;
        Ok(())
    }),
    ("https-port", |settings, text| {
        let expected = "a port from 1 to 65535";
        let port = number(text, 1, u32::from(u16::MAX), expected)?;
        settings.https_port = u16::try_from(port).map_err(|_| expected)?;
        Ok(())
    }),
    ("internal-certificate", |settings, text| {
        let name = text.trim();
        if name.contains(['/', ' ']) {
            return Err("the name of a Secret in Sluice's own namespace");
        }
        settings.internal_certificate = (!name.is_empty()).then(|| name.to_owned());
        Ok(())
    }),
];

impl Settings {
    /// Reads `config-sluice`; `None` where there is no such ConfigMap. A key that
    /// is not there goes back to its default, one that cannot be read stays.
    pub fn read_sluice(&mut self, data: Option<&Data>) -> Vec<SettingFault> {
        let none = Data::new();
        let data = data.unwrap_or(&none);
        let mut read = Self {
            system_internal_tls: self.system_internal_tls,
            tracing: self.tracing.clone(),
            ..Self::default()
        };
        let mut faults = Vec::new();
        for (key, set) in SLUICE_KEYS {
            let Some(found) = data.get(key) else { continue };
            if let Err(expected) = set(&mut read, found) {
                read.copy_key(key, self);
                faults.push(SettingFault {
                    config_map: CONFIG_SLUICE,
                    key: key.to_owned(),
                    found: Some(shown(found)),
                    expected: expected.to_owned(),
                });
            }
        }
        for key in data.keys() {
            let known = key == EXAMPLE || SLUICE_KEYS.iter().any(|(known, _)| known == key);
            if !known {
                faults.push(SettingFault {
                    config_map: CONFIG_SLUICE,
                    key: key.clone(),
                    found: None,
                    expected: SLUICE_KEYS.map(|(known, _)| known).join(", "),
                });
            }
        }
        *self = read;
        faults
    }

    /// Reads of `config-network` what concerns an ingress; all other keys are
    /// Serving's. `None` where there is no such ConfigMap.
    pub fn read_network(&mut self, data: Option<&Data>) -> Vec<SettingFault> {
        const KEY: &str = "system-internal-tls";
        // Serving still reads the older name, with true and false.
        const OLDER: &str = "internal-encryption";
        let named = data.and_then(|data| {
            [KEY, OLDER]
                .into_iter()
                .find_map(|key| Some((key, data.get(key)?)))
        });
        let Some((key, found)) = named else {
            self.system_internal_tls = false;
            return Vec::new();
        };
        match switch(found) {
            Ok(on) => {
                self.system_internal_tls = on;
                Vec::new()
            }
            Err(expected) => vec![SettingFault {
                config_map: CONFIG_NETWORK,
                key: key.to_owned(),
                found: Some(shown(found)),
                expected: expected.to_owned(),
            }],
        }
    }

    fn copy_key(&mut self, key: &str, from: &Self) {
        match key {
            "trusted-hops-count" => self.trusted_hops = from.trusted_hops,
            "access-log" => self.access_log = from.access_log,
            "server-header" => self.server_header = from.server_header,
            "client-streams" => self.client_streams = from.client_streams,
            "https-port" => self.https_port = from.https_port,
            "internal-certificate" => {
                self.internal_certificate
                    .clone_from(&from.internal_certificate);
            }
            _ => {}
        }
    }
}

fn switch(text: &str) -> Result<bool, &'static str> {
    match text.trim().to_ascii_lowercase().as_str() {
        "enabled" | "true" => Ok(true),
        "disabled" | "false" => Ok(false),
        _ => Err("Enabled or Disabled"),
    }
}

fn number(text: &str, least: u32, most: u32, expected: &'static str) -> Result<u32, &'static str> {
    match text.trim().parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(expected),
    }
}

/// A value as a log line can hold it.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
