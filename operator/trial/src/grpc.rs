//! gRPC messages as they stand on the wire, for a service without a schema.
//!
//! A message is a flag byte (0: not compressed), a length of four bytes, big
//! endian, and the payload (`gRPC over HTTP2`, "Length-Prefixed-Message").

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What the service is called in paths: `/sluice.trial.Ping/…`.
pub const SERVICE: &str = "sluice.trial.Ping";

/// Path of the call with one message each way.
pub const UNARY: &str = "/sluice.trial.Ping/Unary";

/// Path of the call with any number of messages each way, each answered as it comes.
pub const STREAM: &str = "/sluice.trial.Ping/Stream";

/// The content type of requests and responses, without suffix.
pub const CONTENT_TYPE: &str = "application/grpc";

/// Longest message that is read; more is a fault of the peer.
const LONGEST: usize = 4 * 1024 * 1024;

/// Frames one message.
#[must_use]
pub fn frame(payload: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + payload.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    framed.put_slice(payload);
    framed.freeze()
}

/// Cuts messages out of a byte stream that arrives in arbitrary pieces.
#[derive(Debug, Default)]
pub struct Unframer {
    buffer: BytesMut,
}

impl Unframer {
    /// Takes a piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.put_slice(piece);
    }

    /// Gives the next whole message, if there is one.
    ///
    /// # Errors
    /// A compressed or an oversized message, in words.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, String> {
        let Some(mut head) = self.buffer.get(..5) else {
            return Ok(None);
        };
        let flag = head.get_u8();
        let length = head.get_u32() as usize;
        if flag != 0 {
            return Err(format!("compressed message (flag {flag})"));
        }
        if length > LONGEST {
            return Err(format!("message of {length} bytes"));
        }
        if self.buffer.len() < 5 + length {
            return Ok(None);
        }
        self.buffer.advance(5);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cut() {
        let mut wire = Vec::new();
        for text in ["", "a", "hello"] {
            wire.extend_from_slice(&frame(text.as_bytes()));
        }
        for cut in 0..wire.len() {
            let mut unframer = Unframer::default();
            let mut found = Vec::new();
            for piece in [&wire[..cut], &wire[cut..]] {
                unframer.push(piece);
                while let Some(message) = unframer.next_message().unwrap() {
                    found.push(String::from_utf8(message.to_vec()).unwrap());
                }
            }
            assert_eq!(found, ["", "a", "hello"], "cut at {cut}");
        }
    }

    #[test]
    fn compression_and_absurd_lengths_are_faults() {
        let mut unframer = Unframer::default();
        unframer.push(&[1, 0, 0, 0, 0]);
        assert!(unframer.next_message().is_err());
        let mut unframer = Unframer::default();
        unframer.push(&[0, 255, 255, 255, 255]);
        assert!(unframer.next_message().is_err());
    }
}
