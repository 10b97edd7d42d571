//! The coding and the id of a response.

use super::request;
use crate::{
    on_both,
    support::{
        harness::{Server, client},
        mutations::{CREATE, WRITE, mutation},
    },
};
use reqwest::{RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// The log as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The test has one thread, so that its subscriber sees all events.
#[tokio::test]
async fn an_internal_error_shows_the_id_that_the_log_has() {
    let server = Server::on_sqlite(&[]).await;
    let token = server.token("ann@acme", WRITE);
    server.rows("DROP TABLE personal_connector").await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("warn")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let create = json!({ "query": mutation(CREATE), "variables": { "input": { "name": "a",
        "serverUrl": "https://e.co" } } });
    for (id, body) in [
        (
            Some("mine-1"),
            r#"{"query":"{ personalConnectors { nodes { id } } }"}"#.to_owned(),
        ),
        (Some("mine-2"), create.to_string()),
        (
            None,
            r#"{"query":"{ node(id: \"pcon_a\") { id } }"}"#.to_owned(),
        ),
    ] {
        log.0.lock().unwrap().clear();
        let mut request = request(&server)
            .bearer_auth(&token)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let response = request.send().await.unwrap();
        let shown = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let extensions = &answer["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "INTERNAL", "{answer}");
        assert_eq!(extensions["requestId"], shown.as_str());
        assert_eq!(id.unwrap_or(&shown), shown);
        assert!(
            !answer.to_string().contains("personal_connector"),
            "{answer}"
        );
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = log
            .lines()
            .find(|line| line.contains("internal error"))
            .unwrap();
        assert!(
            line.contains(&format!("request{{id=\"{shown}\"}}")) && line.contains("no such table"),
            "{log}"
        );
    }
}

on_both! {
    async fn answers_are_compressed_when_asked(server: Server) {
        let ask = |query: &str, encoding: &str| {
            let request = request(&server)
                .header(CONTENT_TYPE, "application/json")
                .header("accept-encoding", encoding);
            request.body(json!({ "query": query }).to_string()).send()
        };
        let (long, short) = (
            "{ __schema { types { name description fields { name } } } }",
            "{ viewer { userId organizationId scopes canCreateCustomConnector } personalConnectors { totalCount } }",
        );
        for (query, encoding, expected) in [
            (long, "gzip", Some("gzip")),
            (long, "br", Some("br")),
            (long, "gzip, br;q=0.5", Some("gzip")),
            (long, "identity", None),
            (long, "", None),
            (long, "zstd, deflate", None),
            (long, "gzip;q=0", None),
            (short, "gzip, br", None),
        ] {
            let response = ask(query, encoding).await.unwrap();
            let header = response
                .headers()
                .get("content-encoding")
                .map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(header.as_deref(), expected, "{query} {encoding}");
            let bytes = response.bytes().await.unwrap();
            match expected {
                None => assert!(bytes.starts_with(b"{\"data\":"), "{encoding}"),
                Some("gzip") => assert!(
                    bytes.starts_with(b"\x1f\x8b") && bytes.len() < 8_000,
                    "{encoding}"
                ),
                Some(_) => assert!(
                    !bytes.starts_with(b"{") && bytes.len() < 8_000,
                    "{encoding}"
                ),
            }
        }
    }

    async fn every_answer_has_an_id(server: Server) {
        let id = |request: RequestBuilder| async {
            let response = request.send().await.unwrap();
            response.headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned()
        };
        let most = "x".repeat(128);
        for brought in ["a", "0b3c-11/~!", &most] {
            assert_eq!(
                id(request(&server).header("x-request-id", brought)).await,
                brought
            );
        }
        let mut made = Vec::new();
        for path in ["/graphql", "/graphql?query={__typename}", "/nowhere", "/"] {
            let url = format!("{}{path}", server.url);
            for request in [
                client().get(&url),
                client().delete(&url).header("x-request-id", "a b"),
                client()
                    .post(&url)
                    .header("x-request-id", format!("{most}x")),
            ] {
                made.push(id(request).await);
            }
        }
        assert!(
            made.iter()
                .all(|id| id.len() == 26 && id.bytes().all(|b| b.is_ascii_alphanumeric())),
            "{made:?}"
        );
        let count = made.len();
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), count);
    }
}
