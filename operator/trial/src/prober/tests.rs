use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::backend::Backend;
use crate::line::Mode;

fn load(address: std::net::SocketAddr, mode: Mode) -> Load {
    Load {
        target: Target::plain(address, mode),
        ask: Ask::get("h", "/"),
        rate: 200,
    }
}

#[tokio::test]
async fn every_request_is_accounted_for() {
    for mode in [
        Mode::KeepAlive,
        Mode::Fresh,
        Mode::Http2,
        Mode::WebSockets(3),
    ] {
        let backend = Backend::start("b").await.unwrap();
        let mut prober = Prober::start(load(backend.address(), mode));
        prober.more(50).await;
        let report = prober.stop().await.unwrap();
        let expected = if matches!(mode, Mode::WebSockets(_)) {
            101
        } else {
            200
        };
        assert_eq!(report.lost(expected), Vec::<String>::new(), "{mode:?}");
        assert!(report.sent >= 50);
        assert_eq!(report.sent, report.answered());
        assert!(report.latency(0.5) <= report.latency(1.0));
        assert!(report.answers.is_sorted_by_key(|answer| answer.sent));
    }
}

/// A relay that swallows one connection: the loss must show, once.
#[tokio::test]
async fn one_injected_loss_is_seen() {
    let backend = Backend::start("b").await.unwrap();
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = relay.local_addr().unwrap();
    let behind = backend.address();
    let relaying = tokio::spawn(async move {
        for number in 0.. {
            let (mut client, _) = relay.accept().await.unwrap();
            if number == 17 {
                continue;
            }
            tokio::spawn(async move {
                let mut server = TcpStream::connect(behind).await.unwrap();
                // How it ends is the prober's business.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let mut prober = Prober::start(load(address, Mode::Fresh));
    prober.more(60).await;
    let report = prober.stop().await.unwrap();
    relaying.abort();
    assert_eq!(report.failed(), 1);
    assert_eq!(report.lost(200).len(), 1);
    assert_eq!(report.sent, report.answered() + report.failed());
    assert_eq!(backend.hits(), report.answered());
}

#[tokio::test]
async fn dial_errors_are_failures() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut prober = Prober::start(load(address, Mode::KeepAlive));
    prober.more(20).await;
    let report = prober.stop().await.unwrap();
    assert_eq!(report.answered(), 0);
    assert!(
        report
            .failures()
            .all(|(_, f)| matches!(f, Failure::Dial(_)))
    );
}

#[tokio::test]
async fn slow_answers_do_not_slow_the_sending() {
    let backend = Backend::start("b").await.unwrap();
    let mut load = load(backend.address(), Mode::KeepAlive);
    load.ask.path = "/?delay-ms=300".to_owned();
    let mut prober = Prober::start(load);
    prober.more(1).await;
    let report = prober.stop().await.unwrap();
    assert!(
        report.sent >= 30,
        "{} sent while the first waited",
        report.sent
    );
    assert_eq!(report.lost(200), Vec::<String>::new());
}

/// Nobody accepts, so nothing is ever answered.
#[tokio::test]
async fn a_run_that_piles_up_ends_and_proves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut load = load(listener.local_addr().unwrap(), Mode::Http2);
    load.target.timeout = Duration::from_secs(5);
    let mut prober = Prober::start_with(load, 20);
    prober.more(u64::MAX / 2).await;
    let error = prober.stop().await.unwrap_err().to_string();
    assert!(error.contains("20 requests unanswered at once"), "{error}");
}

#[test]
fn a_run_below_its_rate_proves_nothing() {
    let report = Report {
        rate: 500,
        elapsed: Duration::from_secs(1),
        sent: 0,
        latest: Duration::ZERO,
        backlog: 0,
        limit: 5_000,
        answers: Vec::new(),
    };
    let error = report.validate().unwrap_err().to_string();
    assert!(error.contains("less than 99 %"), "{error}");
    let unaccounted = Report {
        sent: 500,
        ..report
    };
    let error = unaccounted.validate().unwrap_err().to_string();
    assert!(error.contains("500 sent, but 0"), "{error}");
}
