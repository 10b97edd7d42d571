//! TLS in front of a server without it, with a certificate of the tests' authority.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use personal_connectors::{config::OutboundRules, outbound::Outbound};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// The certificate file of the authority.
pub const AUTHORITY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/keys/test-only-ca.pem"
);

const SERVER: &[u8] = include_bytes!("../../keys/test-only-server.pem");

/// Connections that also trust the tests' authority.
pub fn trusting(proxy: Option<&str>) -> Outbound {
    let authority = CertificateDer::from_pem_file(AUTHORITY).unwrap();
    let rules = OutboundRules {
        authorities: vec![authority],
        proxy: proxy.map(|url| url.parse().unwrap()),
    };
    Outbound::new(&rules).unwrap()
}

/// A server with a certificate for localhost, 127.0.0.1, mcp.example and issuer.example.
#[derive(Clone, Debug)]
pub struct Tls {
    pub address: SocketAddr,
    names: Arc<Mutex<Vec<Option<String>>>>,
}

impl Tls {
    /// Passes decrypted data on to a server.
    pub async fn before(server: SocketAddr) -> Self {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(SERVER).unwrap()],
                PrivateKeyDer::from_pem_slice(SERVER).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = Self {
            address: listener.local_addr().unwrap(),
            names: Arc::default(),
        };
        let names = tls.names.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, names) = (acceptor.clone(), names.clone());
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(socket).await else {
                        return;
                    };
                    let name = client.get_ref().1.server_name().map(str::to_owned);
                    names.lock().unwrap().push(name);
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        tls
    }

    /// Returns the names that clients requested (SNI), one for each connection.
    pub fn names(&self) -> Vec<Option<String>> {
        self.names.lock().unwrap().clone()
    }
}
