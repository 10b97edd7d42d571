//! The bytes of responses: of each one, and of all in progress.

use std::{sync::Arc, time::Duration};

use entity::Outcome;
use personal_connectors::domain::inspection::{Inspection, Tool};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{ANSWER, ONE, SIXTEEN};
use crate::{
    on_both_databases,
    support::{
        checks::found,
        clients::subscribers::Socket,
        harness::{Server, TestDatabase, check_errors, client, fixed_clock, post},
        objects::{import, object},
        process::{Serving, program_on, token},
        schema::leaves,
    },
};

const MIB: usize = 1 << 20;

/// Returns letters that differ between connectors, and that no content coding compresses much.
fn letters(seed: usize, count: usize) -> String {
    let mut state = seed as u64 + 1;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    };
    (0..count).map(letter).collect()
}

/// Imports a hundred connectors of the largest size, each replaced by the next.
fn hundred(storage: &TestDatabase) {
    let object = |i: usize| {
        let metadata = json!({ "text": letters(i, 16_000) });
        let mut more = json!({
            "name": format!("Large {i:02}"), "description": letters(i, 2000), "metadata": metadata,
            "serverUrl": format!("https://x{i}.example.com"), "serverType": "http",
        });
        if i < 99 {
            more["status"] = json!("deprecated");
            more["replacedBy"] = json!(format!("pcon_large{}", i + 1));
        }
        object(&format!("large{i}"), &more)
    };
    import(storage, &(0..100).map(object).collect::<Vec<_>>());
}

/// Returns an open server whose tools have 512 KiB together.
fn with_tools(seed: usize) -> Inspection {
    let tool = |i| Tool {
        name: format!("tool{i}"),
        title: None,
        description: None,
        input_schema: Some(json!({ "title": letters(seed * 100 + i, 60_000) }).to_string()),
        output_schema: None,
        annotations: None,
    };
    Inspection {
        tools: (0..8).map(tool).collect(),
        tools_listed: true,
        ..found(Outcome::Open)
    }
}

/// Imports connectors with the largest metadata: a package with very many environment variables.
fn with_environment(storage: &TestDatabase, connectors: usize) {
    let variables = vec![json!({ "name": "a" }); 1190];
    let package =
        json!({ "registryType": "npm", "identifier": "x", "environmentVariables": variables });
    let metadata = json!({ "packages": [package] });
    let object = |i: usize| {
        let more = json!({
            "name": format!("Many {i:02}"), "metadata": metadata,
            "serverUrl": format!("https://x{i}.example.com"), "serverType": "http",
        });
        object(&format!("many{i}"), &more)
    };
    import(storage, &(0..connectors).map(object).collect::<Vec<_>>());
}

/// Selects all variables of each connector, under this many aliases each.
fn environment(aliased: usize) -> String {
    let fields = aliases(aliased, "isSecret");
    format!(
        "{{ personalConnectors(first: 90) {{ nodes {{ packages {{ environment {{ {fields} }} }} }} }} }}"
    )
}

fn ann() -> String {
    token("ann@acme", "connectors:admin")
}

/// Returns aliased fields with distinct numbers.
fn aliases(count: usize, what: &str) -> String {
    let fields: Vec<_> = (0..count).map(|i| format!("a{i}: {what}")).collect();
    fields.join(" ")
}

/// Returns the status, the presence of Retry-After, and the response to a new operation.
async fn ask(server: &Serving, token: &str, query: &str, variables: Value) -> (u16, bool, Value) {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let request = post(&server.url, token, body)
        .header("accept", "application/graphql-response+json")
        .header("cache-control", "no-cache");
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let says_when = response.headers().get("retry-after");
    let says_when = says_when.map(|seconds| seconds.to_str().unwrap().parse().unwrap());
    let answer = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    check_errors(says_when, &answer);
    let says_when = says_when.is_some();
    (status, says_when, answer)
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or("none")
}

/// Returns a query for a page. Each alias adds 1.6 MB, which are written while the rows are read.
fn page(aliased: usize) -> String {
    let metadata = aliases(aliased, "metadata");
    format!("{{ personalConnectors(first: 100) {{ nodes {{ {metadata} }} }} }}")
}

on_both_databases! {
    async fn one_answer_is_bounded(storage: TestDatabase) {
        let storage = Arc::new(storage);
        hundred(&storage);
        let setup = Server::start(storage.clone(), &[], fixed_clock()).await;
        let checks = (0..40).map(|i| (format!("pcon_large{i}"), with_tools(i)));
        assert_eq!(setup.record(checks.collect()).await, 40);
        drop(setup);
        let ann = ann();
        // Each case has a new process, without memory from the previous one.
        let fresh = async || {
            let server = Serving::start(program_on(&storage, &[]));
            server.data(&ann, "{ viewer { userId } }", json!({})).await;
            server
        };
        let ids: Vec<_> = (0..100).map(|i| format!("pcon_large{i}")).collect();

        let server = fresh().await;
        let ordinary = page(1);
        let asked = ask(&server, &ann, &ordinary, json!({}));
        let ((status, ..), growth) = server.process.growth(asked).await;
        assert_eq!(status, 200);
        assert!(growth <= ONE, "{growth} MiB");

        let within = [
            page(4),
            format!(
                "{{ personalConnectors(first: 100) {{ edges {{ cursor node {{ {} }} }} }} }}",
                aliases(4, "metadata")
            ),
            format!(
                "{{ personalConnectors(first: 100) {{ nodes {{ {} replacedBy {{ id }} }} }} }}",
                aliases(4, "metadata")
            ),
            format!(
                "query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on PersonalConnector {{ {} }} }} }}",
                aliases(4, "metadata")
            ),
        ];
        for query in &within {
            let server = fresh().await;
            let asked = ask(&server, &ann, query, json!({ "ids": ids }));
            let ((status, _, answer), growth) = server.process.growth(asked).await;
            assert_eq!((status, code(&answer)), (200, "none"), "{query}");
            drop(answer);
            println!("{growth} MiB: {query:.100}");
            assert!(growth <= ANSWER, "{growth} MiB: {query}");
        }
        let chain = (0..17).fold("id".to_owned(), |inner, _| {
            format!("replacedBy {{ {inner} }}")
        });
        let schema = (0..3).fold("name".to_owned(), |inner, _| {
            format!("name description fields {{ name description args {{ name }} type {{ {inner} ofType {{ {inner} }} \
                     }} }}")
        });
        let beyond = [
            page(11),
            format!("{{ personalConnectors(first: 100) {{ edges {{ node {{ {} }} }} }} }}", aliases(11, "metadata")),
            format!("{{ personalConnectors(first: 100) {{ nodes {{ {} replacedBy {{ id }} }} }} \
                     }}", aliases(11, "metadata")),
            format!("{{ {} }}", aliases(90, "personalConnectors(first: 10) { nodes { metadata } }")),
            format!("query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on PersonalConnector {{ {} }} }} \
                     }}", aliases(11, "metadata")),
            format!("{{ personalConnectorChanges(first: 100) {{ nodes {{ personalConnector {{ {} }} }} }} \
                     }}", aliases(10, "metadata")),
            format!("{{ {} }}", aliases(10, &format!("personalConnectors(first: 100) {{ nodes {{ {chain} }} }}"))),
            "{ personalConnectors(first: 100) { nodes { tools(first: 8) { nodes { inputSchema } } } } }".to_owned(),
            format!("{{ personalConnectors(first: 10) {{ nodes {{ tools(first: 8) {{ nodes {{ {} }} }} }} }} \
                     }}", aliases(4, "inputSchema")),
            format!("{{ {} }}", aliases(18, &format!("__schema {{ types {{ {schema} }} }}"))),
        ];
        for query in &beyond {
            let server = fresh().await;
            let asked = ask(&server, &ann, query, json!({ "ids": ids }));
            let ((status, _, answer), growth) = server.process.growth(asked).await;
            assert_eq!(
                (status, code(&answer), answer.get("data")),
                (400, "LIMIT_EXCEEDED", None),
                "{query} {answer:.300}"
            );
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert_eq!(
                message, "an answer must have at most 8388608 bytes: ask for fewer items or fields",
                "{query}"
            );
            println!("{growth} MiB refused: {query:.100}");
            assert!(growth <= ANSWER, "{growth} MiB: {query}");
            // A refused response left nothing behind.
            assert_eq!(ask(&server, &ann, &page(1), json!({})).await.0, 200);
        }
    }

    async fn short_values_and_items_of_lists_are_bounded(storage: TestDatabase) {
        let storage = Arc::new(storage);
        with_environment(&storage, 90);
        let setup = Server::start(storage.clone(), &[], fixed_clock()).await;
        let checks = (0..90).map(|i| (format!("pcon_many{i}"), found(Outcome::Open)));
        assert_eq!(setup.record(checks.collect()).await, 90);
        drop(setup);
        let ann = ann();
        let numbers = format!(
            "{{ personalConnectors(first: 90) {{ nodes {{ health {{ buckets(count: 100) {{ {} }} }} }} }} }}",
            aliases(30, "checks"),
        );
        let one_package = "{ personalConnectors(first: 20) { nodes { packages { identifier environment { name isSecret \
                           } } } } }";
        let one_chart = "{ personalConnectors(first: 90) { nodes { health { buckets(count: 100) { checks working \
                         latencyMs } } } } }";
        for (query, is_within) in [
            (environment(90), false),
            (environment(1), false),
            (numbers, false),
            (one_package.to_owned(), true),
            (one_chart.to_owned(), true),
        ] {
            let server = Serving::start(program_on(&storage, &[]));
            server.data(&ann, "{ viewer { userId } }", json!({})).await;
            let asked = ask(&server, &ann, &query, json!({}));
            let ((status, _, answer), growth) = server.process.growth(asked).await;
            let expected = if is_within {
                (200, "none")
            } else {
                (400, "LIMIT_EXCEEDED")
            };
            assert_eq!((status, code(&answer)), expected, "{query} {answer:.300}");
            let message = answer["errors"][0]["message"].as_str();
            let of_answer =
                message.is_some_and(|message| message.starts_with("an answer must have at most"));
            assert_eq!(of_answer, !is_within, "{query} {answer:.300}");
            println!("{growth} MiB: {query:.120}");
            assert!(growth <= ANSWER, "{growth} MiB: {query}");
        }
    }

    async fn a_long_answer_keeps_the_deadline_and_lets_others_through(storage: TestDatabase) {
        with_environment(&storage, 90);
        // The limits are high, so that none ends the response early.
        let arguments = [
            "--max-answer-bytes",
            "1073741824",
            "--answer-memory-mb",
            "8192",
            "--request-timeout",
            "3s",
        ];
        let mut program = program_on(&storage, &arguments);
        program.env("TOKIO_WORKER_THREADS", "1");
        let server = Arc::new(Serving::start(program));
        let ann = ann();
        server.data(&ann, "{ viewer { userId } }", json!({})).await;
        let long = tokio::spawn({
            let server = server.clone();
            async move { ask(&server, &ann, &environment(40), json!({})).await }
        });
        sleep(Duration::from_millis(500)).await;
        assert_eq!(server.get("/health/live").await.0, 200);
        assert!(!long.is_finished(), "the other request had to wait");
        let (status, _, answer) = long.await.unwrap();
        assert_eq!((status, code(&answer)), (504, "TIMEOUT"), "{answer:.300}");
    }

    async fn sixteen_answers_at_once_are_bounded(storage: TestDatabase) {
        hundred(&storage);
        let server = Serving::start(program_on(&storage, &[]));
        let ann = ann();
        assert_eq!(ask(&server, &ann, &page(1), json!({})).await.0, 200);
        let work = async {
            let mut asked = JoinSet::new();
            for i in 0..16 {
                let (url, ann) = (server.url.clone(), ann.clone());
                asked.spawn(async move {
                    let query = format!("query Q{i} {}", page(4));
                    let body = json!({ "query": query }).to_string();
                    let response = post(&url, &ann, body).send().await.unwrap();
                    let status = response.status().as_u16();
                    (status, response.bytes().await.unwrap().len())
                });
            }
            asked.join_all().await
        };
        let (answers, growth) = server.process.growth(work).await;
        let full = answers.iter().filter(|(status, _)| *status == 200).count();
        let away = answers.iter().filter(|(status, _)| *status == 503).count();
        println!("{growth} MiB: {full} answers, {away} turned away");
        assert!(full >= 2 && full + away == 16, "{answers:?}");
        assert!(growth <= SIXTEEN, "{growth} MiB");
    }

    async fn answers_that_nobody_reads_are_bounded_and_leave_small_ones_their_bytes(
        storage: TestDatabase,
    ) {
        hundred(&storage);
        let server = Serving::start(program_on(&storage, &["--answer-cache-mb", "0"]));
        let ann = ann();
        assert_eq!(ask(&server, &ann, &page(1), json!({})).await.0, 200);
        let address = server
            .url
            .strip_prefix("http://")
            .unwrap()
            .strip_suffix("/graphql")
            .unwrap();
        let work = async {
            let mut slow = Vec::new();
            for i in 0..40 {
                let body = json!({ "query": format!("query S{i} {}", page(4)) }).to_string();
                let mut socket = TcpStream::connect(address).await.unwrap();
                let head = format!(
                    "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann}\r\nContent-Type: \
                     application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len(),
                );
                socket.write_all((head + &body).as_bytes()).await.unwrap();
                // The response has begun. The client reads no more of it.
                let mut begin = [0; 12];
                socket.read_exact(&mut begin).await.unwrap();
                slow.push((String::from_utf8_lossy(&begin).into_owned(), socket));
            }
            slow
        };
        let (slow, growth) = server.process.growth(work).await;
        println!("{growth} MiB: {} unread", slow.len());
        assert!(growth <= SIXTEEN, "{growth} MiB");
        assert!(slow[0].0.ends_with("200"), "{}", slow[0].0);
        assert!(
            slow.iter().any(|(begin, _)| begin.ends_with("503")),
            "no request was refused"
        );
        let (status, says_when, answer) = ask(&server, &ann, &page(4), json!({})).await;
        assert_eq!(
            (status, says_when, code(&answer), answer.get("data")),
            (503, true, "UNAVAILABLE", None)
        );
        let small = "{ personalConnectors { nodes { id name } } }";
        assert_eq!(ask(&server, &ann, small, json!({})).await.0, 200);
        assert_eq!(server.get("/health/ready").await.0, 200);
        drop(slow);
        let again = async {
            while ask(&server, &ann, &page(4), json!({})).await.0 != 200 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(30), again).await.unwrap();
    }

    async fn a_mutation_keeps_its_data(storage: TestDatabase) {
        hundred(&storage);
        let server = Serving::start(program_on(&storage, &["--max-answer-bytes", "65536"]));
        let ann = ann();
        let query = format!(
            "mutation($n: String!, $m: String!) {{
                one: updateCustomConnector(input: {{ id: \"pcon_large1\", name: $n }}) {{
                    personalConnector {{ id {} nothing: statusMessage }} userErrors {{ code }}
                }}
                two: updateCustomConnector(input: {{ id: \"pcon_large2\", name: $m }}) {{
                    personalConnector {{ name }} userErrors {{ code }}
                }}
            }}",
            aliases(6, "metadata"),
        );
        let variables = json!({ "n": "One", "m": "Two" });
        let (status, _, answer) = ask(&server, &ann, &query, variables).await;
        assert_eq!(
            (status, code(&answer)),
            (200, "LIMIT_EXCEEDED"),
            "{answer:.300}"
        );
        let one = &answer["data"]["one"]["personalConnector"];
        assert_eq!(
            (&one["id"], one["a0"].is_object(), &one["a5"]),
            (&json!("pcon_large1"), true, &json!(null))
        );
        // Short values stay, so that the response shows the change.
        let two = json!({ "personalConnector": { "name": "Two" }, "userErrors": [] });
        assert_eq!(answer["data"]["two"], two);
        let errors = answer["errors"].as_array().unwrap();
        let paths: Vec<_> = errors
            .iter()
            .map(|error| error["path"].to_string())
            .collect();
        assert!(
            paths.contains(&json!(["one", "personalConnector", "a5"]).to_string()),
            "{paths:?}"
        );
        let message = errors[0]["message"].as_str().unwrap();
        assert!(message.contains("the change was made"), "{message}");
        let names = "{ a: personalConnector(id: \"pcon_large1\") { name } b: personalConnector(id: \"pcon_large2\") { \
                     name } }";
        let expected = json!({ "a": { "name": "One" }, "b": { "name": "Two" } });
        assert_eq!(server.data(&ann, names, json!({})).await, expected);
    }

    async fn an_event_that_is_too_large_is_an_error_and_the_next_is_not(storage: TestDatabase) {
        hundred(&storage);
        let server = Serving::start(program_on(&storage, &["--max-answer-bytes", "65536"]));
        let ann = ann();
        let mut socket = Socket::at(&server.url, &ann).await;
        let query = format!(
            "subscription($after: String) {{ personalConnectorChanged(after: $after) {{ kind personalConnector {{ name \
             {} }} }} }}",
            aliases(5, "metadata"),
        );
        let now = "{ personalConnectors(first: 0) { changesCursor } }";
        let after =
            server.data(&ann, now, json!({})).await["personalConnectors"]["changesCursor"].take();
        for (id, metadata) in [("pcon_large1", None), ("pcon_large2", Some(json!({})))] {
            let mut input = json!({ "id": id, "name": format!("New {id}") });
            if let Some(metadata) = metadata {
                input["metadata"] = metadata;
            }
            let change = "mutation($i: UpdateCustomConnectorInput!) { updateCustomConnector(input: $i) { userErrors { \
                          code } } }";
            server.data(&ann, change, json!({ "i": input })).await;
        }
        socket
            .subscribe("1", &query, json!({ "after": after }))
            .await;
        let too_large = socket.next().await;
        let payload = &too_large["payload"];
        assert_eq!(
            (code(payload), &payload["data"]),
            ("LIMIT_EXCEEDED", &json!(null)),
            "{too_large}"
        );
        let next = socket.next().await;
        let name =
            &next["payload"]["data"]["personalConnectorChanged"]["personalConnector"]["name"];
        assert_eq!(name, "New pcon_large2", "{next}");
    }
}

/// The largest pages of realistic queries.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_in_earnest_is_answered() {
    let storage = TestDatabase::sqlite();
    hundred(&storage);
    let server = Serving::start(program_on(&storage, &[]));
    let ann = ann();
    let whole = leaves("PersonalConnector");
    let query = format!(
        "{{ personalConnectors(first: 100) {{
            nodes {{ {whole} replacedBy {{ {whole} }} health {{ outcome history(first: 3) {{ nodes {{ outcome }} }} }} \
            tools(first: 10) {{ nodes {{ name inputSchema }} }} }}
            totalCount facets {{ category {{ value count }} status {{ value count }} }}
        }} }}"
    );
    let (status, _, answer) = ask(&server, &ann, &query, json!({})).await;
    assert_eq!((status, code(&answer)), (200, "none"), "{answer:.300}");
    let size = answer.to_string().len();
    assert!((3 * MIB..8 * MIB).contains(&size), "{size}");
    let compressed = client()
        .post(&server.url)
        .bearer_auth(&ann)
        .header("content-type", "application/json")
        .header("accept-encoding", "gzip")
        .body(json!({ "query": query }).to_string());
    assert_eq!(compressed.send().await.unwrap().status(), 200);
}
