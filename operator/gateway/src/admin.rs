//! Envoy's admin interface: HTTP/1.1 over a Unix socket.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::error::GatewayError;

/// How long an answer may take, unless told otherwise. The admin interface runs
/// on Envoy's main thread, which a large configuration update can hold for seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks one Envoy by its admin socket, over a new connection each time.
#[derive(Clone, Debug)]
pub struct Admin {
    socket: PathBuf,
    timeout: Duration,
}

/// Where an Envoy is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Serves. With xDS this alone does not mean that it has a configuration.
    Live,
    /// Asks its clients to go elsewhere.
    Draining,
    /// Has no clusters yet.
    PreInitializing,
    /// Has clusters, waits for the rest.
    Initializing,
}

/// What an Envoy says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Commit, release and build, as `<commit>/1.40.0/Clean/RELEASE/BoringSSL`.
    pub version: String,
    /// Where it is in its life.
    pub state: ServerState,
    /// The node id of its bootstrap; empty if none.
    pub node_id: String,
}

impl Admin {
    /// For the admin interface on this socket. Nothing is connected yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            timeout: TIMEOUT,
        }
    }

    /// The same, with another limit for a whole answer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The socket it asks on.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The body of a GET. `path` starts with `/` and may have a query.
    ///
    /// # Errors
    /// [`GatewayError::AdminUnreachable`], [`GatewayError::AdminTimedOut`], or
    /// [`GatewayError::AdminRefused`] for any status but 200.
    pub async fn get(&self, path: &str) -> Result<Bytes, GatewayError> {
        self.request(Method::GET, path).await
    }

    /// The body of a POST without a body: what changes Envoy.
    ///
    /// # Errors
    /// As [`Admin::get`].
    pub async fn post(&self, path: &str) -> Result<Bytes, GatewayError> {
        self.request(Method::POST, path).await
    }

    /// Version and state, of `/server_info`.
    ///
    /// # Errors
    /// As [`Admin::get`], and [`GatewayError::AdminUnreadable`].
    pub async fn server_info(&self) -> Result<ServerInfo, GatewayError> {
        const PATH: &str = "/server_info";
        let info = self.json(PATH).await?;
        let state = match info["state"].as_str() {
            Some("LIVE") => ServerState::Live,
            Some("DRAINING") => ServerState::Draining,
            Some("PRE_INITIALIZING") => ServerState::PreInitializing,
            Some("INITIALIZING") => ServerState::Initializing,
            _ => {
                return Err(GatewayError::AdminUnreadable {
                    request: format!("GET {PATH}"),
                    found: format!("state {}", info["state"]),
                    expected: "state LIVE, DRAINING, PRE_INITIALIZING or INITIALIZING",
                });
            }
        };
        Ok(ServerInfo {
            version: info["version"].as_str().unwrap_or_default().to_owned(),
            state,
            node_id: info["node"]["id"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// Counters and gauges whose name begins with `prefix`, by name.
    ///
    /// # Errors
    /// As [`Admin::get`], and [`GatewayError::AdminUnreadable`].
    pub async fn stats(&self, prefix: &str) -> Result<BTreeMap<String, u64>, GatewayError> {
        let mut pattern = "^".to_owned();
        for character in prefix.chars() {
            if character.is_ascii() && !character.is_ascii_alphanumeric() {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        self.stats_matching(&pattern).await
    }

    /// Counters and gauges whose name contains a match of `pattern` (RE2), by name.
    ///
    /// # Errors
    /// As [`Admin::get`], and [`GatewayError::AdminUnreadable`].
    pub async fn stats_matching(
        &self,
        pattern: &str,
    ) -> Result<BTreeMap<String, u64>, GatewayError> {
        let path = format!("/stats?format=json&filter={}", percent_encode(pattern));
        let answer = self.json(&path).await?;
        let Some(stats) = answer["stats"].as_array() else {
            return Err(GatewayError::AdminUnreadable {
                request: format!("GET {path}"),
                found: answer.to_string().chars().take(120).collect(),
                expected: "an object with the array `stats`",
            });
        };
        // Histograms come as an entry without a name, texts with a string.
        Ok(stats
            .iter()
            .filter_map(|stat| Some((stat["name"].as_str()?.to_owned(), stat["value"].as_u64()?)))
            .collect())
    }

    /// All that Envoy is configured with, endpoints included. Private keys are
    /// blanked out by Envoy.
    ///
    /// # Errors
    /// As [`Admin::get`], and [`GatewayError::AdminUnreadable`].
    pub async fn config_dump(&self) -> Result<Value, GatewayError> {
        self.json("/config_dump?include_eds").await
    }

    /// The certificates that Envoy has loaded, without keys.
    ///
    /// # Errors
    /// As [`Admin::get`], and [`GatewayError::AdminUnreadable`].
    pub async fn certs(&self) -> Result<Value, GatewayError> {
        self.json("/certs").await
    }

    /// From now on every answer asks the client to leave: `connection: close`
    /// on HTTP/1.1, GOAWAY on HTTP/2. New connections are still taken, so a load
    /// balancer in front has time to notice. The state turns to
    /// [`ServerState::Draining`].
    ///
    /// # Errors
    /// As [`Admin::post`].
    pub async fn fail_health_check(&self) -> Result<(), GatewayError> {
        self.post("/healthcheck/fail").await.map(drop)
    }

    /// From now on no new connection is taken; open ones go on.
    ///
    /// # Errors
    /// As [`Admin::post`].
    pub async fn drain_listeners(&self) -> Result<(), GatewayError> {
        self.post("/drain_listeners").await.map(drop)
    }

    async fn json(&self, path: &str) -> Result<Value, GatewayError> {
        let body = self.get(path).await?;
        serde_json::from_slice(&body).map_err(|error| GatewayError::AdminUnreadable {
            request: format!("GET {path}"),
            found: error.to_string(),
            expected: "json",
        })
    }

    async fn request(&self, method: Method, path: &str) -> Result<Bytes, GatewayError> {
        let request = format!("{method} {path}");
        let answer = tokio::time::timeout(self.timeout, self.exchange(method, path));
        let (status, body) = match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(source)) => {
                return Err(GatewayError::AdminUnreachable {
                    request,
                    socket: self.socket.clone(),
                    source,
                });
            }
            Err(_) => {
                return Err(GatewayError::AdminTimedOut {
                    request,
                    after: self.timeout,
                });
            }
        };
        if status != StatusCode::OK {
            let body = String::from_utf8_lossy(&body);
            return Err(GatewayError::AdminRefused {
                request,
                status,
                body: body.trim().chars().take(200).collect(),
            });
        }
        Ok(body)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "envoy-admin")
            .body(Empty::<Bytes>::new())?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, body))
        };
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            // What was read before the connection ended is still there to take,
            // and an early end shows as the exchange's own error.
            _ = connection => exchange.await,
        }
    }
}

/// RFC 3986 §2.1, all but the unreserved characters.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_the_query() {
        assert_eq!(percent_encode(r"^http\.a&b=c"), "%5Ehttp%5C.a%26b%3Dc");
    }
}
