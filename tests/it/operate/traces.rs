//! Spans, as an OpenTelemetry collector receives them from the program.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};

use crate::support::{
    harness::{TestDatabase, client},
    mutations::{CREATE, draft, mutation},
    network::{
        proxy::{Proxy, Reaction},
        tls::{AUTHORITY, Tls},
    },
    process::{Done, Serving, program_on, token},
};

const WHO: &str = "{ viewer { userId } }";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector on a socket, with its received requests.
#[derive(Clone, Debug)]
struct Collector {
    url: String,
    answer: Arc<AtomicU16>,
    came: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            answer: Arc::new(AtomicU16::new(200)),
            came: Arc::default(),
        };
        let receive = async |State(this): State<Self>, headers: HeaderMap, body: Bytes| {
            this.came.lock().unwrap().push((headers, body));
            StatusCode::from_u16(this.answer.load(Ordering::Relaxed)).unwrap()
        };
        let router = Router::new()
            .route("/v1/traces", post(receive))
            .route("/behind/a/path/v1/traces", post(receive))
            .with_state(collector.clone());
        let serving = personal_connectors::http::serve::serve(
            listener,
            router,
            personal_connectors::http::stopping::Stopping::default(),
            personal_connectors::http::serve::Bounds::default(),
        );
        tokio::spawn(serving);
        collector
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let came = self.came.lock().unwrap();
        let decoded = came.iter().map(|(headers, body)| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            ExportTraceServiceRequest::decode(body.clone()).unwrap()
        });
        decoded.collect()
    }

    /// Returns the spans, ordered by start.
    fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|r| r.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let mut spans: Vec<_> = scopes.flat_map(|scope| scope.spans).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    /// Returns the attributes of the only resource.
    fn resource(&self) -> BTreeMap<String, Value> {
        let resource = self.requests()[0].resource_spans[0].resource.clone();
        attributes(&resource.unwrap().attributes)
    }

    async fn until_it_had(&self, requests: usize) {
        let began = Instant::now();
        while self.came.lock().unwrap().len() < requests {
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "too few requests came"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, Value> {
    fn json(value: &any_value::Value) -> Value {
        match value {
            any_value::Value::StringValue(text) => json!(text),
            any_value::Value::IntValue(number) => json!(number),
            any_value::Value::ArrayValue(array) => array
                .values
                .iter()
                .map(|value| json(value.value.as_ref().unwrap()))
                .collect(),
            other => panic!("{other:?}"),
        }
    }
    let pair = |pair: &KeyValue| {
        let value = pair.value.as_ref().unwrap().value.as_ref().unwrap();
        (pair.key.clone(), json(value))
    };
    pairs.iter().map(pair).collect()
}

/// Returns the attributes that differ between spans, after checking the common ones.
fn told(span: &Span) -> Value {
    assert_eq!(span.kind, SpanKind::Server as i32);
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
    assert!(span.events.is_empty() && span.links.is_empty(), "{span:?}");
    let mut told = attributes(&span.attributes);
    for (name, value) in [
        ("http.route", "/graphql"),
        ("url.path", "/graphql"),
        ("url.scheme", "http"),
    ] {
        assert_eq!(told.remove(name), Some(json!(value)), "{span:?}");
    }
    let id = told.remove("http.response.header.x-request-id");
    assert!(id.unwrap()[0].is_string());
    let is_error = span
        .status
        .as_ref()
        .is_some_and(|status| status.code() == SpanStatus::Error);
    json!([span.name, is_error, told])
}

fn serving(storage: &TestDatabase, collector: &str, flags: &[&str]) -> Serving {
    let mut command = program_on(storage, flags);
    command.env("CONNECTORS_OTLP_ENDPOINT", collector);
    Serving::start(command)
}

fn asking(server: &Serving, body: &Value) -> reqwest::RequestBuilder {
    client()
        .post(&server.url)
        .header("content-type", "application/json")
        .body(body.to_string())
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    response.bytes().await.unwrap();
    status
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_a_request_that_tells_no_secret() {
    let collector = Collector::start().await;
    let storage = TestDatabase::sqlite();
    let server = serving(&storage, &collector.url, &[]);
    let ann = token("annabel@acme", "connectors:write");

    let look = "query Look($id: ID!) { personalConnector(id: $id) { id hush: name } }";
    let look = json!({ "query": look, "variables": { "id": "pcon_hush" } });
    assert_eq!(status(asking(&server, &look).bearer_auth(&ann)).await, 200);
    let create = json!({
        "query": mutation(CREATE),
        "variables": { "input": draft("Hush", json!({ "description": "hush" })) },
    });
    assert_eq!(
        status(asking(&server, &create).bearer_auth(&ann)).await,
        200
    );
    let parameters = [
        ("query", "query($hush: ID!) { node(id: $hush) { id } }"),
        ("variables", r#"{"hush":"hush"}"#),
    ];
    let by_url = url::Url::parse_with_params(&server.url, parameters).unwrap();
    assert_eq!(status(client().get(by_url)).await, 200);
    let bad = json!({ "query": "query Bad { hush }", "extensions": { "hush": 1 } });
    assert_eq!(status(asking(&server, &bad)).await, 200);
    let strict = asking(&server, &bad).header("accept", "application/graphql-response+json");
    assert_eq!(status(strict).await, 400);
    let stranger = asking(&server, &look).bearer_auth("hush.hush.hush");
    assert_eq!(status(stranger).await, 401);
    let strange = reqwest::Method::from_bytes(b"HUSH").unwrap();
    assert_eq!(status(client().request(strange, &server.url)).await, 405);
    // Requests that are no operation have no span.
    for path in ["health/live", "health/ready", "metrics", "graphiql", "hush"] {
        status(client().get(server.url.replace("graphql", path))).await;
    }
    server.stop().ok();

    let spans: Vec<_> = collector.spans().iter().map(told).collect();
    let post = |status: u16, more: Value| {
        let mut told =
            json!({ "http.request.method": "POST", "http.response.status_code": status });
        for (name, value) in more.as_object().unwrap() {
            told[name] = value.clone();
        }
        json!(["POST /graphql", false, told])
    };
    let invalid = json!({
        "graphql.operation.type": "query", "graphql.operation.name": "Bad",
        "error.type": "GRAPHQL_VALIDATION_FAILED",
    });
    assert_eq!(
        json!(spans),
        json!([
            post(200, json!({ "graphql.operation.type": "query", "graphql.operation.name": "Look" })),
            post(200, json!({ "graphql.operation.type": "mutation" })),
            ["GET /graphql", false, {
                "http.request.method": "GET", "http.response.status_code": 200, "graphql.operation.type": "query",
            }],
            post(200, invalid.clone()),
            post(400, invalid),
            post(401, json!({ "error.type": "UNAUTHENTICATED" })),
            ["HTTP /graphql", false, {
                "http.request.method": "_OTHER", "http.response.status_code": 405, "error.type": "BAD_REQUEST",
            }],
        ])
    );
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "personal-connectors");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    for (_, body) in collector.came.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(body).to_lowercase();
        for secret in [
            "hush",
            &ann.to_lowercase(),
            "annabel",
            "acme",
            "viewer",
            "127.",
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_continues_the_callers_trace() {
    let collector = Collector::start().await;
    let storage = TestDatabase::sqlite();
    let server = serving(&storage, &collector.url, &[]);
    let ask = async |parent: &str, state: &str, id: &str| {
        let asked = asking(&server, &json!({ "query": WHO }))
            .header("traceparent", parent)
            .header("tracestate", state)
            .header("x-request-id", id);
        assert_eq!(status(asked).await, 200);
    };
    ask(
        &format!("00-{TRACE}-{PARENT}-01"),
        "vendor=1,other=2",
        "good",
    )
    .await;
    ask(&format!("00-{TRACE}-{PARENT}-00"), "", "unsampled").await;
    ask(&format!("00-{TRACE}-{PARENT}"), "vendor=1", "bad").await;
    ask(&format!("00-{TRACE}-{PARENT}-01"), "Bad", "bad state").await;
    server.stop().ok();

    let spans: Vec<_> = collector
        .spans()
        .iter()
        .map(|span| {
            let id = &attributes(&span.attributes)["http.response.header.x-request-id"];
            json!([
                id[0],
                hex(&span.trace_id) == TRACE,
                hex(&span.parent_span_id),
                span.trace_state
            ])
        })
        .collect();
    // An id with a space is invalid, so a new one is used.
    let given = &spans[2][0];
    assert!(given.as_str().is_some_and(|id| id.len() > 10), "{given}");
    assert_eq!(
        json!(spans),
        json!([
            ["good", true, PARENT, "vendor=1,other=2"],
            ["bad", false, "", ""],
            [given, true, PARENT, ""],
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_cut_has_a_span_without_a_status() {
    let collector = Collector::start().await;
    let storage = TestDatabase::sqlite();
    let flags = ["--request-timeout", "1h", "--shutdown-timeout", "500ms"];
    let server = serving(&storage, &collector.url, &flags);
    let address = server.url.replace("http://", "").replace("/graphql", "");
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
          Content-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    )
    .unwrap();
    // The service waits for its body.
    assert!(slow.read(&mut [0; 100]).unwrap() > 0);
    server.stop().ok();

    let spans: Vec<_> = collector.spans().iter().map(told).collect();
    assert_eq!(
        json!(spans),
        json!([["POST /graphql", false, { "http.request.method": "POST" }]])
    );
}

/// Server errors mark the span as failed, with either media type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_ours_is_an_error() {
    let collector = Collector::start().await;
    let storage = TestDatabase::sqlite();
    let server = serving(&storage, &collector.url, &["--request-timeout", "500ms"]);
    let mut other = SqliteConnection::connect(&storage.url).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let ann = token("ann@acme", "connectors:write");
    let create =
        json!({ "query": mutation(CREATE), "variables": { "input": draft("Wiki", json!({})) } });
    for (accept, expected) in [
        ("application/graphql-response+json", 504),
        ("application/json", 200),
    ] {
        let asked = asking(&server, &create).bearer_auth(&ann);
        assert_eq!(status(asked.header("accept", accept)).await, expected);
    }
    other.execute("ROLLBACK").await.unwrap();
    let gone = "ALTER TABLE personal_connector RENAME TO gone";
    other.execute(gone).await.unwrap();
    let list = json!({ "query": "{ personalConnectors { nodes { id } } }" });
    assert_eq!(status(asking(&server, &list)).await, 200);
    server.stop().ok();

    let spans: Vec<_> = collector.spans().iter().map(told).collect();
    let failed = |status: u16, kind: &str, code: &str| {
        json!(["POST /graphql", true, {
            "http.request.method": "POST", "http.response.status_code": status,
            "graphql.operation.type": kind, "error.type": code,
        }])
    };
    assert_eq!(
        json!(spans),
        json!([
            failed(504, "mutation", "TIMEOUT"),
            failed(200, "mutation", "TIMEOUT"),
            failed(200, "query", "INTERNAL"),
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_service_it_is_and_where_the_collector_may_be_told() {
    let collector = Collector::start().await;
    let storage = TestDatabase::sqlite();
    let mut command = program_on(&storage, &[]);
    command
        .env(
            "CONNECTORS_OTLP_ENDPOINT",
            format!("{}/behind/a/path/", collector.url),
        )
        .env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=catalogue,deployment.environment.name=test",
        )
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20let-me-in",
        )
        // None of these decides the address or the protocol.
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let server = Serving::start(command);
    server.data("", WHO, json!({})).await;
    server.stop().ok();

    let resource = collector.resource();
    assert_eq!(resource["service.name"], "catalogue");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "test");
    let (headers, _) = collector.came.lock().unwrap()[0].clone();
    assert_eq!(headers["authorization"], "Bearer let-me-in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_reached_through_a_proxy_and_by_an_authority_of_the_operators() {
    let collector = Collector::start().await;
    let bare: std::net::SocketAddr = collector.url["http://".len()..].parse().unwrap();
    let tls = Tls::before(bare).await;
    let encrypted = tls.address;
    let proxy = Proxy::new(move |target| match target {
        "collector.invalid:4318" => Reaction::Connect(bare),
        "mcp.example:443" => Reaction::Connect(encrypted),
        _ => Reaction::Answer("HTTP/1.1 502 X\r\n\r\n"),
    })
    .await;
    let local = format!("https://localhost:{}", encrypted.port());
    for (n, endpoint) in [
        "http://collector.invalid:4318",
        "https://mcp.example",
        &local,
    ]
    .into_iter()
    .enumerate()
    {
        let storage = TestDatabase::sqlite();
        let flags = [
            "--otlp-endpoint",
            endpoint,
            "--outbound-proxy",
            &proxy.url(),
            "--ca-file",
            AUTHORITY,
        ];
        let server = Serving::start(program_on(&storage, &flags));
        server.data("", WHO, json!({})).await;
        let done = server.stop();
        assert_eq!(complaints(&done), 0, "{}", done.err);
        assert_eq!(
            collector.requests().len(),
            n + 1,
            "{endpoint}: {}",
            done.err
        );
    }
    assert_eq!(
        proxy.targets(),
        ["collector.invalid:4318", "mcp.example:443"]
    );
    let names: Vec<_> = tls.names().into_iter().flatten().collect();
    assert_eq!(names, ["mcp.example", "localhost"]);
    // Without the authority, the log gives advice.
    let storage = TestDatabase::sqlite();
    let server = Serving::start(program_on(&storage, &["--otlp-endpoint", &local]));
    server.data("", WHO, json!({})).await;
    let done = server.stop();
    assert!(done.err.contains("--ca-file"), "{}", done.err);
}

/// Returns the number of log lines about spans.
fn complaints(done: &Done) -> usize {
    assert_eq!(done.code, Some(0), "{}", done.err);
    done.err
        .lines()
        .filter(|line| line.contains("span") || line.contains("OpenTelemetry"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_gone_is_told_of_once() {
    let storage = TestDatabase::sqlite();
    // The port is bound without a listener, so that no other program takes it.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    let mut command = program_on(&storage, &["--otlp-endpoint", &url]);
    command.env("OTEL_BSP_SCHEDULE_DELAY", "20");
    let server = Serving::start(command);
    for _ in 0..50 {
        server.data("", WHO, json!({})).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let done = server.stop();
    assert_eq!(complaints(&done), 1, "{}", done.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_comes_back_is_told_of_too() {
    let collector = Collector::start().await;
    // A response that would not be retried.
    collector.answer.store(500, Ordering::Relaxed);
    let storage = TestDatabase::sqlite();
    let mut command = program_on(&storage, &["--otlp-endpoint", &collector.url]);
    command.env("OTEL_BSP_SCHEDULE_DELAY", "20");
    let server = Serving::start(command);
    for request in 1..=3 {
        server.data("", WHO, json!({})).await;
        collector.until_it_had(request).await;
    }
    collector.answer.store(200, Ordering::Relaxed);
    for request in 4..=5 {
        server.data("", WHO, json!({})).await;
        collector.until_it_had(request).await;
    }
    let done = server.stop();
    assert!(
        done.err.contains("spans are exported again"),
        "{}",
        done.err
    );
    assert_eq!(complaints(&done), 2, "{}", done.err);
}

/// A collector that accepts connections and never responds, with a queue that is soon full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_holds_nothing_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let storage = TestDatabase::sqlite();
    let flags = ["--otlp-endpoint", &url, "--shutdown-timeout", "500ms"];
    let mut command = program_on(&storage, &flags);
    command
        .env("OTEL_BSP_SCHEDULE_DELAY", "20")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "5")
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5");
    let server = Serving::start(command);
    for _ in 0..50 {
        server.data("", WHO, json!({})).await;
    }
    let done = server.stop();
    assert!(
        done.err.contains("the last spans were not sent"),
        "{}",
        done.err
    );
    assert_eq!(complaints(&done), 1, "{}", done.err);
}
