//! The bounds of checks at once, and of a host.

use super::{at, made, monitor, settings, until};
use crate::support::{
    harness::Server,
    mcp::{Plain, Reaction, well_behaved},
};
use personal_connectors::{config::CheckBounds, monitor::Settings};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, net::TcpListener, time::Instant};

/// Counts concurrent requests, in total and by host.
#[derive(Default)]
pub(super) struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    pub(super) fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    pub(super) fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// A server that delays each response, and does not speak MCP.
pub(super) async fn slow(address: &str, crowds: [Arc<Crowd>; 2]) -> String {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let crowds = crowds.clone();
            tokio::spawn(async move {
                for crowd in &crowds {
                    crowd.enter();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                // The end is counted before the client can continue.
                for crowd in &crowds {
                    crowd.leave();
                }
                let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_at_once_than_the_bounds_say() {
    let server = Server::on_sqlite(&[]).await;
    let all = Arc::new(Crowd::default());
    let hosts = [(); 3].map(|()| Arc::new(Crowd::default()));
    let mut connectors = Vec::new();
    for (n, host) in hosts.iter().enumerate() {
        // Two ports belong to one host.
        for port in ["a", "b"] {
            let address = format!("127.0.0.{}", n + 2);
            let url = slow(&address, [all.clone(), host.clone()]).await;
            connectors.extend((0..6).map(|i| at(&format!("{n}{port}{i}"), &url)));
        }
    }
    let count = connectors.len() as u64;
    server.put_alone(connectors).await;
    let settings = Settings {
        bounds: CheckBounds {
            at_once: 5,
            by_host: 2,
        },
        ..settings()
    };
    let monitor = monitor(&server.database, settings);
    until("all are checked", async || made(&server.database) >= count).await;
    assert_eq!(all.most(), 5);
    for host in &hosts {
        assert_eq!(host.most(), 2);
    }
    monitor.stop().await;
    // Each connector was due once.
    let checked = server.rows("SELECT COUNT(*) AS n FROM connector_check");
    assert_eq!(checked.await, format!("{count}\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_of_thousands_keeps_nobody_out() {
    let server = Server::on_sqlite(&[]).await;
    let hanging = Plain::at("127.0.0.2:0", |_| Reaction::Hang).await;
    let many = (0..2000).map(|n| at(&format!("many{n}"), &hanging.url));
    server.put_alone(many.collect()).await;
    let plain = Plain::new(well_behaved).await;
    server.insert(vec![at("one", &plain.url)]).await;
    let settings = Settings {
        bounds: CheckBounds {
            at_once: 4,
            by_host: 2,
        },
        ..settings()
    };
    let monitor = monitor(&server.database, settings);
    let outcome = "SELECT outcome FROM connector_health JOIN personal_connector USING (seq) WHERE \
                   personal_connector.id = 'pcon_one'";
    let began = Instant::now();
    until("the other host's turn", async || {
        server.rows(outcome).await == "open\n"
    })
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    // A connector that is added meanwhile is checked soon.
    server.insert(vec![at("two", &plain.url)]).await;
    let outcome = outcome.replace("pcon_one", "pcon_two");
    until("the turn of a new connector", async || {
        server.rows(&outcome).await == "open\n"
    })
    .await;
    drop(monitor);
}
