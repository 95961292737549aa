//! Whom gateways trust when backends speak TLS, and what they show themselves.

use std::collections::{BTreeMap, BTreeSet};

use rustls_pki_types::pem::{PemObject, SectionKind};
use sluice_crds as crds;
use sluice_ir::{Certificate, Host};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::{pem, read};

/// Certificates of authorities, gathered from several places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustRoots {
    /// PEM blocks, each once and in an order of their own: equal sets are equal
    /// texts. `None` where there is none.
    pub pem: Option<String>,
    /// What could not be read: the place, what is wrong there, what to do.
    pub faults: Vec<String>,
}

/// Reads the roots of all places, each with the text that is there. What cannot be
/// read of one place takes nothing from the others: Envoy refuses a bundle whole.
#[must_use]
pub fn trust_roots<'a>(places: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> TrustRoots {
    let mut roots = BTreeSet::new();
    let mut faults = Vec::new();
    for (place, text) in places {
        let (mut found, faults_before) = (false, faults.len());
        for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            match block {
                Ok((SectionKind::Certificate, der)) if is_certificate(&der) => {
                    found = true;
                    roots.insert(der);
                }
                Ok((SectionKind::Certificate, _)) => faults.push(format!(
                    "{place}: found a block CERTIFICATE that is no certificate, expected X.509; \
                     copy it anew"
                )),
                Ok(_) => {}
                Err(_) => faults.push(format!(
                    "{place}: found a broken PEM block, expected whole ones; copy the value anew, \
                     with its BEGIN and END lines"
                )),
            }
        }
        if !found && faults.len() == faults_before {
            faults.push(format!(
                "{place}: found no certificate, expected PEM blocks CERTIFICATE; put the \
                 certificates of the authority there"
            ));
        }
    }
    let text: String = roots.iter().map(|der| pem("CERTIFICATE", der)).collect();
    TrustRoots {
        pem: (!text.is_empty()).then_some(text),
        faults,
    }
}

/// The certificate of a Secret by each name that it is for; for clients that ask for
/// a name which no Ingress has. A wildcard stands for names that cannot be listed, so
/// it is left out.
///
/// # Errors
/// What was found in the Secret, what was expected, and what to do; without a byte of
/// what stands there.
pub fn certificates_by_name(secret: &crds::Secret) -> Result<BTreeMap<Host, Certificate>, String> {
    let readable = read(secret).map_err(|unusable| {
        format!(
            "found {}, expected {}; {}",
            unusable.found, unusable.expected, unusable.fix
        )
    })?;
    let hosts = readable
        .names
        .iter()
        .filter_map(|name| Host::parse(name).ok());
    let named: BTreeMap<Host, Certificate> = hosts
        .map(|host| (host, readable.certificate.clone()))
        .collect();
    if named.is_empty() {
        return Err(
            "found a certificate without a DNS name that is no wildcard, expected one \
                    at least; name what clients ask for"
                .to_owned(),
        );
    }
    Ok(named)
}

fn is_certificate(der: &[u8]) -> bool {
    matches!(X509Certificate::from_der(der), Ok(([], _)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(name: &str) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        parameters.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn the_same_roots_are_the_same_text_wherever_they_stand() {
        let [a, b] = ["a", "b"].map(authority);
        let both = format!("note\n{a}{b}");
        let twice = trust_roots([("one", both.as_bytes()), ("two", a.as_bytes())]);
        let once = trust_roots([("three", b.as_bytes()), ("four", a.as_bytes())]);
        assert_eq!(twice, once);
        let text = once.pem.unwrap();
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(!text.contains("note") && once.faults.is_empty());
    }

    #[test]
    fn a_place_that_cannot_be_read_is_named_and_takes_nothing_from_others() {
        let good = authority("a");
        let cut = &good.as_bytes()[..good.len() / 2];
        let no_certificate = pem("CERTIFICATE", b"hello");
        let found = trust_roots([
            ("good", good.as_bytes()),
            ("cut", cut),
            ("other", no_certificate.as_bytes()),
            ("empty", b""),
        ]);
        assert_eq!(found.pem, trust_roots([("good", good.as_bytes())]).pem);
        let named = |place: &str| {
            let mut faults = found.faults.iter();
            faults.any(|fault| fault.starts_with(place) && fault.contains("expected"))
        };
        assert!(
            named("cut:") && named("other:") && named("empty:"),
            "{found:?}"
        );
        assert!(!named("good:"));
        assert_eq!(trust_roots([]).pem, None);
    }

    #[test]
    fn a_certificate_is_found_by_each_name_but_a_wildcard() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let made = rcgen::generate_simple_self_signed(names).unwrap();
            let secret = crds::Secret {
                string_data: BTreeMap::from([
                    ("tls.crt".into(), crds::SecretValue::from(made.cert.pem())),
                    ("tls.key".into(), made.signing_key.serialize_pem().into()),
                ]),
                ..crds::Secret::default()
            };
            let named = certificates_by_name(&secret)?;
            Ok(named.into_keys().map(|host| host.to_string()).collect())
        };
        let found: Result<Vec<_>, String> = of(&["b.x", "*.x", "a.x"]);
        assert_eq!(found.unwrap(), ["a.x", "b.x"]);
        assert!(of(&["*.x"]).unwrap_err().contains("no wildcard"));
    }
}
