//! The server over real sockets, against a client made from Envoy's own
//! generated messages.

// A failed unwrap is the failing assertion itself; clippy knows that only of
// functions that are marked as tests.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest,
};
use hyper_util::rt::TokioIo;
use sluice_envoy::{Content, Kind, Resource, Update};
use sluice_xds::{
    Admission, Fleet, LEADER_HEADER, Publisher, Revision, Settings, XdsError, serve, serve_incoming,
};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::server::UdsConnectInfo;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

struct Server {
    publisher: Publisher,
    socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), XdsError>>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        Self::admitting(Admission::default())
    }

    fn admitting(admission: Admission) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("xds.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let publisher = Publisher::new(Settings {
            cluster_grace: Duration::from_millis(20),
            ..Settings::default()
        });
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let incoming = UnixListenerStream::new(listener);
        let task = tokio::spawn(serve_incoming(
            incoming,
            publisher.clone(),
            admission,
            shutdown,
        ));
        Self {
            publisher,
            socket,
            stop: Some(stop),
            task,
            _folder: folder,
        }
    }

    async fn channel(&self) -> Channel {
        let socket = self.socket.clone();
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://xds");
        endpoint.connect_with_connector(connect).await.unwrap()
    }

    async fn client(&self, node: &str) -> Client {
        Client::open(self.channel().await, node).await
    }

    async fn fleet(&self, wanted: impl Fn(&Fleet) -> bool) -> Fleet {
        let mut watch = self.publisher.watch();
        let wait = watch.wait_for(|fleet| wanted(fleet));
        let fleet = tokio::time::timeout(Duration::from_secs(10), wait);
        fleet.await.unwrap().unwrap().clone()
    }
}

struct Client {
    node: String,
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Client {
    async fn open(channel: Channel, node: &str) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        let mut client =
            AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let stream = ReceiverStream::new(receiver);
        let responses = client.delta_aggregated_resources(stream).await.unwrap();
        Self {
            node: node.to_owned(),
            requests,
            responses: responses.into_inner(),
        }
    }

    async fn ask(&self, kind: Kind, names: &[&str]) {
        let request = DeltaDiscoveryRequest {
            node: Some(Node {
                id: self.node.clone(),
                user_agent_name: "a field that the server skips".to_owned(),
                ..Node::default()
            }),
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: names.iter().map(|n| (*n).to_owned()).collect(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }

    async fn receive(&mut self) -> DeltaDiscoveryResponse {
        let message = tokio::time::timeout(Duration::from_secs(10), self.responses.message());
        message.await.unwrap().unwrap().unwrap()
    }

    async fn ack(&self, response: &DeltaDiscoveryResponse) {
        let request = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }
}

fn resource(kind: Kind, name: &str, body: Vec<u8>) -> Resource {
    Resource {
        kind,
        name: name.to_owned(),
        content: Some(Content::new(body)),
        standby: None,
        table: None,
        key: None,
        shape: 0,
    }
}

fn update(upserts: Vec<Resource>) -> Update {
    Update {
        upserts,
        ..Update::default()
    }
}

#[tokio::test]
async fn what_is_published_arrives_and_acks_come_back() {
    let server = Server::start();
    let cluster = |body: &str| resource(Kind::Cluster, "ns/a/80", body.into());
    let first = server.publisher.publish(update(vec![cluster("one")]));
    let mut client = server.client("gateway-1").await;
    for kind in [Kind::Cluster, Kind::Listener, Kind::Scope] {
        client.ask(kind, &[]).await;
        let response = client.receive().await;
        assert_eq!(response.type_url, kind.type_url());
        assert!(!response.nonce.is_empty());
        if kind == Kind::Cluster {
            let resource = &response.resources[0];
            let any = resource.resource.as_ref().unwrap();
            assert_eq!(resource.name, "ns/a/80");
            assert_eq!(resource.version, Content::new(&b"one"[..]).version);
            assert_eq!(any.type_url, kind.type_url());
            assert_eq!(any.value, b"one");
        } else {
            assert!(response.resources.is_empty());
        }
        client.ack(&response).await;
    }
    server.publisher.acked(first).await;

    let second = server.publisher.publish(update(vec![cluster("two")]));
    assert_eq!(second, Revision(first.0 + 1));
    let response = client.receive().await;
    assert_eq!(
        response.resources[0].resource.as_ref().unwrap().value,
        b"two"
    );
    assert!(!server.publisher.fleet().has_acked(second));
    client.ack(&response).await;
    server.publisher.acked(second).await;

    let third = server.publisher.publish(Update {
        removals: vec![(Kind::Cluster, "ns/a/80".to_owned())],
        ..Update::default()
    });
    server.publisher.acked(third).await;
    let response = client.receive().await;
    assert_eq!(response.removed_resources, ["ns/a/80"]);

    let fleet = server.publisher.fleet();
    let node = fleet.nodes.values().next().unwrap();
    assert_eq!(node.id, "gateway-1");
    assert_eq!(node.kinds[&Kind::Cluster].sent, 2);
    drop(client);
    server.fleet(|fleet| fleet.nodes.is_empty()).await;
}

#[tokio::test]
async fn a_nack_is_in_the_fleet_with_the_gateways_words() {
    let server = Server::start();
    let bad = resource(Kind::Endpoints, "ns/a/80", b"bad".to_vec());
    server.publisher.publish(update(vec![bad]));
    let mut client = server.client("gateway-1").await;
    client.ask(Kind::Endpoints, &["ns/a/80"]).await;
    let response = client.receive().await;
    let nack = DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        error_detail: Some(envoy_types::pb::google::rpc::Status {
            code: 13,
            message: "malformed IP address: x".to_owned(),
            ..Default::default()
        }),
        ..DeltaDiscoveryRequest::default()
    };
    client.requests.send(nack).await.unwrap();
    let fleet = server.fleet(|fleet| !fleet.quarantined.is_empty()).await;
    let refusal = &fleet.quarantined[0];
    assert_eq!(refusal.detail, "malformed IP address: x");
    assert_eq!(refusal.node, "gateway-1");
    // Nothing else stands in for it, and who asked is told so.
    assert_eq!(client.receive().await.removed_resources, ["ns/a/80"]);
    // Once it is repaired, it is not in the list any more.
    let good = resource(Kind::Endpoints, "ns/a/80", b"good".to_vec());
    server.publisher.publish(update(vec![good]));
    server.fleet(|fleet| fleet.quarantined.is_empty()).await;
}

#[tokio::test]
async fn who_does_not_read_is_sent_one_response_however_much_changes() {
    let server = Server::start();
    let body = |i: u32| {
        let mut body = vec![0; 64 << 10];
        body[..4].copy_from_slice(&i.to_be_bytes());
        body
    };
    server.publisher.publish(Update::default());
    let mut slow = server.client("slow").await;
    slow.ask(Kind::Endpoints, &["ns/a/80"]).await;
    let none = slow.receive().await;
    slow.ack(&none).await;
    server
        .fleet(|f| {
            f.nodes
                .values()
                .any(|n| n.kinds[&Kind::Endpoints].acks == 1)
        })
        .await;
    for i in 0..300 {
        let endpoints = resource(Kind::Endpoints, "ns/a/80", body(i));
        server.publisher.publish(update(vec![endpoints]));
        tokio::task::yield_now().await;
    }
    let first = slow.receive().await;
    let traffic = |fleet: &Fleet| fleet.nodes.values().next().unwrap().kinds[&Kind::Endpoints];
    assert_eq!(traffic(&server.publisher.fleet()).sent, 1);
    slow.ack(&first).await;
    let second = slow.receive().await;
    assert_eq!(
        second.resources[0].resource.as_ref().unwrap().value,
        body(299)
    );
    assert_eq!(traffic(&server.publisher.fleet()).sent, 2);
}

#[tokio::test]
async fn state_of_the_world_is_refused_with_a_hint() {
    let server = Server::start();
    let mut client = AggregatedDiscoveryServiceClient::new(server.channel().await);
    let requests = tokio_stream::once(DiscoveryRequest::default());
    let status = client
        .stream_aggregated_resources(requests)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("DELTA_GRPC"), "{status}");
}

#[tokio::test]
async fn shutdown_ends_streams_and_the_server() {
    let mut server = Server::start();
    server.publisher.publish(Update::default());
    let mut client = server.client("gateway-1").await;
    client.ask(Kind::Cluster, &[]).await;
    client.receive().await;
    server.stop.take().unwrap().send(()).unwrap();
    let status = client.responses.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut server.task);
    ended.await.unwrap().unwrap().unwrap();
    assert!(server.publisher.fleet().nodes.is_empty());
}

#[tokio::test]
async fn it_serves_on_tcp_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let publisher = Publisher::default();
    publisher.publish(Update::default());
    let server = serve(listener, publisher.clone(), std::future::pending());
    let server = tokio::spawn(server);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = Client::open(endpoint.connect().await.unwrap(), "gateway-1").await;
    client.ask(Kind::Cluster, &[]).await;
    assert!(client.receive().await.resources.is_empty());
    drop(client);
    let mut watch = publisher.watch();
    watch
        .wait_for(|fleet| fleet.nodes.is_empty())
        .await
        .unwrap();
    server.abort();
}

#[tokio::test]
async fn an_empty_fleet_has_acknowledged_nothing() {
    let publisher = Publisher::default();
    let revision = publisher.publish(Update::default());
    assert!(!publisher.fleet().has_acked(revision));
}

#[tokio::test]
async fn a_gateway_is_called_what_its_connection_has_proven() {
    let server = Server::admitting(Admission {
        proven: Some(|connection| {
            let peer = connection.get::<UdsConnectInfo>();
            peer.map(|_| "namespace/proven".to_owned())
        }),
        leader: None,
    });
    let client = server.client("namespace/pretended").await;
    client.ask(Kind::Cluster, &[]).await;
    let fleet = server
        .fleet(|fleet| fleet.nodes.values().any(|node| !node.id.is_empty()))
        .await;
    let names: Vec<&str> = fleet.nodes.values().map(|node| node.id.as_str()).collect();
    assert_eq!(names, ["namespace/proven"]);
}

#[tokio::test]
async fn a_connection_that_has_proven_nothing_gets_no_stream() {
    let server = Server::admitting(Admission {
        proven: Some(|_| None),
        leader: None,
    });
    let mut client = AggregatedDiscoveryServiceClient::new(server.channel().await);
    let refused = client
        .delta_aggregated_resources(tokio_stream::pending())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    assert!(server.publisher.fleet().nodes.is_empty());
}

#[tokio::test]
async fn streams_are_told_whether_the_replica_leads_and_end_when_it_ceases_to() {
    let (lead, leader) = watch::channel(false);
    let server = Server::admitting(Admission {
        proven: None,
        leader: Some(leader),
    });
    let open = async || {
        let mut client = AggregatedDiscoveryServiceClient::new(server.channel().await);
        let stream = client.delta_aggregated_resources(tokio_stream::pending());
        let response = stream.await.unwrap();
        let leads = response.metadata().get(LEADER_HEADER).cloned().unwrap();
        (leads.to_str().unwrap().to_owned(), response.into_inner())
    };
    let (follows, mut follower) = open().await;
    lead.send_replace(true);
    let (leads, mut led) = open().await;
    assert_eq!((follows.as_str(), leads.as_str()), ("false", "true"));

    lead.send_replace(false);
    let ended = led.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    assert!(ended.message().contains("lease"), "{ended}");
    // Who did not count on a leader loses nothing with it.
    let open_still = tokio::time::timeout(Duration::from_millis(50), follower.message()).await;
    assert!(open_still.is_err(), "{open_still:?}");
}
