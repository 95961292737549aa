//! Every input that translation is tested with, on a real Envoy.
