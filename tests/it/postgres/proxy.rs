//! A TCP proxy between the service and PostgreSQL, which simulates network failures.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::AbortHandle,
};
use url::Url;

/// A proxy, closed on drop.
pub struct Proxy {
    /// The database's URL, through the proxy.
    pub url: String,
    network: Arc<Network>,
    accepting: AbortHandle,
}

/// The state of the connections, which are numbered from 1.
struct Network {
    upstream: SocketAddr,
    opened: AtomicU64,
    /// Connections up to this number pass nothing on, unnoticed by the other side.
    swallowed: watch::Sender<u64>,
    /// Connections up to this number are reset.
    reset: watch::Sender<u64>,
    /// Whether new connections are accepted, but pass nothing on.
    is_dead: watch::Sender<bool>,
    /// The text after which a connection is dropped or reset, once it was passed on.
    trap: Mutex<Option<(&'static [u8], Fault)>>,
    /// The ports of the open connections, as PostgreSQL sees them.
    ports: Mutex<BTreeSet<u16>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Swallow,
    Reset,
}

impl Proxy {
    /// Starts a proxy to the server of a URL.
    pub async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).unwrap();
        let host = (url.host_str().unwrap(), url.port().unwrap_or(5432));
        let upstream = tokio::net::lookup_host(host).await.unwrap().next().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let network = Arc::new(Network {
            upstream,
            opened: AtomicU64::new(0),
            swallowed: watch::Sender::new(0),
            reset: watch::Sender::new(0),
            is_dead: watch::Sender::new(false),
            trap: Mutex::default(),
            ports: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&network)));
        Self {
            url: url.into(),
            network,
            accepting: accepting.abort_handle(),
        }
    }

    /// Stops passing on data of the open connections, including their end.
    pub fn swallow(&self) {
        let through = self.network.opened.load(Ordering::SeqCst);
        self.network.swallowed.send_replace(through);
    }

    /// Resets the open connections.
    pub fn reset(&self) {
        let through = self.network.opened.load(Ordering::SeqCst);
        self.network.reset.send_replace(through);
    }

    /// Drops the open connections, and new ones until the network returns.
    pub fn cut(&self) {
        self.network.is_dead.send_replace(true);
        self.swallow();
    }

    /// Passes on new connections again. Dropped ones stay dropped.
    pub fn return_to_work(&self) {
        self.network.is_dead.send_replace(false);
    }

    /// Makes the next connection with this text fail once the text was passed on.
    pub fn trap(&self, text: &'static [u8], fault: Fault) {
        *self.network.trap.lock().unwrap() = Some((text, fault));
    }

    pub fn is_trap_set(&self) -> bool {
        self.network.trap.lock().unwrap().is_some()
    }

    /// Returns whether PostgreSQL knows an open connection by this port.
    pub fn has_port(&self, port: u16) -> bool {
        self.network.ports.lock().unwrap().contains(&port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, network: Arc<Network>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let number = network.opened.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::spawn(carry(client, number, Arc::clone(&network)));
    }
}

async fn carry(client: TcpStream, number: u64, network: Arc<Network>) {
    let mut is_dead = network.is_dead.subscribe();
    if *is_dead.borrow_and_update() {
        // The client notices nothing, and resends lost data once the network is back.
        let _ = is_dead.wait_for(|is_dead| !is_dead).await;
    }
    let Ok(server) = TcpStream::connect(network.upstream).await else {
        return;
    };
    let port = server.local_addr().unwrap().port();
    network.ports.lock().unwrap().insert(port);
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut reset = network.reset.subscribe();
    let (fault, mut faults) = watch::channel(None);
    let forth = pass(
        &mut from_client,
        &mut to_server,
        number,
        &network,
        Some(&fault),
    );
    let back = pass(&mut from_server, &mut to_client, number, &network, None);
    tokio::select! {
        biased;
        _ = faults.wait_for(|fault| *fault == Some(Fault::Reset)) => {}
        _ = reset.wait_for(|through| *through >= number) => {}
        () = forth => {}
        () = back => {}
    }
    let is_reset = *network.reset.borrow() >= number || *fault.borrow() == Some(Fault::Reset);
    if is_reset {
        let client = from_client.reunite(to_client).unwrap();
        let _ = client.set_zero_linger();
    }
    network.ports.lock().unwrap().remove(&port);
}

/// Passes on data in one direction until its end, or nothing for ever once the connection is dropped.
async fn pass(
    from: &mut tcp::OwnedReadHalf,
    to: &mut tcp::OwnedWriteHalf,
    number: u64,
    network: &Network,
    trapped: Option<&watch::Sender<Option<Fault>>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut swallowed = network.swallowed.subscribe();
    loop {
        let read = tokio::select! {
            biased;
            _ = swallowed.wait_for(|through| *through >= number) => None,
            read = from.read(&mut buffer) => Some(read),
        };
        let Some(read) = read else {
            return std::future::pending().await;
        };
        let Ok(read @ 1..) = read else {
            return;
        };
        let fault = trapped.and_then(|_| network.sprung(&buffer[..read]));
        if fault.is_some() {
            // The connection is dropped before the response arrives.
            network.swallow_one(number);
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        if let (Some(Fault::Reset), Some(trapped)) = (fault, trapped) {
            // The server has read it by then.
            tokio::time::sleep(Duration::from_millis(50)).await;
            trapped.send_replace(Some(Fault::Reset));
        }
    }
}

impl Network {
    /// Takes the fault of the trap, if the data contains its text.
    fn sprung(&self, data: &[u8]) -> Option<Fault> {
        let mut trap = self.trap.lock().unwrap();
        let (text, _) = (*trap)?;
        let is_in = data.windows(text.len()).any(|window| window == text);
        if is_in {
            return trap.take().map(|(_, fault)| fault);
        }
        None
    }

    /// Drops one connection, and those before it.
    fn swallow_one(&self, number: u64) {
        self.swallowed
            .send_modify(|through| *through = (*through).max(number));
    }
}
