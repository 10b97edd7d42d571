//! Tokens of an external issuer, through the program.

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use personal_connectors::clock::Clock;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    clients::subscribers::{CHANGED, Events, PROTOCOL, Socket},
    harness::{Server, TestDatabase, check_errors, client, fixed_clock, post},
    network::{
        proxy::{Proxy, Reaction},
        tls::{AUTHORITY, Tls},
    },
    process::{Serving, program, run},
    waiting::within,
};

const PEM: &[u8] = include_bytes!("../keys/test-only-ec-p256.pem");
const OTHER: &[u8] = include_bytes!("../keys/test-only-ec-p256-other.pem");

fn key(pem: &[u8]) -> EncodingKey {
    EncodingKey::from_ec_der(PrivateKeyDer::from_pem_slice(pem).unwrap().secret_der())
}

fn sign(header: &Header, changes: &Value, key: &EncodingKey) -> String {
    let now = Clock::system().now().0 / 1_000_000;
    let mut claims = json!({
        "iss": "https://issuer.example", "aud": ["connectors"], "exp": now + 600,
        "sub": "ann", "org": "acme", "scope": "connectors:write",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    jsonwebtoken::encode(header, &claims, key).unwrap()
}

const RULES: [&str; 4] = [
    "--jwt-issuer",
    "https://issuer.example",
    "--jwt-audience",
    "connectors",
];

/// The longest time until new keys are used.
const TAKEN_IN: Duration = Duration::from_secs(5);

const WHO: &str = "{ viewer { userId } }";

/// A JWKS on a socket, with responses that a test sets.
struct Issuer {
    url: String,
    answer: Arc<Mutex<(StatusCode, String)>>,
}

impl Issuer {
    /// Starts an issuer that responds with 502.
    async fn away() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((StatusCode::BAD_GATEWAY, String::new())));
        let serve = async |State(answer): State<Arc<Mutex<(StatusCode, String)>>>| {
            answer.lock().unwrap().clone()
        };
        let router = Router::new()
            .route("/jwks", get(serve))
            .with_state(answer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, answer }
    }

    fn address(&self) -> SocketAddr {
        let url = self.url.strip_prefix("http://").unwrap();
        url.strip_suffix("/jwks").unwrap().parse().unwrap()
    }

    fn publish(&self, keys: &[(&str, &[u8])]) {
        let keys: Vec<Jwk> = keys.iter().map(|(kid, pem)| jwk(kid, pem)).collect();
        *self.answer.lock().unwrap() = (StatusCode::OK, json!({ "keys": keys }).to_string());
    }

    fn go_away(&self) {
        self.answer.lock().unwrap().0 = StatusCode::BAD_GATEWAY;
    }
}

fn jwk(kid: &str, pem: &[u8]) -> Jwk {
    let mut jwk = Jwk::from_encoding_key(&key(pem), Algorithm::ES256).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    jwk
}

fn header(kid: &str) -> Header {
    Header {
        kid: Some(kid.to_owned()),
        ..Header::new(Algorithm::ES256)
    }
}

/// Returns the status, the code of the first error and `Retry-After` of a query's response.
async fn asked(url: &str, token: &str, accept: &str) -> (u16, Option<String>, Option<String>) {
    let body = json!({ "query": WHO }).to_string();
    let request = post(url, token, body).header("accept", accept);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    check_errors(
        retry_after
            .as_deref()
            .map(|seconds| seconds.parse().unwrap()),
        &answer,
    );
    let code = answer["errors"][0]["extensions"]["code"].as_str();
    (status, code.map(ToOwned::to_owned), retry_after)
}

const JSON: &str = "application/json";

/// The response to a request that may be retried later.
fn unavailable() -> (u16, Option<String>, Option<String>) {
    (503, Some("UNAVAILABLE".to_owned()), Some("1".to_owned()))
}

/// Returns the code with which a socket with this token is closed.
async fn refused_socket(url: &str, token: &str) -> u16 {
    let mut socket = Socket::open_at(url, &[PROTOCOL]).await.unwrap();
    socket.init(token).await;
    socket.closed().await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwks_that_is_away_at_the_start() {
    let issuer = Issuer::away().await;
    let storage = TestDatabase::sqlite();
    let mut command = program(&["--jwks", &issuer.url]);
    command
        .args(RULES)
        .env("CONNECTORS_DATABASE_URL", &storage.url);
    let server = Serving::start(command);
    let good = sign(&header("ours"), &json!({}), &key(PEM));
    for accept in [
        JSON,
        "application/graphql-response+json",
        "text/event-stream",
    ] {
        assert_eq!(asked(&server.url, &good, accept).await, unavailable());
        assert_eq!(asked(&server.url, "", accept).await.0, 200);
    }
    assert_eq!(refused_socket(&server.url, &good).await, 1013);
    drop(Socket::at(&server.url, "").await);
    let is_ready = async || {
        let (status, report) = server.get("/health/ready").await;
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(status == 200, report["keys"] == true, "{report}");
        status == 200
    };
    assert!(!is_ready().await);

    // The service reads the keys without a request, because clients send none before it is ready.
    issuer.publish(&[("ours", PEM)]);
    within(TAKEN_IN, "ready", is_ready).await;
    assert_eq!(asked(&server.url, &good, JSON).await.0, 200);
    let log = tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    let lines: Vec<&str> = log.err.lines().filter(|l| l.contains("JWKS")).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("cannot be read"));
    assert!(lines[1].contains("INFO") && lines[1].contains("read again"));
}

/// Starts the service with a JWKS and these flags, and checks whether it knows the keys. Returns the log.
async fn with_keys_at(jwks: &str, flags: &[&str], are_expected: bool) -> String {
    let storage = TestDatabase::sqlite();
    let mut command = program(&["--jwks", jwks]);
    command
        .args(RULES)
        .args(flags)
        .env("CONNECTORS_DATABASE_URL", &storage.url);
    // No client reads these variables.
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
    ] {
        command.env(name, "http://127.0.0.1:1");
    }
    command.env("NO_PROXY", "*").env("SSL_CERT_FILE", AUTHORITY);
    let server = Serving::start(command);
    let good = sign(&header("ours"), &json!({}), &key(PEM));
    if are_expected {
        within(TAKEN_IN, "keys", async || {
            asked(&server.url, &good, JSON).await.0 == 200
        })
        .await;
    } else {
        assert_eq!(asked(&server.url, &good, JSON).await, unavailable());
    }
    let done = tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    done.err
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwks_is_read_by_an_authority_of_the_operators() {
    let issuer = Issuer::away().await;
    issuer.publish(&[("ours", PEM)]);
    let tls = Tls::before(issuer.address()).await;
    let jwks = format!("https://localhost:{}/jwks", tls.address.port());
    let log = with_keys_at(&jwks, &[], false).await;
    assert!(
        log.contains("unknown authority") && log.contains("--ca-file"),
        "{log}"
    );
    let log = with_keys_at(&jwks, &["--ca-file", AUTHORITY], true).await;
    assert!(!log.contains("WARN"), "{log}");
    assert_eq!(tls.names().last().unwrap().as_deref(), Some("localhost"));
}

/// The JWKS are at names that this machine cannot resolve and at an address, all behind the proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwks_is_read_through_a_proxy() {
    let issuer = Issuer::away().await;
    issuer.publish(&[("ours", PEM)]);
    let tls = Tls::before(issuer.address()).await;
    let (bare, encrypted) = (issuer.address(), tls.address);
    let proxy = Proxy::new(move |target| match target {
        "issuer.invalid:80" | "8.8.8.8:80" => Reaction::Connect(bare),
        "issuer.example:443" => Reaction::Connect(encrypted),
        _ => Reaction::Answer("HTTP/1.1 403 X\r\n\r\n"),
    })
    .await;
    let url = format!("http://ann:secret@{}", proxy.address);
    let flags = ["--outbound-proxy", &url, "--ca-file", AUTHORITY];
    for jwks in [
        "http://issuer.invalid/jwks",
        "http://8.8.8.8/jwks",
        "https://issuer.example/jwks",
    ] {
        let log = with_keys_at(jwks, &flags, true).await;
        assert!(!log.contains("WARN") && !log.contains("secret"), "{log}");
    }
    let targets = ["issuer.invalid:80", "8.8.8.8:80", "issuer.example:443"];
    assert_eq!(proxy.targets(), targets);
    assert_eq!(
        tls.names().last().unwrap().as_deref(),
        Some("issuer.example")
    );
    // A JWKS at a private address is read directly.
    let log = with_keys_at(&issuer.url, &flags, true).await;
    assert!(!log.contains("WARN"), "{log}");
    assert_eq!(proxy.targets(), targets);
    let log = with_keys_at("http://other.invalid/jwks", &flags, false).await;
    assert!(
        log.contains("does not permit a connection to it: HTTP status 403"),
        "{log}"
    );
    let log = with_keys_at(
        "http://other.invalid/jwks",
        &["--outbound-proxy", "http://ann:secret@127.0.0.1:1"],
        false,
    )
    .await;
    assert!(
        log.contains("the outbound proxy http://127.0.0.1:1 cannot be reached"),
        "{log}"
    );
    assert!(!log.contains("secret"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_open_ends_with_its_key() {
    let issuer = Issuer::away().await;
    issuer.publish(&[("one", PEM), ("two", OTHER)]);
    let flags = [&["--jwks", &issuer.url], &RULES[..]].concat();
    let storage = Arc::new(TestDatabase::sqlite());
    let server = Box::pin(Server::start(storage, &flags, fixed_clock())).await;
    let pass = |minutes| {
        let time = Duration::from_mins(minutes);
        server.clock.set(server.clock.now().saturating_add(time));
    };
    let long = json!({ "exp": server.clock.now().0 / 1_000_000 + 10 * 86_400 });
    let one = sign(&header("one"), &long, &key(PEM));
    let two = sign(&header("two"), &long, &key(OTHER));
    let url = format!("{}/graphql", server.url);
    let mut gone = Socket::of(&server, &one).await;
    gone.subscribe("1", CHANGED, json!({})).await;
    let mut gone_events = Events::of(&server, &one, CHANGED, json!({})).await;
    let mut kept = Socket::of(&server, &two).await;
    let mut anonymous = Socket::of(&server, "").await;

    issuer.publish(&[("two", OTHER)]);
    pass(10);
    let (code, reason, _) = gone.closed().await;
    assert_eq!(
        (code, reason.as_str()),
        (4403, "the token's key was withdrawn")
    );
    // The stream ends without "complete", as after an expired token.
    let (_, end) = gone_events.next().await.unwrap();
    assert_eq!(end["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!(gone_events.next().await, None);
    assert_eq!(asked(&url, &one, JSON).await.0, 401);
    kept.subscribe("1", WHO, json!({})).await;
    assert_eq!(kept.next().await["type"], "next");

    // The JWKS becomes unreachable, and stays so.
    issuer.go_away();
    pass(10);
    let unknown = sign(&header("three"), &long, &key(PEM));
    assert_eq!(asked(&url, &unknown, JSON).await, unavailable());
    assert_eq!(asked(&url, &two, JSON).await.0, 200);
    pass(24 * 60);
    assert_eq!(kept.closed().await.0, 1013);
    assert_eq!(asked(&url, &two, JSON).await, unavailable());
    assert_eq!(refused_socket(&url, &two).await, 1013);
    let ready = format!("{}/health/ready", server.url);
    let report = client().get(&ready).send().await.unwrap();
    assert_eq!(report.status(), 503);
    anonymous.subscribe("1", WHO, json!({})).await;
    assert_eq!(anonymous.next().await["type"], "next");

    issuer.publish(&[("two", OTHER)]);
    within(TAKEN_IN, "keys are taken", async || {
        server
            .clock
            .set(server.clock.now().saturating_add(Duration::from_secs(1)));
        asked(&url, &two, JSON).await.0 == 200
    })
    .await;
}

#[tokio::test]
async fn times_that_are_refused() {
    for (flag, value, expected) in [
        ("--jwks-max-age", "0s", "a second at least"),
        ("--jwks-max-age", "900ms", "a second at least"),
        ("--jwt-leeway", "11m", "10 minutes at most"),
        ("--jwt-leeway", "-1s", "10 minutes at most"),
        ("--jwt-leeway", "60", "10 minutes at most"),
    ] {
        let told = run(program(&["serve", &format!("{flag}={value}")])).failed(2);
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_a_jwks_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jwks.json");
    let public = json!({ "keys": [jwk("ours", PEM)] }).to_string();
    fs::write(&file, &public).unwrap();
    let storage = TestDatabase::sqlite();
    let on = |flags: &[&str]| {
        let mut command = program(&["--jwks", file.to_str().unwrap()]);
        command
            .args(flags)
            .env("CONNECTORS_DATABASE_URL", &storage.url);
        command
    };
    for flags in [
        &[][..],
        &["--jwt-issuer", "https://issuer.example"],
        &["--jwt-audience", "connectors"],
    ] {
        let told = run(on(flags)).failed(2);
        assert!(told.contains("required arguments"), "{told}");
    }
    let told = run(on(&["--jwt-issuer", "", "--jwt-audience", "connectors"])).failed(2);
    assert!(told.contains("expected a text that is not empty"), "{told}");

    for bad in ["{}", "[]", "no JSON", r#"{"keys":[]}"#] {
        fs::write(&file, bad).unwrap();
        let told = run(on(&RULES)).failed(1);
        assert!(
            told.contains("error: --jwks ") && told.contains("jwks.json"),
            "{told}"
        );
    }
    fs::write(&file, &public).unwrap();
    let server = Serving::start(on(&RULES));
    let header = header("ours");
    let good = sign(&header, &json!({}), &key(PEM));
    let who = "{ viewer { userId organizationId scopes } }";
    assert_eq!(
        server.data(&good, who, json!({})).await["viewer"],
        json!({ "userId": "ann", "organizationId": "acme", "scopes": ["connectors:write"] })
    );
    // The public key's own text must not work as a secret.
    let hs256 = Header::new(Algorithm::HS256);
    let confused = EncodingKey::from_secret(public.as_bytes()).unwrap();
    let bad = [
        ("HS256", sign(&hs256, &json!({}), &confused)),
        ("another key", sign(&header, &json!({}), &key(OTHER))),
        (
            "another issuer",
            sign(
                &header,
                &json!({ "iss": "https://other.example" }),
                &key(PEM),
            ),
        ),
        (
            "another audience",
            sign(&header, &json!({ "aud": "others" }), &key(PEM)),
        ),
        ("expired", sign(&header, &json!({ "exp": 1 }), &key(PEM))),
    ];
    for (what, token) in bad {
        let answer = server.ask(&token, who, json!({})).await.unwrap();
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED",
            "{what}"
        );
    }
    // Only the holder of the private key makes tokens, so the service gives no command for it.
    let told = server.stop().ok();
    let pages = ["GraphQL at ", "Console at ", "GraphiQL at "];
    let is_page = |line: &str| pages.iter().any(|page| line.starts_with(page));
    assert!(told.lines().all(is_page), "{told}");
    let mut token = program(&["token", "--user=ann", "--jwks=keys.json"]);
    token
        .args(RULES)
        .env("CONNECTORS_DATABASE_URL", &storage.url);
    let told = run(token).failed(2);
    assert!(
        told.contains("your identity provider makes the tokens"),
        "{told}"
    );
}
