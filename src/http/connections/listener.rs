//! The listening sockets of a service: TCP ports and Unix sockets.
//!
//! Invariant: a Unix socket's file that another process serves is never removed, and none is left at the end.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, UnixListener, lookup_host};

use super::{
    peer::Peer,
    socket::{BACKLOG, Stream},
};
use crate::config::{ListenAddress, ListenHost};

/// The longest path of a Unix socket in bytes: `sun_path` without its final zero.
const PATH_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The pause and the number of tries to lock the folder against another process.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const LOCK_TRIES: u32 = 100;

/// The listening sockets of a service.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<ListeningSocket>,
    /// The socket to poll first, so that none is starved.
    next: usize,
}

#[derive(Debug)]
enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The reason that the service cannot listen on an address, with advice.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}. {advice}")]
pub struct ListenError {
    address: ListenAddress,
    cause: String,
    advice: &'static str,
}

/// An address that reaches a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachable {
    /// At this host and port: `127.0.0.1:8080`, or `localhost:8080`.
    Tcp {
        /// Host and port in URL form: an IPv6 address is in brackets.
        authority: String,
        /// Whether it stands for all addresses of this machine.
        is_any: bool,
    },
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

impl Listener {
    /// Listens on the addresses; `mode` is the permissions of Unix sockets. Returns where each address can be reached.
    pub async fn bind(
        addresses: &[ListenAddress],
        mode: u32,
    ) -> Result<(Self, Vec<Reachable>), ListenError> {
        let (mut sockets, mut reachable) = (Vec::new(), Vec::new());
        for address in addresses {
            match address {
                ListenAddress::Tcp { host, port } => {
                    let bound = bind_tcp(host, *port).await;
                    let (listeners, at) = bound.map_err(|error| of_tcp(address, &error))?;
                    sockets.extend(listeners.into_iter().map(ListeningSocket::Tcp));
                    reachable.push(at);
                }
                ListenAddress::Unix(path) => {
                    let bound = bind_unix(path, mode);
                    let (listener, file) = bound.map_err(|error| of_unix(address, &error))?;
                    sockets.push(ListeningSocket::Unix(listener, file));
                    reachable.push(Reachable::Unix(path.clone()));
                }
            }
        }
        Ok((Self { sockets, next: 0 }, reachable))
    }

    /// Accepts the next connection, with its peer.
    pub(in crate::http) async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        std::future::poll_fn(|context| self.poll_accept(context)).await
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        let count = self.sockets.len();
        let (first, last) = self.sockets.split_at(self.next.min(count));
        for (index, socket) in last.iter().chain(first).enumerate() {
            if let Poll::Ready(accepted) = socket.poll_accept(context) {
                self.next = (self.next + index + 1) % count;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }

    /// Makes the system refuse new connections. Those in progress can still be accepted.
    pub(in crate::http) fn refuse_new(&mut self) {
        for socket in &mut self.sockets {
            match socket {
                ListeningSocket::Tcp(listener) => refuse_handshakes(listener),
                ListeningSocket::Unix(_, file) => file.remove(),
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self {
            sockets: vec![ListeningSocket::Tcp(listener)],
            next: 0,
        }
    }
}

impl ListeningSocket {
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match self {
            Self::Tcp(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, address)| (Stream::Tcp(stream), address.ip().into())),
            Self::Unix(listener, _) => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| (Stream::Unix(stream), Peer::Local)),
        }
    }
}

/// Listens on all addresses of a host. Of several address families, one that this machine lacks is left out.
async fn bind_tcp(host: &ListenHost, port: u16) -> io::Result<(Vec<TcpListener>, Reachable)> {
    let any_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let any_v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listeners = match host {
        ListenHost::Any => match bind_address(any_v6) {
            Err(error) if is_missing(&error) => vec![bind_address(any_v4)?],
            bound => vec![bound?],
        },
        ListenHost::V4(address) => vec![bind_address((*address, port).into())?],
        ListenHost::V6(address) => vec![bind_address((*address, port).into())?],
        ListenHost::Name(name) => bind_name(name, port).await?,
    };
    let Some(address) = listeners.first() else {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    };
    let address = address.local_addr()?;
    let is_any = address.ip().is_unspecified();
    let authority = match host {
        ListenHost::Name(name) => format!("{name}:{}", address.port()),
        _ if is_any => format!("127.0.0.1:{}", address.port()),
        _ => address.to_string(),
    };
    Ok((listeners, Reachable::Tcp { authority, is_any }))
}

async fn bind_name(name: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut addresses: Vec<SocketAddr> = if name.eq_ignore_ascii_case("localhost") {
        // The name stands for both, whatever the hosts file says (RFC 6761, section 6.3).
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        loopback.map(|address| (address, port).into()).into()
    } else {
        lookup_host((name, port)).await?.collect()
    };
    addresses.sort_unstable();
    addresses.dedup();
    let mut listeners = Vec::new();
    let mut missing = None;
    let mut port = port;
    for mut address in addresses {
        // The system chooses one port for all.
        address.set_port(port);
        match bind_address(address) {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(error) if is_missing(&error) => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// Returns whether this machine lacks the address, or its family.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(address) => {
            let socket = TcpSocket::new_v6()?;
            if address.ip().is_unspecified() {
                // Some systems use it for IPv6 only by default.
                socket2::SockRef::from(&socket).set_only_v6(false)?;
            }
            socket
        }
    };
    // A restart need not wait until the last process's connections are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn of_tcp(address: &ListenAddress, error: &io::Error) -> ListenError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "Stop what listens there, or choose another port",
        io::ErrorKind::PermissionDenied => {
            "Choose a port of 1024 or higher, or grant CAP_NET_BIND_SERVICE"
        }
        _ => "Choose an address of this machine, or a name that has one",
    };
    ListenError {
        address: address.clone(),
        cause: error.to_string(),
        advice,
    }
}

/// The file of a Unix socket. Dropping it removes the file, unless another file is at its path.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode; none after removal.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn remove(&mut self) {
        let Some(identity) = self.identity.take() else {
            return;
        };
        let _lock = lock_folder(&self.path);
        if identity_of(&self.path).is_ok_and(|found| found == identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            let path = self.path.display();
            tracing::warn!(%error, %path, "the file of the Unix socket cannot be removed");
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

fn identity_of(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Creates a socket's file, and replaces one that no process listens on.
fn bind_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    if path.as_os_str().len() > PATH_BYTES {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Two processes that start at once must not remove each other's file.
    let _lock = lock_folder(path);
    if let Ok(file) = fs::symlink_metadata(path) {
        if file.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !file.file_type().is_socket() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if is_served(&address)? {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        fs::remove_file(path)?;
    }
    socket.bind(&address)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: Some(identity_of(path)?),
    };
    // No client connects before the socket listens.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    let listener = UnixListener::from_std(std::os::unix::net::UnixListener::from(
        std::os::fd::OwnedFd::from(socket),
    ))?;
    Ok((listener, file))
}

/// Returns whether a process listens on a socket's file.
fn is_served(address: &SockAddr) -> io::Result<bool> {
    let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    client.set_nonblocking(true)?;
    match client.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        // The queue is full, or access is denied.
        _ => Ok(true),
    }
}

/// Locks a file's folder against other processes of this program, until drop. Some file systems have no locks.
fn lock_folder(path: &Path) -> Option<fs::File> {
    let folder = fs::File::open(path.parent()?).ok()?;
    for _ in 0..LOCK_TRIES {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(folder),
            Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(LOCK_PAUSE),
            Err(_) => return None,
        }
    }
    None
}

fn of_unix(address: &ListenAddress, error: &io::Error) -> ListenError {
    let (cause, advice) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "another process serves it".to_owned(),
            "Stop that process, or choose another path",
        ),
        io::ErrorKind::AlreadyExists => (
            "the path is a file that is not a socket".to_owned(),
            "Remove it, or choose another path",
        ),
        io::ErrorKind::IsADirectory => (
            "the path is a folder".to_owned(),
            "Add the name of a file, or choose another path",
        ),
        io::ErrorKind::InvalidFilename => (
            format!("the path is longer than {PATH_BYTES} bytes"),
            "Choose a shorter path",
        ),
        io::ErrorKind::NotFound => (
            "its folder does not exist".to_owned(),
            "Create the folder first",
        ),
        io::ErrorKind::PermissionDenied => (
            error.to_string(),
            "Run as a user who may write the folder, or choose another path",
        ),
        _ => (error.to_string(), "Choose another path"),
    };
    ListenError {
        address: address.clone(),
        cause,
        advice,
    }
}

/// Makes the system refuse new handshakes of a listener, and finish those in progress.
///
/// A refused client retries after a second.
#[cfg(target_os = "linux")]
fn refuse_handshakes(listener: &TcpListener) {
    use socket2::{SockFilter, SockRef};

    /// Classic BPF over a TCP header: drops segments with SYN, and keeps all others.
    const NO_SYN: [SockFilter; 4] = [
        SockFilter::new(0x30, 0, 0, 13),       // load the byte of the flags
        SockFilter::new(0x45, 0, 1, 0x02),     // is SYN set?
        SockFilter::new(0x06, 0, 0, 0),        // yes: drop
        SockFilter::new(0x06, 0, 0, u32::MAX), // no: keep
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&NO_SYN) {
        tracing::debug!(%error, "new connections are taken until the listener is closed");
    }
}

/// Other systems have no such filter. A connection at the very end is reset.
#[cfg(not(target_os = "linux"))]
fn refuse_handshakes(_: &TcpListener) {}
