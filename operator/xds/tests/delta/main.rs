//! The protocol against gateways that behave as Envoy does, without a socket.

// A failed unwrap is the failing assertion itself; clippy knows that only of
// functions that are marked as tests.
#![allow(clippy::unwrap_used)]

mod canary;
mod gateway;
mod handover;
mod mass;
mod nack;
mod order;
mod property;
mod reconnect;
mod scene;
mod secret;
mod subscription;
