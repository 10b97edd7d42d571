//! Reverse proxies with the configuration files for operators.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::{
    clients::subscribers::{LONG, PROTOCOL, Socket},
    harness::{TestDatabase, client, post},
    mutations::{CREATE, draft, mutation},
    process::{Serving, program_on, token},
    waiting::within,
};

const NGINX: &str = include_str!("../../../deploy/nginx.conf");
const CADDY: &str = include_str!("../../../deploy/Caddyfile");

/// A proxy that is killed when it is dropped.
struct Proxy {
    child: Child,
    url: String,
}

impl Proxy {
    async fn start(mut command: Command, address: &str, need: &str) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|_| {
            panic!("this test needs {need}: install it, or leave it out with --skip proxies::")
        });
        let this = Self {
            child,
            url: format!("http://{address}/graphql"),
        };
        let ready = this.url.replace("graphql", "health/ready");
        let is_ready = async || {
            client()
                .get(&ready)
                .send()
                .await
                .is_ok_and(|response| response.status() == 200)
        };
        within(LONG, "the proxy serves", is_ready).await;
        this
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

/// Returns the text with one part replaced. Panics if the text does not have the part.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

/// Starts the service that the proxies forward to.
fn service() -> (TestDatabase, Serving) {
    let storage = TestDatabase::sqlite();
    let flags = [
        "--trusted-proxy",
        "127.0.0.0/8",
        "--max-sockets",
        "1",
        "--rate-limit",
        "20",
    ];
    let serving = Serving::start(program_on(&storage, &flags));
    (storage, serving)
}

fn authority(serving: &Serving) -> &str {
    serving
        .url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/graphql")
        .unwrap()
}

/// Starts nginx with plain HTTP instead of TLS. It writes only to this folder.
async fn nginx(serving: &Serving, folder: &Path) -> Proxy {
    let address = free_address();
    let text = replaced(NGINX, "127.0.0.1:8080", authority(serving));
    let text = replaced(&text, "443 ssl http2", &address);
    let lines = text
        .lines()
        .filter(|line| !line.contains("ssl_certificate"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths = paths
        .map(|name| format!("{name}_temp_path {name};"))
        .concat();
    let text = format!(
        "daemon off; worker_processes 1; pid pid; error_log log;\nevents {{}}\nhttp {{ access_log off; \
         {paths}\n{text}\n}}\n"
    );
    fs::write(folder.join("nginx.conf"), text).unwrap();
    let program = ["/usr/sbin/nginx", "nginx"]
        .into_iter()
        .find(|program| Path::new(program).exists());
    let mut command = Command::new(program.unwrap_or("nginx"));
    command
        .arg("-e")
        .arg("log")
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"));
    // A killed master process would leave its worker running.
    command.args(["-g", "master_process off;"]);
    Proxy::start(command, &address, "nginx (Debian: nginx-light)").await
}

async fn caddy(serving: &Serving, folder: &Path) -> Proxy {
    let address = free_address();
    let text = replaced(CADDY, "127.0.0.1:8080", authority(serving));
    let text = replaced(
        &text,
        "\nconnectors.example.com",
        &format!("\n{{\n\tadmin off\n}}\nhttp://{address}"),
    );
    let file = folder.join("Caddyfile");
    fs::write(&file, text).unwrap();
    let mut command = Command::new("caddy");
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(file);
    command.env("HOME", folder);
    Proxy::start(command, &address, "Caddy (Debian: caddy)").await
}

/// Checks that a proxy forwards requests, WebSockets of its own pages, events, and clients' addresses.
async fn forwards_all(proxy: &Proxy, serving: &Serving) {
    let ann = token("ann@acme", "connectors:write");
    let origin = proxy.url.strip_suffix("/graphql").unwrap();
    let metrics = client()
        .get(format!("{origin}/metrics"))
        .send()
        .await
        .unwrap();
    assert_eq!(metrics.status(), 404);

    // The service receives a token of 16 KiB, and refuses it.
    let long = "x".repeat(16_000);
    let refused = post(
        &proxy.url,
        &long,
        r#"{"query":"{ viewer { userId } }"}"#.to_owned(),
    )
    .send()
    .await
    .unwrap();
    assert_eq!(refused.status(), 401);

    let foreign = Socket::open_at(
        &proxy.url,
        &[PROTOCOL, ("origin", "https://elsewhere.example")],
    )
    .await;
    assert!(foreign.is_err());
    let mut socket = Socket::open_at(&proxy.url, &[PROTOCOL, ("origin", origin)])
        .await
        .unwrap();
    socket.init(&ann).await;
    assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
    drop(socket);

    // A caller may have one open stream. The next one opens when the service has noticed that the client of the last
    // one disconnected.
    let query = "subscription($after: String) { personalConnectorChanged(after: $after) { kind } }";
    for (number, (accept, part)) in [
        ("text/event-stream", "event: next"),
        ("text/event-stream", "event: next"),
        ("multipart/mixed;subscriptionSpec=1.0", r#""payload""#),
    ]
    .into_iter()
    .enumerate()
    {
        // A response may begin before its subscription does, so the stream starts at the present cursor.
        let cursor = "{ personalConnectors(first: 0) { changesCursor } }";
        let data = serving.data(&ann, cursor, json!({})).await;
        let variables = json!({ "after": data["personalConnectors"]["changesCursor"] });
        let body = json!({ "query": query, "variables": variables }).to_string();
        let open = async || {
            let mut stream = None;
            let opens = async || {
                let request = post(&proxy.url, &ann, body.clone()).header("accept", accept);
                let response = request.send().await.unwrap();
                let is_open = response.status() == 200;
                stream = is_open.then_some(response);
                is_open
            };
            within(LONG, "the stream before has ended", opens).await;
            stream.unwrap()
        };
        let mut stream = open().await;
        let input = draft(&format!("Through a proxy {number}"), json!({}));
        serving
            .data(&ann, &mutation(CREATE), json!({ "input": input }))
            .await;
        let (mut text, mut ends) = (String::new(), 0);
        while !text.contains(part) {
            if let Some(chunk) = timeout(LONG, stream.chunk()).await.unwrap().unwrap() {
                text += std::str::from_utf8(&chunk).unwrap();
                continue;
            }
            // Caddy sometimes ends a stream soon after another one. Then the client opens it again.
            ends += 1;
            assert!(ends < 2, "{accept}: the stream ended after {text}");
            stream = open().await;
        }
    }

    // A header from the client does not change its address.
    let mut statuses = Vec::new();
    for number in 0..60 {
        let request = post(&proxy.url, "", r#"{"query":"{ __typename }"}"#.to_owned());
        let request = request.header("x-forwarded-for", format!("192.0.2.{number}"));
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx"]
async fn nginx_forwards_all() {
    let (_storage, serving) = service();
    let folder = TempDir::new().unwrap();
    let proxy = nginx(&serving, folder.path()).await;
    forwards_all(&proxy, &serving).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Caddy"]
async fn caddy_forwards_all() {
    let (_storage, serving) = service();
    let folder = TempDir::new().unwrap();
    let proxy = caddy(&serving, folder.path()).await;
    forwards_all(&proxy, &serving).await;
}
