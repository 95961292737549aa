use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{AccessError, AccessReviewer, Pod, ReviewError, TokenReviewer};
use crate::fake_api::{Asked, FakeApi, Way, failure_body};

const TOKEN: &str = "eyJ.of-a-gateway.secret";
const USER: &str = "system:serviceaccount:sluice-system:sluice-gateway";

fn accepted() -> Value {
    json!({
        "authenticated": true,
        "audiences": ["sluice-xds"],
        "user": {
            "username": USER,
            "extra": { "authentication.kubernetes.io/pod-name": ["gateway-0"] },
        },
    })
}

async fn review(status: Value) -> Result<Pod, ReviewError> {
    let api = FakeApi::new();
    let client = api.client_by(move |asked: &Asked| {
        assert_eq!(asked.path, "/apis/authentication.k8s.io/v1/tokenreviews");
        assert_eq!(asked.body["spec"]["token"], TOKEN);
        assert_eq!(asked.body["spec"]["audiences"], json!(["sluice-xds"]));
        let mut answer = asked.body.clone();
        answer["status"] = status.clone();
        Way::Answer(StatusCode::CREATED, answer)
    });
    let reviewed = TokenReviewer::new(client, "sluice-system")
        .review(TOKEN)
        .await;
    if let Err(error) = &reviewed {
        let texts = [error.to_string(), format!("{error:?}")];
        assert!(!texts.concat().contains("secret"), "{texts:?}");
        assert!(!error.is_transient() || matches!(error, ReviewError::Unanswered { .. }));
    }
    reviewed
}

#[tokio::test]
async fn a_gateways_token_names_its_pod() {
    let pod = review(accepted()).await.unwrap();
    assert_eq!((&*pod.namespace, &*pod.pod), ("sluice-system", "gateway-0"));
}

#[tokio::test]
async fn each_refusal_says_what_is_wrong() {
    let extra = "/user/extra/authentication.kubernetes.io~1pod-name";
    let cases = [
        (
            "/authenticated",
            json!(false),
            "not accepted by the API server (no reason given)",
        ),
        (
            "/authenticated",
            Value::Null,
            "not accepted by the API server (no reason given)",
        ),
        (
            "/audiences",
            json!([]),
            "found audiences [], expected \"sluice-xds\"",
        ),
        (
            "/audiences",
            json!(["api"]),
            "found audiences [\"api\"], expected",
        ),
        (
            "/user/username",
            json!("system:serviceaccount:other:sluice-gateway"),
            "found user \"system:serviceaccount:other:",
        ),
        (
            "/user/username",
            json!("system:serviceaccount:sluice-system:default"),
            "found user",
        ),
        ("/user", json!({}), "found user \"\", expected"),
        (extra, json!([]), "found 0 pod names, expected 1"),
        (extra, json!([""]), "found 0 pod names, expected 1"),
        (extra, json!(["a", "b"]), "found 2 pod names, expected 1"),
        ("/user/extra", json!({}), "found 0 pod names, expected 1"),
    ];
    for (pointer, value, expected) in cases {
        let mut status = accepted();
        *status.pointer_mut(pointer).unwrap() = value;
        let error = review(status).await.unwrap_err();
        assert!(!error.is_transient());
        let message = error.to_string();
        assert!(message.contains(expected), "{pointer}: {message}");
    }
}

#[tokio::test]
async fn a_server_that_quotes_the_token_is_not_quoted() {
    let quoted = format!("invalid bearer token {TOKEN}");
    let error = review(json!({ "error": quoted })).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("invalid bearer token (the token)")
    );

    let api = FakeApi::new();
    let client = api.client_by(|_| {
        let mut body = failure_body(StatusCode::UNPROCESSABLE_ENTITY, "Invalid");
        body["message"] = json!(format!("bad value {TOKEN:?}"));
        Way::Answer(StatusCode::UNPROCESSABLE_ENTITY, body)
    });
    let reviewer = TokenReviewer::new(client, "sluice-system");
    let error = reviewer.review(TOKEN).await.unwrap_err();
    assert!(error.is_transient());
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn no_token_is_not_sent_and_no_answer_is_not_awaited_for_ever() {
    let api = FakeApi::new();
    let reviewer = TokenReviewer::new(api.client(), "sluice-system");
    let error = reviewer.review(" \n").await.unwrap_err();
    assert!(matches!(error, ReviewError::Empty { .. }), "{error}");
    assert!(api.asked().is_empty());

    let reviewer = TokenReviewer::new(api.client_by(|_| Way::Cut), "sluice-system");
    let start = Instant::now();
    assert!(reviewer.review(TOKEN).await.unwrap_err().is_transient());
    assert_eq!(start.elapsed().as_secs(), Duration::from_secs(10).as_secs());
}

/// What `may_get` says where the two reviews say this of the token and the right.
async fn may_get(token: Value, right: Value) -> Result<(), AccessError> {
    let api = FakeApi::new();
    let client = api.client_by(move |asked: &Asked| {
        let mut answer = asked.body.clone();
        match asked.path.as_str() {
            "/apis/authentication.k8s.io/v1/tokenreviews" => {
                assert_eq!(asked.body["spec"]["audiences"], json!(["sluice-status"]));
                answer["status"] = token.clone();
            }
            "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
                let spec = &asked.body["spec"];
                assert_eq!(spec["user"], "jane");
                assert_eq!(spec["groups"], json!(["ops"]));
                let asked_for = json!({ "path": "/status/v1/gateways", "verb": "get" });
                assert_eq!(spec["nonResourceAttributes"], asked_for);
                answer["status"] = right.clone();
            }
            other => panic!("{other}"),
        }
        Way::Answer(StatusCode::CREATED, answer)
    });
    let may = AccessReviewer::new(client)
        .may_get(Some(TOKEN), "/status/v1/gateways")
        .await;
    if let Err(error) = &may {
        let texts = [error.to_string(), format!("{error:?}")];
        assert!(!texts.concat().contains(TOKEN), "{texts:?}");
    }
    may
}

fn jane() -> Value {
    let user = json!({ "username": "jane", "groups": ["ops"] });
    json!({ "authenticated": true, "audiences": ["sluice-status"], "user": user })
}

#[tokio::test]
async fn who_may_get_a_path_is_asked_of_the_api_server() {
    assert_eq!(may_get(jane(), json!({ "allowed": true })).await, Ok(()));
    for right in [
        json!({ "allowed": false }),
        json!({ "allowed": true, "denied": true }),
    ] {
        let Err(AccessError::Forbidden { user, path }) = may_get(jane(), right).await else {
            panic!("not forbidden");
        };
        assert_eq!((&*user, &*path), ("jane", "/status/v1/gateways"));
    }
}

#[tokio::test]
async fn a_token_that_is_not_for_the_status_is_nobodys() {
    let quoted = format!("invalid bearer token {TOKEN}");
    let mut foreign = jane();
    foreign["audiences"] = json!(["sluice-xds"]);
    let mut nameless = jane();
    nameless["user"] = json!({});
    for token in [
        json!({ "authenticated": false, "error": quoted }),
        json!({}),
        foreign,
        nameless,
    ] {
        let may = may_get(token, json!({ "allowed": true })).await;
        assert!(
            matches!(may, Err(AccessError::Unauthenticated { .. })),
            "{may:?}"
        );
    }
    let reviewer = AccessReviewer::new(FakeApi::new().client_by(|_| panic!("nothing to ask")));
    for token in [None, Some(""), Some("  ")] {
        let may = reviewer.may_get(token, "/status/v1/gateways").await;
        assert!(matches!(may, Err(AccessError::Unauthenticated { .. })));
    }
}

#[tokio::test]
async fn an_api_server_that_refuses_reviews_is_said_to() {
    let refuses = |path: &'static str| {
        FakeApi::new().client_by(move |asked: &Asked| {
            if asked.path.ends_with(path) {
                let body = failure_body(StatusCode::FORBIDDEN, "Forbidden");
                return Way::Answer(StatusCode::FORBIDDEN, body);
            }
            let mut answer = asked.body.clone();
            answer["status"] = jane();
            Way::Answer(StatusCode::CREATED, answer)
        })
    };
    for path in ["/tokenreviews", "/subjectaccessreviews"] {
        let reviewer = AccessReviewer::new(refuses(path));
        let may = reviewer.may_get(Some(TOKEN), "/status/v1/gateways").await;
        assert!(
            matches!(may, Err(AccessError::Unanswered { .. })),
            "{may:?}"
        );
    }
}
