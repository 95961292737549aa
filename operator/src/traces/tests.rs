use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Instant;

use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tracing_subscriber::layer::SubscriberExt;

use super::*;

type Texts = BTreeMap<String, String>;

/// What came in, by whichever protocol.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn by_grpc(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{address}")
    }

    async fn by_http(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let collector = collector.clone();
                let take = hyper::service::service_fn(move |request: http::Request<Incoming>| {
                    let collector = collector.clone();
                    async move {
                        assert_eq!(request.uri().path(), "/v1/traces");
                        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let request = ExportTraceServiceRequest::decode(body).unwrap();
                        collector.0.lock().unwrap().push(request);
                        Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default()))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), take);
                tokio::spawn(connection);
            }
        });
        format!("http://{address}/v1/traces")
    }

    /// Names and texts of all spans, and the texts of what sent them.
    fn spans(&self) -> Vec<(String, Texts, Texts)> {
        let requests = self.0.lock().unwrap();
        let texts = |attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue]| {
            let text = |attribute: &opentelemetry_proto::tonic::common::v1::KeyValue| {
                let value = match attribute.value.clone()?.value? {
                    Value::StringValue(text) => text,
                    Value::IntValue(number) => number.to_string(),
                    _ => return None,
                };
                Some((attribute.key.clone(), value))
            };
            attributes.iter().filter_map(text).collect::<Texts>()
        };
        let mut spans = Vec::new();
        for of_process in requests.iter().flat_map(|request| &request.resource_spans) {
            let process = texts(&of_process.resource.clone().unwrap().attributes);
            for span in of_process.scope_spans.iter().flat_map(|scope| &scope.spans) {
                spans.push((span.name.clone(), texts(&span.attributes), process.clone()));
            }
        }
        spans
    }
}

/// Whether a span is made is remembered for all of a process: one test at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A process whose spans are switched by the test.
struct Process {
    settings: watch::Sender<Tracing>,
    stop: watch::Sender<bool>,
    following: JoinHandle<()>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Process {
    fn start() -> Self {
        let (layer, traces) = layer();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let settings = watch::Sender::new(Tracing::default());
        let (stop, mut stopped) = watch::channel(false);
        let about = vec![KeyValue::new("service.name", "sluice-operator")];
        let stopped = async move { drop(stopped.wait_for(|stop| *stop).await) };
        let following = tokio::spawn(traces.follow(settings.subscribe(), about, stopped));
        Self {
            settings,
            stop,
            following,
            _guard: guard,
        }
    }

    async fn switch(&self, protocol: TraceProtocol, endpoint: &str, rate: f64) {
        let is_on = rate > 0.0 && protocol != TraceProtocol::None;
        self.settings.send_replace(Tracing {
            protocol,
            endpoint: endpoint.into(),
            sampling_rate: rate,
        });
        until("the switch is thrown", || makes_spans() == is_on).await;
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.following.await.unwrap();
    }
}

fn makes_spans() -> bool {
    !tracing::debug_span!(target: "sluice::traces::tests", "try").is_disabled()
}

fn settle(revision: u64) {
    tracing::debug_span!(target: "sluice::traces::tests", "settle", revision).in_scope(|| {});
    tracing::info_span!(target: "somebody_else", "nobody's").in_scope(|| {});
}

async fn until(what: &str, check: impl Fn() -> bool) {
    let bound = Instant::now() + Duration::from_secs(30);
    while !check() {
        assert!(Instant::now() < bound, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn spans_go_where_the_settings_say_and_nowhere_else() {
    let _alone = ALONE.lock().await;
    let (first, second) = (Collector::default(), Collector::default());
    let (grpc, http) = (first.by_grpc().await, second.by_http().await);
    let process = Process::start();
    settle(1);
    assert!(!makes_spans(), "off at first");
    process.switch(TraceProtocol::Grpc, &grpc, 1.0).await;
    settle(2);
    process.switch(TraceProtocol::Grpc, &grpc, 0.0).await;
    settle(3);
    let seen = |collector: &Collector| {
        let spans = collector.spans();
        let settled = spans.into_iter().filter(|(name, ..)| name != "try");
        settled.collect::<Vec<_>>()
    };
    until("the last batch came", || !seen(&first).is_empty()).await;
    process
        .switch(TraceProtocol::HttpProtobuf, &http, 1.0)
        .await;
    settle(4);
    process.end().await;
    settle(5);
    for (collector, revision) in [(&first, "2"), (&second, "4")] {
        let spans = seen(collector);
        assert_eq!(spans.len(), 1, "{spans:?}");
        let (name, attributes, process) = &spans[0];
        assert_eq!(name, "settle");
        assert_eq!(attributes["revision"], revision);
        assert_eq!(process["service.name"], "sluice-operator");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up() {
    let _alone = ALONE.lock().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for protocol in [TraceProtocol::Grpc, TraceProtocol::HttpProtobuf] {
        let process = Process::start();
        process.switch(protocol, &nobody, 1.0).await;
        settle(1);
        let begun = Instant::now();
        process.end().await;
        assert!(begun.elapsed() < EXPORT_BOUND * 2, "{:?}", begun.elapsed());
    }
}
