//! An HTTP proxy whose reactions a test defines.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// The reaction to a CONNECT request.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Connects to this address, whatever the target.
    Connect(SocketAddr),
    /// Sends this response, and closes.
    Answer(&'static str),
    Hang,
}

#[derive(Clone, Debug)]
pub struct Proxy {
    /// `127.0.0.1:PORT`
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Reacts to each target (`HOST:PORT`).
    pub async fn new(react: impl Fn(&str) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, react)
    }

    pub fn on(
        listener: TcpListener,
        react: impl Fn(&str) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
        };
        let (heads, react) = (proxy.heads.clone(), Arc::new(react));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (heads, react) = (heads.clone(), react.clone());
                tokio::spawn(async move { serve(socket, &heads, &*react).await });
            }
        });
        proxy
    }

    /// Returns the setting for this proxy.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the heads of all requests.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Returns the requested targets, each once and in order of first occurrence.
    pub fn targets(&self) -> Vec<String> {
        let mut targets = Vec::new();
        for head in self.heads() {
            let target = head.split(' ').nth(1).unwrap().to_owned();
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        targets
    }
}

async fn serve(
    mut socket: TcpStream,
    heads: &Mutex<Vec<String>>,
    react: &(dyn Fn(&str) -> Reaction + Sync),
) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(bytes).unwrap();
    heads.lock().unwrap().push(head.clone());
    let target = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    let Some(target) = target else {
        let _ = socket.write_all(b"HTTP/1.1 400 Not CONNECT\r\n\r\n").await;
        return;
    };
    match react(target) {
        Reaction::Connect(address) => {
            let mut server = TcpStream::connect(address).await.unwrap();
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let _ = copy_bidirectional(&mut socket, &mut server).await;
        }
        Reaction::Answer(answer) => {
            let _ = socket.write_all(answer.as_bytes()).await;
        }
        Reaction::Hang => {
            let mut rest = Vec::new();
            let _ = socket.read_to_end(&mut rest).await;
        }
    }
}
