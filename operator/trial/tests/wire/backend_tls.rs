//! Backends that speak TLS, as Knative's `system-internal-tls` has them do.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sluice_trial::certificate::{Authority, Issued};
use sluice_trial::line::{Ask, Mode, Target};
use sluice_trial::prober::{Load, Prober};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::stage::{NAMESPACE, alone, backends, echo, get, service, service_h2c, simple, stage};

/// Ends TLS in front of a backend, which itself knows nothing of it.
struct Front {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Front {
    async fn start(backend: SocketAddr, shown: &Issued, protocol: &str) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(shown.chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust it ends here.
                    let Ok(mut client) = acceptor.accept(client).await else {
                        return;
                    };
                    let mut server = TcpStream::connect(backend).await.unwrap();
                    // Either side may close; what was on its way is the client's loss.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_are_known_by_their_certificates() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [pod, activator, other, stranger] = backends(["pod", "activator", "other", "s"]).await;
    let user = format!("kn-user-{NAMESPACE}");
    let [ours, also_ours, strange] = [(); 3].map(|()| Authority::generate().unwrap());
    let pod_shows = ours.issue(&user).unwrap();
    let activator_shows = also_ours.issue("kn-routing").unwrap();
    let other_shows = ours.issue("kn-user-other").unwrap();
    let stranger_shows = strange.issue(&user).unwrap();
    let fronts = [
        Front::start(pod.address(), &pod_shows, "http/1.1").await,
        Front::start(activator.address(), &activator_shows, "h2").await,
        Front::start(other.address(), &other_shows, "http/1.1").await,
        Front::start(stranger.address(), &stranger_shows, "http/1.1").await,
    ];
    let roots = [ours.root, also_ours.root].concat();
    stage.server.trust_backends(&roots).await.unwrap();
    let mut objects = service("pod", &[fronts[0].address]);
    objects.extend(service_h2c("activator", &[fronts[1].address]));
    objects.extend(service("other", &[fronts[2].address]));
    objects.extend(service("stranger", &[fronts[3].address]));
    // It speaks no TLS at all.
    objects.extend(service("plain", &[pod.address()]));
    for name in ["pod", "activator", "other", "stranger", "plain"] {
        objects.push(simple(name, &format!("{name}.example.com"), name));
    }
    stage.apply(&objects).await;

    let edge = stage.edge().external_http;
    for (name, version) in [("pod", "HTTP/1.1"), ("activator", "HTTP/2.0")] {
        let reply = get(edge, &format!("{name}.example.com"), "/").await;
        assert_eq!(
            reply.status,
            200,
            "{name}: {}",
            String::from_utf8_lossy(&reply.body)
        );
        assert_eq!(echo(&reply).received.version, version);
    }
    for name in ["other", "stranger", "plain"] {
        let reply = get(edge, &format!("{name}.example.com"), "/").await;
        assert_eq!(reply.status, 503, "{name}");
    }
    assert_eq!((other.hits(), stranger.hits()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_change_under_load_and_nothing_is_lost() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let _alone = alone().await;
    let [backend] = backends(["b"]).await;
    let user = format!("kn-user-{NAMESPACE}");
    let [one, two] = [(); 2].map(|()| Authority::generate().unwrap());
    let [shown, shown_then] = [&one, &two].map(|authority| authority.issue(&user).unwrap());
    let fronts = [
        Front::start(backend.address(), &shown, "http/1.1").await,
        Front::start(backend.address(), &shown_then, "http/1.1").await,
    ];
    stage.server.trust_backends(&one.root).await.unwrap();
    let mut objects = service("b", &[fronts[0].address]);
    objects.push(simple("b", "b.example.com", "b"));
    stage.apply(&objects).await;
    let mut prober = Prober::start(Load {
        target: Target::plain(stage.edge().external_http, Mode::KeepAlive),
        ask: Ask::get("b.example.com", "/"),
        rate: 200,
    });
    // The new authority first, then pods that show it, then the old one goes.
    let both = format!("{}{}", one.root, two.root);
    for (front, authority) in fronts.iter().zip([&one, &two]).cycle().skip(1).take(6) {
        let widened = stage.server.trust_backends(&both).await.unwrap();
        assert_eq!(widened.upserts, 0, "roots are one resource, and no cluster");
        stage.apply(&service("b", &[front.address])).await;
        prober.more(20).await;
        stage.server.trust_backends(&authority.root).await.unwrap();
        prober.more(20).await;
    }
    let report = prober.stop().await.unwrap();
    assert_eq!(report.lost(200), Vec::<String>::new());
}
