//! Several replicas on one PostgreSQL, of which one is stopped or disconnected at a random moment during writes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{assert_whole, is_ready, random, rounds};
use crate::{
    postgres::{
        proxy::Proxy,
        traffic::{FLAGS, Traffic},
    },
    support::{
        harness::TestDatabase,
        process::{Serving, program_on},
        waiting::within,
    },
};

/// The longest time in which the other replicas cannot write.
const GAP: Duration = Duration::from_secs(5);

/// The longest time until the replica works again.
const BACK: Duration = Duration::from_secs(30);

/// A replica, its network and its clients.
struct Replica {
    proxy: Proxy,
    traffic: Traffic,
}

impl Replica {
    async fn start(name: &str, storage: &TestDatabase) -> Self {
        let proxy = Proxy::to(&storage.url).await;
        let through_proxy = TestDatabase::at(proxy.url.clone());
        let server = Serving::start(program_on(&through_proxy, &FLAGS));
        Self {
            proxy,
            traffic: Traffic::start(name, server, 3),
        }
    }

    /// Stops or disconnects it for at most some seconds; one of four faults at random.
    async fn fail(&self) -> &'static str {
        let long = Duration::from_millis(random(6000));
        match random(4) {
            0 => {
                self.traffic.server.process.signal("STOP");
                tokio::time::sleep(long).await;
                self.traffic.server.process.signal("CONT");
                "stopped"
            }
            1 => {
                self.proxy.cut();
                tokio::time::sleep(long).await;
                self.proxy.return_to_work();
                "cut off"
            }
            2 => {
                self.proxy.swallow();
                "swallowed"
            }
            _ => {
                self.proxy.reset();
                "reset"
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn one_is_stopped_or_cut_off_on_postgres() {
    let storage = TestDatabase::postgres().await;
    let replicas = ["one", "two", "three"].map(|name| Replica::start(name, &storage));
    let replicas = join_all(replicas).await;
    let (mut largest, mut slowest) = (Duration::ZERO, Duration::ZERO);
    let writes_since = async |replica: &Replica, since: Instant| {
        within(BACK, "it writes", async || {
            replica.traffic.has_written_since(since)
        })
        .await
    };
    for round in 0..rounds(3) {
        for replica in &replicas {
            writes_since(replica, Instant::now()).await;
        }
        let chosen = usize::try_from(random(3)).unwrap();
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(random(100))).await;
        let fault = replicas[chosen].fail().await;
        let back = writes_since(&replicas[chosen], Instant::now()).await;
        within(BACK, "it is ready", async || {
            is_ready(&replicas[chosen].traffic.server).await
        })
        .await;
        slowest = slowest.max(back);
        for (number, replica) in replicas.iter().enumerate() {
            if number != chosen {
                let gap = replica.traffic.largest_gap(began, Instant::now());
                assert!(
                    gap < GAP,
                    "round {round}: {fault}, and another replica wrote nothing for {gap:?}"
                );
                largest = largest.max(gap);
            }
        }
    }
    let mut written = 0;
    for replica in &replicas {
        replica.traffic.stop().await;
        written += replica.traffic.written();
    }
    let all: Vec<_> = replicas.iter().map(|replica| &replica.traffic).collect();
    Traffic::assert_kept(&all, &storage.url).await;
    assert_whole(&storage).await;
    println!(
        "{} faults: {written} writes, the others wrote again after {largest:.1?}, the one itself after {slowest:.1?}",
        rounds(3)
    );
}
