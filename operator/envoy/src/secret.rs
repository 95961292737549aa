//! Certificates, by the host they are shown for; and whom backends are trusted by.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use sluice_ir::{Certificate, Host};

use crate::shape::Shape;
use crate::{Content, Kind, Resource, pb};

/// The `Secret` of a host, without its name: see [`secret_named`].
pub(crate) fn secret(host: &Host, certificate: &Certificate) -> Resource {
    let message = pb::Secret {
        r#type: Some(pb::secret::Type::TlsCertificate(pb::TlsCertificate {
            certificate_chain: pb::inline(&certificate.chain),
            private_key: pb::inline(certificate.key.reveal()),
            ..pb::TlsCertificate::default()
        })),
        ..pb::Secret::default()
    };
    Resource {
        kind: Kind::Secret,
        name: host.to_string(),
        content: Some(Content::new(message.encode_to_vec())),
        standby: None,
        table: None,
        key: None,
        shape: Shape::new(Kind::Secret).finish(),
    }
}

/// The `Secret` with the roots that backends are trusted by, without its name like
/// all secrets.
pub(crate) fn trust(name: &str, roots: &str) -> Resource {
    let message = pb::Secret {
        r#type: Some(pb::secret::Type::ValidationContext(
            pb::CertificateValidationContext {
                trusted_ca: pb::inline(roots),
                ..pb::CertificateValidationContext::default()
            },
        )),
        ..pb::Secret::default()
    };
    let mut shape = Shape::new(Kind::Secret);
    shape.add("roots");
    Resource {
        kind: Kind::Secret,
        name: name.to_owned(),
        content: Some(Content::new(message.encode_to_vec())),
        standby: None,
        table: None,
        key: None,
        shape: shape.finish(),
    }
}

/// The `Secret` to send under the name that was asked for. A secret's body is
/// stored without its name, since Envoy asks for the SNI as the client spelt
/// it; fields of a protobuf message may stand in any order, so the name is put
/// in front.
#[must_use]
pub fn secret_named(content: &Content, asked: &str) -> Bytes {
    let mut named = BytesMut::with_capacity(content.body.len() + asked.len() + 8);
    // Field 1 (`name`), wire type 2 (length-delimited).
    named.put_u8(0x0a);
    prost::encoding::encode_varint(asked.len() as u64, &mut named);
    named.put_slice(asked.as_bytes());
    named.put_slice(&content.body);
    named.freeze()
}
