use serde_json::json;

use super::*;

const KOURIER: &str = "kourier.ingress.networking.knative.dev";

fn hello(class: Option<&str>, came_from: Option<&str>) -> Move {
    Move {
        object: Reference {
            api_version: "serving.knative.dev/v1".into(),
            kind: "Service".into(),
            namespace: Some("default".into()),
            name: "hello".into(),
        },
        class: class.map(str::to_owned),
        came_from: came_from.map(str::to_owned),
        ingresses: Vec::new(),
        hosts: Vec::new(),
    }
}

#[test]
fn what_moves_says_where_it_came_from_and_stays_served_by_sluice() {
    let arriving = moved(&hello(None, None), KOURIER, CLASS);
    let expected = json!({CLASS_ANNOTATION: CLASS, BESIDE: null, CAME_FROM: "config-network"});
    assert_eq!(arriving, expected);

    let leaving = moved(&hello(Some(CLASS), Some(BY_DEFAULT)), CLASS, KOURIER);
    let expected = json!({CLASS_ANNOTATION: KOURIER, BESIDE: "true", CAME_FROM: "config-network"});
    assert_eq!(leaving, expected, "the first word is kept");

    let by_itself = moved(&hello(Some(KOURIER), None), KOURIER, CLASS);
    assert_eq!(by_itself[CAME_FROM], KOURIER);
}

#[test]
fn what_did_not_arrive_is_as_before() {
    let expected = json!({CLASS_ANNOTATION: null, BESIDE: "true", CAME_FROM: null});
    assert_eq!(back(&hello(None, None), KOURIER), expected);
    let left = hello(Some(CLASS), Some(BY_DEFAULT));
    let expected = json!({CLASS_ANNOTATION: CLASS, BESIDE: null, CAME_FROM: BY_DEFAULT});
    assert_eq!(back(&left, CLASS), expected);
}

fn ingress(class: &str, domain: &str, generation: i64, ready: &str) -> Value {
    json!({
        "metadata": {"name": "hello", "generation": 2, "annotations": {CLASS_ANNOTATION: class}},
        "status": {
            "observedGeneration": generation,
            "publicLoadBalancer": {"ingress": [{"domainInternal": domain}]},
            "conditions": [{"type": "Ready", "status": ready, "message": "waits"}],
        },
    })
}

#[test]
fn ready_is_whose_word_it_is() {
    let ours = "sluice.sluice-system.svc.cluster.local";
    let theirs = "kourier.kourier-system.svc.cluster.local";
    assert_eq!(unarrived(&ingress(CLASS, ours, 2, "True"), CLASS), None);
    assert_eq!(
        unarrived(&ingress(KOURIER, theirs, 2, "True"), KOURIER),
        None
    );
    let lacks = |ingress: Value, class: &str| unarrived(&ingress, class).unwrap();
    assert!(lacks(ingress(KOURIER, theirs, 2, "True"), CLASS).contains("the class yet"));
    assert_eq!(
        lacks(ingress(CLASS, theirs, 2, "True"), CLASS),
        "its status is still of the ingress before; next: sluice explain ingress/hello"
    );
    assert!(lacks(ingress(KOURIER, ours, 2, "True"), KOURIER).contains("ingress before"));
    assert!(lacks(ingress(CLASS, ours, 1, "True"), CLASS).contains("another generation"));
    assert_eq!(lacks(ingress(CLASS, ours, 2, "Unknown"), CLASS), "waits");
}
