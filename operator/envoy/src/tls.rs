//! TLS towards clients: the certificate is asked for by SNI during the handshake.

use crate::pb;

/// The secret that Envoy asks for when a client sends no SNI. No host has this
/// name, so the server answers that there is none, and the handshake fails.
const NO_SNI: &str = "_default";

/// One transport socket for all hosts: no filter chain, and so no listener
/// change, per certificate.
pub(crate) fn downstream() -> pb::TransportSocket {
    let selector = pb::OnDemandSecret {
        config_source: pb::ads(),
        certificate_mapper: Some(pb::extension(
            "envoy.tls.certificate_mappers.sni",
            &pb::Sni {
                default_value: NO_SNI.to_owned(),
            },
        )),
        prefetch_secret_names: Vec::new(),
    };
    let context = pb::DownstreamTlsContext {
        common_tls_context: Some(pb::CommonTlsContext {
            tls_params: Some(pb::TlsParameters {
                tls_minimum_protocol_version: pb::TlsProtocol::TlSv12.into(),
                ..pb::TlsParameters::default()
            }),
            alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
            custom_tls_certificate_selector: Some(pb::extension(
                "envoy.tls.certificate_selectors.on_demand_secret",
                &selector,
            )),
            ..pb::CommonTlsContext::default()
        }),
        // Envoy refuses on-demand certificates with either way of resumption.
        disable_stateful_session_resumption: true,
        session_ticket_keys_type: Some(
            pb::SessionTicketKeysType::DisableStatelessSessionResumption(true),
        ),
        ..pb::DownstreamTlsContext::default()
    };
    pb::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(pb::transport_socket::ConfigType::TypedConfig(pb::any(
            &context,
        ))),
    }
}
