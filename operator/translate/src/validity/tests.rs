use super::*;
use crate::fixture::{Around, ingress, path, reasons, rejection as only, rule, split, translated};

fn checked(ingress: &crds::Ingress) -> sluice_ir::Verdict {
    let mut rejections = Rejections::default();
    check(ingress, &mut rejections);
    rejections.into_verdict()
}

#[test]
fn a_port_that_no_service_can_have_is_not_the_specs_fault() {
    let mut impossible = split("hello", 100);
    impossible.service_port = crds::IntOrString::Int(70_000);
    let ingress = ingress("hello", &[rule(&["a.x"], &[path("", &[impossible])])]);
    assert!(checked(&ingress).rejections.is_empty());
}

#[test]
fn what_is_refused_is_said_in_few_words() {
    let mut ingress = ingress(
        "hello",
        &[rule(&["a.x"], &[path("", &[split("hello", 100)])])],
    );
    ingress.spec.http_option = crds::HttpOption("x".repeat(1_000_000));
    ingress.spec.rules[0].visibility = crds::Visibility("\n".repeat(1_000_000));
    let translation = translated(&ingress, &Around::default());
    assert_eq!(reasons(&translation), [Reason::InvalidSpec; 2]);
    for rejection in &translation.verdict.rejections {
        assert!(rejection.to_string().len() < 1_000);
    }
    let crate::Translated::Refused(refused) = translation.translated else {
        panic!("not refused");
    };
    assert!(refused.reason.len() < 1_000);
    assert!(!refused.reason.contains('\n'));
}

#[test]
fn a_rule_for_all_hosts_is_refused_where_it_stands() {
    let paths = [path("", &[split("hello", 100)])];
    let ingress = ingress("hello", &[rule(&["a.x"], &paths), rule(&[], &paths)]);
    let translation = translated(&ingress, &Around::default());
    assert_eq!(only(&translation).reason, Reason::HostRequired);
    assert_eq!(only(&translation).field, "spec.rules[1].hosts");
}
