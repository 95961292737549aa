//! Whether a binary is an Envoy that will do.

use std::fmt;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::json;
use tokio::process::Command;

use crate::error::GatewayError;
use crate::log;

/// The least Envoy that will do: what Sluice is built on was observed with it.
pub const MINIMUM_VERSION: EnvoyVersion = EnvoyVersion {
    major: 1,
    minor: 40,
    patch: 0,
};

/// An Envoy release, without build suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvoyVersion {
    /// 1 so far.
    pub major: u32,
    /// One per quarter.
    pub minor: u32,
    /// Fixes of that minor.
    pub patch: u32,
}

impl EnvoyVersion {
    /// Reads what `envoy --version` prints:
    /// `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
    /// A suffix, as in `1.41.0-dev`, is dropped.
    pub(crate) fn parse(printed: &str) -> Option<Self> {
        let build = printed.split_once("version:")?.1.trim();
        let release = build.split('/').nth(1)?;
        let numbers = release.split(['-', '+']).next()?;
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let version = Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next()??,
        };
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for EnvoyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Runs the binary twice (about 50 ms each): for its version, and to have it
/// accept a listener that picks its certificate on demand.
///
/// # Errors
/// [`GatewayError::NotEnvoy`], [`GatewayError::TooOld`] or
/// [`GatewayError::NoOnDemandCertificates`].
pub(crate) async fn check(binary: &Path) -> Result<EnvoyVersion, GatewayError> {
    let output = run(binary, &["--version"]).await?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let found = EnvoyVersion::parse(&printed).ok_or_else(|| GatewayError::NotEnvoy {
        path: binary.to_owned(),
        detail: said(&output),
    })?;
    if found < MINIMUM_VERSION {
        return Err(GatewayError::TooOld {
            path: binary.to_owned(),
            found,
            expected: MINIMUM_VERSION,
        });
    }
    let bootstrap = on_demand_bootstrap().to_string();
    let output = run(
        binary,
        &[
            "--mode",
            "validate",
            "--disable-hot-restart",
            "--log-level",
            "error",
            "--log-format",
            log::FORMAT,
            "--config-yaml",
            &bootstrap,
        ],
    )
    .await?;
    if output.status.success() {
        Ok(found)
    } else {
        Err(GatewayError::NoOnDemandCertificates {
            path: binary.to_owned(),
            found,
            detail: said(&output),
        })
    }
}

async fn run(binary: &Path, arguments: &[&str]) -> Result<Output, GatewayError> {
    Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| GatewayError::NotEnvoy {
            path: binary.to_owned(),
            detail: error.to_string(),
        })
}

/// The first words of a process that did not do what it should: enough to
/// recognise it by, not the whole configuration that Envoy likes to repeat.
fn said(output: &Output) -> String {
    const SHOWN: usize = 240;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stderr
        .lines()
        .chain(stdout.lines())
        .map(str::trim)
        .find(|line| !line.is_empty());
    match line {
        Some(line) => line.chars().take(SHOWN).collect(),
        None => format!("no output, {}", output.status),
    }
}

/// The smallest bootstrap with the certificate selector that every https
/// listener of Sluice uses.
fn on_demand_bootstrap() -> serde_json::Value {
    const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls";
    json!({"static_resources": {"listeners": [{
        "name": "on-demand-certificates",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{
            "filters": [{
                "name": "answer",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config",
                },
            }],
            "transport_socket": {
                "name": "tls",
                "typed_config": {
                    "@type": format!("{TLS}.v3.DownstreamTlsContext"),
                    "disable_stateless_session_resumption": true,
                    "disable_stateful_session_resumption": true,
                    "common_tls_context": {"custom_tls_certificate_selector": {
                        "name": "on-demand",
                        "typed_config": {
                            "@type": format!("{TLS}.cert_selectors.on_demand_secret.v3.Config"),
                            "config_source": {"ads": {}},
                            "certificate_mapper": {
                                "name": "sni",
                                "typed_config": {
                                    "@type": format!("{TLS}.cert_mappers.sni.v3.SNI"),
                                    "default_value": "_default",
                                },
                            },
                        },
                    }},
                },
            },
        }],
    }]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_envoy_prints_them() {
        let printed = "\n/usr/bin/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(EnvoyVersion::parse(printed), Some(MINIMUM_VERSION));
        let dev = EnvoyVersion::parse("envoy version: 9e55/1.41.2-dev/Clean/RELEASE/BoringSSL");
        assert_eq!(
            dev.map(|version| version.to_string()).as_deref(),
            Some("1.41.2")
        );
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for printed in [
            "",
            "Python 3.11.7",
            "envoy version: 1.40.0",
            "envoy version: 9e55/1.40/Clean",
            "envoy version: 9e55/1.40.0.1/Clean",
            "envoy version: 9e55/1.x.0/Clean",
        ] {
            assert_eq!(EnvoyVersion::parse(printed), None, "{printed}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let version = |minor, patch| EnvoyVersion {
            major: 1,
            minor,
            patch,
        };
        assert!(version(9, 3) < MINIMUM_VERSION);
        assert!(version(39, 9) < MINIMUM_VERSION);
        assert!(version(40, 1) > MINIMUM_VERSION);
    }
}
