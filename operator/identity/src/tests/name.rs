use proptest::prelude::*;

use crate::{GatewayName, IdentityError};

fn name(namespace: &str, pod: &str) -> GatewayName {
    GatewayName {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
    }
}

#[test]
fn a_name_goes_into_a_uri_and_back() {
    let long = "a".repeat(200);
    for pod in ["gw-0", "gw.example", long.as_str()] {
        let name = name("sluice-system", pod);
        let uri = name.uri().unwrap();
        assert_eq!(uri, format!("spiffe://sluice/gateway/sluice-system/{pod}"));
        assert_eq!(GatewayName::from_uri(&uri), Some(name));
    }
}

#[test]
fn names_that_no_pod_has_are_refused() {
    let long = "a".repeat(254);
    for (namespace, pod, field) in [
        ("", "gw", "namespace"),
        ("a.b", "gw", "namespace"),
        ("a/b", "gw", "namespace"),
        ("ns", "", "pod"),
        ("ns", "gw/..", "pod"),
        ("ns", "Gw", "pod"),
        ("ns", "-gw", "pod"),
        ("ns", "gw.", "pod"),
        ("ns", "gw%2f", "pod"),
        ("ns", long.as_str(), "pod"),
    ] {
        let error = name(namespace, pod).uri().unwrap_err();
        assert!(matches!(error, IdentityError::BadName { field: named, .. } if named == field));
    }
    for uri in [
        "spiffe://sluice/gateway/ns",
        "spiffe://sluice/gateway/ns/gw/more",
        "spiffe://other/gateway/ns/gw",
        "spiffe://sluice/operator/ns/gw",
        "",
    ] {
        assert_eq!(GatewayName::from_uri(uri), None, "{uri}");
    }
}

proptest! {
    #[test]
    fn no_two_names_share_a_uri(a in "[a-z/.-]{1,6}", b in "[a-z/.-]{1,6}", c in "[a-z/.-]{1,6}", d in "[a-z/.-]{1,6}") {
        let (one, two) = (name(&a, &b), name(&c, &d));
        if let (Ok(first), Ok(second)) = (one.uri(), two.uri()) {
            prop_assert_eq!(first == second, one == two);
        }
    }

    #[test]
    fn a_uri_that_is_read_is_the_one_that_is_written(uri in "spiffe://sluice/gateway/[a-zA-Z0-9/.%-]{0,12}") {
        if let Some(name) = GatewayName::from_uri(&uri) {
            prop_assert_eq!(name.uri().unwrap(), uri);
        }
    }
}
