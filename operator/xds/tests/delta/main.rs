//! The protocol against gateways that behave as Envoy does, without a socket.

mod gateway;
mod scene;
mod subscription;
