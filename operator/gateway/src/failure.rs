//! What Envoy's log says when it cannot start or cannot listen.

use std::fmt;
use std::path::Path;

use crate::error::GatewayError;

/// A listener whose address Envoy could not have. Envoy goes on without it
/// when the listener came over xDS, and ends when it stands in the bootstrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFailure {
    /// The listener's name, or `admin` for the admin interface.
    pub listener: String,
    /// The address, as Envoy writes it: `127.0.0.1:8080`, or a path.
    pub address: String,
    /// The operating system's words: `Address already in use`.
    pub reason: String,
}

impl BindFailure {
    /// Finds `listener '<name>' failed to bind …: cannot bind '<address>': <reason>`.
    pub(crate) fn in_message(message: &str) -> Option<Self> {
        let rest = message.split_once("listener '")?.1;
        let (listener, rest) = rest.split_once("' failed to bind")?;
        let (address, reason) = cannot_bind(rest)?;
        Some(Self {
            listener: listener.to_owned(),
            address: address.to_owned(),
            reason: reason.to_owned(),
        })
    }

    fn remedy(&self) -> &'static str {
        match self.reason.as_str() {
            "Address already in use" => {
                "another process listens there: end it or choose another port"
            }
            "Permission denied" => "ports below 1024 need a privilege: choose a port from 1024 on",
            "Cannot assign requested address" => {
                "this machine does not have that address: choose one that it has"
            }
            _ => "choose another address",
        }
    }
}

impl fmt::Display for BindFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            listener,
            address,
            reason,
        } = self;
        let remedy = self.remedy();
        write!(
            f,
            "listener {listener}: envoy cannot listen on {address} ({}); {remedy}",
            reason.to_lowercase()
        )
    }
}

/// What the last lines of an Envoy that ended at once amount to, if that can
/// be told.
pub(crate) fn recognise(last_lines: &[String], bootstrap: &Path) -> Option<GatewayError> {
    let from_end = || last_lines.iter().rev();
    if let Some(failure) = from_end().find_map(|line| BindFailure::in_message(line)) {
        return Some(GatewayError::Bind { failure });
    }
    let detail = from_end().find_map(|line| {
        let refused = line.strip_prefix("error `")?;
        Some(refused.split_once("` initializing config")?.0)
    })?;
    // Only the admin interface binds without naming a listener.
    if let Some((address, reason)) = cannot_bind(detail) {
        return Some(GatewayError::Bind {
            failure: BindFailure {
                listener: "admin".to_owned(),
                address: address.to_owned(),
                reason: reason.to_owned(),
            },
        });
    }
    // Envoy breaks its text over lines at places that vary from run to run.
    let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(GatewayError::BootstrapRefused {
        path: bootstrap.to_owned(),
        detail,
    })
}

fn cannot_bind(text: &str) -> Option<(&str, &str)> {
    let rest = text.split_once("cannot bind '")?.1;
    let (address, reason) = rest.split_once("': ")?;
    Some((address, reason.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &[&str]) -> Vec<String> {
        log.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_port_in_use_names_listener_and_address() {
        let log = lines(&[
            "listener 'external-http' failed to bind or apply socket options: cannot bind '127.0.0.1:8080': Address already in use",
            "error `cannot bind '127.0.0.1:8080': Address already in use` initializing config 'goo.gle/debugonly   \n  b.json'",
            "cannot bind '127.0.0.1:8080': Address already in use",
        ]);
        let error = recognise(&log, Path::new("b.json")).map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some(
                "listener external-http: envoy cannot listen on 127.0.0.1:8080 (address already in use); another process listens there: end it or choose another port"
            )
        );
    }

    #[test]
    fn an_admin_socket_that_cannot_be_is_named() {
        let log = lines(&[
            "error `cannot bind '/run/x/admin.sock': No such file or directory` initializing config 'b.json'",
        ]);
        let Some(GatewayError::Bind { failure }) = recognise(&log, Path::new("b.json")) else {
            panic!("not recognised");
        };
        assert_eq!(failure.listener, "admin");
        assert_eq!(failure.address, "/run/x/admin.sock");
    }

    #[test]
    fn a_refused_bootstrap_keeps_envoys_words() {
        let log = lines(&[
            "error `Protobuf message (type x reason INVALID_ARGUMENT: no such field:   \n 'typo') has unknown fields` initializing config 'b.json'",
            "Protobuf message",
        ]);
        let error = recognise(&log, Path::new("/run/b.json")).map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some(
                "envoy refused its bootstrap /run/b.json: Protobuf message (type x reason INVALID_ARGUMENT: no such field: 'typo') has unknown fields"
            )
        );
    }

    #[test]
    fn other_ends_are_not_guessed_at() {
        assert!(recognise(&[], Path::new("b")).is_none());
        assert!(
            recognise(
                &lines(&["Segmentation fault", "cannot bind"]),
                Path::new("b")
            )
            .is_none()
        );
    }
}
