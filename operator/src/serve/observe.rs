//! What the operator says of itself over plain HTTP: `/healthz`, `/readyz`,
//! `/metrics`. GET only; nothing here changes anything or shows a secret.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use sluice_controller::Health;
use sluice_xds::Publisher;
use tokio::net::TcpListener;

use super::listen::{self, Answer, text};

mod metrics;
#[cfg(test)]
mod tests;

/// The loop comes round every second; one that did not for so long hangs.
const BEAT_BOUND: Duration = Duration::from_secs(30);

/// Answers for as long as the process lives.
pub(super) async fn serve(listener: TcpListener, health: Arc<Health>, publisher: Publisher) {
    let answer = move |request: Request<Incoming>| {
        std::future::ready(answer(&request, &health, &publisher, BEAT_BOUND))
    };
    listen::serve(listener, answer).await;
}

fn answer<B>(
    request: &Request<B>,
    health: &Health,
    publisher: &Publisher,
    beat_bound: Duration,
) -> Answer {
    if request.method() != Method::GET {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is answered here\n",
        );
    }
    match request.uri().path() {
        "/healthz" => {
            let behind = health.last_beat().elapsed();
            if behind < beat_bound {
                text(StatusCode::OK, "ok\n")
            } else {
                let why = format!(
                    "the event loop has not come round for {} s\n",
                    behind.as_secs()
                );
                text(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
        }
        "/readyz" => match health.ready() {
            Ok(()) => text(StatusCode::OK, "ok\n"),
            Err(missing) => {
                let why = format!("not ready:\n{}\n", missing.join("\n"));
                text(StatusCode::SERVICE_UNAVAILABLE, why)
            }
        },
        "/metrics" => {
            let written = metrics::written(metrics::Moment {
                snapshot: health.snapshot(),
                fleet: publisher.fleet(),
                resources: publisher.resources(),
            });
            let Ok(written) = written else {
                let why = "the metrics cannot be written\n";
                return text(StatusCode::INTERNAL_SERVER_ERROR, why);
            };
            let mut response = text(StatusCode::OK, written);
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static(
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                ),
            );
            response
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "here are /healthz, /readyz and /metrics\n",
        ),
    }
}
