//! Servers with a malformed part, which loses only itself.

use std::fmt::Write;

use entity::ServerType;
use personal_connectors::domain::inspection::{Inspection, Outcome};
use serde_json::{Value, json};

use crate::support::mcp::{
    Plain, Reaction, Request, answer, inspect, json_answer, response, result, well_behaved,
};

const JSON: &str = "content-type: application/json\r\n";

async fn look(react: impl Fn(&Request) -> Reaction + Send + Sync + 'static) -> Inspection {
    let server = Plain::new(react).await;
    inspect(&server.url, ServerType::Http).await
}

/// Inspects a server with a changed result of one method.
async fn with(
    method: &'static str,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> Inspection {
    look(move |request| match result(request) {
        Some(mut result) if request.asks() == method => {
            change(&mut result);
            json_answer(&response(request, &result))
        }
        _ => well_behaved(request),
    })
    .await
}

/// Inspects a server with a changed response text of one method.
async fn with_text(method: &'static str, from: &'static str, to: &'static str) -> Inspection {
    look(move |request| match result(request) {
        Some(result) if request.asks() == method => {
            let text = response(request, &result).to_string();
            assert!(text.contains(from), "{text}");
            answer(200, JSON, text.replacen(from, to, 1))
        }
        _ => well_behaved(request),
    })
    .await
}

fn names(found: &Inspection) -> Vec<&str> {
    found.tools.iter().map(|tool| tool.name.as_str()).collect()
}

fn is_open(what: &str, found: &Inspection) {
    assert_eq!(found.outcome, Outcome::Open, "{what}: {}", found.message);
    assert_eq!(
        names(found),
        ["add", "subtract"],
        "{what}: {}",
        found.message
    );
    assert_eq!(found.message, "The server speaks MCP.", "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_says_of_itself() {
    let icons = json!([{ "src": "https://x.example/i.png", "sizes": "48x48" }, 7, { "src": 1 }]);
    for (pointer, value) in [
        ("/serverInfo/icons", icons),
        ("/serverInfo/icons", json!("https://x.example/i.png")),
        ("/serverInfo/version", json!(1)),
        ("/serverInfo/version", Value::Null),
        ("/serverInfo/title", json!(["A"])),
        ("/serverInfo/more", json!({ "a": 1 })),
        ("/capabilities/tools", json!(true)),
        ("/capabilities/prompts", json!([])),
        ("/capabilities/experimental", json!("x")),
        ("/capabilities/logging", json!(7)),
        ("/instructions", json!({ "text": "x" })),
        ("/protocolVersion", json!(20_250_618)),
        ("/protocolVersion", json!("2025-06-18\r\nx: y")),
        ("/_meta", json!([1])),
        ("/more", json!(null)),
    ] {
        let what = format!("{pointer} {value}");
        let found = with("initialize", move |result| {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            result.pointer_mut(parent).unwrap()[name] = value.clone();
        })
        .await;
        is_open(&what, &found);
        assert_eq!(found.server_info.as_ref().unwrap().name, "plain", "{what}");
        if pointer.ends_with("icons") && what.contains('[') {
            assert_eq!(
                found.server_info.unwrap().icons,
                ["https://x.example/i.png"]
            );
        }
    }
    for (pointer, name) in [
        ("/serverInfo/name", Some("A plain server")),
        ("/serverInfo", None),
        ("/capabilities", Some("plain")),
    ] {
        for value in [None, Some(Value::Null), Some(json!(7))] {
            let what = format!("{pointer} {value:?}");
            let found = with("initialize", move |result| {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                let parent = result.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                match &value {
                    Some(value) => parent.insert(name.to_owned(), value.clone()),
                    None => parent.remove(name),
                };
            })
            .await;
            is_open(&what, &found);
            let server = found.server_info.as_ref();
            assert_eq!(server.map(|server| server.name.as_str()), name, "{what}");
        }
    }
    // A server that declares none is not asked.
    let found = with("initialize", |result| {
        result["capabilities"] = json!({ "tools": false });
    })
    .await;
    assert_eq!(
        (found.outcome, found.tools.len(), found.tools_listed),
        (Outcome::Open, 0, true)
    );
}

/// A part beyond the limits of depth or values loses no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deeper_or_larger_than_is_read() {
    let deep = (0..100).fold(
        json!({}),
        |inner, _| json!({ "properties": { "a": inner } }),
    );
    let large = json!({ "enum": vec![1; 20_000] });
    for schema in [deep, large] {
        let tool = json!({ "name": "odd", "description": "Odd.", "inputSchema": schema.clone() });
        let found = with("tools/list", move |result| {
            result["tools"]
                .as_array_mut()
                .unwrap()
                .insert(0, tool.clone());
        })
        .await;
        assert_eq!(found.outcome, Outcome::Open);
        assert_eq!(
            names(&found),
            ["odd", "add", "subtract"],
            "{}",
            found.message
        );
        let [odd, add, _] = &found.tools[..] else {
            panic!("{:?}", found.tools)
        };
        assert!(add.input_schema.is_some() && odd.input_schema.is_none());
        assert_eq!(odd.description.as_deref(), Some("Odd."));
        assert!(found.message.contains("1 of 3 tools"), "{}", found.message);
        let found = with("initialize", move |result| {
            result["capabilities"]["experimental"] = schema.clone();
        })
        .await;
        is_open("a capability", &found);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_json() {
    for (method, from, to) in [
        ("initialize", "A plain server", "A \\ud800 plain server"),
        ("initialize", "\"1.2.3\"", "NaN"),
        ("initialize", "\"Ask it little.\"", "-Infinity"),
        ("initialize", "Ask it little.", "Ask\nit\tlittle."),
        ("initialize", "{\"jsonrpc\":\"2.0\",", "\u{feff}{"),
        ("tools/list", "\"Adds.\"", "\"Adds \\ude00.\""),
        (
            "tools/list",
            "\"readOnlyHint\":true",
            "\"readOnlyHint\":true,\"weight\":NaN",
        ),
        (
            "tools/list",
            "{\"type\":\"object\"}",
            "{\"maximum\":Infinity,\"minimum\":-1e999}",
        ),
        ("prompts/list", "\"hello\"", "\"\\udc00\""),
    ] {
        let found = with_text(method, from, to).await;
        is_open(to, &found);
        assert_eq!(found.prompt_count, Some(1), "{to}");
    }
    let found = with_text("tools/list", "\"Adds.\"", "\"Adds \\ud83d\\ude00\\ud800.\"").await;
    assert_eq!(
        found.tools[0].description.as_deref(),
        Some("Adds \u{1f600}\u{fffd}.")
    );
    // Bytes that are no UTF-8.
    let found = look(|request| match result(request) {
        Some(result) => {
            let text = response(request, &result)
                .to_string()
                .replace("Adds.", "Adds \u{1}.");
            let bytes = text
                .into_bytes()
                .into_iter()
                .map(|byte| if byte == 1 { 0xff } else { byte });
            answer(200, JSON, bytes.collect::<Vec<u8>>())
        }
        None => well_behaved(request),
    })
    .await;
    is_open("UTF-8", &found);
    assert_eq!(
        found.tools[0].description.as_deref(),
        Some("Adds \u{fffd}.")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tool_loses_no_other() {
    let left_out = "1 of 3 tools is left out: no name that is a text.";
    let in_part = "1 of 3 tools is kept in part: a part is missing or of a wrong type.";
    let schema = json!({ "type": "object" });
    for (tool, note) in [
        (json!({ "name": 1, "inputSchema": schema }), left_out),
        (json!({ "inputSchema": schema }), left_out),
        (json!({ "name": null, "inputSchema": schema }), left_out),
        (json!("third"), left_out),
        (json!(null), left_out),
        (json!({ "name": "third" }), in_part),
        (json!({ "name": "third", "inputSchema": null }), in_part),
        (
            json!({ "name": "third", "inputSchema": schema, "annotations": [] }),
            in_part,
        ),
        (
            json!({ "name": "third", "inputSchema": schema, "title": 7 }),
            in_part,
        ),
        (
            json!({ "name": "third", "inputSchema": schema, "outputSchema": "x" }),
            in_part,
        ),
        (
            json!({ "name": "third", "inputSchema": schema, "icons": [{ "src": "x", "sizes": "48x48" }] }),
            "",
        ),
        (
            json!({ "name": "third", "inputSchema": schema, "title": null, "description": null, "annotations": null,
                "_meta": 1 }),
            "",
        ),
        (
            json!({ "name": "add", "inputSchema": schema }),
            "1 of 3 tools is left out: a name that was listed before.",
        ),
    ] {
        let what = tool.to_string();
        let third = tool["name"] == "third";
        let found = with("tools/list", move |result| {
            // In the middle.
            result["tools"]
                .as_array_mut()
                .unwrap()
                .insert(1, tool.clone());
        })
        .await;
        assert_eq!(found.outcome, Outcome::Open, "{what}: {}", found.message);
        let expected: &[&str] = if third {
            &["add", "third", "subtract"]
        } else {
            &["add", "subtract"]
        };
        assert_eq!(names(&found), expected, "{what}: {}", found.message);
        assert!(found.tools_listed, "{what}");
        assert_eq!(found.tools_left_out, usize::from(!third), "{what}");
        assert_eq!(
            found
                .message
                .trim_start_matches("The server speaks MCP.")
                .trim(),
            note,
            "{what}"
        );
    }
    let none = with("tools/list", |result| result["tools"] = Value::Null).await;
    assert_eq!(
        (none.tools.len(), none.tools_listed, none.message.as_str()),
        (0, true, "The server speaks MCP.")
    );
    for value in [json!({}), json!("add"), json!(7)] {
        let found = with("tools/list", move |result| result["tools"] = value.clone()).await;
        assert_eq!(found.outcome, Outcome::Open, "{}", found.message);
        assert!(
            !found.tools_listed
                && found
                    .message
                    .ends_with("does not follow the MCP specification."),
            "{}",
            found.message
        );
        assert_eq!(found.prompt_count, Some(1), "{}", found.message);
    }
    for (prompts, count) in [
        (json!([1, null, { "name": 7 }]), Some(3)),
        (Value::Null, Some(0)),
        (json!({}), None),
    ] {
        let found = with("prompts/list", move |result| {
            result["prompts"] = prompts.clone();
        })
        .await;
        is_open("prompts", &found);
        assert_eq!(found.prompt_count, count);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_messages_before_the_answer() {
    let others = [
        json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": 7, "data": null } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/progress" }),
        json!({ "jsonrpc": "2.0", "method": 7 }),
        json!({ "method": "custom", "params": [], "jsonrpc": "2.0" }),
        json!({ "jsonrpc": "2.0", "id": "s1", "method": "ping" }),
        json!({ "jsonrpc": "2.0", "id": 1000, "method": "roots/list", "params": 7 }),
        json!({ "jsonrpc": "2.0", "id": "s2", "method": "sampling/createMessage", "params": { "messages": "x" } }),
    ];
    let mut before = String::new();
    for other in &others {
        write!(before, "data: {other}\n\n").unwrap();
    }
    let batch = json!(others);
    let server = Plain::new(move |request| match result(request) {
        Some(result) => {
            let headers = "content-type: text/event-stream\r\n";
            answer(
                200,
                headers,
                format!("{before}data: {}\n\n", response(request, &result)),
            )
        }
        None => well_behaved(request),
    })
    .await;
    is_open("in events", &inspect(&server.url, ServerType::Http).await);
    // The server's requests get responses: a ping, and an error for others.
    let requests = server.requests.lock().unwrap().clone();
    let answers = requests
        .iter()
        .filter(|request| request.body.get("method").is_none());
    let answers: Vec<_> = answers.map(|request| &request.body).collect();
    assert!(
        answers
            .iter()
            .any(|answer| answer["id"] == "s1" && answer["result"].is_object()),
        "{answers:?}"
    );
    assert!(
        answers
            .iter()
            .any(|answer| answer["id"] == "s2" && answer["error"].is_object()),
        "{answers:?}"
    );
    // In a batch, as in MCP 2025-03-26.
    let found = look(move |request| match result(request) {
        Some(result) => {
            let mut batch = batch.clone();
            batch
                .as_array_mut()
                .unwrap()
                .push(response(request, &result));
            json_answer(&batch)
        }
        None => well_behaved(request),
    })
    .await;
    is_open("in a batch", &found);
}

/// Inspects a server with these pages of tools, by cursor.
async fn paged(
    revision: &'static str,
    page: impl Fn(Option<&str>) -> Value + Send + Sync + 'static,
) -> (Inspection, usize) {
    let server = Plain::new(move |request| match (request.asks(), revision) {
        ("server/discover", "2026-07-28") => json_answer(&response(request, &modern())),
        ("tools/list", _) => {
            let cursor = request.body["params"]["cursor"].as_str();
            json_answer(&response(request, &page(cursor)))
        }
        _ => well_behaved(request),
    })
    .await;
    let found = inspect(&server.url, ServerType::Http).await;
    let pages = server
        .asked()
        .iter()
        .filter(|asks| *asks == "tools/list")
        .count();
    (found, pages)
}

fn modern() -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": { "tools": {}, "extensions": { "io.example/apps": { "b": [1], "a": null } } },
        "ttlMs": 7_200_000,
        "cacheScope": "private",
        "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "modern", "version": "2.0.0" } },
    })
}

/// The cursor that ends a list depends on the revision (MCP 2026-07-28, Pagination).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_list_ends() {
    let tool = |name: &str| json!({ "name": name, "inputSchema": {} });
    let more = "It has more tools than this service stores.";
    for (revision, next, pages, whole) in [
        ("2025-06-18", json!(""), 1, true),
        ("2025-06-18", json!(null), 1, true),
        ("2025-06-18", json!(7), 1, false),
        ("2025-06-18", json!("again"), 2, false),
        ("2026-07-28", json!(null), 1, true),
        // The cursor repeats, so the list ends.
        ("2026-07-28", json!(""), 2, true),
        ("2026-07-28", json!("again"), 2, false),
    ] {
        let what = format!("{revision} {next}");
        let (found, asked) = paged(
            revision,
            move |_| json!({ "tools": [tool("a")], "nextCursor": next }),
        )
        .await;
        assert_eq!(
            (found.outcome, names(&found)),
            (Outcome::Open, vec!["a"]),
            "{what}: {}",
            found.message
        );
        assert_eq!(found.protocol_version.as_deref(), Some(revision), "{what}");
        assert_eq!(asked, pages, "{what}");
        assert_eq!(
            !found.message.contains(more),
            whole,
            "{what}: {}",
            found.message
        );
    }
    let (found, asked) = paged("2026-07-28", move |cursor| match cursor {
        None => json!({ "tools": [tool("a")], "nextCursor": "" }),
        Some(_) => json!({ "tools": [tool("b")] }),
    })
    .await;
    assert_eq!(
        (names(&found), asked),
        (vec!["a", "b"], 2),
        "{}",
        found.message
    );
    assert_eq!(found.message, "The server speaks MCP.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_long_a_server_stays_as_it_is() {
    let page = |ttl: Option<Value>| {
        let mut page = json!({ "tools": [] });
        if let Some(ttl) = ttl {
            page["ttlMs"] = ttl;
        }
        page
    };
    for (ttl, millis) in [
        (Some(json!(60_000)), Some(60_000)),
        (Some(json!(0)), Some(0)),
        // The description is valid for less time.
        (Some(json!(100_000_000_000_u64)), Some(7_200_000)),
        (Some(json!(-1)), None),
        (Some(json!(1e300)), None),
        (Some(json!("60000")), None),
        (None, None),
    ] {
        let what = format!("{ttl:?}");
        let page = page(ttl);
        let pages = page.clone();
        let (found, _) = paged("2026-07-28", move |_| pages.clone()).await;
        let fresh_for = found.fresh_for.map(|time| time.as_millis());
        assert_eq!(fresh_for, millis, "{what}: {}", found.message);
        assert_eq!(
            found.extensions.as_deref(),
            Some(r#"{"io.example/apps":{"b":[1],"a":null}}"#)
        );
        // An earlier revision has no such time.
        let (found, _) = paged("2025-06-18", move |_| page.clone()).await;
        assert_eq!((found.fresh_for, found.extensions), (None, None), "{what}");
    }
    // The page with the shortest time decides.
    let (found, _) = paged("2026-07-28", |cursor| match cursor {
        None => json!({ "tools": [], "nextCursor": "2", "ttlMs": 5000 }),
        Some(_) => json!({ "tools": [], "ttlMs": 9000 }),
    })
    .await;
    assert_eq!(found.fresh_for.map(|time| time.as_millis()), Some(5000));
}
