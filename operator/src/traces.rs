//! Spans of this process, to whoever collects them by OTLP: switched on, off and
//! elsewhere while it runs. Off, no span is made.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use sluice_controller::{TraceProtocol, Tracing};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::Metadata;
use tracing::subscriber::Interest;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::{Layer, Registry, reload};

#[cfg(test)]
mod tests;

/// How long a collector may take for a batch, and the last batch at the end.
const EXPORT_BOUND: Duration = Duration::from_secs(5);
/// What a collector may say to a batch.
const ANSWER_BOUND: usize = 64 * 1024;

type Exporting = Option<OpenTelemetryLayer<Registry, SdkTracer>>;

/// The switch of this process's spans.
pub(crate) struct Traces {
    layer: reload::Handle<Exporting, Registry>,
    is_on: Arc<AtomicBool>,
}

/// Off at first: what goes on top of the registry, and its switch.
pub(crate) fn layer() -> (impl Layer<Registry> + Send + Sync + 'static, Traces) {
    let (layer, handle) = reload::Layer::new(Exporting::None);
    let is_on = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_on);
    // Sluice's own: what its libraries think of themselves interests nobody, and
    // spans about the sending of spans would never end. Asked once of each place in
    // the code and again at every switch, so that a span that is off costs a look.
    let asked = move |metadata: &Metadata<'_>| is_own(metadata) && switch.load(Ordering::Relaxed);
    let asked_once = asked.clone();
    let filter = dynamic_filter_fn(move |metadata, _| asked(metadata)).with_callsite_filter(
        move |metadata| match asked_once(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        },
    );
    let traces = Traces {
        layer: handle,
        is_on,
    };
    (layer.with_filter(filter), traces)
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("sluice")
}

impl Traces {
    /// Sends spans where the settings say, until it is to stop, and then the last.
    /// `attributes` are of this process.
    pub(crate) async fn follow(
        self,
        mut settings: watch::Receiver<Tracing>,
        attributes: Vec<KeyValue>,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = pin!(stop);
        let resource = Resource::builder_empty()
            .with_attributes(attributes)
            .build();
        let mut provider: Option<SdkTracerProvider> = None;
        loop {
            let wanted = settings.borrow_and_update().clone();
            let next = provider_of(&wanted, &resource).unwrap_or_else(|error| {
                tracing::warn!(endpoint = wanted.endpoint, "spans go nowhere: {error}");
                None
            });
            self.switch(next.as_ref());
            let is_on = next.is_some();
            let was_on = provider.is_some();
            finish(std::mem::replace(&mut provider, next)).await;
            if is_on {
                let Tracing {
                    endpoint,
                    sampling_rate,
                    ..
                } = &wanted;
                tracing::info!(endpoint, sampling_rate, "spans are sent");
            } else if was_on {
                tracing::info!("spans are no longer sent");
            }
            let goes_on = tokio::select! {
                () = &mut stop => false,
                changed = settings.changed() => changed.is_ok(),
            };
            if !goes_on {
                self.switch(None);
                return finish(provider).await;
            }
        }
    }

    fn switch(&self, provider: Option<&SdkTracerProvider>) {
        let exporting = provider.map(|provider| {
            let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
            OpenTelemetryLayer::new(tracer).with_threads(false)
        });
        self.is_on.store(exporting.is_some(), Ordering::Relaxed);
        // Without a registry there is nobody to make spans.
        let _ = self.layer.reload(exporting);
    }
}

/// Sends what is left, which waits for the collector: beside the event loop.
async fn finish(provider: Option<SdkTracerProvider>) {
    let Some(provider) = provider else { return };
    let last = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(EXPORT_BOUND));
    match last.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the last spans were not sent: {error}"),
        Err(error) => tracing::warn!("the last spans were not sent: {error}"),
    }
}

fn provider_of(
    wanted: &Tracing,
    resource: &Resource,
) -> Result<Option<SdkTracerProvider>, ExporterBuildError> {
    if wanted.sampling_rate <= 0.0 {
        return Ok(None);
    }
    let exporter = match wanted.protocol {
        TraceProtocol::None => return Ok(None),
        TraceProtocol::Grpc => SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&wanted.endpoint)
            .with_timeout(EXPORT_BOUND)
            .build()?,
        TraceProtocol::HttpProtobuf => SpanExporter::builder()
            .with_http()
            .with_http_client(ByHyper::new())
            .with_endpoint(&wanted.endpoint)
            .with_timeout(EXPORT_BOUND)
            .build()?,
    };
    let sampler = Sampler::TraceIdRatioBased(wanted.sampling_rate);
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_batch_exporter(exporter)
        .build();
    Ok(Some(provider))
}

/// Sends batches by this process's runtime: they are made on a thread that has none.
struct ByHyper {
    runtime: Handle,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl ByHyper {
    fn new() -> Self {
        Self {
            runtime: Handle::current(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }
}

impl fmt::Debug for ByHyper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByHyper")
    }
}

type Exchange<'a> =
    Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for ByHyper {
    fn send_bytes<'a, 'b>(&'a self, request: http::Request<Bytes>) -> Exchange<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let sent = self.client.request(request.map(Full::new));
        let exchange = async move {
            let (parts, body) = sent.await?.into_parts();
            let body = Limited::new(body, ANSWER_BOUND).collect().await?.to_bytes();
            Ok::<_, HttpError>(http::Response::from_parts(parts, body))
        };
        let bounded = async move { tokio::time::timeout(EXPORT_BOUND, exchange).await };
        let running = self.runtime.spawn(bounded);
        Box::pin(async move { running.await?? })
    }
}
