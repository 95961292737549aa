//! The authority as the data of a Secret, and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::CertificateDer;

use super::Authority;
use crate::certificate::{Facts, facts, read_pem, to_pem};
use crate::error::IdentityError;
use crate::secret::PrivateKeyPem;

/// The key of the data that holds the authority's certificate.
pub const CERTIFICATE: &str = "ca.crt";
/// The key of the data that holds the authority's private key.
pub const KEY: &str = "ca.key";
/// The key of the data that holds all roots that are trusted.
pub const BUNDLE: &str = "bundle.crt";
/// The key of the data that holds what unlocks the answer to probes.
pub const PROBE_KEY: &str = "probe.key";

const FIX: &str = "restore it, or delete all of the data to have a new authority made, with which every gateway must enrol again";

impl Authority {
    /// The data of the Secret that keeps it.
    #[must_use]
    pub fn to_data(&self) -> BTreeMap<String, Vec<u8>> {
        [
            (CERTIFICATE, self.certificate_pem.as_str()),
            (KEY, self.key_pem.expose()),
            (BUNDLE, self.bundle_pem.as_str()),
            (PROBE_KEY, self.probe_key.as_str()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
        .collect()
    }

    /// The authority that [`Authority::to_data`] wrote. Other keys are let be.
    ///
    /// # Errors
    /// [`IdentityError`], which names the key that is missing or wrong.
    pub fn from_data(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, IdentityError> {
        let certificate = text(data, CERTIFICATE, "the authority's certificate as pem")?;
        let key = text(data, KEY, "the authority's private key as pem")?;
        let bundle = text(data, BUNDLE, "the trusted certificates as pem")?;
        let probe_key = text(data, PROBE_KEY, PROBE_KEY_EXPECTED)?;
        let key = PrivateKeyPem::new(key.to_owned());
        Self::from_pem(certificate, key, bundle, probe_key)
    }

    /// The authority of these parts, as its own methods give them.
    ///
    /// # Errors
    /// [`IdentityError`], which names the part by its key in the Secret.
    pub fn from_pem(
        certificate_pem: &str,
        key_pem: PrivateKeyPem,
        bundle_pem: &str,
        probe_key: &str,
    ) -> Result<Self, IdentityError> {
        let mut certificates = read_pem(CERTIFICATE, certificate_pem.as_bytes(), FIX)?.into_iter();
        let (own, crossed) = match (
            certificates.next(),
            certificates.next(),
            certificates.next(),
        ) {
            (Some(own), crossed, None) => (own, crossed),
            _ => {
                return Err(not_understood(
                    CERTIFICATE,
                    "more than two certificates".to_owned(),
                    "the authority's own, and at most the one that the previous authority signed",
                ));
            }
        };
        let facts = authority_facts(CERTIFICATE, &own)?;
        let key = read_key(&key_pem)?;
        let public_key = key.subject_public_key_info();
        let crossed_facts = crossed
            .as_ref()
            .map(|crossed| authority_facts(CERTIFICATE, crossed))
            .transpose()?;
        if public_key != facts.public_key
            || crossed_facts.is_some_and(|crossed| public_key != crossed.public_key)
        {
            return Err(IdentityError::KeyMismatch {
                certificate: CERTIFICATE,
                key: KEY,
                subject: facts.subject,
            });
        }
        let roots = read_roots(bundle_pem, &own)?;
        let probe_key = probe_key.trim();
        check_probe_key(probe_key)?;
        let issuer = Issuer::from_ca_cert_der(&own, key)
            .map_err(IdentityError::not_made("an issuer of the authority"))?;
        // Written anew: what else stood between the certificates goes to nobody.
        let root_pem = to_pem(&own);
        Ok(Self {
            certificate_pem: crossed
                .iter()
                .fold(root_pem.clone(), |pem, crossed| pem + &to_pem(crossed)),
            root_pem,
            crossed,
            key_pem,
            bundle_pem: roots.iter().map(to_pem).collect(),
            roots,
            probe_key: probe_key.to_owned(),
            facts,
            issuer: Arc::new(issuer),
        })
    }
}

const PROBE_KEY_EXPECTED: &str = "32 lower-case hexadecimal digits";

fn text<'a>(
    data: &'a BTreeMap<String, Vec<u8>>,
    key: &'static str,
    expected: &'static str,
) -> Result<&'a str, IdentityError> {
    let missing = |found| IdentityError::Missing {
        key,
        found,
        expected,
    };
    let value = data.get(key).ok_or_else(|| missing("nothing"))?;
    match std::str::from_utf8(value) {
        Ok(text) if text.trim().is_empty() => Err(missing("an empty value")),
        Ok(text) => Ok(text),
        Err(_) => Err(missing("bytes that are no text")),
    }
}

fn authority_facts(
    what: &'static str,
    certificate: &CertificateDer<'_>,
) -> Result<Facts, IdentityError> {
    let expected = "the certificate of an authority";
    let facts = facts(certificate).map_err(|found| not_understood(what, found, expected))?;
    if facts.is_authority {
        return Ok(facts);
    }
    let found = format!("one of {}, which may not sign others", facts.subject);
    Err(not_understood(what, found, expected))
}

fn read_key(pem: &PrivateKeyPem) -> Result<KeyPair, IdentityError> {
    // The reason of the layer below is left out: it may quote what it read.
    KeyPair::from_pkcs8_pem_and_sign_algo(pem.expose(), &PKCS_ECDSA_P256_SHA256).map_err(|_| {
        let found = format!("{} bytes that are no such key", pem.expose().len());
        not_understood(KEY, found, "an ecdsa p-256 private key as pkcs#8 pem")
    })
}

fn read_roots(
    pem: &str,
    own: &CertificateDer<'_>,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let roots = read_pem(BUNDLE, pem.as_bytes(), FIX)?;
    for root in &roots {
        authority_facts(BUNDLE, root)?;
    }
    if !roots.contains(own) {
        return Err(not_understood(
            BUNDLE,
            format!(
                "{} certificates, none of them that of {CERTIFICATE}",
                roots.len()
            ),
            "the authority's own certificate among them",
        ));
    }
    Ok(roots)
}

fn check_probe_key(found: &str) -> Result<(), IdentityError> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if found.len() == 32 && found.bytes().all(is_digit) {
        return Ok(());
    }
    let found = format!("{} bytes of another kind", found.len());
    Err(not_understood(PROBE_KEY, found, PROBE_KEY_EXPECTED))
}

fn not_understood(what: &'static str, found: String, expected: &'static str) -> IdentityError {
    IdentityError::NotUnderstood {
        what,
        found,
        expected,
        fix: FIX,
    }
}
