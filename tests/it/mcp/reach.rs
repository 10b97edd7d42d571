//! The addresses that the service connects to, tested over real sockets.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use entity::ServerType;
use futures_util::future::BoxFuture;
use personal_connectors::{
    config::ServerRules,
    domain::inspection::Outcome,
    mcp::guard::{Guard, Lookup},
};

use crate::support::mcp::{
    Plain, allowing, answer, inspect, inspector, json_answer, limits, response, result,
    well_behaved,
};

/// Services on this machine are not called under any name, unless the operator allows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_this_machine_is_called_unless_it_is_allowed() {
    let server = Plain::new(well_behaved).await;
    let port = server.url.rsplit_once(':').unwrap().1;
    let inspector = inspector(Guard::new(ServerRules::default()), limits());
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "１２７.0.0.1",
    ] {
        for (scheme, claimed) in [("http", ServerType::Http), ("ws", ServerType::Websocket)] {
            let url = format!("{scheme}://{host}:{port}/mcp");
            let found = inspector.inspect(Some(&url), Some(claimed)).await;
            assert_eq!(found.outcome, Outcome::Blocked, "{url}: {}", found.message);
        }
    }
    assert!(server.requests.lock().unwrap().is_empty());
    assert_eq!(
        inspect(&server.url, ServerType::Http).await.outcome,
        Outcome::Open
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_followed_to_where_one_may_go() {
    let elsewhere = Plain::at("127.0.0.2:0", well_behaved).await;
    let guard = || Guard::new(allowing(&["127.0.0.1"]));
    for (location, outcome, message) in [
        (
            "http://169.254.169.254/latest/meta-data",
            Outcome::Blocked,
            "link-local",
        ),
        (
            "http://[::ffff:169.254.169.254]/",
            Outcome::Blocked,
            "link-local",
        ),
        (elsewhere.url.as_str(), Outcome::Blocked, "machine itself"),
        ("http://[::1]/", Outcome::Blocked, "machine itself"),
        ("file:///etc/passwd", Outcome::Blocked, "URL with a host"),
        ("http://ann:secret@127.0.0.1/", Outcome::Blocked, "password"),
        ("/again", Outcome::NotMcp, "more than 3 times"),
    ] {
        let headers = format!("location: {location}\r\n");
        let server = Plain::new(move |_| answer(307, &headers, "")).await;
        let inspector = inspector(guard(), limits());
        let found = inspector
            .inspect(Some(&server.url), Some(ServerType::Http))
            .await;
        assert_eq!(found.outcome, outcome, "{location}: {}", found.message);
        assert!(
            found.message.contains(message),
            "{location}: {}",
            found.message
        );
    }
    assert!(elsewhere.requests.lock().unwrap().is_empty());
    // An additional slash, as many frameworks require.
    for status in [301, 302, 307, 308] {
        let server = Plain::new(move |request| match request.path.as_str() {
            "/mcp" => answer(status, "location: /mcp/\r\n", ""),
            _ => well_behaved(request),
        })
        .await;
        let url = format!("{}/mcp", server.url);
        let inspector = inspector(guard(), limits());
        let found = inspector.inspect(Some(&url), Some(ServerType::Http)).await;
        assert_eq!(found.outcome, Outcome::Open, "{status}");
    }
}

/// A session's id grants access to the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_to_another_host_takes_no_session_along() {
    let elsewhere = Plain::new(well_behaved).await;
    let location = format!("location: {}/\r\n", elsewhere.url);
    let server = Plain::new(move |request| match request.asks() {
        "tools/list" => answer(307, &location, ""),
        "initialize" => answer(
            200,
            "content-type: application/json\r\nmcp-session-id: secret\r\nset-cookie: a=b\r\n",
            response(request, &result(request).unwrap()).to_string(),
        ),
        _ => well_behaved(request),
    })
    .await;
    let found = inspect(&server.url, ServerType::Http).await;
    assert_eq!(
        (found.outcome, found.tools.len()),
        (Outcome::Open, 2),
        "{}",
        found.message
    );
    let own = server.requests.lock().unwrap().clone();
    let others = elsewhere.requests.lock().unwrap().clone();
    assert!(
        own.iter()
            .any(|request| request.header("mcp-session-id") == Some("secret"))
    );
    // The session is ended.
    assert!(own.iter().any(|request| request.method == "DELETE"));
    assert_eq!(others.len(), 1);
    for request in own.iter().chain(&others) {
        for name in [
            "authorization",
            "cookie",
            "referer",
            "x-request-id",
            "traceparent",
        ] {
            assert_eq!(request.header(name), None, "{name}");
        }
        let agent = concat!("personal-connectors/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("user-agent"), Some(agent));
    }
    assert_eq!(others[0].header("mcp-session-id"), None);
}

/// A malicious DNS server: it first gives a permitted address, then another.
#[derive(Debug)]
struct Rebinding(AtomicUsize, Mutex<Vec<&'static str>>);

impl Lookup for Rebinding {
    fn addresses(&self, _: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let turn = self.0.fetch_add(1, Ordering::Relaxed);
        let answers = self.1.lock().unwrap();
        let address: IpAddr = answers[turn.min(answers.len() - 1)].parse().unwrap();
        Box::pin(std::future::ready(Ok(vec![address])))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_elsewhere_the_second_time_is_not_followed() {
    let permitted = Plain::at("127.0.0.2:0", well_behaved).await;
    let port = permitted.url.rsplit_once(':').unwrap().1;
    let forbidden = Plain::at(&format!("127.0.0.3:{port}"), well_behaved).await;
    let look = async |answers: &[&'static str], claimed| {
        let lookup = Rebinding(AtomicUsize::new(0), Mutex::new(answers.to_vec()));
        let guard = Guard::with_lookup(allowing(&["127.0.0.2"]), Arc::new(lookup));
        let url = format!("http://rebind.example:{port}/mcp");
        inspector(guard, limits())
            .inspect(Some(&url), Some(claimed))
            .await
    };
    let found = look(&["127.0.0.2"], ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
    for claimed in [ServerType::Http, ServerType::Websocket] {
        let found = look(&["127.0.0.2", "127.0.0.3"], claimed).await;
        assert_eq!(found.outcome, Outcome::Blocked, "{}", found.message);
        let found = look(&["127.0.0.3", "127.0.0.2"], claimed).await;
        assert_eq!(found.outcome, Outcome::Blocked, "{}", found.message);
    }
    assert!(forbidden.requests.lock().unwrap().is_empty());
}

/// Panics like a library with unexpected input.
#[derive(Debug)]
struct Panicking;

impl Lookup for Panicking {
    fn addresses(&self, host: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        panic!("{host}")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_an_outcome() {
    let guard = Guard::with_lookup(allowing(&[]), Arc::new(Panicking));
    let inspector = inspector(guard, limits());
    let url = Some("http://panic.example/mcp");
    let found = inspector.inspect(url, Some(ServerType::Http)).await;
    assert_eq!(found.outcome, Outcome::NotMcp);
    assert!(
        found.message.contains("cannot be read"),
        "{}",
        found.message
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_allowed_with_its_port_alone() {
    let server = Plain::new(well_behaved).await;
    let other = Plain::new(well_behaved).await;
    let place = server.url.strip_prefix("http://127.0.0.1").unwrap();
    let guard = || Guard::new(allowing(&[&format!("localhost{place}")]));
    let look = async |url: &str| {
        let url = url.replace("127.0.0.1", "localhost");
        inspector(guard(), limits())
            .inspect(Some(&url), None)
            .await
            .outcome
    };
    assert_eq!(look(&server.url).await, Outcome::Open);
    assert_eq!(look(&other.url).await, Outcome::Blocked);
    assert!(other.requests.lock().unwrap().is_empty());
}

/// Metadata requests follow the same rules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_leads_nowhere_one_may_not_go() {
    let elsewhere = Plain::at("127.0.0.2:0", |_| {
        json_answer(&serde_json::json!({ "authorization_servers": ["https://issuer.example"] }))
    })
    .await;
    let challenge = format!(
        "www-authenticate: Bearer resource_metadata=\"{}/x\"\r\n",
        elsewhere.url
    );
    let server = Plain::new(move |_| answer(401, &challenge, "")).await;
    let inspector = inspector(Guard::new(allowing(&["127.0.0.1"])), limits());
    let found = inspector
        .inspect(Some(&server.url), Some(ServerType::Http))
        .await;
    assert_eq!(found.outcome, Outcome::AuthRequired);
    assert!(found.authorization_servers.is_empty());
    assert!(elsewhere.requests.lock().unwrap().is_empty());
}
