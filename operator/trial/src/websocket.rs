//! WebSockets that stay open, each message awaiting its echo.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Request};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use crate::dial::{Duplex, dial};
use crate::line::{Ask, Failure, Reply, Target, broken};

/// One open WebSocket, with the headers of its handshake's answer.
pub struct Socket {
    stream: WebSocketStream<Box<dyn Duplex>>,
    headers: HeaderMap,
}

impl Socket {
    /// Dials and shakes hands.
    ///
    /// # Errors
    /// No connection, or an answer other than 101.
    pub async fn open(target: &Target, ask: &Ask) -> Result<Self, Failure> {
        let connection = dial(target.address, target.tls.as_ref())
            .await
            .map_err(|error| Failure::Dial(error.to_string()))?;
        let mut request = Request::builder()
            .uri(format!("ws://{}{}", ask.authority, ask.path))
            .header("host", &ask.authority)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", generate_key())
            .body(())
            .map_err(broken)?;
        request.headers_mut().extend(ask.headers.clone());
        let (stream, response) = tokio_tungstenite::client_async(request, connection.stream)
            .await
            .map_err(broken)?;
        let headers = response.headers().clone();
        Ok(Self { stream, headers })
    }

    /// Sends a text message and awaits the next message.
    ///
    /// # Errors
    /// The socket broke or was closed.
    pub async fn echo(&mut self, text: &str, sent: &mut Instant) -> Result<Reply, Failure> {
        *sent = Instant::now();
        let message = Message::text(text);
        self.stream.send(message).await.map_err(broken)?;
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(Reply {
                        status: 101,
                        headers: self.headers.clone(),
                        body: text.into(),
                    });
                }
                Some(Ok(Message::Close(_))) | None => {
                    return Err(Failure::Broken("closed by the peer".to_owned()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    }
}

/// A place for one socket.
enum Seat {
    /// Not dialled yet.
    Free,
    Open(Box<Socket>),
    /// It broke; whatever is sent on it fails.
    Broken,
}

/// A fixed number of sockets that take turns.
pub(crate) struct Sockets {
    seats: Vec<Mutex<Seat>>,
    turn: AtomicUsize,
}

impl Sockets {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            seats: (0..count).map(|_| Mutex::new(Seat::Free)).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Sends the ask's body on the socket whose turn it is.
    pub(crate) async fn echo(
        &self,
        target: &Target,
        ask: &Ask,
        sent: &mut Instant,
    ) -> Result<Reply, Failure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.seats.len().max(1);
        let Some(seat) = self.seats.get(turn) else {
            return Err(Failure::Broken("no sockets were asked for".to_owned()));
        };
        let mut seat = seat.lock().await;
        // Left in place if this is cut short by a timeout: then it is broken.
        let mut socket = match std::mem::replace(&mut *seat, Seat::Broken) {
            Seat::Open(socket) => socket,
            Seat::Free => Box::new(Socket::open(target, ask).await?),
            Seat::Broken => return Err(Failure::Broken("socket broke before".to_owned())),
        };
        let text = String::from_utf8_lossy(&ask.body).into_owned();
        let reply = socket.echo(&text, sent).await?;
        *seat = Seat::Open(socket);
        Ok(reply)
    }
}
