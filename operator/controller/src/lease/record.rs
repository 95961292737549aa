//! The Lease object, read and written.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::election::{LEASE_FOR, Seen};

pub(super) fn read(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    Seen {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        renewed: spec.renew_time.map(|time| time.0),
        transitions: spec.lease_transitions.unwrap_or(0),
        length: spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
    }
}

/// What is to be written so that `identity` holds the Lease from `now`. All
/// else of the object stays, its resource version above all: the server
/// refuses the write if anyone wrote since.
pub(super) fn claim(found: Option<Lease>, name: &str, identity: &str, now: Timestamp) -> Lease {
    let is_new = found.is_none();
    let mut lease = found.unwrap_or_default();
    lease.metadata.name = Some(name.to_owned());
    let mut spec = lease.spec.take().unwrap_or_default();
    let renewed = sign_of_life(spec.renew_time.as_ref(), now);
    if spec.holder_identity.as_deref() != Some(identity) {
        spec.acquire_time = Some(renewed.clone());
        spec.lease_transitions = Some(match spec.lease_transitions {
            _ if is_new => 0,
            before => before.unwrap_or(0).saturating_add(1),
        });
    }
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(LEASE_FOR.as_secs()).ok(),
        renew_time: Some(renewed),
        ..spec
    });
    lease
}

/// What is to be written so that nobody holds the Lease; `None` where
/// `identity` does not hold it.
pub(super) fn released(found: Option<Lease>, identity: &str) -> Option<Lease> {
    let mut lease = found?;
    let spec = lease.spec.as_mut()?;
    if spec.holder_identity.as_deref() != Some(identity) {
        return None;
    }
    spec.holder_identity = Some(String::new());
    Some(lease)
}

/// Rivals tell life by a change: a clock that stands or was set back must not
/// repeat what is there.
fn sign_of_life(before: Option<&MicroTime>, now: Timestamp) -> MicroTime {
    let next = before.and_then(|time| time.0.checked_add(SignedDuration::from_micros(1)).ok());
    MicroTime(next.map_or(now, |next| next.max(now)))
}
