use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PublicKeyData, SanType,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{gateway, key, now, request};
use crate::certificate::{facts, read_pem};
use crate::{Authority, GatewayName, IdentityError};

/// Checks that a certificate says what the authority wants, and nothing else.
fn check(chain_pem: &str, key: &KeyPair) {
    let chain = read_pem("chain", chain_pem.as_bytes(), "").unwrap();
    let (rest, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert!(rest.is_empty());
    assert_eq!(leaf.subject().to_string(), "CN=sluice-gateway");
    assert!(!leaf.is_ca());
    assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let uri = gateway().uri().unwrap();
    assert_eq!(names.value.general_names, [GeneralName::URI(&uri)]);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
}

fn names() -> impl Strategy<Value = SanType> {
    prop_oneof![
        "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}"
            .prop_map(|name| SanType::DnsName(name.try_into().unwrap())),
        "[a-z-]{1,12}".prop_map(|pod| {
            let uri = format!("spiffe://sluice/gateway/kube-system/{pod}");
            SanType::URI(uri.try_into().unwrap())
        }),
        any::<[u8; 4]>().prop_map(|ip| SanType::IpAddress(ip.into())),
        "[a-z]{1,8}@[a-z]{1,8}".prop_map(|name| SanType::Rfc822Name(name.try_into().unwrap())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_a_request_wishes_for_is_left_out(
        wished in prop::collection::vec(names(), 0..4),
        subject in "[a-zA-Z0-9 /=,-]{0,20}",
        authority_too in any::<bool>(),
    ) {
        let authority = Authority::generate(now()).unwrap();
        let key = key();
        let mut params = CertificateParams::default();
        params.subject_alt_names = wished;
        params.distinguished_name.push(DnType::OrganizationName, subject);
        if authority_too {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
        let chain = authority
            .sign_gateway(&request(&key, &params), &gateway(), now())
            .unwrap();
        check(&chain, &key);
    }

    #[test]
    fn no_text_brings_it_down(text in "\\PC{0,200}") {
        let authority = Authority::generate(now()).unwrap();
        let error = authority.sign_gateway(&text, &gateway(), now()).unwrap_err();
        let is_bad = matches!(error, IdentityError::BadRequest { .. });
        prop_assert!(is_bad);
    }
}

#[test]
fn one_key_gets_another_serial_number_each_time() {
    let authority = Authority::generate(now()).unwrap();
    let csr = request(&key(), &CertificateParams::default());
    let serial = || {
        let chain = authority.sign_gateway(&csr, &gateway(), now()).unwrap();
        let chain = read_pem("chain", chain.as_bytes(), "").unwrap();
        let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
        leaf.raw_serial().to_vec()
    };
    assert_ne!(serial(), serial());
}

#[test]
fn a_request_that_another_key_signed_is_refused() {
    let authority = Authority::generate(now()).unwrap();
    let csr = request(&key(), &CertificateParams::default());
    let signed = rustls_pki_types::pem::PemObject::from_pem_slice(csr.as_bytes());
    let der: rustls_pki_types::CertificateSigningRequestDer<'_> = signed.unwrap();
    let theirs = key();
    let position = |needle: &[u8]| {
        der.windows(needle.len())
            .position(|window| window == needle)
    };
    let ours = x509_parser::certification_request::X509CertificationRequest::from_der(&der)
        .unwrap()
        .1
        .certification_request_info
        .subject_pki
        .raw
        .to_vec();
    let at = position(&ours).unwrap();
    let mut forged = der.to_vec();
    forged[at..at + ours.len()].copy_from_slice(&theirs.subject_public_key_info());
    let forged = crate::certificate::to_pem(&forged.into())
        .replace("BEGIN CERTIFICATE", "BEGIN CERTIFICATE REQUEST")
        .replace("END CERTIFICATE", "END CERTIFICATE REQUEST");
    let error = authority
        .sign_gateway(&forged, &gateway(), now())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "certificate request: found a signature by another key, expected one by the key that the certificate is for; make it anew"
    );
}

#[test]
fn other_keys_and_other_pem_are_refused() {
    let authority = Authority::generate(now()).unwrap();
    let large = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let large = request(&large, &CertificateParams::default());
    for (csr, found) in [
        (large.as_str(), "found another kind of public key"),
        (authority.certificate_pem(), "found broken pem"),
        ("", "found broken pem"),
        (
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            "found pem of something else",
        ),
    ] {
        let error = authority.sign_gateway(csr, &gateway(), now()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("certificate request: {found}")),
            "{text}"
        );
    }
}

#[test]
fn a_name_that_would_be_anothers_is_refused() {
    let authority = Authority::generate(now()).unwrap();
    let csr = request(&key(), &CertificateParams::default());
    let name = GatewayName {
        namespace: "a/b".to_owned(),
        pod: "gw".to_owned(),
    };
    let error = authority.sign_gateway(&csr, &name, now()).unwrap_err();
    assert!(matches!(error, IdentityError::BadName { .. }));
}

#[test]
fn servers_have_the_fixed_name_and_those_asked_for() {
    let authority = Authority::generate(now()).unwrap();
    let asked = [
        "sluice-operator.sluice-system.svc",
        "10.0.0.7",
        "sluice-operator",
    ];
    let asked = asked.map(str::to_owned);
    let server = authority.issue_server(&asked, now()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&server.chain[0]).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert_eq!(
        names.value.general_names,
        [
            GeneralName::DNSName("sluice-operator"),
            GeneralName::DNSName("sluice-operator.sluice-system.svc"),
            GeneralName::IPAddress(&[10, 0, 0, 7]),
        ]
    );
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    assert!(!facts(&server.chain[0]).unwrap().is_authority);
    let error = authority
        .issue_server(&["ü".to_owned()], now())
        .unwrap_err();
    assert_eq!(error.to_string(), "making the names of a server failed");
}
