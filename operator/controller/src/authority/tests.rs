use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use super::{AuthorityError, Created, Data, LoadError, Replaced, SecretKeeper};
use crate::fake_api::{FakeApi, Way, failure_body};

const SECRET: &str = "/api/v1/namespaces/sluice-system/secrets/sluice-xds-ca";
const BUNDLE: &str = "/api/v1/namespaces/sluice-system/configmaps/sluice-xds-ca";

fn keeper(api: &Arc<FakeApi>) -> SecretKeeper {
    SecretKeeper::new(api.client(), "sluice-system")
}

fn data(key: &str) -> Data {
    Data::from([("tls.key".to_owned(), key.as_bytes().to_vec())])
}

async fn load(keeper: &SecretKeeper, make: &str) -> String {
    let parse = |data: &Data| Ok::<_, Infallible>(data["tls.key"].clone());
    let loaded = keeper.load_or_create(parse, || Ok(data(make))).await;
    String::from_utf8(loaded.unwrap().0).unwrap()
}

#[tokio::test]
async fn the_first_makes_and_the_next_reads() {
    let api = FakeApi::new();
    assert!(keeper(&api).read().await.unwrap().is_none());
    assert_eq!(load(&keeper(&api), "first").await, "first");
    assert_eq!(load(&keeper(&api), "second").await, "first");
    assert_eq!(api.writes(), 1);
    let secret = api.object(SECRET).unwrap();
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(secret["data"]["tls.key"], "Zmlyc3Q=");
}

#[tokio::test]
async fn replicas_that_start_together_agree() {
    let api = FakeApi::new();
    let names: Vec<String> = (0..8).map(|n| format!("replica {n}")).collect();
    let keepers: Vec<_> = names.iter().map(|_| keeper(&api)).collect();
    let loads = names
        .iter()
        .zip(&keepers)
        .map(|(name, one)| load(one, name));
    let all = futures::future::join_all(loads).await;
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    let creates = api.asked().iter().filter(|asked| asked.writes()).count();
    assert!(creates > 1, "no race took place");
}

#[tokio::test]
async fn a_lost_create_is_told_and_overwrites_nothing() {
    let api = FakeApi::new();
    let Created::Made(kept) = keeper(&api).create(&data("first")).await.unwrap() else {
        panic!("lost against nobody");
    };
    let lost = keeper(&api).create(&data("second")).await.unwrap();
    assert_eq!(lost, Created::LostRace);
    assert_eq!(keeper(&api).read().await.unwrap(), Some(kept));
}

#[tokio::test]
async fn an_empty_secret_is_filled_and_keeps_its_labels() {
    let api = FakeApi::new();
    let metadata = json!({ "name": "sluice-xds-ca", "labels": { "of": "the manifest" } });
    api.put(SECRET, json!({ "metadata": metadata, "type": "Opaque" }));
    assert_eq!(load(&keeper(&api), "first").await, "first");
    assert_eq!(load(&keeper(&api), "second").await, "first");
    let secret = api.object(SECRET).unwrap();
    assert_eq!(secret["metadata"]["labels"]["of"], "the manifest");
}

#[tokio::test]
async fn what_is_not_understood_is_left_alone() {
    let api = FakeApi::new();
    keeper(&api).create(&data("something else")).await.unwrap();
    let before = api.object(SECRET);
    let parse = |_: &Data| Err::<(), _>(std::io::Error::other("no certificate"));
    let loaded = keeper(&api).load_or_create(parse, || Ok(data("new"))).await;
    let error = loaded.unwrap_err();
    assert!(matches!(error, LoadError::NotUnderstood { .. }));
    let expected = "Secret sluice-system/sluice-xds-ca: found data that are no certificate authority (no certificate)";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(api.object(SECRET), before);
}

#[tokio::test]
async fn replacing_needs_the_version_that_was_read() {
    let api = FakeApi::new();
    let keeper = keeper(&api);
    let Created::Made(first) = keeper.create(&data("first")).await.unwrap() else {
        panic!("lost against nobody");
    };
    let replaced = keeper
        .replace(&data("second"), &first.resource_version)
        .await;
    let Replaced::Made(second) = replaced.unwrap() else {
        panic!("conflict with nobody");
    };
    assert_eq!(second.data, data("second"));
    assert_ne!(second.resource_version, first.resource_version);
    let late = keeper
        .replace(&data("third"), &first.resource_version)
        .await;
    assert_eq!(late.unwrap(), Replaced::Conflict);
    assert_eq!(keeper.read().await.unwrap(), Some(second.clone()));
    api.delete(SECRET);
    let gone = keeper
        .replace(&data("fourth"), &second.resource_version)
        .await;
    assert_eq!(gone.unwrap(), Replaced::Conflict);
}

#[tokio::test]
async fn a_write_between_the_look_and_the_replacement_is_a_conflict() {
    let api = FakeApi::new();
    let Created::Made(first) = keeper(&api).create(&data("first")).await.unwrap() else {
        panic!("lost against nobody");
    };
    let between = Arc::clone(&api);
    let client = api.client_by(move |asked| {
        if asked.method == Method::PUT {
            between.put(SECRET, between.object(SECRET).unwrap());
        }
        Way::Open
    });
    let late = SecretKeeper::new(client, "sluice-system");
    let outcome = late.replace(&data("second"), &first.resource_version).await;
    assert_eq!(outcome.unwrap(), Replaced::Conflict);
    assert_eq!(keeper(&api).read().await.unwrap().unwrap().data, first.data);
}

#[tokio::test]
async fn a_secret_that_is_emptied_all_the_time_is_not_fought_for_ever() {
    let api = FakeApi::new();
    let client = api.client_by(|asked| match asked.writes() {
        true => Way::Answer(
            StatusCode::CONFLICT,
            failure_body(StatusCode::CONFLICT, "AlreadyExists"),
        ),
        false => Way::Open,
    });
    let keeper = SecretKeeper::new(client, "sluice-system");
    let parse = |_: &Data| Ok::<_, Infallible>(());
    let loaded = keeper.load_or_create(parse, || Ok(data("new"))).await;
    let error = loaded.unwrap_err();
    assert!(matches!(
        error,
        LoadError::Keeper(AuthorityError::Contended { attempts: 5, .. })
    ));
}

#[tokio::test]
async fn the_bundle_is_written_once_and_again_when_it_changed() {
    let api = FakeApi::new();
    let keeper = keeper(&api);
    assert!(keeper.publish_bundle("first").await.unwrap());
    assert!(!keeper.publish_bundle("first").await.unwrap());
    assert_eq!(api.writes(), 1);
    assert!(keeper.publish_bundle("first and second").await.unwrap());
    assert_eq!(api.writes(), 2);
    let found = api.object(BUNDLE).unwrap();
    assert_eq!(found["data"]["bundle.crt"], "first and second");
    let patch = api
        .asked()
        .into_iter()
        .find(|asked| asked.writes())
        .unwrap();
    assert_eq!(patch.method, Method::PATCH);
    assert!(
        patch.query.contains("fieldManager=sluice"),
        "{}",
        patch.query
    );
    assert!(patch.query.contains("force=true"), "{}", patch.query);
}

#[tokio::test]
async fn a_private_key_is_not_published() {
    let api = FakeApi::new();
    let pem = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n";
    let error = keeper(&api).publish_bundle(pem).await.unwrap_err();
    assert!(matches!(error, AuthorityError::PrivateKey { .. }));
    assert!(api.asked().is_empty());
}

#[tokio::test]
async fn all_see_a_rotation_and_nothing_but_rotations() {
    let api = FakeApi::new();
    let keeper = keeper(&api);
    let Created::Made(first) = keeper.create(&data("first")).await.unwrap() else {
        panic!("lost against nobody");
    };
    let mut seen = Box::pin(keeper.watch());
    assert_eq!(seen.next().await.unwrap().data, data("first"));
    // Neither a label, nor its deletion, nor another Secret is a rotation.
    api.put(SECRET, json!({ "metadata": { "name": "sluice-xds-ca", "labels": { "a": "b" } }, "data": { "tls.key": "Zmlyc3Q=" } }));
    api.put(
        &SECRET.replace("sluice-xds-ca", "other"),
        json!({ "metadata": { "name": "other" } }),
    );
    api.delete(SECRET);
    let silent = timeout(Duration::from_millis(100), seen.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    keeper.create(&first.data).await.unwrap();
    let version = keeper.read().await.unwrap().unwrap().resource_version;
    keeper.replace(&data("second"), &version).await.unwrap();
    assert_eq!(seen.next().await.unwrap().data, data("second"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_is_taken_up_again() {
    let api = FakeApi::new();
    keeper(&api).create(&data("first")).await.unwrap();
    let failures = AtomicUsize::new(0);
    let client = api.client_by(move |_| match failures.fetch_add(1, Ordering::SeqCst) {
        0..3 => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Way::Answer(status, failure_body(status, "InternalError"))
        }
        _ => Way::Open,
    });
    let watching = SecretKeeper::new(client, "sluice-system");
    let mut seen = Box::pin(watching.watch());
    assert_eq!(seen.next().await.unwrap().data, data("first"));
}

#[tokio::test(start_paused = true)]
async fn errors_name_the_object_and_never_the_data() {
    let api = FakeApi::new();
    let refusing = api.client_by(|asked| {
        let mut body = failure_body(StatusCode::FORBIDDEN, "Forbidden");
        body["message"] = json!(format!("may not write {}", asked.body));
        Way::Answer(StatusCode::FORBIDDEN, body)
    });
    let keeper = SecretKeeper::new(refusing, "sluice-system");
    let error = keeper.create(&data("first")).await.unwrap_err();
    let message = error.to_string();
    let expected = "Secret sluice-system/sluice-xds-ca: creating refused with 403 Forbidden; ";
    assert!(message.starts_with(expected), "{message}");
    assert!(
        !format!("{message} {error:?}").contains("Zmlyc3Q"),
        "{error:?}"
    );

    let silent = SecretKeeper::new(api.client_by(|_| Way::Cut), "sluice-system");
    let error = silent.read().await.unwrap_err();
    assert!(matches!(error, AuthorityError::Slow { .. }), "{error}");
}

#[tokio::test]
async fn debug_shows_names_alone() {
    let api = FakeApi::new();
    let made = keeper(&api).create(&data("first")).await.unwrap();
    let shown = format!("{made:?}");
    assert!(shown.contains("tls.key"), "{shown}");
    assert!(
        !shown.contains("first") && !shown.contains("102, 105"),
        "{shown}"
    );
}
