//! Requests as bytes, for what no well-behaved client would write.
//!
//! A client library refuses, folds or escapes odd authorities before they reach
//! the wire; here the authority is sent as it stands, in HTTP/1.1 and in HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::dial::{Duplex, Tls, dial};

/// How the peer took a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// It answered with this status.
    Status(u16),
    /// It closed the connection or reset the stream without an answer.
    Closed,
}

/// How long the peer may take for one exchange.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest head of an answer that is read.
const LONGEST: usize = 64 * 1024;

/// Sends these bytes on a new connection and reads the status of the HTTP/1
/// answer.
///
/// # Errors
/// No connection, or silence.
pub async fn http1(address: SocketAddr, tls: Option<&Tls>, request: &[u8]) -> io::Result<Taken> {
    let mut stream = dial(address, tls).await?.stream;
    let exchange = async {
        // A peer that closes while it is written to has given its answer.
        if send(&mut stream, request).await.is_err() {
            return Ok(Taken::Closed);
        }
        let mut head = Vec::new();
        while head.len() < LONGEST {
            if let Some(status) = status_line(&head) {
                return Ok(Taken::Status(status));
            }
            match stream.read_buf(&mut head).await {
                Ok(0) | Err(_) => return Ok(Taken::Closed),
                Ok(_) => {}
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    };
    patiently(exchange).await
}

/// The status of an HTTP/1 status line, once it is whole.
fn status_line(head: &[u8]) -> Option<u16> {
    let end = head.windows(2).position(|w| w == b"\r\n")?;
    let line = std::str::from_utf8(head.get(..end)?).ok()?;
    line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
}

/// Sends one HTTP/2 request with these fields, pseudo-headers included, on a
/// new connection and reads the status of its answer.
///
/// # Errors
/// No connection, silence, or an answer that is no HTTP/2.
pub async fn http2(
    address: SocketAddr,
    tls: Option<&Tls>,
    fields: &[(&str, &[u8])],
) -> io::Result<Taken> {
    let mut stream = dial(address, tls).await?.stream;
    let exchange = async {
        let mut wire = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        wire.extend(frame(Frame::Settings, 0, 0, &[]));
        // 0x4: end of headers, 0x1: end of stream.
        wire.extend(frame(Frame::Headers, 0x5, 1, &header_block(fields)));
        if send(&mut stream, &wire).await.is_err() {
            return Ok(Taken::Closed);
        }
        // Bounded: a peer says little before it answers.
        for _ in 0..64 {
            let Some((kind, id, payload)) = next_frame(&mut stream).await else {
                return Ok(Taken::Closed);
            };
            match kind {
                1 if id == 1 => {
                    let status = block_status(&payload);
                    return status.map(Taken::Status).ok_or_else(|| {
                        io::Error::other(format!("no status in header block {payload:02x?}"))
                    });
                }
                // RST_STREAM, GOAWAY.
                3 | 7 => return Ok(Taken::Closed),
                _ => {}
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    };
    patiently(exchange).await
}

/// Writes and flushes: TLS may hold back what the socket did not take at once.
async fn send(stream: &mut Box<dyn Duplex>, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn patiently(exchange: impl Future<Output = io::Result<Taken>>) -> io::Result<Taken> {
    match timeout(PATIENCE, exchange).await {
        Ok(taken) => taken,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The frame types that are written (RFC 9113, section 6).
enum Frame {
    Headers = 1,
    Settings = 4,
}

fn frame(kind: Frame, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes().get(1..).unwrap_or_default().to_vec();
    frame.extend([kind as u8, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

async fn next_frame(stream: &mut Box<dyn Duplex>) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, _, stream_id @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((kind, u32::from_be_bytes(stream_id) & 0x7fff_ffff, payload))
}

/// HPACK: every field literal, not indexed, not Huffman-coded (RFC 7541, 6.2.2).
fn header_block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_bytes(), value] {
            length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// An HPACK integer with a prefix of seven bits (RFC 7541, 5.1).
fn length(block: &mut Vec<u8>, value: usize) {
    let low = |value: usize| u8::try_from(value & 0x7f).unwrap_or(0);
    if value < 0x7f {
        block.push(low(value));
        return;
    }
    block.push(0x7f);
    let mut rest = value - 0x7f;
    while rest >= 0x80 {
        block.push(low(rest) | 0x80);
        rest >>= 7;
    }
    block.push(low(rest));
}

/// `:status` of an answer's header block, where it must come first; the
/// dynamic table of a new connection is empty, so it is in the static table or
/// literal.
fn block_status(block: &[u8]) -> Option<u16> {
    let (first, rest) = block.split_first()?;
    match first {
        // A size update of the dynamic table may stand in front (§6.3); where its
        // number fills the prefix, bytes with the high bit go on with it.
        0x20..=0x3e => block_status(rest),
        0x3f => {
            let end = rest.iter().position(|byte| byte & 0x80 == 0)?;
            block_status(rest.get(end + 1..)?)
        }
        // RFC 7541, appendix A.
        0x88 => Some(200),
        0x89 => Some(204),
        0x8a => Some(206),
        0x8b => Some(304),
        0x8c => Some(400),
        0x8d => Some(404),
        0x8e => Some(500),
        // Literal value; the name is static entry 8 to 14, all `:status`.
        0x48..=0x4e | 0x08..=0x0e | 0x18..=0x1e => {
            let (size, value) = rest.split_first()?;
            let value = value.get(..usize::from(size & 0x7f))?;
            if size & 0x80 == 0 {
                std::str::from_utf8(value).ok()?.parse().ok()
            } else {
                huffman_digits(value)
            }
        }
        _ => None,
    }
}

/// Three digits in HPACK's Huffman code (RFC 7541, appendix B): 0 to 2 are
/// 00000 to 00010, 3 to 9 are 011001 to 011111.
fn huffman_digits(bytes: &[u8]) -> Option<u16> {
    let mut bits = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |n| u16::from(byte >> n & 1)));
    let mut number = 0;
    for _ in 0..3 {
        let mut code = 0;
        for _ in 0..5 {
            code = code << 1 | bits.next()?;
        }
        let digit = if code <= 2 {
            code
        } else {
            (code << 1 | bits.next()?)
                .checked_sub(0b01_1001)
                .filter(|d| *d <= 6)?
                + 3
        };
        number = number * 10 + digit;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;

    #[tokio::test]
    async fn a_backend_understands_what_is_written() {
        let backend = Backend::start("b").await.unwrap();
        let long = format!("/?status=418&x={}", "y".repeat(300));
        let request = format!("GET {long} HTTP/1.1\r\nHost: h\r\n\r\n");
        let taken = http1(backend.address(), None, request.as_bytes()).await;
        assert_eq!(taken.unwrap(), Taken::Status(418));
        for status in [200, 204, 404, 421, 429, 503, 567] {
            let path = format!("{long}&status={status}");
            let fields: [(&str, &[u8]); 4] = [
                (":method", b"GET"),
                (":scheme", b"http"),
                (":path", path.as_bytes()),
                (":authority", b"h"),
            ];
            let taken = http2(backend.address(), None, &fields).await.unwrap();
            assert_eq!(taken, Taken::Status(status));
        }
        let nonsense = http1(backend.address(), None, b"\x00\r\n\r\n").await;
        assert!(matches!(nonsense, Ok(Taken::Closed | Taken::Status(400))));
    }

    #[test]
    fn digits_are_read_from_either_coding() {
        // 302 by RFC 7541, C.6.1; 307 by C.6.2.
        assert_eq!(block_status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(block_status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
        assert_eq!(block_status(&[0x3f, 0x08, 0x03, b'4', b'2', b'1']), None);
        assert_eq!(
            block_status(&[0x20, 0x08, 0x03, b'4', b'2', b'1']),
            Some(421)
        );
        assert_eq!(block_status(&[]), None);
    }
}
