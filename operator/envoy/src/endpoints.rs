//! ClusterLoadAssignments: where a Service port answers at the moment.

use std::net::SocketAddr;

use prost::Message;
use sluice_ir::{Endpoints, ServicePort};

use crate::shape::Shape;
use crate::{Content, Kind, Resource, cluster, name, pb};

/// The `ClusterLoadAssignment` of a Service port. Unknown endpoints are an empty
/// assignment, never none: a cluster without an answer holds the acknowledgement
/// of all clusters for 15 s, and one with an empty answer says 503.
pub(crate) fn endpoints(service_port: &ServicePort, endpoints: Option<&Endpoints>) -> Resource {
    let name = name::cluster(service_port);
    let mut shape = Shape::new(Kind::Endpoints);
    let lb_endpoints: Vec<_> = endpoints
        .into_iter()
        .flat_map(|endpoints| &endpoints.addresses)
        .map(|address| {
            let address = SocketAddr::from(*address);
            shape.add(if address.is_ipv4() { "ipv4" } else { "ipv6" });
            cluster::endpoint(&address.ip().to_string(), address.port())
        })
        .collect();
    let message = pb::ClusterLoadAssignment {
        cluster_name: name.clone(),
        endpoints: if lb_endpoints.is_empty() {
            Vec::new()
        } else {
            vec![pb::LocalityLbEndpoints {
                lb_endpoints,
                ..pb::LocalityLbEndpoints::default()
            }]
        },
        ..pb::ClusterLoadAssignment::default()
    };
    Resource {
        kind: Kind::Endpoints,
        name,
        content: Some(Content::new(message.encode_to_vec())),
        standby: None,
        table: None,
        key: None,
        shape: shape.finish(),
    }
}
