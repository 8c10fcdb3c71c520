//! TLS, mutual TLS and API keys, by Temporal's own configuration.
//!
//! The development server speaks neither, so a proxy before it does: it lets through who shows a certificate of ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use http::Response;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::harness::{cli, ended};
use crate::processes::Worker;
use crate::scene::{Dump, Scene, start};

/// Certificates of one authority, in files.
struct Authority {
    directory: PathBuf,
    certificate: CertificateDer<'static>,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Authority {
    fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
        let signed = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = parameters.signed_by(&key, &authority).unwrap();
            std::fs::write(directory.join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
            (certificate.der().clone(), PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))
        };
        let server = signed("localhost");
        signed("client");
        Self { directory: directory.to_owned(), certificate: authority.der().clone(), server }
    }

    fn acceptor(&self, mutual: bool) -> TlsAcceptor {
        // The process of the test has one implementation of TLS, as the programs have.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let builder = rustls::ServerConfig::builder();
        let builder = if mutual {
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = (self.server.0.clone(), self.server.1.clone_key());
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).to_string_lossy().into_owned()
    }
}

/// Takes TLS off before a server; its threads end with it.
struct TlsProxy {
    port: u16,
    _runtime: Runtime,
}

impl TlsProxy {
    fn before(port: u16, acceptor: TlsAcceptor) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let own = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut client = acceptor.accept(stream).await?;
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { port: own, _runtime: runtime }
    }

    fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

#[test]
fn a_run_goes_by_way_of_mutual_tls() {
    let scene = Scene::new(Dump::Tokens);
    let authority = Authority::new(&scene.path("certificates"));
    let proxy = TlsProxy::before(scene.server.port(), authority.acceptor(true));
    let (ca, certificate, key) =
        (authority.file("ca.pem"), authority.file("client.pem"), authority.file("client.key"));
    let known = [
        ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", ca.as_str()),
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", certificate.as_str()),
        ("TEMPORAL_TLS_CLIENT_KEY_PATH", key.as_str()),
    ];
    let worker = Worker::with(&proxy.address(), scene.dump.queues(), &known);
    let output = scene.path("out");
    let mut command = start(&proxy.address(), scene.dump, &output, &[]);
    scene.assert_undisturbed(&ended(&command.envs(known).output().unwrap()), &output);
    assert_eq!(worker.terminate(), 0);

    // Who shows nothing, or trusts nobody, is told so and not let in.
    for stranger in [&known[..1], &known[1..], &[]] {
        let mut list = cli(["list"]);
        let refused =
            list.env("TEMPORAL_ADDRESS", proxy.address()).envs(stranger.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("error: ") && !said.contains("PRIVATE KEY"), "{said}");
    }
}

/// A server that refuses everything, and says which `authorization` the first request had.
fn listener(acceptor: TlsAcceptor) -> (TlsProxy, Receiver<String>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let (port, (told, heard)) = (listener.local_addr().unwrap().port(), channel());
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, told) = (acceptor.clone(), told.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, mut answer))) = connection.accept().await {
                    let header = request.headers().get("authorization");
                    let header = header.map_or("", |value| value.to_str().unwrap()).to_owned();
                    // Only the first is listened to.
                    let _ = told.send(header);
                    let refusal = Response::builder()
                        .header("content-type", "application/grpc")
                        .header("grpc-status", "16")
                        .header("grpc-message", "unknown key");
                    answer.send_response(refusal.body(()).unwrap(), true).unwrap();
                }
            });
        }
    });
    (TlsProxy { port, _runtime: runtime }, heard)
}

#[test]
fn an_api_key_is_sent_over_tls_and_shown_nowhere() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = Authority::new(scratch.path());
    let (server, heard) = listener(authority.acceptor(false));
    let mut list = cli(["list"]);
    let output = list
        .env("TEMPORAL_ADDRESS", server.address())
        .env("TEMPORAL_API_KEY", "a-secret-api-key")
        .env("TEMPORAL_TLS_SERVER_CA_CERT_PATH", authority.file("ca.pem"))
        .env("WIKITOK_LOG", "debug")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(heard.recv().unwrap(), "Bearer a-secret-api-key");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("a-secret-api-key"), "{said}");
    assert!(said.contains("refuses us: unknown key") && said.contains("check TEMPORAL_NAMESPACE"), "{said}");
}
