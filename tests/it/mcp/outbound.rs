//! Connections to MCP servers: their certificate authorities, and a proxy.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use entity::ServerType;
use futures_util::future::BoxFuture;
use personal_connectors::{
    config::OutboundRules,
    domain::inspection::{Inspection, Outcome},
    mcp::{
        guard::{Guard, Lookup},
        handshake::PutOff,
    },
    outbound::Outbound,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    on_both_databases,
    support::{
        harness::{Server, TestDatabase, direct, rows},
        mcp::{Plain, allowing, answer, inspector_through, limits, well_behaved},
        network::{
            proxy::{Proxy, Reaction},
            tls::{AUTHORITY, Tls, trusting},
        },
        objects::{import, object},
        process::{Done, Serving, program_on, run},
        waiting::within,
    },
};

/// Resolves each name to these addresses.
#[derive(Debug)]
struct Knows(&'static [&'static str]);

impl Lookup for Knows {
    fn addresses(&self, _: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let addresses = self.0.iter().map(|text| text.parse().unwrap()).collect();
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Inspects through a proxy, with these addresses for names, and with this machine allowed.
async fn try_through(
    proxy: &str,
    addresses: &'static [&'static str],
    url: &str,
) -> Result<Inspection, PutOff> {
    let guard = Guard::with_lookup(allowing(&["127.0.0.0/8"]), Arc::new(Knows(addresses)));
    let inspector = inspector_through(trusting(Some(proxy)), guard, limits());
    inspector
        .try_inspect(Some(url), Some(ServerType::Http))
        .await
}

async fn through(proxy: &Proxy, addresses: &'static [&'static str], url: &str) -> Inspection {
    try_through(&proxy.url(), addresses, url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_of_the_operators_is_trusted() {
    let plain = Plain::new(well_behaved).await;
    let tls = Tls::before(plain.address()).await;
    let look = async |outbound: Outbound, url: String, claimed| {
        let guard = Guard::new(allowing(&["127.0.0.1", "localhost"]));
        let inspector = inspector_through(outbound, guard, limits());
        inspector.inspect(Some(&url), Some(claimed)).await
    };
    let port = tls.address.port();
    for (scheme, claimed, outcome) in [
        ("https", ServerType::Http, Outcome::Open),
        ("wss", ServerType::Websocket, Outcome::WrongTransport),
    ] {
        let url = format!("{scheme}://localhost:{port}/mcp");
        let found = look(direct(), url.clone(), claimed).await;
        assert_eq!(found.outcome, Outcome::Unreachable, "{}", found.message);
        assert!(found.message.contains("--ca-file"), "{}", found.message);
        let found = look(trusting(None), url, claimed).await;
        assert_eq!(found.outcome, outcome, "{}", found.message);
    }
    let names = tls.names();
    assert!(!names.is_empty());
    assert!(
        names
            .iter()
            .all(|name| name.as_deref() == Some("localhost"))
    );
    // A name that the certificate lacks is refused.
    let guard = Guard::with_lookup(allowing(&["127.0.0.1"]), Arc::new(Knows(&["127.0.0.1"])));
    let inspector = inspector_through(trusting(None), guard, limits());
    let url = format!("https://other.example:{port}/mcp");
    let found = inspector.inspect(Some(&url), None).await;
    assert_eq!(found.outcome, Outcome::Unreachable);
    assert!(!found.message.contains("--ca-file"), "{}", found.message);
}

/// The guard judges the address that the proxy is given, and the server sees the name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_connects_to_the_address_that_was_judged() {
    let plain = Plain::new(well_behaved).await;
    let tls = Tls::before(plain.address()).await;
    let (encrypted, bare) = (tls.address, plain.address());
    let to = move |target: &str| -> SocketAddr {
        if target.ends_with(":443") {
            encrypted
        } else {
            bare
        }
    };
    for (addresses, url, target) in [
        (&["8.8.8.8"][..], "https://mcp.example/mcp", "8.8.8.8:443"),
        (
            &["2606:4700::1"],
            "https://mcp.example/mcp",
            "[2606:4700::1]:443",
        ),
        (&["8.8.8.8"], "http://mcp.example:8080/mcp", "8.8.8.8:8080"),
        (&["8.8.8.8"], "http://mcp.example/mcp", "8.8.8.8:80"),
        (&[], "http://8.8.4.4/mcp", "8.8.4.4:80"),
        (&[], "http://[2606:4700::2]/mcp", "[2606:4700::2]:80"),
    ] {
        let proxy = Proxy::new(move |target| Reaction::Connect(to(target))).await;
        let found = through(&proxy, addresses, url).await;
        assert_eq!(found.outcome, Outcome::Open, "{url}: {}", found.message);
        assert_eq!(found.tools.len(), 2);
        assert_eq!(proxy.targets(), [target]);
        let head = proxy.heads()[0].clone();
        assert!(head.contains(&format!("\r\nHost: {target}\r\n")), "{head}");
        assert!(!head.contains("mcp.example") && !head.contains("Proxy-Authorization"));
        let host = url.split('/').nth(2).unwrap();
        let requests = std::mem::take(&mut *plain.requests.lock().unwrap());
        for request in requests {
            assert_eq!(request.header("host"), Some(host), "{url}");
            assert_eq!(request.header("proxy-authorization"), None);
        }
    }
    let names = tls.names();
    assert!(!names.is_empty());
    assert!(
        names
            .iter()
            .all(|name| name.as_deref() == Some("mcp.example"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_address_is_called_directly_or_not_at_all() {
    let plain = Plain::new(well_behaved).await;
    let bare = plain.address();
    let proxy = Proxy::new(move |_| Reaction::Connect(bare)).await;
    let named = format!("http://mcp.internal:{}/", bare.port());
    for (addresses, url) in [
        (&["127.0.0.1"][..], named.as_str()),
        (&["127.0.0.1", "8.8.8.8"], &named),
        (&[], &plain.url),
    ] {
        let found = through(&proxy, addresses, url).await;
        assert_eq!(found.outcome, Outcome::Open, "{url}: {}", found.message);
    }
    // The proxy must not be used to reach forbidden addresses.
    for (addresses, url) in [
        (&["10.0.0.1"][..], "http://mcp.example/"),
        (&[], "http://169.254.169.254/latest/meta-data"),
        (&[], "http://[::1]/"),
    ] {
        let found = through(&proxy, addresses, url).await;
        assert_eq!(found.outcome, Outcome::Blocked, "{url}: {}", found.message);
    }
    assert_eq!(proxy.heads().len(), 0);
    // A redirect does not reach them either.
    let moved = Plain::new(|_| answer(307, "location: http://10.0.0.1/\r\n", "")).await;
    let to = moved.address();
    let proxy = Proxy::new(move |_| Reaction::Connect(to)).await;
    let found = through(&proxy, &["8.8.8.8"], "http://mcp.example/").await;
    assert_eq!(found.outcome, Outcome::Blocked, "{}", found.message);
    assert_eq!(proxy.targets(), ["8.8.8.8:80"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxys_answer_is_a_verdict_where_it_is_about_the_server() {
    for (answer, outcome, message) in [
        (
            "HTTP/1.1 502 Bad Gateway\r\n\r\n",
            Outcome::Unreachable,
            "proxy cannot connect to it (HTTP status 502)",
        ),
        (
            "HTTP/1.1 503 X\r\nX-Squid-Error: ERR_CONNECT_FAIL\r\n\r\n",
            Outcome::Unreachable,
            "HTTP status 503",
        ),
        (
            "HTTP/1.0 500 Unable to connect\r\n\r\n<html>",
            Outcome::Unreachable,
            "HTTP status 500",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            Outcome::Blocked,
            "outbound proxy does not permit it (HTTP status 403)",
        ),
    ] {
        let proxy = Proxy::new(move |_| Reaction::Answer(answer)).await;
        let found = through(&proxy, &["8.8.8.8"], "https://mcp.example/mcp").await;
        assert_eq!(found.outcome, outcome, "{answer}: {}", found.message);
        assert!(found.message.contains(message), "{}", found.message);
    }
    let proxy = Proxy::new(|_| Reaction::Hang).await;
    let found = through(&proxy, &["8.8.8.8"], "https://mcp.example/mcp").await;
    assert_eq!(found.outcome, Outcome::Timeout);
    assert_eq!(
        found.message,
        "The outbound proxy did not connect to the server in time."
    );
    // If one address of a name fails, another one may work.
    let plain = Plain::new(well_behaved).await;
    let bare = plain.address();
    let proxy = Proxy::new(move |target| match target {
        "8.8.8.8:80" => Reaction::Connect(bare),
        "8.8.4.4:80" => Reaction::Hang,
        _ => Reaction::Answer("HTTP/1.1 502 X\r\n\r\n"),
    })
    .await;
    let addresses = &["2606:4700::1", "8.8.4.4", "8.8.8.8"];
    let found = through(&proxy, addresses, "http://mcp.example/mcp").await;
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_the_proxy_is_no_verdict() {
    for (answer, said) in [
        (
            "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\n\r\n",
            "wants a user name and a password",
        ),
        (
            "HTTP/1.1 405 X\r\n\r\n",
            "answers CONNECT with HTTP status 405",
        ),
        (
            "SSH-2.0-OpenSSH_9.6\r\n",
            "does not answer as an HTTP proxy",
        ),
        ("", "closes the connection"),
    ] {
        let proxy = Proxy::new(move |_| Reaction::Answer(answer)).await;
        let url = format!("http://ann:secret@{}", proxy.address);
        let put_off = try_through(&url, &["8.8.8.8"], "https://mcp.example/mcp").await;
        let put_off = put_off.unwrap_err().to_string();
        let expected = format!("the outbound proxy {} {said}", proxy.url());
        assert!(put_off.starts_with(&expected), "{put_off}");
        assert!(!put_off.contains("secret"), "{put_off}");
        assert!(proxy.heads()[0].contains("\r\nProxy-Authorization: Basic YW5uOnNlY3JldA==\r\n"));
    }
    // The port has no listener, and stays reserved.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    for (proxy, expected) in [
        (url.as_str(), "cannot be reached"),
        ("http://nowhere.invalid:3128", "cannot be reached"),
    ] {
        let began = std::time::Instant::now();
        let put_off = try_through(proxy, &["8.8.8.8"], "https://mcp.example/mcp").await;
        let put_off = put_off.unwrap_err().to_string();
        assert!(put_off.contains(expected), "{put_off}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

fn check(storage: &TestDatabase, flags: &[&str]) -> Done {
    let mut command = program_on(storage, &["check", "--mcp-allow", "127.0.0.0/8"]);
    command.args(flags);
    run(command)
}

on_both_databases! {
    /// The command reports how many connectors it did not check, and keeps their stored results.
    async fn a_round_behind_a_dead_proxy_checks_the_rest(storage: TestDatabase) {
        let plain = Plain::new(well_behaved).await;
        let bare = plain.address();
        let proxy = Proxy::new(move |_| Reaction::Connect(bare)).await;
        import(
            &storage,
            &[
                object("far", &json!({ "serverUrl": "http://8.8.8.8/mcp" })),
                object("near", &json!({ "serverUrl": plain.url })),
            ],
        );
        let both = check(&storage, &["--outbound-proxy", &proxy.url()]).ok();
        assert!(both.contains("2 checked: 2 OPEN"), "{both}");
        let nobody = tokio::net::TcpSocket::new_v4().unwrap();
        nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = nobody.local_addr().unwrap();
        let dead = format!("http://ann:secret@{address}");
        let done = check(&storage, &["--outbound-proxy", &dead]);
        let told = done.failed(3);
        assert!(
            told.contains("1 checked: 1 OPEN; 1 not checked, as the outbound proxy http://"),
            "{told}"
        );
        assert!(
            told.contains(&format!(
                "{address} cannot be reached: run the command again"
            )),
            "{told}"
        );
        assert!(!told.contains("secret"), "{told}");
        let open = rows(
            &storage.url,
            "SELECT COUNT(*) AS n FROM connector_health WHERE outcome = 'open'",
        )
        .await;
        assert_eq!(open, "2\n");
    }

    /// A check behind a dead proxy stays due, delays no other, and runs when the proxy works again.
    async fn a_dead_proxy_postpones_checks(storage: TestDatabase) {
        let plain = Plain::new(well_behaved).await;
        let bare = plain.address();
        let works = Arc::new(AtomicBool::new(false));
        let proxy = {
            let works = works.clone();
            Proxy::new(move |_| {
                if works.load(Ordering::Relaxed) {
                    Reaction::Connect(bare)
                } else {
                    Reaction::Answer("HTTP/1.1 407 X\r\n\r\n")
                }
            })
            .await
        };
        let far = (0..300).map(|n| {
            object(
                &format!("far{n}"),
                &json!({ "serverUrl": "http://8.8.8.8/mcp" }),
            )
        });
        let near = object("near", &json!({ "serverUrl": plain.url }));
        import(&storage, &far.chain([near]).collect::<Vec<_>>());
        let folder = tempfile::tempdir().unwrap();
        let catalog = folder.path().join("catalog.json");
        std::fs::write(&catalog, "[]").unwrap();
        let mut command = program_on(
            &storage,
            &[
                "--mcp-allow",
                "127.0.0.0/8",
                "--outbound-proxy",
                &proxy.url(),
            ],
        );
        command
            .args(["--max-checks-per-host", "8"])
            .env("CONNECTORS_MONITOR", "true")
            .env("CONNECTORS_CATALOG", &catalog);
        // No client reads these variables.
        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ] {
            command.env(name, "http://127.0.0.1:1");
        }
        command.env("NO_PROXY", "*");
        let server = Serving::start(command);
        let open = async || {
            rows(
                &storage.url,
                "SELECT COUNT(*) AS n FROM connector_health WHERE outcome = 'open'",
            )
            .await
        };
        within(Duration::from_secs(15), "the direct server is checked", async || {
            open().await == "1\n"
        })
        .await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Each is tried once or twice, not repeatedly.
        let asked = proxy.heads().len();
        assert!((1..=700).contains(&asked), "{asked}");
        assert_eq!(open().await, "1\n");
        let unhealthy = rows(
            &storage.url,
            "SELECT COUNT(*) AS n FROM connector_health WHERE outcome <> 'open'",
        )
        .await;
        assert_eq!(unhealthy, "0\n");
        works.store(true, Ordering::Relaxed);
        within(Duration::from_secs(30), "the servers behind the proxy are checked", async || {
            open().await == "301\n"
        })
        .await;
        let log = tokio::task::spawn_blocking(|| server.stop())
            .await
            .unwrap()
            .err;
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("outbound proxy"))
            .collect();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(
            lines[0].contains("WARN") && lines[0].contains("HTTP status 407"),
            "{}",
            lines[0]
        );
        assert!(
            lines[1].contains("INFO") && lines[1].contains("connects again"),
            "{}",
            lines[1]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inspection_behind_a_dead_proxy_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::on(listener, |_| Reaction::Answer("HTTP/1.1 407 X\r\n\r\n"));
    let flags = ["--outbound-proxy", &proxy.url(), "--ca-file", AUTHORITY];
    let server = Server::on_sqlite(&flags).await;
    let query = r#"mutation { inspectServer(input: { serverUrl: "https://8.8.8.8/mcp" }) { inspection { outcome } } }"#;
    let token = server.token("ann@acme", &["connectors:write"]);
    let answer = server.execute(&token, query, json!({})).await;
    assert_eq!(
        answer["errors"][0]["extensions"]["code"], "UNAVAILABLE",
        "{answer}"
    );
    // Only the operator sees the proxy's name.
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("outbound proxy") && !message.contains("127.0.0.1"),
        "{message}"
    );
}

#[test]
fn rules_show_no_password() {
    let rules = OutboundRules {
        proxy: Some("http://ann:secret@proxy:3128".parse().unwrap()),
        ..OutboundRules::default()
    };
    let outbound = Outbound::new(&rules).unwrap();
    let shown = format!("{rules:?} {outbound:?}");
    assert!(
        shown.contains("proxy:3128") && !shown.contains("secret"),
        "{shown}"
    );
}
