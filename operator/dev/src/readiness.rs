//! When the gateway can be said to serve.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sluice_xds::Publisher;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::pipeline::milliseconds;

/// How often the readiness port is asked while the gateway is not ready.
const ASK_READY: Duration = Duration::from_millis(10);

/// Whether the gateway holds everything, and answers so on its readiness port.
pub(crate) struct Readiness {
    address: SocketAddr,
    publisher: Publisher,
    asking: Option<JoinHandle<()>>,
    /// When Envoy was started first, or ended last.
    since: Instant,
    pub(crate) was_reached: bool,
}

impl Readiness {
    pub(crate) fn new(address: SocketAddr, publisher: Publisher) -> Self {
        Self {
            address,
            publisher,
            asking: None,
            since: Instant::now(),
            was_reached: false,
        }
    }

    pub(crate) fn ask(&mut self) {
        self.forget();
        let (address, publisher) = (self.address, self.publisher.clone());
        self.asking = Some(tokio::spawn(async move {
            until_ready(address).await;
            // The answer may be here before the acknowledgement.
            publisher.acked(publisher.revision()).await;
        }));
    }

    pub(crate) fn ended(&mut self) {
        self.forget();
        self.since = Instant::now();
    }

    fn forget(&mut self) {
        if let Some(task) = self.asking.take() {
            task.abort();
        }
    }

    /// Resolves with the milliseconds it took; never while nothing is asked.
    pub(crate) async fn reached(&mut self) -> f64 {
        let Some(task) = &mut self.asking else {
            return std::future::pending().await;
        };
        let answered = task.await;
        self.asking = None;
        if answered.is_err() {
            return std::future::pending().await;
        }
        self.was_reached = true;
        milliseconds(self.since)
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Asks `GET /ready` until the answer is 200.
async fn until_ready(address: SocketAddr) {
    let dialled = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(dialled, address.port());
    while !matches!(
        timeout(Duration::from_secs(1), is_ready(address)).await,
        Ok(Ok(true))
    ) {
        sleep(ASK_READY).await;
    }
}

async fn is_ready(address: SocketAddr) -> io::Result<bool> {
    const OK: &[u8] = b"HTTP/1.1 200";
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /ready HTTP/1.1\r\nhost: ready\r\nconnection: close\r\n\r\n")
        .await?;
    let mut start = [0; OK.len()];
    stream.read_exact(&mut start).await?;
    Ok(start == OK)
}
