//! A new authority, and the next one.

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};

use super::{AUTHORITY_LIFE, Authority};
use crate::error::IdentityError;
use crate::life::Life;
use crate::provider::{hex, random, serial};
use crate::secret::PrivateKeyPem;

impl Authority {
    /// A new authority that trusts nothing but itself.
    ///
    /// # Errors
    /// [`IdentityError::NotMade`] and [`IdentityError::NoRandomness`].
    pub fn generate(now: Timestamp) -> Result<Self, IdentityError> {
        let probe_key = hex(&random::<16>("the probe key")?);
        let key = new_key()?;
        let own = params(Life::starting(now, AUTHORITY_LIFE))?
            .self_signed(&key)
            .map_err(IdentityError::not_made("the authority's certificate"))?
            .pem();
        Self::from_pem(&own, exposed(&key), &own, &probe_key)
    }

    /// The authority that follows this one: a new key, a whole life from `now`,
    /// and a bundle of its own root and this one's, without older ones. An
    /// authority that is over already is not in it.
    ///
    /// # Errors
    /// [`IdentityError::NotMade`] and [`IdentityError::NoRandomness`].
    pub fn rotated(&self, now: Timestamp) -> Result<Self, IdentityError> {
        let key = new_key()?;
        let life = Life::starting(now, AUTHORITY_LIFE);
        let mut params = params(life)?;
        let own = params
            .self_signed(&key)
            .map_err(IdentityError::not_made("the next authority's certificate"))?
            .pem();
        if !self.facts.life.covers(now) {
            return Self::from_pem(&own, exposed(&key), &own, &self.probe_key);
        }
        life.within(self.facts.life).limit(&mut params);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.serial_number = Some(serial()?);
        let crossed = params
            .signed_by(&key, &self.issuer)
            .map_err(IdentityError::not_made(
                "the previous authority's certificate of the next",
            ))?
            .pem();
        Self::from_pem(
            &format!("{own}{crossed}"),
            exposed(&key),
            &format!("{own}{}", self.root_pem),
            &self.probe_key,
        )
    }
}

fn new_key() -> Result<KeyPair, IdentityError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(IdentityError::not_made("the authority's key"))
}

fn exposed(key: &KeyPair) -> PrivateKeyPem {
    PrivateKeyPem::new(key.serialize_pem())
}

fn params(life: Life) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::default();
    // A name of its own: authorities of the same name could be told apart only
    // by trying their keys.
    let mark = hex(&random::<4>("the authority's name")?);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Sluice authority {mark}"));
    // One between it and its leaves: the authority that follows.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.serial_number = Some(serial()?);
    life.limit(&mut params);
    Ok(params)
}
