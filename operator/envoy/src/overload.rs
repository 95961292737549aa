//! What a gateway does when it runs out of memory or connections.

use std::time::Duration;

use crate::pb;

const HEAP: &str = "envoy.resource_monitors.fixed_heap";
const CONNECTIONS: &str = "envoy.resource_monitors.global_downstream_max_connections";

/// Refuses clients beyond the connection limit; with a heap limit, gives memory
/// back, then keep-alive, then new requests, before the kernel ends the process.
pub(crate) fn overload_manager(
    connection_limit: u32,
    heap_limit: Option<u64>,
) -> pb::OverloadManager {
    let mut monitors = vec![monitor(
        CONNECTIONS,
        &pb::DownstreamConnectionsConfig {
            max_active_downstream_connections: connection_limit.into(),
        },
    )];
    let (mut actions, mut loadshed_points) = (Vec::new(), Vec::new());
    if let Some(bytes) = heap_limit {
        monitors.push(monitor(
            HEAP,
            &pb::FixedHeapConfig {
                max_heap_size_bytes: bytes,
                ..pb::FixedHeapConfig::default()
            },
        ));
        actions = [
            ("envoy.overload_actions.shrink_heap", 0.90),
            ("envoy.overload_actions.disable_http_keepalive", 0.95),
            ("envoy.overload_actions.stop_accepting_requests", 0.98),
        ]
        .map(|(name, at)| pb::OverloadAction {
            name: name.to_owned(),
            triggers: vec![above(at)],
            ..pb::OverloadAction::default()
        })
        .into();
        loadshed_points = [
            ("envoy.load_shed_points.tcp_listener_accept", 0.98),
            (
                "envoy.load_shed_points.http2_server_go_away_on_dispatch",
                0.98,
            ),
        ]
        .map(|(name, at)| pb::LoadShedPoint {
            name: name.to_owned(),
            triggers: vec![above(at)],
        })
        .into();
    }
    pb::OverloadManager {
        refresh_interval: pb::duration(Duration::from_millis(250)),
        resource_monitors: monitors,
        actions,
        loadshed_points,
        ..pb::OverloadManager::default()
    }
}

fn monitor<M: prost::Message + prost::Name>(name: &str, config: &M) -> pb::ResourceMonitor {
    pb::ResourceMonitor {
        name: name.to_owned(),
        config_type: Some(pb::ResourceMonitorConfig::TypedConfig(pb::any(config))),
    }
}

fn above(share_of_heap: f64) -> pb::Trigger {
    pb::Trigger {
        name: HEAP.to_owned(),
        trigger_oneof: Some(pb::TriggerOneof::Threshold(pb::ThresholdTrigger {
            value: share_of_heap,
        })),
    }
}
