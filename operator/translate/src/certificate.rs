//! From a Secret to a certificate that a gateway will take.
//!
//! What Envoy refuses it refuses for a whole response, and a handshake that waits
//! for a refused certificate hangs; so each rule here is Envoy 1.40's, tried with
//! it: RSA from 2048 bits, ECDSA on P-256, P-384 and P-521 with named curves,
//! Ed25519, key and leaf of one pair, no OCSP must-staple.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls_pki_types::pem::{PemObject, SectionKind};
use sluice_crds as crds;
use sluice_ir::{Certificate, ObjectKey, PrivateKey, Reason};
use x509_parser::asn1_rs::oid;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";

/// A certificate and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Readable {
    pub(crate) certificate: Certificate,
    /// DNS names that it is for, lower case; `*.` stands for one label.
    pub(crate) names: Vec<String>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Why a Secret gives no certificate; the texts complete those of a rejection.
/// None of them holds a byte of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) reason: Reason,
    pub(crate) found: String,
    pub(crate) expected: &'static str,
    pub(crate) fix: &'static str,
}

/// Reads `tls.crt` and `tls.key` of a Secret, whatever its type. Only what was
/// understood is passed on, encoded anew: text around the blocks, and blocks that
/// are neither certificate nor key, stay behind.
pub(crate) fn read(secret: &crds::Secret) -> Result<Readable, Unusable> {
    let chain = certificates(&value(secret, CHAIN)?)?;
    let leaf_der = chain.first().map_or(&[][..], Vec::as_slice);
    let leaf = parse(leaf_der)?;
    if demands_staple(&leaf) {
        return Err(invalid(
            "a certificate that demands an OCSP staple, which gateways do not send",
            "a certificate without the TLS feature status_request (must-staple)",
            "ask the issuer for a certificate without must-staple",
        ));
    }
    let (label, key) = private_key(&value(secret, KEY)?)?;
    let public = public_part(&leaf, &key)?;
    if *leaf.public_key().subject_public_key.data != *public {
        let elsewhere = chain.iter().skip(1).any(|der| {
            parse(der).is_ok_and(|other| *other.public_key().subject_public_key.data == *public)
        });
        let fix = if elsewhere {
            "move the certificate of that key to the top of the chain"
        } else {
            "put the certificate and the key of one pair into the Secret"
        };
        let found = format!("a {KEY} that does not belong to the first certificate of {CHAIN}");
        return Err(mismatch(found, fix));
    }
    let blocks: String = chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
    Ok(Readable {
        names: dns_names(&leaf),
        not_before: moment(leaf.validity().not_before.timestamp(), Timestamp::MIN),
        not_after: moment(leaf.validity().not_after.timestamp(), Timestamp::MAX),
        certificate: Certificate {
            secret: ObjectKey::new(&secret.metadata.namespace, &secret.metadata.name),
            chain: blocks,
            key: PrivateKey::new(pem(label, &key)),
        },
    })
}

/// Whether a certificate for `pattern` is for `host`: equal, or with `*` for its
/// first label (RFC 9525 §6.3). Both lower case.
pub(crate) fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
        None => pattern == host,
    }
}

fn invalid(found: impl Into<String>, expected: &'static str, fix: &'static str) -> Unusable {
    Unusable {
        reason: Reason::CertificateInvalid,
        found: found.into(),
        expected,
        fix,
    }
}

fn value(secret: &crds::Secret, key: &str) -> Result<Vec<u8>, Unusable> {
    let expected = "tls.crt and tls.key, PEM, as in a Secret of type kubernetes.io/tls";
    match secret.bytes(key) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            let fix = "add the missing key to the Secret";
            Err(invalid(format!("no {key}"), expected, fix))
        }
        Err(_) => {
            let fix = "write the value in base64, or move it to stringData";
            Err(invalid(
                format!("a {key} that is not base64"),
                expected,
                fix,
            ))
        }
    }
}

fn blocks(text: &[u8], key: &str) -> Result<Vec<(SectionKind, Vec<u8>)>, Unusable> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|_| {
            invalid(
                format!("a {key} with a broken PEM block"),
                "whole PEM blocks",
                "copy the value anew, with its BEGIN and END lines",
            )
        })
}

fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, Unusable> {
    let chain: Vec<Vec<u8>> = blocks(text, CHAIN)?
        .into_iter()
        .filter_map(|(kind, der)| (kind == SectionKind::Certificate).then_some(der))
        .collect();
    if chain.is_empty() {
        return Err(invalid(
            format!("a {CHAIN} without a certificate"),
            "at least one PEM block CERTIFICATE",
            "put the certificate chain there, leaf first",
        ));
    }
    for der in &chain {
        parse(der)?;
    }
    Ok(chain)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Unusable> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(invalid(
            format!("a {CHAIN} with a block that is no certificate"),
            "X.509 certificates",
            "put the certificate chain there, leaf first",
        )),
    }
}

/// The first private key, with the PEM label that its encoding has.
fn private_key(text: &[u8]) -> Result<(&'static str, Vec<u8>), Unusable> {
    let found = blocks(text, KEY)?.into_iter().find_map(|(kind, der)| {
        let label = match kind {
            SectionKind::PrivateKey => "PRIVATE KEY",
            SectionKind::RsaPrivateKey => "RSA PRIVATE KEY",
            SectionKind::EcPrivateKey => "EC PRIVATE KEY",
            _ => return None,
        };
        Some((label, der))
    });
    found.ok_or_else(|| {
        invalid(
            format!("a {KEY} without a readable private key"),
            "a PEM block PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY",
            "put the key there, without a pass phrase",
        )
    })
}

/// The public half of a private key, read as the leaf's kind of key and encoded
/// as the leaf encodes its own.
fn public_part(leaf: &X509Certificate<'_>, key: &[u8]) -> Result<Vec<u8>, Unusable> {
    let info = leaf.public_key();
    let algorithm = &info.algorithm.algorithm;
    let kind = if *algorithm == oid!(1.3.101.112) {
        Kind::Ed25519
    } else if *algorithm == oid!(1.2.840.113549.1.1.1) {
        match info.parsed() {
            Ok(PublicKey::RSA(public)) if public.key_size() < 2048 => {
                let size = public.key_size();
                return Err(unsupported(&format!("an RSA key of {size} bits")));
            }
            _ => Kind::Rsa,
        }
    } else if *algorithm == oid!(1.2.840.10045.2.1) {
        let curve = info.algorithm.parameters.as_ref();
        let signing = curve
            .and_then(|curve| curve.as_oid().ok())
            .and_then(|c| ecdsa(&c));
        match signing {
            Some(signing) => Kind::Ec(signing),
            None => return Err(unsupported("an EC key on another curve")),
        }
    } else {
        return Err(unsupported("a key of another kind"));
    };
    kind.public_part(key).ok_or_else(|| {
        if Kind::ALL
            .iter()
            .any(|other| other.public_part(key).is_some())
        {
            mismatch(
                format!("a {KEY} of another kind than the first certificate of {CHAIN}"),
                "put the certificate and the key of one pair into the Secret",
            )
        } else {
            invalid(
                format!("a {KEY} that holds no private key that gateways can use"),
                "the private key of the first certificate",
                "put the key there that belongs to the certificate",
            )
        }
    })
}

/// The kinds of keys that gateways take.
enum Kind {
    Rsa,
    Ec(&'static EcdsaSigningAlgorithm),
    Ed25519,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::Rsa,
        Kind::Ec(&ECDSA_P256_SHA256_ASN1_SIGNING),
        Kind::Ec(&ECDSA_P384_SHA384_ASN1_SIGNING),
        Kind::Ec(&ECDSA_P521_SHA512_ASN1_SIGNING),
        Kind::Ed25519,
    ];

    /// `None` where the text is no private key of this kind.
    fn public_part(&self, key: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Kind::Rsa => {
                let pair = rsa::KeyPair::from_pkcs8(key).or_else(|_| rsa::KeyPair::from_der(key));
                pair.ok()?.public_key().as_ref().to_vec()
            }
            Kind::Ec(signing) => {
                let pair = EcdsaKeyPair::from_private_key_der(signing, key).ok()?;
                pair.public_key().as_ref().to_vec()
            }
            Kind::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok()?;
                pair.public_key().as_ref().to_vec()
            }
        })
    }
}

fn ecdsa(curve: &x509_parser::asn1_rs::Oid<'_>) -> Option<&'static EcdsaSigningAlgorithm> {
    if *curve == oid!(1.2.840.10045.3.1.7) {
        Some(&ECDSA_P256_SHA256_ASN1_SIGNING)
    } else if *curve == oid!(1.3.132.0.34) {
        Some(&ECDSA_P384_SHA384_ASN1_SIGNING)
    } else if *curve == oid!(1.3.132.0.35) {
        Some(&ECDSA_P521_SHA512_ASN1_SIGNING)
    } else {
        None
    }
}

fn unsupported(kind: &str) -> Unusable {
    invalid(
        format!("a certificate with {kind}"),
        "RSA from 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519",
        "ask the issuer for a certificate with such a key",
    )
}

fn mismatch(found: String, fix: &'static str) -> Unusable {
    Unusable {
        reason: Reason::KeyMismatch,
        found,
        expected: "the key of the first certificate",
        fix,
    }
}

/// RFC 7633. Envoy compares these bytes.
fn demands_staple(leaf: &X509Certificate<'_>) -> bool {
    const STATUS_REQUEST: [u8; 5] = [0x30, 0x03, 0x02, 0x01, 0x05];
    let feature = oid!(1.3.6.1.5.5.7.1.24);
    let extensions = leaf.extensions().iter();
    extensions
        .filter(|extension| extension.oid == feature)
        .any(|extension| extension.value == STATUS_REQUEST)
}

fn dns_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = leaf.subject_alternative_name() else {
        return Vec::new();
    };
    let names = names.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// A moment beyond what a timestamp holds counts as the end of time.
fn moment(second: i64, beyond: Timestamp) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(beyond)
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests;
