//! Reads whose futures are dropped early.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use personal_connectors::{
    app,
    config::DatabaseSettings,
    domain::{
        listing::{Arguments, Listing},
        viewer::Sight,
    },
    error::Result,
    store::{Catalog, Database},
};

use crate::{
    on_both,
    support::{
        connection::Other,
        harness::{TestDatabase, rows},
        waiting::within,
    },
};

const LONG: Duration = Duration::from_secs(20);

/// Polls a future at most this many times. Returns its output, or none after dropping it.
async fn polled<F: Future>(most: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    let output = poll_fn(|context| {
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls == most => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    output.await
}

fn listing(search: Option<&str>) -> Listing {
    Listing::parse(Arguments {
        search: search.map(ToOwned::to_owned),
        ..Arguments::default()
    })
    .unwrap()
}

/// Reads in one statement, and in several of one transaction.
async fn read(database: Database) -> Result<()> {
    let listing = listing(Some("wiki"));
    let catalog = Catalog::new(database.clone(), Sight::Everything);
    catalog.get(&["pcon_1".to_owned()]).await?;
    catalog.total(&listing).await?;
    let catalog = Catalog::snapshot(database, Sight::Everything);
    catalog.total(&listing).await?;
    catalog.page(&listing).await.map(drop)
}

/// Returns whether the only reader connection is open and idle.
fn is_back(database: &Database) -> bool {
    let (_, pool) = database.pools()[0];
    (pool.open, pool.idle) == (1, 1)
}

/// Returns the sessions of PostgreSQL, with their activity.
async fn sessions(storage: &TestDatabase) -> String {
    if storage.url.starts_with("sqlite") {
        return String::new();
    }
    let sessions = "SELECT string_agg(pid || ' ' || state, ', ' ORDER BY pid) AS sessions FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'personal-connectors'";
    rows(&storage.url, sessions).await
}

/// Opens a database with one connection, so that a lost one is noticed.
async fn open(storage: &TestDatabase) -> Database {
    let settings = DatabaseSettings {
        connections: 1,
        ..storage.settings()
    };
    app::open(&settings).await.unwrap()
}

/// Drops a read at every await. Returns the polls of the complete read. A thread may have SQLite's rows before the
/// first poll.
async fn at_every_await(storage: &TestDatabase) -> usize {
    let database = open(storage).await;
    read(database.clone()).await.unwrap();
    let before = sessions(storage).await;
    let mut polls = 1;
    loop {
        let done = polled(polls, read(database.clone())).await;
        within(LONG, "the connection comes back", async || {
            is_back(&database)
        })
        .await;
        // The session is the same, and runs no statement.
        assert_eq!(sessions(storage).await, before, "{polls} polls");
        match done {
            None => polls += 1,
            Some(done) => break done.unwrap(),
        }
    }
    database.close().await.unwrap();
    polls
}

async fn at_every_await_of_opening(storage: TestDatabase) {
    let mut polls = 1;
    loop {
        let database = open(&storage).await;
        let done = polled(polls, read(database.clone())).await;
        within(LONG, "the connection comes back", async || {
            is_back(&database)
        })
        .await;
        read(database.clone()).await.unwrap();
        database.close().await.unwrap();
        match done {
            None => polls += 1,
            Some(done) => return done.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_may_be_dropped_at_every_await() {
    let storage = TestDatabase::sqlite();
    within(LONG, "a read waits", async || {
        at_every_await(&storage).await > 1
    })
    .await;
    at_every_await_of_opening(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn a_read_of_postgres_may_be_dropped_at_every_await() {
    let storage = TestDatabase::postgres().await;
    within(LONG, "a read waits", async || {
        at_every_await(&storage).await > 1
    })
    .await;
    at_every_await_of_opening(TestDatabase::postgres().await).await;
}

on_both! {
    async fn a_dropped_read_ends_in_the_database(server: Server) {
        let settings = DatabaseSettings {
            connections: 1,
            read_timeout: Some(Duration::from_secs(2)),
            ..server.storage.settings()
        };
        let database = Database::open(&settings).await.unwrap();
        let mut other = Other::connect(&server).await;
        other.hold_up_reads().await;
        let catalogs = [Catalog::new, Catalog::snapshot];
        let listing = listing(None);
        for catalog in catalogs {
            for kind in ["page", "total"] {
                let catalog = catalog(database.clone(), Sight::Everything);
                let read = async {
                    match kind {
                        "page" => catalog.page(&listing).await.map(drop),
                        _ => catalog.total(&listing).await.map(drop),
                    }
                };
                let wait = Duration::from_millis(300);
                assert!(tokio::time::timeout(wait, read).await.is_err(), "{kind}");
                drop(catalog);
                // At once on SQLite, and at the statement timeout on PostgreSQL.
                within(LONG, kind, async || is_back(&database)).await;
            }
        }
        other.let_reads_go().await;
        read(database.clone()).await.unwrap();
    }

    async fn a_snapshot_outlives_a_dropped_read(server: Server) {
        let settings = DatabaseSettings {
            connections: 1,
            ..server.storage.settings()
        };
        let database = Database::open(&settings).await.unwrap();
        let mut other = Other::connect(&server).await;
        other.slow_down_reads().await;
        let listing = listing(None);
        let catalog = Catalog::snapshot(database.clone(), Sight::Everything);
        let before = catalog.total(&listing).await.unwrap();
        let wait = Duration::from_millis(100);
        assert!(
            tokio::time::timeout(wait, catalog.page(&listing))
                .await
                .is_err()
        );
        let (hits, _) = catalog.page(&listing).await.unwrap();
        assert_eq!(hits.len() as u64, before.min(20));
        drop(catalog);
        within(LONG, "the connection comes back", async || {
            is_back(&database)
        })
        .await;
    }
}
