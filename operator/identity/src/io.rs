//! The connection of one gateway.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::name::GatewayName;

/// Bytes to and from a gateway whose certificate was verified.
pub struct GatewayIo {
    // Boxed: a session is more than a kilobyte, and is moved about.
    stream: Box<TlsStream<TcpStream>>,
    peer: GatewayName,
}

impl GatewayIo {
    pub(crate) fn new(stream: TlsStream<TcpStream>, peer: GatewayName) -> Self {
        Self {
            stream: Box::new(stream),
            peer,
        }
    }

    /// The gateway, as its certificate names it.
    #[must_use]
    pub fn peer(&self) -> &GatewayName {
        &self.peer
    }
}

/// A request on this connection has the [`GatewayName`] among its extensions.
impl Connected for GatewayIo {
    type ConnectInfo = GatewayName;

    fn connect_info(&self) -> GatewayName {
        self.peer.clone()
    }
}

impl AsyncRead for GatewayIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for GatewayIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl fmt::Debug for GatewayIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayIo")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
