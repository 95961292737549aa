//! What the operator says of itself over plain HTTP: `/healthz`, `/readyz`,
//! `/metrics`. GET only; nothing here changes anything or shows a secret.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sluice_controller::Health;
use sluice_xds::Publisher;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

mod metrics;

/// The loop comes round every second; one that did not for so long hangs.
const BEAT_BOUND: Duration = Duration::from_secs(30);
/// A client that sends no request for so long is sent away.
const HEAD_BOUND: Duration = Duration::from_secs(10);
/// Connections at the same time; probes and scrapers need few.
const CONNECTIONS: usize = 64;

/// Answers for as long as the process lives.
pub(super) async fn serve(listener: TcpListener, health: Arc<Health>, publisher: Publisher) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accepting a probe failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (health, publisher) = (Arc::clone(&health), publisher.clone());
        let answer = service_fn(move |request: Request<Incoming>| {
            let answer = answer(&request, &health, &publisher);
            async move { Ok::<_, Infallible>(answer) }
        });
        connections.spawn(async move {
            // A peer that breaks off is no news.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_BOUND)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

fn answer<B>(
    request: &Request<B>,
    health: &Health,
    publisher: &Publisher,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is answered here\n",
        );
    }
    match request.uri().path() {
        "/healthz" => {
            let behind = health.last_beat().elapsed();
            if behind < BEAT_BOUND {
                text(StatusCode::OK, "ok\n")
            } else {
                let why = format!(
                    "the event loop has not come round for {} s\n",
                    behind.as_secs()
                );
                text(StatusCode::INTERNAL_SERVER_ERROR, &why)
            }
        }
        "/readyz" => match health.ready() {
            Ok(()) => text(StatusCode::OK, "ok\n"),
            Err(missing) => {
                let why = format!("not ready:\n{}\n", missing.join("\n"));
                text(StatusCode::SERVICE_UNAVAILABLE, &why)
            }
        },
        "/metrics" => {
            let written = metrics::written(&health.snapshot(), &publisher.fleet());
            let mut response = text(StatusCode::OK, &written);
            response.headers_mut().insert(
                http::header::CONTENT_TYPE,
                http::HeaderValue::from_static(
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

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn ask(method: Method, path: &str, health: &Health) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap();
        let response = answer(&request, health, &Publisher::default());
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_fresh_operator_lives_and_says_what_it_waits_for() {
        let health = Health::default();
        assert_eq!(
            ask(Method::GET, "/healthz", &health).await.0,
            StatusCode::OK
        );
        let (status, why) = ask(Method::GET, "/readyz", &health).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(why.contains("not listed yet"), "{why}");
    }

    #[tokio::test]
    async fn only_get_of_three_paths_is_answered() {
        let health = Health::default();
        let (status, _) = ask(Method::POST, "/healthz", &health).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(
            ask(Method::GET, "/", &health).await.0,
            StatusCode::NOT_FOUND
        );
    }

    #[tokio::test]
    async fn metrics_end_as_the_format_wants() {
        let (status, body) = ask(Method::GET, "/metrics", &Health::default()).await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.ends_with("# EOF\n"), "{body}");
        assert!(body.contains("sluice_leading 0"), "{body}");
    }
}
