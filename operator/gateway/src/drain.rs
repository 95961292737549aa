//! Sending clients away before Envoy ends.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::admin::Admin;
use crate::error::GatewayError;

/// How often Envoy is asked what is still open.
const POLL: Duration = Duration::from_millis(20);

/// Connections on which no request was under way for this long are idle: a
/// client that keeps one open must expect its end at any time.
const IDLE: Duration = Duration::from_secs(1);

/// From now on every answer asks the client to leave; new ones are still taken.
pub(crate) async fn send_away(admin: &Admin) {
    if let Err(error) = admin.fail_health_check().await {
        tracing::warn!(%error, "envoy does not ask its clients to leave");
    }
}

/// Sends clients away, takes no more, and returns when they are gone. Never, if the
/// admin interface does not answer: what is under way keeps its time.
pub(crate) async fn drained(admin: &Admin) {
    send_away(admin).await;
    if let Err(error) = admin.drain_listeners().await {
        tracing::warn!(%error, "envoy could not be drained, what is under way gets its time");
    }
    let mut idle_since = None;
    loop {
        match Downstream::ask(admin).await {
            Ok(Downstream {
                connections: Some(0),
                ..
            }) => return,
            Ok(Downstream {
                requests: Some(0), ..
            }) => {
                let since = *idle_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= IDLE {
                    return;
                }
            }
            _ => idle_since = None,
        }
        sleep(POLL).await;
    }
}

/// What Envoy's clients have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Downstream {
    /// Connections, or `None` if the statistics leave them out.
    connections: Option<u64>,
    /// Requests under way, WebSockets included, or `None` if the statistics
    /// leave them out.
    requests: Option<u64>,
}

impl Downstream {
    /// The admin interface's own aside.
    async fn ask(admin: &Admin) -> Result<Self, GatewayError> {
        let stats = admin
            .stats_matching(r"(downstream_(cx|rq)_active|total_listeners_active)$")
            .await?;
        Ok(Self::of(&stats))
    }

    fn of(stats: &BTreeMap<String, u64>) -> Self {
        let sum = |scope: &str, stat: &str| {
            let admin = format!("{scope}.admin.");
            stats
                .iter()
                .filter(|(name, _)| {
                    name.starts_with(scope)
                        && name.ends_with(stat)
                        && !name.starts_with(&admin)
                        // Each worker's share of the listener's own number.
                        && !name.contains(".worker_")
                })
                .map(|(_, value)| *value)
                .reduce(u64::saturating_add)
        };
        // Without listeners there are no numbers of listeners.
        let none_yet = stats.get("listener_manager.total_listeners_active") == Some(&0);
        let otherwise = none_yet.then_some(0);
        Self {
            connections: sum("listener", ".downstream_cx_active").or(otherwise),
            requests: sum("http", ".downstream_rq_active").or(otherwise),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    }

    #[test]
    fn clients_are_counted_once_and_without_the_admin_interface() {
        let found = Downstream::of(&stats(&[
            ("http.admin.downstream_rq_active", 1),
            ("http.external.downstream_cx_active", 9),
            ("http.external.downstream_rq_active", 2),
            ("http.internal.downstream_rq_active", 3),
            ("listener.0.0.0.0_8080.downstream_cx_active", 4),
            ("listener.0.0.0.0_8080.worker_0.downstream_cx_active", 4),
            ("listener.0.0.0.0_8443.downstream_cx_active", 1),
            ("listener.admin.downstream_cx_active", 1),
            ("listener_manager.total_listeners_active", 2),
        ]));
        assert_eq!(found.connections, Some(5));
        assert_eq!(found.requests, Some(5));
    }

    #[test]
    fn no_listener_is_nobody_and_no_number_is_not_known() {
        let nobody = Downstream::of(&stats(&[("listener_manager.total_listeners_active", 0)]));
        assert_eq!((nobody.connections, nobody.requests), (Some(0), Some(0)));
        let unknown = Downstream::of(&stats(&[]));
        assert_eq!((unknown.connections, unknown.requests), (None, None));
    }
}
