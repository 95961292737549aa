use rcgen::{
    CertificateParams, KeyPair as Pair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, SignatureAlgorithm,
};

use super::*;
use crate::fixture::metadata;

struct Made {
    chain: String,
    key: String,
}

fn made(algorithm: &'static SignatureAlgorithm, name: &str) -> Made {
    let key = Pair::generate_for(algorithm).unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Made {
        chain: certificate.pem(),
        key: key.serialize_pem(),
    }
}

fn secret(chain: &str, key: &str) -> crds::Secret {
    let value = |text: &str| crds::SecretValue::from(text.to_owned());
    crds::Secret {
        metadata: metadata("tls-secret"),
        string_data: [(CHAIN, chain), (KEY, key)]
            .map(|(name, text)| (name.to_owned(), value(text)))
            .into(),
        ..crds::Secret::default()
    }
}

fn reason(chain: &str, key: &str) -> Reason {
    read(&secret(chain, key)).unwrap_err().reason
}

/// PEM texts in their blocks, without what is around them or how lines end.
fn unwrapped(text: &str) -> String {
    text.replace('\r', "").trim().to_owned()
}

#[test]
fn reads_what_gateways_take() {
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
    ] {
        let made = made(algorithm, "A.example.com");
        let read = read(&secret(&made.chain, &made.key)).unwrap();
        assert_eq!(read.names, ["a.example.com"]);
        assert_eq!(read.certificate.secret.to_string(), "default/tls-secret");
        assert_eq!(unwrapped(&read.certificate.chain), unwrapped(&made.chain));
        assert_eq!(
            unwrapped(read.certificate.key.reveal()),
            unwrapped(&made.key)
        );
        assert!(read.not_before < read.not_after);
    }
}

#[test]
fn passes_on_its_own_blocks_and_nothing_else() {
    let made = made(&PKCS_ECDSA_P256_SHA256, "a.example.com");
    let other = self::made(&PKCS_ECDSA_P256_SHA256, "b.example.com");
    let chain = format!(
        "subject=a\r\n{}text\n{}\n{}----- the end",
        made.chain.replace('\n', "\r\n"),
        made.key,
        other.chain
    );
    let key = format!("before\n{}\n{}{}after", made.chain, made.key, other.key);
    let read = read(&secret(&chain, &key)).unwrap();
    let expected = format!(
        "{}{}",
        made.chain.replace('\r', ""),
        other.chain.replace('\r', "")
    );
    assert_eq!(unwrapped(&read.certificate.chain), unwrapped(&expected));
    assert_eq!(
        unwrapped(read.certificate.key.reveal()),
        unwrapped(&made.key)
    );
}

#[test]
fn only_pairs_are_passed_on() {
    let (one, two) = (
        made(&PKCS_ECDSA_P256_SHA256, "a.example.com"),
        made(&PKCS_ECDSA_P256_SHA256, "a.example.com"),
    );
    let third = made(&PKCS_ECDSA_P384_SHA384, "a.example.com");
    assert_eq!(reason(&one.chain, &two.key), Reason::KeyMismatch);
    assert_eq!(reason(&one.chain, &third.key), Reason::KeyMismatch);
    assert_eq!(reason(&third.chain, &one.key), Reason::KeyMismatch);
    let upside_down = format!("{}{}", one.chain, two.chain);
    let fault = read(&secret(&upside_down, &two.key)).unwrap_err();
    assert_eq!(fault.reason, Reason::KeyMismatch);
    assert!(fault.fix.contains("top of the chain"));
    let fault = read(&secret(&one.chain, &two.key)).unwrap_err();
    assert!(!fault.fix.contains("top of the chain"));
}

#[test]
fn what_cannot_be_read_is_said_without_showing_it() {
    let made = made(&PKCS_ECDSA_P256_SHA256, "a.example.com");
    let half = made.key.len() / 2;
    for (chain, key) in [
        ("", made.key.as_str()),
        (made.chain.as_str(), ""),
        ("not PEM", made.key.as_str()),
        (made.chain.as_str(), "not PEM"),
        (made.chain.as_str(), &made.key[..half]),
        (&made.chain[..half], made.key.as_str()),
        (made.key.as_str(), made.key.as_str()),
        (made.chain.as_str(), made.chain.as_str()),
    ] {
        let fault = read(&secret(chain, key)).unwrap_err();
        assert_eq!(fault.reason, Reason::CertificateInvalid);
        let shown = format!("{fault:?}");
        for line in made.key.lines().filter(|line| !line.starts_with('-')) {
            assert!(!shown.contains(line));
        }
    }
    let mut without = secret(&made.chain, &made.key);
    without.string_data.remove(KEY);
    assert!(read(&without).unwrap_err().found.contains(KEY));
}

#[test]
fn a_chain_is_whole_or_nothing() {
    let made = made(&PKCS_ECDSA_P256_SHA256, "a.example.com");
    let garbage = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    assert_eq!(
        reason(&format!("{}{garbage}", made.chain), &made.key),
        Reason::CertificateInvalid
    );
    assert_eq!(reason(garbage, &made.key), Reason::CertificateInvalid);
    let cut_short = format!("{}-----BEGIN CERTIFICATE-----\nMIIB", made.chain);
    assert_eq!(reason(&cut_short, &made.key), Reason::CertificateInvalid);
}

#[test]
fn a_wildcard_stands_for_one_label() {
    assert!(covers("a.example.com", "a.example.com"));
    assert!(covers("*.example.com", "a.example.com"));
    for (pattern, host) in [
        ("a.example.com", "b.example.com"),
        ("*.example.com", "example.com"),
        ("*.example.com", "a.b.example.com"),
        ("*.example.com", "a.example.org"),
        ("a.*.com", "a.b.com"),
        ("*", "localhost"),
    ] {
        assert!(!covers(pattern, host), "{pattern} {host}");
    }
}
