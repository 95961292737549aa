//! The protocol against gateways that behave as Envoy does, without a socket.

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
