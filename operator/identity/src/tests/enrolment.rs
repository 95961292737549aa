use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rcgen::CertificateParams;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;

use super::{channel, credentials, dial, gateway, hours, key, listen, now, request, trust};
use crate::credentials::trusting;
use crate::{
    Authority, BoxFuture, Credentials, ENROL_PATH, GatewayName, IdentityError, MAX_REQUEST,
    ReviewError, Reviewer, SERVER_NAME, Trust, accept, enrol, serve_enrolment,
};

const GOOD: &str = "header.the-pods-own-token.signature";

/// Vouches for [`GOOD`], refuses the rest, and remembers what it was asked.
#[derive(Default)]
struct Desk {
    closed: bool,
    asked: Mutex<Vec<String>>,
}

impl Reviewer for Desk {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<GatewayName, ReviewError>> {
        self.asked.lock().unwrap().push(token.to_owned());
        Box::pin(async move {
            match token {
                _ if self.closed => Err(ReviewError::Unavailable {
                    reason: "the api server gave no answer".to_owned(),
                }),
                GOOD => Ok(gateway()),
                other => Err(ReviewError::Refused {
                    reason: format!("token {other} is not good:\nmount another"),
                }),
            }
        })
    }
}

struct Port {
    address: SocketAddr,
    desk: Arc<Desk>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn serve(trust: watch::Receiver<Arc<Trust>>, desk: Desk) -> Port {
    let (listener, address) = listen().await;
    let desk = Arc::new(desk);
    let reviewer = Arc::clone(&desk);
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(serve_enrolment(listener, trust, reviewer, async {
        let _ = stopped.await;
    }));
    Port {
        address,
        desk,
        stop,
        served,
    }
}

async fn ask(
    port: &Port,
    authority: &Authority,
    token: &str,
) -> Result<Credentials, IdentityError> {
    enrol(port.address, SERVER_NAME, authority.bundle_pem(), token).await
}

fn anyone(authority: &Authority) -> Arc<ClientConfig> {
    let config = trusting("a test", authority.bundle_pem()).unwrap();
    Arc::new(config.with_no_client_auth())
}

/// The status and the body that these bytes get.
async fn raw(port: &Port, authority: &Authority, sent: &[u8]) -> (u16, String) {
    let mut stream = dial(port.address, anyone(authority)).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

fn post(path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {SERVER_NAME}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn csr() -> String {
    request(&key(), &CertificateParams::default())
}

#[tokio::test]
async fn a_token_becomes_credentials_that_open_the_xds_port() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let port = serve(trust.clone(), Desk::default()).await;
    let (listener, xds) = listen().await;
    let mut gateways = accept(listener, trust);

    let before = Timestamp::now();
    let credentials = ask(&port, &authority, GOOD).await.unwrap();
    assert_eq!(credentials.gateway(), &gateway());
    assert_eq!(credentials.bundle_pem(), authority.bundle_pem());
    assert!(credentials.expires_at() <= Timestamp::now() + hours(24));
    assert!(credentials.renew_at() > before + hours(15));
    assert!(credentials.renew_at() < before + hours(17));

    let _stream = dial(xds, credentials.client_config()).await.unwrap();
    let io = gateways.next().await.unwrap().unwrap();
    assert_eq!(io.peer(), &gateway());
    assert_eq!(*port.desk.asked.lock().unwrap(), [GOOD]);
}

#[tokio::test]
async fn a_refused_token_is_told_why_in_one_line_without_it() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let port = serve(trust, Desk::default()).await;
    let error = ask(&port, &authority, "stolen.token").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "enrolling at {}: found status 401, expected 200: token (the token) is not good: mount another",
            port.address
        )
    );
    assert!(!error.is_transient());
    assert!(!format!("{error:?}").contains("stolen.token"));
}

#[tokio::test]
async fn no_review_is_worth_another_try() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let desk = Desk {
        closed: true,
        ..Desk::default()
    };
    let port = serve(trust, desk).await;
    let error = ask(&port, &authority, GOOD).await.unwrap_err();
    assert!(matches!(error, IdentityError::Refused { status: 503, .. }));
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_token_goes_to_no_operator_but_the_trusted_one() {
    let ours = Authority::generate(now()).unwrap();
    let theirs = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&theirs);
    let port = serve(trust, Desk::default()).await;
    let error = ask(&port, &ours, GOOD).await.unwrap_err();
    assert!(
        matches!(
            error,
            IdentityError::Unreachable {
                doing: "the tls handshake",
                ..
            }
        ),
        "{error}"
    );
    assert!(port.desk.asked.lock().unwrap().is_empty());

    let error = enrol(port.address, "another-name", theirs.bundle_pem(), GOOD)
        .await
        .unwrap_err();
    assert!(
        matches!(error, IdentityError::Unreachable { .. }),
        "{error}"
    );
    assert!(port.desk.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_asked_with_is_named_before_anybody_is_asked() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let authority = Authority::generate(now()).unwrap();
    let bundle = authority.bundle_pem();
    for (name, bundle, token, begins) in [
        (SERVER_NAME, bundle, " ", "the token: found nothing"),
        (SERVER_NAME, bundle, "a\nb", "the token: found 3 bytes"),
        (
            SERVER_NAME,
            "",
            GOOD,
            "the trusted bundle: found no certificate",
        ),
        ("a b", bundle, GOOD, "the server's name: found \"a b\""),
    ] {
        let error = enrol(nobody, name, bundle, token).await.unwrap_err();
        assert!(error.to_string().starts_with(begins), "{error}");
    }
    let error = enrol(nobody, SERVER_NAME, bundle, GOOD).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn requests_of_another_form_are_refused() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let port = serve(trust, Desk::default()).await;
    let csr = csr();
    let no_token = format!(
        "POST {ENROL_PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{csr}",
        csr.len()
    );
    let basic = no_token.replacen("host: x", "host: x\r\nauthorization: Basic eA==", 1);
    let get = format!("GET {ENROL_PATH} HTTP/1.1\r\nhost: x\r\n\r\n");
    for (sent, status, begins) in [
        (
            no_token.into_bytes(),
            401,
            "header authorization: found none",
        ),
        (
            basic.into_bytes(),
            401,
            "header authorization: found another scheme",
        ),
        (get.into_bytes(), 405, "method: found GET, expected POST"),
        (post("/v1/bundle", GOOD, ""), 404, "path: "),
    ] {
        let (found, body) = raw(&port, &authority, &sent).await;
        assert_eq!(found, status, "{body}");
        assert!(body.starts_with(begins), "{body}");
        assert_eq!(body.lines().count(), 1);
    }
    assert!(port.desk.asked.lock().unwrap().is_empty());
    for body in ["", "no request", "\u{fe}"] {
        let (found, body) = raw(&port, &authority, &post(ENROL_PATH, GOOD, body)).await;
        assert_eq!(found, 400, "{body}");
        assert!(body.starts_with("certificate request: found "), "{body}");
    }
    let (found, _) = raw(&port, &authority, &post(ENROL_PATH, GOOD, &csr)).await;
    assert_eq!(found, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_its_token_is_reviewed() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let port = serve(trust, Desk::default()).await;
    for length in [MAX_REQUEST + 1, 8 * MAX_REQUEST] {
        let sent = post(ENROL_PATH, GOOD, &"x".repeat(length));
        let (status, body) = raw(&port, &authority, &sent).await;
        assert_eq!(status, 413);
        assert!(
            body.starts_with("body: found more than 16384 bytes"),
            "{body}"
        );
    }
    assert!(port.desk.asked.lock().unwrap().is_empty());
    let sent = post(ENROL_PATH, GOOD, &"x".repeat(MAX_REQUEST));
    assert_eq!(raw(&port, &authority, &sent).await.0, 400);
}

#[tokio::test]
async fn clients_that_send_nothing_hold_up_nobody() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let port = serve(trust, Desk::default()).await;
    let mut silent = Vec::new();
    let mut greeted = Vec::new();
    for _ in 0..16 {
        silent.push(TcpStream::connect(port.address).await.unwrap());
        greeted.push(dial(port.address, anyone(&authority)).await.unwrap());
    }
    ask(&port, &authority, GOOD).await.unwrap();
}

/// What the operator says to a client that sends no more, with the clock put
/// forward whenever all wait.
async fn last_words(stream: &mut (impl AsyncRead + Unpin)) -> String {
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let mut read = String::new();
    // Cut off without a farewell is an error of TLS, and as good.
    let _ = stream.read_to_string(&mut read).await;
    assert!(begun.elapsed().as_secs() <= 10);
    tokio::time::resume();
    read
}

#[tokio::test]
async fn clients_that_stop_are_cut_off_in_time() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let port = serve(trust, Desk::default()).await;

    let mut silent = TcpStream::connect(port.address).await.unwrap();
    assert_eq!(last_words(&mut silent).await, "");

    let config = anyone(&authority);
    for sent in ["", "POST /v1/enrol HTTP/1.1\r\nhost:"] {
        let mut stream = dial(port.address, Arc::clone(&config)).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(last_words(&mut stream).await, "");
    }

    let head = format!(
        "POST {ENROL_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {GOOD}\r\nexpect: 100-continue\r\ncontent-length: 500\r\n\r\n"
    );
    let mut stream = dial(port.address, config).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // Then it waits for the body.
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut read = [0; 25];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, go_on);
    let words = last_words(&mut stream).await;
    assert!(words.starts_with("HTTP/1.1 408 "), "{words}");
    assert!(port.desk.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_rotation_is_followed_without_a_new_listener() {
    let first = Authority::generate(now()).unwrap();
    let second = first.rotated(now()).unwrap();
    let (sender, trusted) = channel(&first);
    let port = serve(trusted, Desk::default()).await;
    let old = ask(&port, &first, GOOD).await.unwrap();
    sender.send_replace(trust(&second));
    // By the bundle of the time before, which a pod may still have mounted.
    let renewed = ask(&port, &first, GOOD).await.unwrap();
    assert_eq!(old.bundle_pem(), first.bundle_pem());
    assert_eq!(renewed.bundle_pem(), second.bundle_pem());
    let again = enrol(port.address, SERVER_NAME, renewed.bundle_pem(), GOOD).await;
    assert_eq!(again.unwrap().gateway(), &gateway());
    assert_eq!(credentials(&second, now()).gateway(), &gateway());
}

#[tokio::test]
async fn it_ends_when_told_and_gives_up_the_port() {
    let authority = Authority::generate(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let port = serve(trust, Desk::default()).await;
    ask(&port, &authority, GOOD).await.unwrap();
    port.stop.send(()).unwrap();
    port.served.await.unwrap();
    assert!(TcpStream::connect(port.address).await.is_err());
}
