//! Who may speak xDS, and how a pod comes to be one of them.
//!
//! *Reads* the data of one Secret, the tokens of gateways that somebody else
//! vouches for ([`Reviewer`]), and their requests for a certificate. *Gives* the
//! operator's certificate authority ([`Authority`]), what a replica serves TLS
//! with ([`Trust`]), the gateways that connect ([`accept`]), and on the
//! gateway's side its [`Credentials`] ([`enrol`]). *Never* lets a peer without a
//! certificate of this authority read one byte, never takes a name from a
//! request, and never shows a private key or a token in a log or an error.
//!
//! ```text
//!            Secret ⇄ Authority ─► Trust ─► watch ─┬─► serve_enrolment ◄─ Reviewer
//!                        │ rotated (overlap)       │        ▲ token, request
//!                        ▼                         │        │       ▼ certificate, bundle
//!                    Authority                     │      enrol ─► Credentials
//!                                                  └─► accept ◄───────┘ mutual TLS
//! ```
//!
//! Start at [`Authority::generate`], then [`Trust::new`].

mod accept;
mod authority;
mod certificate;
mod credentials;
mod crowd;
mod enrol;
mod enrolment;
mod error;
mod io;
mod life;
mod name;
mod provider;
mod review;
mod secret;
#[cfg(test)]
mod tests;
mod trust;
mod verify;

pub use accept::{HANDSHAKE_BOUND, accept};
pub use authority::{
    AUTHORITY_LIFE, Authority, BUNDLE, CERTIFICATE, KEY, LEAF_LIFE, PROBE_KEY, SERVER_NAME,
    ServerIdentity,
};
pub use credentials::Credentials;
pub use enrol::enrol;
pub use enrolment::{ENROL_PATH, MAX_REQUEST, serve_enrolment};
pub use error::IdentityError;
pub use io::GatewayIo;
pub use life::CLOCK_SKEW;
pub use name::GatewayName;
pub use review::{BoxFuture, ReviewError, Reviewer};
pub use secret::PrivateKeyPem;
pub use trust::{Trust, enrol_server_config, xds_server_config};
