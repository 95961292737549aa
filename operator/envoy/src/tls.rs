//! TLS towards clients, where the certificate is asked for by SNI during the
//! handshake, and TLS towards backends.

use sluice_ir::Protocol;

use crate::pb;

/// The name that Serving's activator shows
/// (`networking/pkg/certificates/constants.go`).
const ACTIVATOR: &str = "kn-routing";

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
    socket(&context)
}

/// A connection to pods of a namespace, or to the activator in front of them: which
/// of both is behind an address changes without the cluster, so either will do.
/// `trust` names the secret with the roots.
pub(crate) fn upstream(namespace: &str, protocol: Protocol, trust: &str) -> pb::TransportSocket {
    let names = [ACTIVATOR.to_owned(), format!("kn-user-{namespace}")];
    let names = names.map(|name| pb::SubjectAltNameMatcher {
        san_type: pb::SanType::Dns.into(),
        matcher: Some(pb::exact(name)),
        ..pb::SubjectAltNameMatcher::default()
    });
    let validation = pb::CombinedCertificateValidationContext {
        default_validation_context: Some(pb::CertificateValidationContext {
            match_typed_subject_alt_names: names.into(),
            ..pb::CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(pb::SdsSecretConfig {
            name: trust.to_owned(),
            sds_config: pb::ads(),
        }),
        ..pb::CombinedCertificateValidationContext::default()
    };
    let alpn = match protocol {
        Protocol::Http1 => "http/1.1",
        Protocol::Http2 => "h2",
    };
    socket(&pb::UpstreamTlsContext {
        common_tls_context: Some(pb::CommonTlsContext {
            tls_params: Some(pb::TlsParameters {
                tls_minimum_protocol_version: pb::TlsProtocol::TlSv13.into(),
                tls_maximum_protocol_version: pb::TlsProtocol::TlSv13.into(),
                ..pb::TlsParameters::default()
            }),
            alpn_protocols: vec![alpn.to_owned()],
            validation_context_type: Some(pb::ValidationContextType::CombinedValidationContext(
                validation,
            )),
            ..pb::CommonTlsContext::default()
        }),
        ..pb::UpstreamTlsContext::default()
    })
}

fn socket<M: prost::Message + prost::Name>(context: &M) -> pb::TransportSocket {
    pb::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(pb::transport_socket::ConfigType::TypedConfig(pb::any(
            context,
        ))),
    }
}
