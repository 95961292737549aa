use super::*;

fn reference(kind: &str, namespace: Option<&str>, name: &str) -> Reference {
    Reference {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: namespace.map(str::to_owned),
        name: name.into(),
    }
}

fn inventory(kinds: bool) -> Inventory {
    let mut inventory = Inventory::default();
    inventory.make([reference("Namespace", None, product::NAMESPACE)]);
    if kinds {
        inventory.make([
            reference(
                "CustomResourceDefinition",
                None,
                "services.serving.knative.dev",
            ),
            reference("Namespace", None, SERVING),
            serving_map("config-domain"),
        ]);
    }
    inventory.make([
        reference("Service", Some(product::NAMESPACE), "sluice"),
        reference("Deployment", Some(product::NAMESPACE), "sluice-gateway"),
    ]);
    for map in ["config-network", "config-domain"] {
        inventory.set(Setting {
            map: map.into(),
            key: "k".into(),
            was: None,
            now: Some("ours".into()),
        });
    }
    inventory
}

fn going(farewell: &Farewell) -> Vec<String> {
    farewell.going.iter().map(ToString::to_string).collect()
}

#[test]
fn beside_a_knative_of_others_all_that_was_made_goes() {
    let farewell = farewell(&inventory(false), false);
    assert_eq!(
        going(&farewell),
        [
            "Deployment sluice-system/sluice-gateway",
            "Service sluice-system/sluice",
            "ConfigMap sluice-system/sluice-inventory",
            "Namespace sluice-system",
        ]
    );
    assert_eq!((farewell.kept.len(), farewell.settings.len()), (0, 2));
}

#[test]
fn kinds_stay_with_the_inventory_unless_purged() {
    let kept = farewell(&inventory(true), false);
    assert_eq!(
        going(&kept),
        [
            "Deployment sluice-system/sluice-gateway",
            "Service sluice-system/sluice",
            "ConfigMap knative-serving/config-domain",
            "Secret sluice-system/sluice-xds-ca",
            "ConfigMap sluice-system/sluice-xds-ca",
            "Lease sluice-system/sluice-operator",
            "Namespace knative-serving",
        ]
    );
    assert_eq!(
        named(&kept.kept),
        "CustomResourceDefinition services.serving.knative.dev"
    );
    // A ConfigMap that goes has nothing to be brought back to.
    assert_eq!(kept.settings.len(), 1);

    let purged = farewell(&inventory(true), true);
    assert!(purged.kept.is_empty());
    assert_eq!(
        going(&purged)[3],
        "CustomResourceDefinition services.serving.knative.dev"
    );
    assert_eq!(
        going(&purged).last().map(String::as_str),
        Some("Namespace sluice-system")
    );
}

#[test]
fn what_holds_an_object_is_named() {
    let namespace = reference("Namespace", None, "a");
    let is = json!({"status": {"conditions": [
        {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "no"},
        {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "x.example.com in 1 resource instances"}]}});
    assert_eq!(
        held(&namespace, &is),
        "x.example.com in 1 resource instances; next: kubectl get namespace a -o yaml"
    );
    let service = reference("Service", Some("a"), "b");
    let is = json!({"metadata": {"finalizers": ["cloud/balancer"]}});
    assert_eq!(
        held(&service, &is),
        "held by the finalizer cloud/balancer, whose controller must take it away; next: kubectl get service -n a b -o yaml"
    );
}

#[test]
fn a_farewell_reads_like_this() {
    let mut farewell = farewell(&inventory(false), false);
    farewell.going.truncate(1);
    farewell.users = vec![reference("Service", Some("shop"), "cart")];
    farewell.settings.truncate(1);
    assert_eq!(
        farewell.to_string(),
        "users' objects, which go for ever\n  - Service shop/cart\nmade by an installation\n  - Deployment sluice-system/sluice-gateway\nsettings of knative, brought back\n  ~ config-network k: nothing\n"
    );
    assert_eq!(Farewell::default().to_string(), "nothing to do\n");
}
