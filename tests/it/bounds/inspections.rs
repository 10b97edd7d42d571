//! Servers whose responses need much memory, in inspections and checks.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    bounds::{ONE, SIXTEEN},
    support::{
        harness::TestDatabase,
        mcp::{Plain, Reaction, Request, answer, json_answer, response, well_behaved},
        objects::{import, object},
        process::{Serving, program_on, token},
    },
};

const MESSAGE: usize = 1_000_000;
const VALUES: usize = 19_000;

const INSPECT: &str =
    "mutation($url: String!) { inspectServer(input: {serverUrl: $url, serverType: HTTP}) {
    inspection { outcome message } userErrors { message } } }";

/// Returns endless pages of tools, each as large as a message may be.
fn lists(page: Value) -> impl Fn(&Request) -> Value {
    move |request| {
        let mut page = page.clone();
        let cursor = request.body["params"]["cursor"].as_str().unwrap_or("");
        page["nextCursor"] = json!(format!("{cursor}x"));
        page
    }
}

fn padded(mut page: Value) -> Value {
    let length = page.to_string().len();
    page["pad"] = json!("x".repeat(MESSAGE.saturating_sub(length)));
    page
}

/// Maps with one value each, which take hundreds of bytes each.
fn many_maps() -> Value {
    let maps = vec![json!({ "a": {} }); VALUES / 3];
    padded(json!({ "tools": [{ "name": "a", "inputSchema": { "type": "object", "a": maps } }] }))
}

/// Nested maps.
fn deep_maps() -> Value {
    let deep = (0..50).fold(json!({}), |inner, _| json!({ "a": inner }));
    let maps = vec![deep; VALUES / 52];
    padded(json!({ "tools": [{ "name": "a", "inputSchema": { "type": "object", "a": maps } }] }))
}

fn many_tools() -> Value {
    let tool = |n| json!({ "name": format!("tool{n}"), "inputSchema": { "a": "x".repeat(900) } });
    json!({ "tools": (0..1000).map(tool).collect::<Vec<_>>() })
}

fn large_tools() -> Value {
    let tool =
        |n| json!({ "name": format!("tool{n}"), "inputSchema": { "a": "x".repeat(60_000) } });
    json!({ "tools": (0..15).map(tool).collect::<Vec<_>>() })
}

/// Starts servers with these lists, as JSON and as events.
async fn worst() -> Vec<(String, Plain)> {
    let mut servers = Vec::new();
    for (name, page) in [
        ("many maps", many_maps as fn() -> Value),
        ("deep maps", deep_maps),
        ("many tools", many_tools),
        ("large tools", large_tools),
    ] {
        for events in [false, true] {
            let list = lists(page());
            let react = move |request: &Request| -> Reaction {
                if request.asks() != "tools/list" {
                    return well_behaved(request);
                }
                let message = response(request, &list(request));
                if events {
                    let event = format!("data: {message}\n\n");
                    answer(200, "content-type: text/event-stream\r\n", event)
                } else {
                    json_answer(&message)
                }
            };
            let name = format!("{name}, events {events}");
            servers.push((name, Plain::new(react).await));
        }
    }
    servers
}

async fn inspect(server: &Serving, token: &str, url: &str) -> Value {
    let asked = server.ask(token, INSPECT, json!({ "url": url }));
    asked.await.unwrap()
}

const FLAGS: [&str; 10] = [
    "--mcp-allow",
    "127.0.0.0/8",
    "--inspection-rate",
    "0",
    "--max-checks",
    "32",
    "--max-inspections",
    "16",
    "--request-timeout",
    "100s",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_inspection() {
    let storage = TestDatabase::sqlite();
    let token = token("ann@acme", "connectors:write");
    for (name, worst) in worst().await {
        // The allocator retains a varying part of earlier pages, so the least of three measurements counts.
        let mut least = u64::MAX;
        for _ in 0..3 {
            let server = Serving::start(program_on(&storage, &FLAGS));
            let well = Plain::new(well_behaved).await;
            inspect(&server, &token, &well.url).await;
            let inspecting = inspect(&server, &token, &worst.url);
            let (found, grown) = server.process.growth(inspecting).await;
            println!("{name}: {grown} MiB: {found}");
            let outcome = &found["data"]["inspectServer"]["inspection"]["outcome"];
            assert_eq!(outcome, "OPEN", "{found}");
            assert!(worst.asked().iter().any(|asked| asked == "tools/list"));
            least = least.min(grown);
            if least <= ONE {
                break;
            }
        }
        assert!(least <= ONE, "{name}: {least} MiB");
    }
}

/// The monitor checks continually, beside inspections on request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_checks_and_inspections() {
    let storage = TestDatabase::sqlite();
    let token = token("ann@acme", "connectors:write");
    let servers = worst().await;
    let objects: Vec<_> = (0..64)
        .map(|n| {
            let (_, server) = &servers[n % servers.len()];
            object(&format!("c{n}"), &json!({ "serverUrl": server.url }))
        })
        .collect();
    import(&storage, &objects);
    let mut command = program_on(&storage, &FLAGS);
    command.args(["--max-checks-per-host", "32", "--check-interval", "1s"]);
    command.env("CONNECTORS_MONITOR", "true");
    let server = Serving::start(command);
    let (answers, grown) = server
        .process
        .growth(async {
            let mut answers = Vec::new();
            for _ in 0..2 {
                let urls = servers.iter().chain(&servers).map(|(_, worst)| &*worst.url);
                let inspecting = urls.map(|url| inspect(&server, &token, url));
                answers.extend(join_all(inspecting).await);
            }
            answers
        })
        .await;
    println!("all: {grown} MiB");
    for answer in answers {
        let outcome = &answer["data"]["inspectServer"]["inspection"]["outcome"];
        // An inspection that waited too long for memory reports it.
        let code = &answer["errors"][0]["extensions"]["code"];
        assert!(outcome == "OPEN" || code == "UNAVAILABLE", "{answer}");
    }
    assert!(grown <= SIXTEEN, "{grown} MiB");
}
