//! The counters of all rooms in the text format of OpenMetrics. They are kept where
//! they are counted; here they are only written, as of one moment.

use std::collections::BTreeMap;
use std::fmt::{Debug, Error};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use sluice_controller::{BUCKETS, Histogram, Snapshot};
use sluice_envoy::Kind;
use sluice_xds::{Fleet, Node, Traffic};

/// What is written, as of one moment.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) snapshot: Snapshot,
    pub(super) fleet: Fleet,
    /// How many resources are published, by type.
    pub(super) resources: BTreeMap<Kind, usize>,
}

/// All metrics. Labels are names of states, reasons, types and gateways: nothing
/// grows with the number of Ingresses.
pub(super) fn written(moment: Moment) -> Result<String, Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(moment));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

impl Collector for Moment {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        page.ingresses(&self.snapshot)?;
        page.work(&self.snapshot)?;
        page.gateways(self)
    }
}

/// A page of metrics in the making.
struct Page<'a>(DescriptorEncoder<'a>);

/// A family without labels.
const ALONE: [(&str, &str); 0] = [];
/// Names of the two queues: what the loop takes, and what runs beside it.
const EVENTS: [(&str, &str); 1] = [("name", "events")];
const STATUSES: [(&str, &str); 1] = [("name", "statuses")];

use MetricType::{Counter, Gauge};

impl Page<'_> {
    fn ingresses(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        self.by(
            Gauge,
            (
                "sluice_ingresses",
                "Ingresses of this class by what became of them",
            ),
            "state",
            snapshot
                .ingresses
                .iter()
                .map(|(state, count)| (format!("{state:?}"), *count)),
        )?;
        self.by(
            Gauge,
            ("sluice_rejections", "Rejections that stand, by reason"),
            "reason",
            snapshot
                .rejections
                .iter()
                .map(|(reason, count)| (reason.to_string(), *count)),
        )?;
        for (name, help, value) in [
            (
                "sluice_revision",
                "The revision published last",
                snapshot.revision,
            ),
            (
                "sluice_gateways",
                "Gateways that have to agree",
                snapshot.gateways,
            ),
            (
                "sluice_awaiting_gateways",
                "Ingresses that wait for gateways",
                snapshot.awaiting_gateways,
            ),
            (
                "sluice_leading",
                "1 on the replica that writes statuses",
                snapshot.leads.into(),
            ),
        ] {
            self.family(Gauge, name, help, [(ALONE, value)])?;
        }
        self.histogram(
            (
                "sluice_propagation",
                "From the first event of a change until every gateway had applied it",
            ),
            ALONE,
            &snapshot.propagation,
        )?;
        self.histogram(
            (
                "sluice_readiness",
                "From the first event of a generation until it was found to be served",
            ),
            ALONE,
            &snapshot.readiness,
        )
    }

    fn work(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        self.by(
            Counter,
            (
                "sluice_watch_events",
                "Events by resource, those of lists included",
            ),
            "resource",
            snapshot
                .watch_events
                .iter()
                .map(|(source, count)| (source.to_string(), *count)),
        )?;
        self.by(
            Counter,
            (
                "sluice_watch_failures",
                "Refused or broken lists and watches",
            ),
            "resource",
            snapshot
                .watch_failures
                .iter()
                .map(|(source, count)| (source.to_string(), *count)),
        )?;
        let writes = [
            ("written", snapshot.status_writes),
            ("conflict", snapshot.status_conflicts),
            ("failed", snapshot.status_failures),
        ];
        self.by(
            Counter,
            ("sluice_status_writes", "Status writes by outcome"),
            "outcome",
            writes
                .into_iter()
                .map(|(outcome, count)| (outcome.to_owned(), count)),
        )?;
        self.family(
            Counter,
            "sluice_probe_failures",
            "Probes that did not find what they should",
            [(ALONE, snapshot.probe_failures)],
        )?;
        // The names under which Knative's controllers show their queues.
        self.family(
            Gauge,
            "kn_workqueue_depth",
            "Number of current items in the queue",
            [
                (EVENTS, snapshot.queued_events),
                (STATUSES, snapshot.running),
            ],
        )?;
        self.family(
            Counter,
            "kn_workqueue_adds",
            "Number of items added to the queue",
            [
                (EVENTS, snapshot.taken_events),
                (STATUSES, snapshot.started),
            ],
        )?;
        let retries =
            snapshot.status_conflicts + snapshot.status_failures + snapshot.probe_failures;
        self.family(
            Counter,
            "kn_workqueue_retries",
            "Number of items re-added to the queue",
            [(STATUSES, retries)],
        )?;
        self.histogram(
            (
                "kn_workqueue_queue_duration",
                "How long an item stays in workqueue",
            ),
            EVENTS,
            &snapshot.waited,
        )?;
        self.histogram(
            (
                "kn_workqueue_process_duration",
                "How long processing what was taken at once took",
            ),
            EVENTS,
            &snapshot.processed,
        )?;
        // One loop: what is unfinished is what runs longest.
        let busy = snapshot.busy.as_secs_f64();
        for (name, help) in [
            (
                "kn_workqueue_unfinished_work",
                "How long the work in progress has taken",
            ),
            (
                "kn_workqueue_longest_running_processor",
                "How long the longest of it has taken",
            ),
        ] {
            let mut family = self
                .0
                .encode_descriptor(name, help, Some(&Unit::Seconds), Gauge)?;
            family.encode_family(&EVENTS)?.encode_gauge(&busy)?;
        }
        Ok(())
    }

    fn gateways(&mut self, moment: &Moment) -> Result<(), Error> {
        let Moment {
            fleet, resources, ..
        } = moment;
        self.by(
            Gauge,
            ("sluice_xds_resources", "Resources as published, by type"),
            "type",
            resources
                .iter()
                .map(|(kind, count)| (kind.to_string(), *count as u64)),
        )?;
        for (name, help, count) in [
            (
                "sluice_xds_streams",
                "Open streams of gateways",
                fleet.nodes.len(),
            ),
            (
                "sluice_xds_quarantined",
                "Resources not sent since a gateway refused them",
                fleet.quarantined.len(),
            ),
        ] {
            self.family(Gauge, name, help, [(ALONE, count as u64)])?;
        }
        // One gateway has one stream, but for moments; the newest is shown.
        let newest: BTreeMap<&str, &Node> = fleet
            .nodes
            .values()
            .map(|node| (node.id.as_str(), node))
            .collect();
        type Read = fn(&Traffic) -> u64;
        let families: [(MetricType, &str, &str, Read); 7] = [
            (
                Gauge,
                "sluice_xds_held",
                "Resources that a gateway holds",
                |t| t.held as u64,
            ),
            (
                Gauge,
                "sluice_xds_due",
                "Resources to be sent or acknowledged",
                |t| t.due as u64,
            ),
            (
                Counter,
                "sluice_xds_sent",
                "Resources sent on the present stream",
                |t| t.sent,
            ),
            (Counter, "sluice_xds_sent_bytes", "Bytes of these", |t| {
                t.bytes
            }),
            (
                Counter,
                "sluice_xds_removed",
                "Removals sent on the present stream",
                |t| t.removed,
            ),
            (Counter, "sluice_xds_acks", "Responses acknowledged", |t| {
                t.acks
            }),
            (Counter, "sluice_xds_nacks", "Responses refused", |t| {
                t.nacks
            }),
        ];
        for (kind, name, help, read) in families {
            let traffic = newest.iter().flat_map(|(gateway, node)| {
                node.kinds
                    .iter()
                    .map(|(of_type, traffic)| (*gateway, of_type.to_string(), traffic))
            });
            let samples = traffic.map(|(gateway, of_type, traffic)| {
                let labels = [("gateway", gateway.to_owned()), ("type", of_type)];
                (labels, read(traffic))
            });
            self.family(kind, name, help, samples)?;
        }
        Ok(())
    }

    /// A family with one label.
    fn by(
        &mut self,
        kind: MetricType,
        (name, help): (&str, &str),
        label: &str,
        samples: impl Iterator<Item = (String, u64)>,
    ) -> Result<(), Error> {
        let samples = samples.map(|(value, count)| ([(label, value)], count));
        self.family(kind, name, help, samples)
    }

    fn family<L: AsRef<str>, V: AsRef<str>, const N: usize>(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = ([(L, V); N], u64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            let labels = labels
                .each_ref()
                .map(|(label, text)| (label.as_ref(), text.as_ref()));
            let mut sample: MetricEncoder<'_> = family.encode_family(&labels)?;
            match kind {
                Counter => sample.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                _ => sample.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    fn histogram<const N: usize>(
        &mut self,
        (name, help): (&str, &str),
        labels: [(&str, &str); N],
        histogram: &Histogram,
    ) -> Result<(), Error> {
        let bounds = BUCKETS.into_iter().zip(histogram.buckets);
        let buckets: Vec<(f64, u64)> = bounds.chain([(f64::INFINITY, histogram.longer)]).collect();
        let unit = Some(&Unit::Seconds);
        let mut family = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Histogram)?;
        family
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(histogram.sum, histogram.count(), &buckets, None)
    }
}
