//! Content codings of responses: parsed, decoded as they arrive, and limited afterwards.

use async_compression::tokio::{bufread, write};
use entity::ServerType;
use futures_util::FutureExt;
use personal_connectors::domain::inspection::{Inspection, Outcome};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::support::mcp::{
    Plain, Reaction, Request, answer, head, inspect, response, result, well_behaved,
};

const JSON: &str = "content-type: application/json\r\n";
const EVENTS: &str = "content-type: text/event-stream\r\n";

/// Encodes complete text.
fn encoded(mut text: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut encoded = Vec::new();
    let reading = text.read_to_end(&mut encoded).now_or_never();
    reading.unwrap().unwrap();
    encoded
}

fn encode(coding: &str, text: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => encoded(bufread::GzipEncoder::new(text)),
        "zlib" => encoded(bufread::ZlibEncoder::new(text)),
        "deflate" => encoded(bufread::DeflateEncoder::new(text)),
        "br" => encoded(bufread::BrotliEncoder::new(text)),
        _ => text.to_vec(),
    }
}

/// Inspects a working server whose messages have these codings, one within another, under this header.
async fn look(
    headers: &str,
    codings: &'static [&'static str],
    body: impl Fn(&Value) -> String + Send + Sync + 'static,
) -> (Inspection, Plain) {
    let headers = headers.to_owned();
    let server = Plain::new(move |request| match result(request) {
        Some(result) => {
            let text = body(&response(request, &result)).into_bytes();
            let text = codings
                .iter()
                .fold(text, |text, coding| encode(coding, &text));
            answer(200, &headers, text)
        }
        None => well_behaved(request),
    })
    .await;
    let found = inspect(&server.url, ServerType::Http).await;
    (found, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coding_is_judged_by_its_value() {
    for (value, codings) in [
        (Some("identity"), &[][..]),
        (Some("none"), &[]),
        (Some(""), &[]),
        (Some("IDENTITY, "), &[]),
        (Some("gzip"), &["gzip"]),
        (Some("X-GZip"), &["gzip"]),
        (Some("deflate"), &["zlib"]),
        (Some("deflate"), &["deflate"]),
        (Some("br"), &["br"]),
        (Some("deflate, identity, gzip"), &["zlib", "gzip"]),
        (None, &[]),
    ] {
        let coding = value.map(|value| format!("content-encoding: {value}\r\n"));
        let coding = coding.unwrap_or_default();
        let (found, server) = look(&format!("{JSON}{coding}"), codings, Value::to_string).await;
        assert_eq!(found.outcome, Outcome::Open, "{value:?}: {}", found.message);
        assert_eq!(found.tools.len(), 2, "{value:?}: {}", found.message);
        let event = |message: &Value| format!(": hello\n\ndata: {message}\n\n");
        let (found, _) = look(&format!("{EVENTS}{coding}"), codings, event).await;
        assert_eq!(
            found.tools.len(),
            2,
            "{value:?} in events: {}",
            found.message
        );
        for request in &*server.requests.lock().unwrap() {
            assert_eq!(request.header("accept-encoding"), Some("gzip, deflate, br"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_decoded_is_said() {
    for (value, codings, outcome, message) in [
        (
            "zstd",
            &[][..],
            Outcome::NotMcp,
            "compresses its answers by \"zstd\"",
        ),
        (
            "gzip, <b>zstd</b>",
            &[],
            Outcome::NotMcp,
            "compresses its answers by \"<b>zstd</b>\"",
        ),
        (
            "gzip",
            &[],
            Outcome::NotMcp,
            "its Content-Encoding does not decode",
        ),
        (
            "br",
            &["gzip"],
            Outcome::NotMcp,
            "its Content-Encoding does not decode",
        ),
        (
            "gzip",
            &["br"],
            Outcome::NotMcp,
            "its Content-Encoding does not decode",
        ),
    ] {
        let headers = format!("{JSON}content-encoding: {value}\r\n");
        let (found, _) = look(&headers, codings, Value::to_string).await;
        assert_eq!(found.outcome, outcome, "{value}: {}", found.message);
        assert!(
            found.message.contains(message),
            "{value}: {}",
            found.message
        );
    }
    // A cut response is detected in a coding too.
    let cut = |request: &Request| {
        let text = response(request, &json!({})).to_string();
        let mut body = encode("gzip", text.as_bytes());
        body.truncate(body.len() - 4);
        answer(200, &format!("{JSON}content-encoding: gzip\r\n"), body)
    };
    let server = Plain::new(cut).await;
    let found = inspect(&server.url, ServerType::Http).await;
    assert_eq!(found.outcome, Outcome::Unreachable, "{}", found.message);
    assert!(
        found.message.contains("in the middle of an answer"),
        "{}",
        found.message
    );
}

/// A few bytes that decode to many fail like many bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_ends_early() {
    let message = json!({ "jsonrpc": "2.0", "method": "notifications/message",
        "params": { "data": "x".repeat(500_000) } });
    let event = format!("data: {message}\n\n");
    for coding in ["gzip", "deflate", "br"] {
        let once = encode(coding, " ".repeat(10_000_000).as_bytes());
        let events = encode(coding, event.repeat(20).as_bytes());
        assert!(
            once.len() < 20_000 && events.len() < 60_000,
            "{coding}: {} {}",
            once.len(),
            events.len()
        );
        for (headers, body) in [(JSON, &once), (EVENTS, &once), (EVENTS, &events)] {
            let (headers, body) = (
                format!("{headers}content-encoding: {coding}\r\n"),
                body.clone(),
            );
            let server = Plain::new(move |_| answer(200, &headers, &body)).await;
            let found = inspect(&server.url, ServerType::Http).await;
            assert_eq!(
                found.outcome,
                Outcome::NotMcp,
                "{coding}: {}",
                found.message
            );
            let message = "more than this service accepts";
            assert!(
                found.message.contains(message),
                "{coding}: {}",
                found.message
            );
        }
    }
}

/// An event is decoded when it is flushed, although its stream stays open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_decoded_when_it_is_flushed() {
    for coding in ["gzip", "deflate", "br"] {
        let server = Plain::new(move |request| match result(request) {
            Some(result) => {
                let event = format!("data: {}\n\n", response(request, &result));
                let headers = head(200, &format!("{EVENTS}content-encoding: {coding}\r\n"));
                Reaction::Hold([headers, flushed(coding, event.as_bytes())].concat())
            }
            None => well_behaved(request),
        })
        .await;
        let found = inspect(&server.url, ServerType::Http).await;
        assert_eq!(found.outcome, Outcome::Open, "{coding}: {}", found.message);
        assert_eq!(found.tools.len(), 2, "{coding}: {}", found.message);
    }
}

/// Returns the flushed beginning of an unfinished encoded text.
fn flushed(coding: &str, text: &[u8]) -> Vec<u8> {
    macro_rules! flushed {
        ($encoder:ident) => {{
            let mut encoder = write::$encoder::new(Vec::new());
            encoder.write_all(text).now_or_never().unwrap().unwrap();
            encoder.flush().now_or_never().unwrap().unwrap();
            encoder.get_ref().clone()
        }};
    }
    match coding {
        "gzip" => flushed!(GzipEncoder),
        "br" => flushed!(BrotliEncoder),
        _ => flushed!(ZlibEncoder),
    }
}
