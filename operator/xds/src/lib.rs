//! Delta ADS: what every gateway holds, what it must be sent next, and in which
//! order, so that no step between two configurations harms a request.
//!
//! *Reads* [`sluice_envoy::Update`]s through a [`Publisher`], and the protocol's
//! requests. *Gives* the protocol's responses, and a [`Fleet`]: which gateway
//! acknowledged which [`Revision`], and what was refused. *Never* looks into a
//! resource, builds one, or asks what an Ingress is; never sends before the
//! first publish, so that a start cannot empty a gateway.
//!
//! The protocol is sans-io: [`Stream`] takes requests, a [`Store`] and a clock
//! value and returns responses; [`serve`] only moves bytes.
//!
//! Start at [`Stream::poll`]; the rules of order are in its module.

mod canary;
mod error;
mod fleet;
mod publisher;
mod quarantine;
mod server;
mod service;
mod settings;
mod store;
mod stream;
pub mod wire;

pub use error::XdsError;
pub use fleet::{Fleet, Node, Traffic};
pub use publisher::Publisher;
pub use quarantine::Quarantined;
pub use server::{Admission, LEADER_HEADER, Listener, serve, serve_incoming};
pub use service::{
    DELTA_METHOD, DeltaHandler, Opened, PING_ANSWER, PING_EVERY, Responses, serve_delta,
};
pub use settings::Settings;
pub use store::{Revision, Store, StreamId};
pub use stream::Stream;
