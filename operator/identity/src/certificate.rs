//! What a certificate says.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::IdentityError;
use crate::life::Life;
use crate::name::GatewayName;

const PEM_LINE: usize = 64;

/// What this room reads of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) subject: String,
    pub(crate) life: Life,
    pub(crate) is_authority: bool,
    /// The public key, with its algorithm, in DER.
    pub(crate) public_key: Vec<u8>,
}

/// What stands in `certificate`, or what is wrong with it.
pub(crate) fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, String> {
    let parsed = parse(certificate)?;
    let time = |at: i64| {
        Timestamp::from_second(at).map_err(|_| format!("a date out of range ({at} s from 1970)"))
    };
    Ok(Facts {
        subject: parsed.subject().to_string(),
        life: Life {
            from: time(parsed.validity().not_before.timestamp())?,
            to: time(parsed.validity().not_after.timestamp())?,
        },
        is_authority: parsed.is_ca(),
        public_key: parsed.public_key().raw.to_vec(),
    })
}

/// The gateway that `certificate` is for, or what it has in place of one.
pub(crate) fn gateway(certificate: &CertificateDer<'_>) -> Result<GatewayName, String> {
    let parsed = parse(certificate)?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|error| format!("alternative names that cannot be read ({error})"))?
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default();
    // One name only: a certificate with more would be another gateway's too.
    match names {
        [GeneralName::URI(uri)] => {
            GatewayName::from_uri(uri).ok_or_else(|| format!("the name {uri:?}"))
        }
        [] => Err("no alternative name".to_owned()),
        [_] => Err("an alternative name that is no uri".to_owned()),
        more => Err(format!("{} alternative names", more.len())),
    }
}

/// The certificates in `pem`, at least one.
pub(crate) fn read_pem(
    what: &'static str,
    pem: &[u8],
    fix: &'static str,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let not_understood = |found| IdentityError::NotUnderstood {
        what,
        found,
        expected: "one or more certificates as pem",
        fix,
    };
    let read: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| not_understood(format!("broken pem ({error})")))?;
    if read.is_empty() {
        return Err(not_understood(format!(
            "no certificate in {} bytes",
            pem.len()
        )));
    }
    Ok(read)
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok((rest, _)) => Err(format!("a certificate with {} bytes after it", rest.len())),
        Err(error) => Err(format!("a certificate that cannot be read ({error})")),
    }
}

/// `certificate` as PEM.
pub(crate) fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let body = BASE64_STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
