//! The table of docs/reference/outcomes.md for streamable HTTP. Each server is inspected 30 times at once, always with
//! the same outcome.

use entity::ServerType;
use personal_connectors::domain::inspection::{Inspection, Outcome};
use serde_json::{Value, json};

use crate::support::mcp::{
    Plain, Reaction, Request, answer, inspect, json_answer, response, result, well_behaved,
};

const JSON: &str = "content-type: application/json\r\n";
const EVENTS: &str = "content-type: text/event-stream\r\n";
const SPEAKS: &str = "The server speaks MCP.";

/// Returns the parts that must be the same each time.
fn essence(found: &Inspection) -> (Outcome, &str, Vec<&str>, bool, &[String]) {
    let tools = found.tools.iter().map(|tool| tool.name.as_str());
    let tools = tools.collect();
    (
        found.outcome,
        &found.message,
        tools,
        found.tools_listed,
        &found.authorization_servers,
    )
}

/// Returns the inspection on which 30 concurrent ones agree.
pub(super) async fn steady(name: &str, url: &str, claimed: ServerType) -> Inspection {
    let looks = (0..30).map(|_| inspect(url, claimed));
    let mut found = futures_util::future::join_all(looks).await;
    let first = found.swap_remove(0);
    for other in &found {
        assert_eq!(essence(other), essence(&first), "{name}");
    }
    first
}

struct Expected {
    outcome: Outcome,
    message: &'static str,
    tools: usize,
    issuers: usize,
}

fn comes_to(outcome: Outcome, message: &'static str, tools: usize, issuers: usize) -> Expected {
    Expected {
        outcome,
        message,
        tools,
        issuers,
    }
}

async fn look(
    name: &str,
    expected: Expected,
    react: impl Fn(&Request) -> Reaction + Send + Sync + 'static,
) -> Plain {
    let server = Plain::new(react).await;
    let url = format!("{}/mcp", server.url);
    let found = steady(name, &url, ServerType::Http).await;
    let message = &found.message;
    assert_eq!(found.outcome, expected.outcome, "{name}: {message}");
    assert!(message.contains(expected.message), "{name}: {message}");
    assert_eq!(found.tools.len(), expected.tools, "{name}: {message}");
    let issuers = found.authorization_servers.len();
    assert_eq!(issuers, expected.issuers, "{name}: {message}");
    // No inspection reached its time limit.
    assert!(!message.contains("in time"), "{name}: {message}");
    server
}

fn metadata() -> Reaction {
    json_answer(&json!({ "resource": "x", "authorization_servers": ["https://issuer.example/"] }))
}

fn is_metadata(request: &Request) -> bool {
    request
        .path
        .starts_with("/.well-known/oauth-protected-resource")
}

fn error(id: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32000, "message": "no" } }).to_string()
}

const NO_METADATA: usize = 0;
const METADATA: usize = 1;

/// Answers one method in a given way, and the others correctly.
fn but(
    method: &'static str,
    issuers: usize,
    react: impl Fn(&Request) -> Reaction,
) -> impl Fn(&Request) -> Reaction {
    move |request| match request.asks() {
        _ if is_metadata(request) && issuers > 0 => metadata(),
        _ if is_metadata(request) => answer(404, "", ""),
        asks if asks == method => react(request),
        _ => well_behaved(request),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_begins_and_lists_that_are_refused() {
    use Outcome::{AuthRequired, Open};
    let expected = comes_to(Open, SPEAKS, 2, 0);
    look("all is answered", expected, well_behaved).await;
    let sign_in = "asks for a sign-in before it lists what it offers";
    #[rustfmt::skip]
    let table = [
        ("401", 401, "", false, METADATA, comes_to(AuthRequired, sign_in, 0, 1)),
        ("401 with a body", 401, "", true, METADATA, comes_to(AuthRequired, sign_in, 0, 1)),
        ("401, no metadata", 401, "", false, NO_METADATA, comes_to(AuthRequired, sign_in, 0, 0)),
        ("403 with a challenge", 403, "www-authenticate: \
                                       Bearer\r\n", true, METADATA, comes_to(AuthRequired, sign_in, 0, 1)),
        ("403", 403, "", false, METADATA, comes_to(AuthRequired, sign_in, 0, 1)),
        ("403 with a body", 403, "", true, METADATA, comes_to(AuthRequired, sign_in, 0, 1)),
        ("403, no metadata", 403, "", true, NO_METADATA, comes_to(Open, "it answers with HTTP status 403", 0, 0)),
        ("404", 404, "", false, METADATA, comes_to(Open, "it answers with HTTP status 404", 0, 0)),
        ("429", 429, "", true, METADATA, comes_to(Open, "it answers with HTTP status 429", 0, 0)),
        ("500", 500, "", false, METADATA, comes_to(Open, "it answers with HTTP status 500", 0, 0)),
        ("503 with a body", 503, "", true, METADATA, comes_to(Open, "it answers with HTTP status 503", 0, 0)),
        ("202", 202, "", false, METADATA, comes_to(Open, "it accepts a request without answering it", 0, 0)),
        ("204", 204, "", false, METADATA, comes_to(Open, "it accepts a request without answering it", 0, 0)),
        ("an empty body", 200, "", false, METADATA, comes_to(Open, "it answers with an empty body", 0, 0)),
    ];
    for (name, status, headers, body, issuers, expected) in table {
        let headers = format!("{JSON}{headers}content-length: ");
        let react = but("tools/list", issuers, move |request| {
            let body = if body {
                error(&request.body["id"])
            } else {
                String::new()
            };
            answer(status, &format!("{headers}{}\r\n", body.len()), body)
        });
        look(name, expected, react).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_came_before_a_refusal_are_kept() {
    use Outcome::{AuthRequired, Open};
    let sign_in = "asks for a sign-in before it lists what it offers";
    let react = but("prompts/list", METADATA, |_| answer(401, "", ""));
    look(
        "401 on prompts",
        comes_to(AuthRequired, sign_in, 2, 1),
        react,
    )
    .await;
    let react = but("prompts/list", METADATA, |_| answer(503, "", ""));
    let expected = comes_to(Open, "it answers with HTTP status 503", 2, 0);
    look("503 on prompts", expected, react).await;
    // The second page.
    let react = but("tools/list", METADATA, |request| {
        if request.body["params"]["cursor"].is_string() {
            return answer(401, "", "");
        }
        let mut page = result(request).unwrap();
        page["nextCursor"] = json!("2");
        json_answer(&response(request, &page))
    });
    look(
        "401 on a page",
        comes_to(AuthRequired, sign_in, 2, 1),
        react,
    )
    .await;
}

/// A lost session, and responses without a request or missing ones: each ends the list at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_without_an_answer() {
    use Outcome::Open;
    let events = |text: &str| answer(200, EVENTS, text);
    #[rustfmt::skip]
    let table = [
        ("an error without an id", "does not follow the MCP", answer(200, JSON, error(&Value::Null))),
        ("an error with an id of its own", "does not follow the MCP", answer(400, JSON, error(&json!("server-error")))),
        ("404 and an error without an id, no session", "does not follow the \
                                                        MCP", answer(404, JSON, error(&Value::Null))),
        ("another id", "it answers with the id of another \
                        request", answer(200, JSON, r#"{"jsonrpc":"2.0","id":99,"result":{"tools":[]}}"#)),
        ("a request", "it ends the connection without an \
                       answer", answer(200, JSON, r#"{"jsonrpc":"2.0","id":99,"method":"ping"}"#)),
        ("no events", "it ends the connection without an answer", events("")),
        ("a comment", "it ends the connection without an answer", events(": hello\n\n")),
        ("a notification", "it ends the connection without an \
                            answer", events("data: \
                            {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")),
        ("another id in events", "it answers with the id of another \
                                  request", events("data: {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n\n")),
        ("an error without an id in events", "does not follow the \
                                              MCP", events(&format!("data: {}\n\n", error(&Value::Null)))),
        // The rest is requested by GET, which is answered with 405.
        ("the rest is not to be had", "it ends the connection without an answer", events("id: 1\ndata:\n\n")),
    ];
    for (name, message, reaction) in table {
        let react = but("tools/list", NO_METADATA, move |_| reaction.clone());
        look(name, comes_to(Open, message, 0, 0), react).await;
    }
    // 404 means that the session is lost (MCP 2025-11-25, Session Management).
    for (name, body) in [("", false), (" with an error", true)] {
        let react = move |request: &Request| match request.asks() {
            "initialize" => answer(
                200,
                &format!("{JSON}mcp-session-id: 1\r\n"),
                response(request, &result(request).unwrap()).to_string(),
            ),
            "server/discover" => well_behaved(request),
            _ if body => answer(404, JSON, error(&Value::Null)),
            _ => answer(404, "", ""),
        };
        let expected = comes_to(Open, "it answers with HTTP status 404", 0, 0);
        look(&format!("404 in a session{name}"), expected, react).await;
    }
}

/// Servers that resume a stream which they closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_an_answer_is_asked_for() {
    let react = |request: &Request| match (request.method.as_str(), request.asks()) {
        ("POST", "tools/list") => answer(200, EVENTS, "id: 1\nretry: 10\ndata:\n\n"),
        ("GET", _) if request.header("last-event-id") == Some("1") => {
            // The library counts from 0, so this is its second request.
            let tools = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [{ "name": "late",
                "inputSchema": {} }] } });
            answer(200, EVENTS, format!("id: 2\ndata: {tools}\n\n"))
        }
        _ => well_behaved(request),
    };
    look("resumed", comes_to(Outcome::Open, SPEAKS, 1, 0), react).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_count_whatever_the_body_says() {
    use Outcome::{AuthRequired, NotMcp, Open, Unreachable};
    for (status, issuers, outcome, message) in [
        (400, METADATA, NotMcp, "refuses to begin a session"),
        (404, METADATA, NotMcp, "refuses to begin a session"),
        (405, METADATA, NotMcp, "refuses to begin a session"),
        (501, METADATA, NotMcp, "refuses to begin a session"),
        (401, METADATA, AuthRequired, "asks for a sign-in"),
        (401, NO_METADATA, AuthRequired, "asks for a sign-in"),
        (403, METADATA, AuthRequired, "asks for a sign-in"),
        (403, NO_METADATA, NotMcp, "status 403"),
        (407, METADATA, Unreachable, "status 407"),
        (408, METADATA, Unreachable, "status 408"),
        (421, METADATA, Unreachable, "status 421"),
        (425, METADATA, Unreachable, "status 425"),
        (429, METADATA, Unreachable, "status 429"),
        (500, METADATA, Unreachable, "status 500"),
        (503, METADATA, Unreachable, "status 503"),
        (530, METADATA, Unreachable, "status 530"),
    ] {
        for id in [
            Some(json!(0)),
            Some(Value::Null),
            Some(json!("server-error")),
            None,
        ] {
            let (with_body, name) = (id.is_some(), format!("{status} {id:?}"));
            let issued = usize::from(outcome == AuthRequired && issuers == METADATA);
            let message = match status {
                _ if with_body || !matches!(status, 400 | 404 | 405 | 501) => message,
                _ => "answers with HTTP status",
            };
            let expected = comes_to(outcome, message, 0, issued);
            look(&name, expected, move |request| match &id {
                _ if is_metadata(request) && issuers == METADATA => metadata(),
                _ if is_metadata(request) => answer(404, "", ""),
                Some(id) if request.method == "POST" => answer(status, JSON, error(id)),
                Some(_) => answer(405, "", ""),
                None => answer(status, "", ""),
            })
            .await;
        }
    }
    // A server of an earlier revision may refuse `server/discover` in any way.
    for (name, reaction) in [
        ("400", answer(400, JSON, error(&Value::Null))),
        ("500", answer(500, JSON, error(&json!(0)))),
        ("503", answer(503, "content-type: text/html\r\n", "<h1>")),
        ("202", answer(202, "", "")),
        ("403", answer(403, "", "")),
        ("closes", Reaction::Close),
        ("no answer", answer(200, EVENTS, "")),
    ] {
        let react = but("server/discover", NO_METADATA, move |_| reaction.clone());
        look(name, comes_to(Open, SPEAKS, 2, 0), react).await;
    }
}

/// The notification `initialized` needs no response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_no_answer_may_have_any() {
    for (name, reaction) in [
        ("401", answer(401, "", "")),
        ("500", answer(500, "", "")),
        ("closes", Reaction::Close),
        ("hangs", Reaction::Hang),
        ("events", answer(200, EVENTS, ": hello\n\n")),
    ] {
        let react = but("notifications/initialized", NO_METADATA, move |_| {
            reaction.clone()
        });
        look(name, comes_to(Outcome::Open, SPEAKS, 2, 0), react).await;
    }
}

/// Comments, pings and unknown fields may accompany a response (HTML Living Standard, §9.2).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_no_messages_are_passed_over() {
    let before = ": hello\n\nevent: ping\ndata: {}\n\nevent: ping\ndata: now\n\nretry: 10\n\nunknown: \
                  x\nalone\n\ndata:\n\n";
    for after in ["", "data: what comes after the answer\n\n"] {
        let react = move |request: &Request| match result(request) {
            Some(result) => {
                let response = response(request, &result);
                answer(200, EVENTS, format!("{before}data: {response}\n\n{after}"))
            }
            None => well_behaved(request),
        };
        look(after, comes_to(Outcome::Open, SPEAKS, 2, 0), react).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_challenges_are_read() {
    let bearer = "Bearer resource_metadata=\"http://HOST/metadata\"";
    for fields in [
        vec![bearer],
        vec!["Basic realm=\"x\"", bearer],
        vec![bearer, "Basic realm=\"x\""],
        vec!["Basic realm=\"a, b\", Bearer resource_metadata=\"http://HOST/metadata\""],
        vec![
            "Basic realm=\"resource_metadata=no, \\\" x\", Bearer resource_metadata=\"/metadata\"",
        ],
        vec!["Basic realm=\"never closed", bearer],
        vec!["Basic realm=\"Zugänge\"", bearer],
        vec!["Bearer resource_metadata=\"/nowhere\"", bearer],
        vec![
            "Negotiate",
            "Digest realm=\"x\", qop=\"auth, auth-int\"",
            bearer,
        ],
    ] {
        for status in [401, 403] {
            let name = format!("{status} {fields:?}");
            let fields = fields.clone();
            let expected = comes_to(Outcome::AuthRequired, "asks for a sign-in", 0, 1);
            look(&name, expected, move |request| {
                let host = request.header("host").unwrap();
                let fields = fields.iter().map(|field| field.replace("HOST", host));
                let headers = fields.map(|field| format!("WWW-Authenticate: {field}\r\n"));
                match request.path.as_str() {
                    "/metadata" => metadata(),
                    "/mcp" => answer(status, &headers.collect::<String>(), ""),
                    _ => answer(404, "", ""),
                }
            })
            .await;
        }
    }
}

/// Responses before the final one: interim ones and redirects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn informational_answers_and_redirects() {
    use Outcome::{NotMcp, Open};
    let hints = |request: &Request| match well_behaved(request) {
        Reaction::Send(bytes) => {
            let hints =
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
            Reaction::Send([&hints[..], &bytes].concat())
        }
        other => other,
    };
    look("100 and 103", comes_to(Open, SPEAKS, 2, 0), hints).await;
    for (status, headers) in [
        (101, "upgrade: other\r\nconnection: upgrade\r\n"),
        (300, ""),
        (302, ""),
        (304, ""),
        (426, "upgrade: websocket\r\n"),
    ] {
        let expected = comes_to(NotMcp, "answers with HTTP status", 0, 0);
        look(&status.to_string(), expected, move |_| {
            answer(status, headers, "")
        })
        .await;
    }
    let login = |request: &Request| match request.path.as_str() {
        "/login" => answer(200, "content-type: text/html\r\n", "<form>"),
        _ => answer(302, "location: /login\r\n", ""),
    };
    let expected = comes_to(NotMcp, "a message that is not JSON-RPC", 0, 0);
    look("a page to sign in", expected, login).await;
}
