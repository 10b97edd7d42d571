//! Time limits that reach the database. Without them, none of these tests would end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::{
    on_both,
    support::{
        connection::Other,
        harness::Server,
        mutations::{CREATE, WRITE, draft, mutation},
    },
};

const LIST: &str = "{ personalConnectors { nodes { id } } }";
/// Several statements in one transaction.
const COUNTED: &str = "{ personalConnectors { totalCount nodes { id } } }";

async fn restarted(server: &Server, flags: &[&str]) -> Server {
    Server::start(server.storage.clone(), flags, server.clock.clone()).await
}

fn code(answer: &Value) -> &Value {
    &answer["errors"][0]["extensions"]["code"]
}

/// Reads succeed again. Without the limit, the blocked ones would take an hour; a new connection may need one more try.
async fn answered(server: &Server) {
    let reads = async {
        for query in [LIST, COUNTED, LIST, COUNTED] {
            while code(&server.execute("", query, json!({})).await) == "TIMEOUT" {}
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reads)
        .await
        .unwrap();
}

on_both! {
    async fn a_read_that_takes_too_long_stops_in_the_database(server: Server) {
        let flags = [
            "--request-timeout",
            "1s",
            "--database-connections",
            "2",
            "--database-wait",
            "10s",
        ];
        let server = restarted(&server, &flags).await;
        let mut other = Other::connect(&server).await;
        other.hold_up_reads().await;
        let answers = futures_util::future::join_all(
            [LIST, COUNTED].map(|query| server.execute("", query, json!({}))),
        )
        .await;
        for answer in answers {
            assert_eq!(code(&answer), "TIMEOUT", "{answer}");
        }
        // Statements that continued would occupy both connections, and on PostgreSQL the view too.
        other.let_reads_go().await;
        answered(&server).await;
    }

    async fn a_read_that_nobody_waits_for_stops(server: Server) {
        let flags = [
            "--request-timeout",
            "3s",
            "--database-connections",
            "2",
            "--database-wait",
            "10s",
        ];
        let server = restarted(&server, &flags).await;
        let mut other = Other::connect(&server).await;
        other.hold_up_reads().await;
        for query in [LIST, COUNTED, LIST] {
            let asked = server.execute("", query, json!({}));
            assert!(
                tokio::time::timeout(Duration::from_millis(700), asked)
                    .await
                    .is_err(),
                "hung up"
            );
        }
        other.let_reads_go().await;
        // PostgreSQL notices at the statement timeout.
        answered(&server).await;
    }

    async fn a_change_waits_only_so_long_for_another(server: Server) {
        let server = restarted(&server, &["--database-wait", "500ms"]).await;
        let ann = server.token("ann@acme", WRITE);
        let mut other = Other::connect(&server).await;
        other.hold_up_writes().await;
        let variables = json!({ "input": draft("Wiki", json!({})) });
        let answer = server.execute(&ann, &mutation(CREATE), variables).await;
        // SQLite cannot end another process that holds its lock; PostgreSQL ends a hanging session.
        let expected = if server.storage.url.starts_with("sqlite:") {
            "UNAVAILABLE"
        } else {
            "TIMEOUT"
        };
        assert_eq!(code(&answer), expected, "{answer}");
        assert_eq!(answer["data"], json!({ CREATE: null }));
        other.run("ROLLBACK", "ROLLBACK").await;
        server.create(&ann, "Wiki", "PRIVATE").await;
    }

    async fn what_a_gone_client_set_going_keeps_its_place(server: Server) {
        let server = restarted(
            &server,
            &[
                "--max-concurrency",
                "1",
                "--database-wait",
                "30s",
                "--request-timeout",
                "30s",
            ],
        )
        .await;
        let ann = server.token("ann@acme", WRITE);
        let mut other = Other::connect(&server).await;
        other.hold_up_writes().await;
        let body = json!({ "query": mutation(CREATE), "variables": { "input": draft("Wiki", json!({})) } }).to_string();
        let asked = server.post(&ann, body);
        assert!(
            tokio::time::timeout(Duration::from_millis(700), asked)
                .await
                .is_err(),
            "hung up"
        );
        let body = json!({ "query": "{ viewer { userId } }" }).to_string();
        let (status, answer) = server.post("", body.clone()).await;
        assert_eq!(
            (status, code(&answer)),
            (503, &json!("UNAVAILABLE")),
            "{answer}"
        );
        other.run("ROLLBACK", "ROLLBACK").await;
        let (status, answer) = server.post("", body).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn a_statement_of_a_gone_client_keeps_its_permit(server: Server) {
        let flags = ["--max-concurrency", "1", "--request-timeout", "6s"];
        let server = restarted(&server, &flags).await;
        let mut other = Other::connect(&server).await;
        other.hold_up_reads().await;
        let asked = server.execute("", LIST, json!({}));
        assert!(
            tokio::time::timeout(Duration::from_millis(1500), asked)
                .await
                .is_err(),
            "hung up"
        );
        let body = json!({ "query": "{ viewer { userId } }" }).to_string();
        let (status, answer) = server.post("", body.clone()).await;
        // SQLite's statement is interrupted, and PostgreSQL's continues.
        let expected = if server.storage.url.starts_with("sqlite:") {
            200
        } else {
            503
        };
        assert_eq!(status, expected, "{answer}");
        other.let_reads_go().await;
        for _ in 0..20 {
            if server.post("", body.clone()).await.0 == 200 {
                return;
            }
        }
        panic!("the permit is never given back");
    }

    async fn a_connection_is_waited_for_only_so_long(server: Server) {
        let flags = [
            "--request-timeout",
            "8s",
            "--database-connections",
            "2",
            "--database-wait",
            "300ms",
        ];
        let server = restarted(&server, &flags).await;
        let mut other = Other::connect(&server).await;
        other.hold_up_reads().await;
        // Three that do not wait for each other.
        let busy = async {
            let both = futures_util::future::join_all(
                [LIST, COUNTED].map(|query| server.execute("", query, json!({}))),
            );
            let _ = tokio::time::timeout(Duration::from_secs(2), both).await;
        };
        let third = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let began = Instant::now();
            let answer = server
                .execute("", "{ personalConnectors { nodes { name } } }", json!({}))
                .await;
            assert_eq!(code(&answer), "UNAVAILABLE", "{answer}");
            assert!(
                began.elapsed() < Duration::from_secs(6),
                "{:?}",
                began.elapsed()
            );
        };
        tokio::join!(busy, third);
    }
}

/// The request timeout does not apply to loading and migrating.
#[tokio::test]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn a_write_on_postgres_takes_as_long_as_it_needs() {
    let server = Server::on_postgres(&["--request-timeout", "200ms"]).await;
    let mut other = PgConnection::connect(&server.storage.url).await.unwrap();
    other
        .execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END';
             CREATE TRIGGER slow BEFORE UPDATE ON catalog_state FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await
        .unwrap();
    let ann = server.token("ann@acme", WRITE);
    let variables = json!({ "input": draft("Wiki", json!({})) });
    let answer = server.execute(&ann, &mutation(CREATE), variables).await;
    assert_eq!(code(&answer), "TIMEOUT", "the client's wait is over");
    let made = "SELECT COUNT(*) FROM personal_connector WHERE name = 'Wiki'";
    for _ in 0..50 {
        if server.rows(made).await == "1\n" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the change did not run to its end");
}
