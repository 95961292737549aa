//! The one crypto provider, named wherever it is used: none is installed for
//! the whole process.

use std::fmt::Write;
use std::sync::Arc;

use rcgen::SerialNumber;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use crate::error::IdentityError;

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

pub(crate) fn random<const N: usize>(what: &'static str) -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| IdentityError::NoRandomness { what })?;
    Ok(bytes)
}

/// A serial number that no other certificate has, not even one of the same key.
pub(crate) fn serial() -> Result<SerialNumber, IdentityError> {
    let mut bytes = random::<16>("a serial number")?;
    // A set first bit would make it negative.
    bytes[0] &= 0x7f;
    Ok(SerialNumber::from_slice(&bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
