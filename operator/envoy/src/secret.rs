//! Certificates, by the host they are shown for.

use bytes::{BufMut, Bytes, BytesMut};

use crate::Content;

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
