//! What an authority signs: one certificate for each replica of the operator,
//! and one for each gateway.

use jiff::Timestamp;
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::{Authority, LEAF_LIFE};
use crate::certificate::to_pem;
use crate::error::IdentityError;
use crate::life::Life;
use crate::name::GatewayName;
use crate::provider::serial;
use crate::secret::PrivateKeyPem;

/// The name that every replica's certificate has. Gateways dial replicas by the
/// addresses of their pods, and expect this name at each.
pub const SERVER_NAME: &str = "sluice-operator";

/// A certificate of the operator, with its private key.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    chain_pem: String,
    key_pem: PrivateKeyPem,
    life: Life,
}

impl ServerIdentity {
    /// Its certificate as PEM, followed by those that lead to older roots.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// Its private key.
    #[must_use]
    pub fn key_pem(&self) -> &PrivateKeyPem {
        &self.key_pem
    }

    /// When another should be issued: two thirds of its life are over.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        self.life.after(2, 3)
    }

    /// The last moment at which it is accepted.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.life.to
    }
}

impl Authority {
    /// A certificate for a server of these names, which are DNS names or IP
    /// addresses. [`SERVER_NAME`] is always one of them.
    ///
    /// # Errors
    /// [`IdentityError::NotValidNow`], and [`IdentityError::NotMade`] for a
    /// name that is none.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<ServerIdentity, IdentityError> {
        let mut all = vec![SERVER_NAME.to_owned()];
        all.extend(names.iter().filter(|name| *name != SERVER_NAME).cloned());
        let params = CertificateParams::new(all)
            .map_err(IdentityError::not_made("the names of a server"))?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(IdentityError::not_made("a server's key"))?;
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let signed = self.sign(params, SERVER_NAME, usage, &key, now)?;
        Ok(ServerIdentity {
            chain: signed.chain,
            chain_pem: signed.pem,
            key_pem: PrivateKeyPem::new(key.serialize_pem()),
            life: signed.life,
        })
    }

    /// A certificate for `gateway`, as PEM, followed by those that lead to older
    /// roots. Of the request, only the public key goes into it: the name is for
    /// the caller to know, from a token that somebody else vouched for.
    ///
    /// # Errors
    /// [`IdentityError::BadRequest`], [`IdentityError::BadName`],
    /// [`IdentityError::NotValidNow`] and [`IdentityError::NotMade`].
    pub fn sign_gateway(
        &self,
        csr_pem: &str,
        gateway: &GatewayName,
        now: Timestamp,
    ) -> Result<String, IdentityError> {
        let key = requested_key(csr_pem)?;
        let uri = Ia5String::try_from(gateway.uri()?)
            .map_err(IdentityError::not_made("the name of a gateway"))?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri)];
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        let signed = self.sign(params, "sluice-gateway", usage, &key, now)?;
        Ok(signed.pem)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        subject: &str,
        usage: ExtendedKeyUsagePurpose,
        key: &impl PublicKeyData,
        now: Timestamp,
    ) -> Result<Signed, IdentityError> {
        self.ensure_valid(now)?;
        let life = Life::starting(now, LEAF_LIFE).within(self.facts.life);
        life.limit(&mut params);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?);
        let leaf = params
            .signed_by(key, &self.issuer)
            .map_err(IdentityError::not_made("a certificate"))?;
        let mut chain = vec![leaf.der().clone()];
        chain.extend(self.crossed.clone());
        Ok(Signed {
            pem: chain.iter().map(to_pem).collect(),
            chain,
            life,
        })
    }
}

struct Signed {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    life: Life,
}

/// The public key that a request asks a certificate for. The request must be
/// signed by it: nobody gets a certificate for another's key.
fn requested_key(csr_pem: &str) -> Result<SubjectPublicKeyInfo, IdentityError> {
    let bad = |found: String, expected| IdentityError::BadRequest { found, expected };
    let expected = "one certificate request as pem";
    let der = CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes())
        .map_err(|error| bad(format!("broken pem ({error})"), expected))?;
    let request = match X509CertificationRequest::from_der(&der) {
        Ok(([], request)) => request,
        Ok((rest, _)) => {
            let found = format!("{} bytes after the request", rest.len());
            return Err(bad(found, expected));
        }
        Err(_) => return Err(bad("pem of something else".to_owned(), expected)),
    };
    let info = &request.certification_request_info;
    let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
        .ok()
        .filter(|key| key.algorithm() == &PKCS_ECDSA_P256_SHA256)
        .ok_or_else(|| bad("another kind of public key".to_owned(), "ecdsa p-256"))?;
    request.verify_signature().map_err(|_| {
        bad(
            "a signature by another key".to_owned(),
            "one by the key that the certificate is for",
        )
    })?;
    Ok(key)
}
