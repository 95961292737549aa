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
            let written = metrics::written(&health.snapshot(), &publisher.fleet());
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
        let response = answer(&request, health, &Publisher::default(), BEAT_BOUND);
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
