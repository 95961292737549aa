//! The counters of all rooms in the text format of OpenMetrics. They are kept where
//! they are counted; here they are only written, as of one moment.

use std::fmt::Write;

use sluice_controller::{BUCKETS, Histogram, Snapshot};
use sluice_xds::Fleet;

/// All metrics. Labels are names of states, reasons, types and gateways: nothing
/// grows with the number of Ingresses.
pub(super) fn written(snapshot: &Snapshot, fleet: &Fleet) -> String {
    let mut page = Page(String::new());
    controller(&mut page, snapshot);
    gateways(&mut page, fleet);
    page.line("# EOF");
    page.0
}

fn controller(page: &mut Page, snapshot: &Snapshot) {
    page.family(
        "sluice_ingresses",
        "gauge",
        "Ingresses of this class by what became of them",
    );
    for (state, count) in &snapshot.ingresses {
        page.sample(
            "sluice_ingresses",
            &[("state", &format!("{state:?}"))],
            *count,
        );
    }
    page.family(
        "sluice_rejections",
        "gauge",
        "rejections that stand, by reason",
    );
    for (reason, count) in &snapshot.rejections {
        page.sample(
            "sluice_rejections",
            &[("reason", &reason.to_string())],
            *count,
        );
    }
    page.family(
        "sluice_watch_events",
        "counter",
        "events by resource, those of lists included",
    );
    for (source, count) in &snapshot.watch_events {
        page.sample(
            "sluice_watch_events_total",
            &[("resource", &source.to_string())],
            *count,
        );
    }
    page.family(
        "sluice_watch_failures",
        "counter",
        "refused or broken lists and watches",
    );
    for (source, count) in &snapshot.watch_failures {
        page.sample(
            "sluice_watch_failures_total",
            &[("resource", &source.to_string())],
            *count,
        );
    }
    for (name, help, value) in [
        (
            "sluice_revision",
            "the revision published last",
            snapshot.revision,
        ),
        (
            "sluice_gateways",
            "gateways that have to agree",
            snapshot.gateways,
        ),
        (
            "sluice_awaiting_gateways",
            "ingresses that wait for gateways",
            snapshot.awaiting_gateways,
        ),
        (
            "sluice_leading",
            "1 on the replica that writes statuses",
            snapshot.leads.into(),
        ),
        (
            "kn_workqueue_depth",
            "events that the loop has not taken yet",
            snapshot.queued_events,
        ),
        (
            "kn_workqueue_unfinished_work",
            "probes and status writes under way",
            snapshot.running,
        ),
    ] {
        page.family(name, "gauge", help);
        page.sample(name, &[], value);
    }
    page.family(
        "sluice_status_writes",
        "counter",
        "status writes by outcome",
    );
    for (outcome, count) in [
        ("written", snapshot.status_writes),
        ("conflict", snapshot.status_conflicts),
        ("failed", snapshot.status_failures),
    ] {
        page.sample("sluice_status_writes_total", &[("outcome", outcome)], count);
    }
    page.family(
        "sluice_probe_failures",
        "counter",
        "probes that did not find what they should",
    );
    page.sample("sluice_probe_failures_total", &[], snapshot.probe_failures);
    page.histogram(
        "sluice_propagation_seconds",
        "from the first event of a change until every gateway had applied it",
        &snapshot.propagation,
    );
    page.histogram(
        "sluice_readiness_seconds",
        "from the first event of a generation until it was found to be served",
        &snapshot.readiness,
    );
}

fn gateways(page: &mut Page, fleet: &Fleet) {
    page.family("sluice_xds_streams", "gauge", "open streams of gateways");
    page.sample("sluice_xds_streams", &[], fleet.nodes.len() as u64);
    page.family(
        "sluice_xds_quarantined",
        "gauge",
        "resources not sent since a gateway refused them",
    );
    page.sample(
        "sluice_xds_quarantined",
        &[],
        fleet.quarantined.len() as u64,
    );
    type Read = fn(&sluice_xds::Traffic) -> u64;
    let families: [(&str, &str, &str, Read); 7] = [
        (
            "sluice_xds_held",
            "gauge",
            "resources that a gateway holds",
            |t| t.held as u64,
        ),
        (
            "sluice_xds_due",
            "gauge",
            "resources to be sent or acknowledged",
            |t| t.due as u64,
        ),
        (
            "sluice_xds_sent",
            "counter",
            "resources sent on the present stream",
            |t| t.sent,
        ),
        ("sluice_xds_sent_bytes", "counter", "bytes of these", |t| {
            t.bytes
        }),
        (
            "sluice_xds_removed",
            "counter",
            "removals sent on the present stream",
            |t| t.removed,
        ),
        (
            "sluice_xds_acks",
            "counter",
            "responses acknowledged",
            |t| t.acks,
        ),
        ("sluice_xds_nacks", "counter", "responses refused", |t| {
            t.nacks
        }),
    ];
    for (family, kind, help, read) in families {
        page.family(family, kind, help);
        let name = match kind {
            "counter" => format!("{family}_total"),
            _ => family.to_owned(),
        };
        // One gateway has one stream, but for moments; the newest is shown.
        let newest: std::collections::BTreeMap<&str, &sluice_xds::Node> = fleet
            .nodes
            .values()
            .map(|node| (node.id.as_str(), node))
            .collect();
        for (gateway, node) in newest {
            for (kind, traffic) in &node.kinds {
                let labels = [("gateway", gateway), ("type", &kind.to_string())];
                page.sample(&name, &labels, read(traffic));
            }
        }
    }
}

/// A page of metrics in the making.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(&format!("# TYPE {name} {kind}"));
        self.line(&format!("# HELP {name} {help}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.value(name, labels, value);
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            // Writing into a string cannot fail.
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(text));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut sum = 0;
        for (bound, count) in BUCKETS.iter().zip(histogram.buckets) {
            sum += count;
            self.sample(&bucket, &[("le", &bound.to_string())], sum);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count());
        self.value(&format!("{name}_sum"), &[], histogram.sum);
        self.sample(&format!("{name}_count"), &[], histogram.count());
    }
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_and_labels_are_escaped() {
        let histogram = Histogram {
            buckets: [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            longer: 1,
            sum: 31.5,
        };
        let mut page = Page(String::new());
        page.histogram("took_seconds", "how long", &histogram);
        page.sample("odd", &[("a", "x\"\\\n"), ("b", "y")], 1);
        assert!(
            page.0.contains("took_seconds_bucket{le=\"0.025\"} 3\n"),
            "{}",
            page.0
        );
        assert!(
            page.0.contains("took_seconds_bucket{le=\"30\"} 3\n"),
            "{}",
            page.0
        );
        assert!(
            page.0.contains("took_seconds_bucket{le=\"+Inf\"} 4\n"),
            "{}",
            page.0
        );
        assert!(page.0.contains("took_seconds_sum 31.5\n"), "{}", page.0);
        assert!(
            page.0.ends_with("odd{a=\"x\\\"\\\\\\n\",b=\"y\"} 1\n"),
            "{}",
            page.0
        );
    }
}
