//! Failing statements and commits: the next write is kept, even after the database rolled back by itself.

use std::time::Duration;

use serde_json::json;

use super::{
    CHECK, CREATE, Crew, DELETE, SET_STATUS, Sent, UPDATE, assert_whole, changing_tools, checking,
    objects, send_taken,
};
use crate::support::{
    harness::{TestDatabase, rows},
    process::{Serving, program_on, run, run_with},
};

/// The failure of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// SQLite: `RAISE` with ROLLBACK ends the transaction, ABORT reverts the statement, and FAIL keeps its first rows.
    Raise(&'static str),
    /// PostgreSQL: the statement fails, and so does each later one in the transaction.
    Exception,
    /// Only COMMIT fails. On SQLite the transaction is still open afterwards.
    Commit,
}

/// Writes, with the event and table of the trigger that makes them fail.
const WRITES: [(&str, &str); 11] = [
    (CREATE, "INSERT ON personal_connector"),
    (CREATE, "INSERT ON idempotency_key"),
    (CREATE, "INSERT ON connector_event"),
    (CREATE, "UPDATE ON catalog_state"),
    (UPDATE, "UPDATE ON personal_connector"),
    (UPDATE, "UPDATE ON catalog_state"),
    (SET_STATUS, "UPDATE ON personal_connector"),
    (DELETE, "DELETE ON personal_connector"),
    (DELETE, "INSERT ON connector_event"),
    (CHECK, "INSERT ON connector_check"),
    (CHECK, "INSERT ON connector_tool"),
];

/// A trigger that makes a write fail.
struct Trigger<'a> {
    storage: &'a TestDatabase,
    failure: Failure,
}

impl Trigger<'_> {
    fn is_sqlite(&self) -> bool {
        self.storage.url.starts_with("sqlite")
    }

    async fn set(&self, on: &str, when: &str) {
        const FUNCTION: &str =
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'a failure of the test'; END $$";
        let sql = match self.failure {
            Failure::Raise(way) => format!(
                "CREATE TRIGGER failure BEFORE {on} {when} BEGIN SELECT RAISE({way}, 'a failure of the test'); END"
            ),
            // COMMIT refuses a replacement that does not exist.
            Failure::Commit if self.is_sqlite() => format!(
                "CREATE TRIGGER failure BEFORE {on} {when} BEGIN UPDATE personal_connector
                    SET status = 'deprecated', replaced_by_id = 'pcon_none'
                    WHERE seq = (SELECT MIN(seq) FROM personal_connector WHERE source = 'import'); END"
            ),
            Failure::Exception => format!(
                "CREATE TRIGGER failure BEFORE {on} FOR EACH ROW {when} EXECUTE FUNCTION fail()"
            ),
            Failure::Commit => format!(
                "CREATE CONSTRAINT TRIGGER failure AFTER {on} DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW {when} EXECUTE FUNCTION fail()"
            ),
        };
        if !self.is_sqlite() {
            rows(&self.storage.url, FUNCTION).await;
        }
        rows(&self.storage.url, &sql).await;
    }

    /// Allows another change of the tools at once. Waits for a check in progress, which would write the old time again.
    async fn settle(&self) {
        const SETTLE: &str = "UPDATE connector_health SET tools_settle_at = NULL";
        let sql = if self.is_sqlite() {
            SETTLE.to_owned()
        } else {
            format!("DO $$ BEGIN PERFORM state FROM catalog_state FOR UPDATE; {SETTLE}; END $$")
        };
        rows(&self.storage.url, &sql).await;
    }

    async fn drop(&self, on: &str) {
        let (_, table) = on.split_once(' ').unwrap();
        let of = if self.is_sqlite() { "" } else { table };
        rows(&self.storage.url, &format!("DROP TRIGGER failure {of}")).await;
    }
}

async fn each_write_fails_once(storage: TestDatabase, failure: Failure) {
    let mcp = changing_tools().await;
    let mut crew = Crew::new(&storage, &mcp);
    let trigger = Trigger {
        storage: &storage,
        failure,
    };
    let start = || {
        let mut command = checking(&storage);
        command.args(["--event-retention", "1s"]);
        Serving::start(command)
    };
    let server = start();
    for (write, on) in WRITES {
        let mut id = String::new();
        let writer = &mut crew.writers[0];
        if write != CHECK {
            writer.pending = Some(writer.write_of(CREATE, ""));
            assert_eq!(writer.send(&server).await, Sent::Acknowledged);
            id = writer.live.keys().next().unwrap().clone();
        }
        trigger.set(on, "").await;
        trigger.settle().await;
        let (token, variables) = if write == CHECK {
            (&crew.checker.token, json!({ "id": crew.checker.id }))
        } else {
            let pending = writer.write_of(write, &id);
            let variables = json!({ "input": pending.1 });
            (writer.pending, writer.retried) = (Some(pending), true);
            (&writer.token, variables)
        };
        let answer = server.ask(token, write, variables).await.unwrap();
        assert!(answer["errors"].is_array(), "{failure:?} at {on}: {answer}");
        trigger.drop(on).await;
        assert_eq!(
            send_taken(&server, &crew.checker.token).await,
            Sent::Acknowledged
        );
        let again = if write == CHECK {
            crew.checker.check(&server).await
        } else {
            writer.send(&server).await
        };
        assert_eq!(again, Sent::Acknowledged);
        assert_kept(&storage, &mut crew, &format!("{failure:?} at {on}")).await;
    }

    drop(server);

    // The service's own writes: its lease, checks, and the pruning of events.
    for (on, within) in [
        ("UPDATE ON check_lease", 300),
        ("INSERT ON connector_check", 1500),
        ("DELETE ON connector_event", 1500),
    ] {
        // The lease of the killed process lasts 30 s. Without it the monitor starts at once.
        rows(
            &storage.url,
            "UPDATE check_lease SET holder = NULL, expires_at = 0",
        )
        .await;
        trigger.set(on, "").await;
        let server = start();
        tokio::time::sleep(Duration::from_millis(within)).await;
        trigger.drop(on).await;
        send_taken(&server, &crew.checker.token).await;
        assert_eq!(crew.writers[1].write_one(&server).await, Sent::Acknowledged);
        assert_kept(&storage, &mut crew, &format!("{failure:?} at {on}")).await;
    }

    let file = objects(20);
    let import = || {
        run_with(
            program_on(&storage, &["import", "--organization", "acme"]),
            &file,
        )
    };
    trigger.set("INSERT ON connector_event", "").await;
    import().failed(1);
    trigger.drop("INSERT ON connector_event").await;
    crew.settle(&storage).await;
    assert!(import().ok().starts_with("20 objects: 20 created"));

    crew.settle(&storage).await;
    let server = start();
    crew.writers[2].write_one(&server).await;
    assert_kept(&storage, &mut crew, "after a restart").await;
}

/// Checks over another connection that acknowledged writes are stored, and that it can write.
async fn assert_kept(storage: &TestDatabase, crew: &mut Crew, after: &str) {
    println!("{after}");
    crew.settle(storage).await;
    rows(&storage.url, "UPDATE catalog_state SET state = state").await;
}

async fn a_migration_fails(storage: TestDatabase, failure: Failure) {
    let trigger = Trigger {
        storage: &storage,
        failure,
    };
    let (on, third) = (
        "INSERT ON seaql_migrations",
        "WHEN (NEW.version LIKE '%000003%')",
    );
    let file = storage.url.strip_prefix("sqlite://");
    if let Some(file) = file {
        std::fs::write(file, "").unwrap();
    }
    let table = "CREATE TABLE seaql_migrations (version VARCHAR PRIMARY KEY NOT NULL, applied_at BIGINT NOT NULL)";
    rows(&storage.url, table).await;
    trigger.set(on, third).await;
    run(program_on(&storage, &["migrate"])).failed(1);
    let migrated = "SELECT version FROM seaql_migrations";
    assert_eq!(rows(&storage.url, migrated).await, "");
    trigger.drop(on).await;
    run(program_on(&storage, &["migrate"])).ok();
    assert_whole(&storage).await;
}

/// Makes the tests of each kind of failure.
macro_rules! failures {
    ($($(#[$meta:meta])* $name:ident: $storage:expr, $failure:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$meta])*
            async fn each_write() {
                each_write_fails_once($storage, $failure).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$meta])*
            async fn a_migration() {
                let storage = $storage;
                // During SQLite's migrations there is no connector to make COMMIT fail.
                if $failure != Failure::Commit || !storage.url.starts_with("sqlite") {
                    a_migration_fails(storage, $failure).await;
                }
            }
        }
    )*};
}

failures! {
    sqlite_rollback: TestDatabase::sqlite(), Failure::Raise("ROLLBACK");
    sqlite_abort: TestDatabase::sqlite(), Failure::Raise("ABORT");
    sqlite_fail: TestDatabase::sqlite(), Failure::Raise("FAIL");
    sqlite_commit: TestDatabase::sqlite(), Failure::Commit;
    #[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
    postgres_exception: TestDatabase::postgres().await, Failure::Exception;
    #[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
    postgres_commit: TestDatabase::postgres().await, Failure::Commit;
}
