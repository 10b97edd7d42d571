//! Hostile requests: each gets a clear error, or an answer without results and without any of the input.

use std::fmt::Write;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    on_both,
    support::{
        harness::{NOW, SECRET, Server, client, fixed_clock, timestamp},
        mutations::{CREATE, DELETE, STATUS, UPDATE, WRITE, mutation},
    },
};

const JSON: &str = "application/json";

const LIST: &str = "query($s: String, $f: PersonalConnectorFilter, $a: String, $n: Int, $i: [ID!]! = []) {
    personalConnectors(search: $s, filter: $f, after: $a, first: $n) { nodes { id } } nodes(ids: $i) { id }
}";

/// A request, with the status and code of its response; no code without a top-level error.
struct Line {
    what: &'static str,
    method: Method,
    content_type: &'static str,
    /// The URL after `/graphql`.
    url: String,
    token: Option<String>,
    body: Vec<u8>,
    expected: (u16, &'static str),
}

fn line(what: &'static str, body: impl Into<Vec<u8>>, expected: (u16, &'static str)) -> Line {
    Line {
        what,
        method: Method::POST,
        content_type: JSON,
        url: String::new(),
        token: None,
        body: body.into(),
        expected,
    }
}

fn document(document: &str) -> String {
    json!({ "query": document }).to_string()
}

/// Returns a body with raw variables.
fn with(document: &str, variables: &str) -> String {
    format!(r#"{{"query":{},"variables":{variables}}}"#, json!(document))
}

fn nested(open: &str, inner: &str, close: &str) -> String {
    open.repeat(100) + inner + &close.repeat(100)
}

fn fragments(count: usize) -> String {
    let mut document = "{ viewer { ...F0 } }".to_owned();
    for i in 0..count {
        let next = format!("...F{}", i + 1);
        write!(
            document,
            " fragment F{i} on Viewer {{ {next} {next} {next} }}"
        )
        .unwrap();
    }
    write!(document, " fragment F{count} on Viewer {{ userId }}").unwrap();
    document
}

/// Requests that GraphQL over HTTP, JSON, GraphQL or the limits reject.
#[rustfmt::skip] // A line each.
fn malformed() -> Vec<Line> {
    let bad = (400, "BAD_REQUEST");
    let invalid = (200, "GRAPHQL_VALIDATION_FAILED");
    let exceeded = (200, "LIMIT_EXCEEDED");
    let aliases = |count: usize| {
        let aliases: Vec<_> = (0..count).map(|i| format!("a{i}: __typename")).collect();
        format!("{{ {} }}", aliases.join(" "))
    };
    let filter = |levels: usize| {
        format!(
            r#"{{"f":{}{{}}{}}}"#,
            r#"{"not":"#.repeat(levels),
            "}".repeat(levels)
        )
    };
    let ids = json!({ "i": vec!["pcon_github"; 30_000] }).to_string();
    let filtered_ids = json!({ "f": { "id": vec!["pcon_github"; 30_000] } }).to_string();
    vec![
        line("a body of 10 MiB", vec![b' '; 10 << 20], (413, "LIMIT_EXCEEDED")),
        line("no UTF-8", b"\xc3\x28", bad),
        line("a byte order mark", b"\xef\xbb\xbf{}", bad),
        line("a NUL in JSON", b"{\"query\":\"{\0}\"}", bad),
        line("a line break in a string", b"{\"query\":\"{\n}\"}", bad),
        line("two queries", r#"{"query":"{ __typename }","query":"{ __typename }"}"#, bad),
        line("two variables", r#"{"query":"{ __typename }","variables":{},"variables":{}}"#, bad),
        line("a variable twice", with("{ __typename }", r#"{"a":1,"a":2}"#), bad),
        line("a field of a variable twice", with(LIST, r#"{"f":{"id":"a","id":"b"}}"#), bad),
        line("a field of an object twice", document("{ personalConnectors(filter: {id: \"a\", id: \"b\"}) { nodes { id \
                                                     } } }"), invalid),
        line("an argument twice", document("{ personalConnectors(first: 1, first: 2) { nodes { id } } }"), invalid),
        line("lists 100 deep", with("{ __typename }", &format!(r#"{{"a":{}}}"#, nested("[", "", "]"))), bad),
        line("objects 100 deep", with("{ __typename }", &nested(r#"{"a":"#, "1", "}")), bad),
        line("a body 100 deep", nested("[", "", "]"), bad),
        line("a batch", format!("[{}]", document("{ __typename }")), bad),
        line("a lone high surrogate", with(LIST, r#"{"s":"\ud800"}"#), bad),
        line("a lone low surrogate", with(LIST, r#"{"s":"\udc00"}"#), bad),
        line("a NUL in a document", r#"{"query":"{ \u0000 }"}"#, (200, "GRAPHQL_PARSE_FAILED")),
        line("control characters in a document", r#"{"query":"\u0007\ufffe"}"#, (200, "GRAPHQL_PARSE_FAILED")),
        line("a huge exponent", with(LIST, r#"{"n":1e999999999}"#), invalid),
        line("a huge integer", with(LIST, r#"{"n":123456789012345678901234567890}"#), invalid),
        line("a huge integer in a document", document("{ personalConnectors(first: 123456789012345678901234567890) { \
                                                       nodes { id } } }"), invalid),
        line("a number for an object", with(LIST, r#"{"f":1e400}"#), invalid),
        line("first: 1000000000", with(LIST, r#"{"n":1000000000}"#), exceeded),
        line("first: 101", with(LIST, r#"{"n":101}"#), (200, "BAD_USER_INPUT")),
        line("first: -1", with(LIST, r#"{"n":-1}"#), (200, "BAD_USER_INPUT")),
        line("10,000 aliases", document(&aliases(10_000)), exceeded),
        line("101 aliases", document(&aliases(101)), exceeded),
        line("a query 100 deep", document(&nested("{ a ", "", "}")), exceeded),
        line("a query 10,000 deep", document(&"{ a ".repeat(10_000)), exceeded),
        line("a value 100 deep", document(&format!("{{ viewer(a: {}) }}", nested("[", "", "]"))), exceeded),
        line("fragments in a circle", document("{ ...F } fragment F on Query { viewer { userId } ...F }"), invalid),
        line("3^17 fields", document(&fragments(17)), exceeded),
        line("3^500 fields", document(&fragments(500)), exceeded),
        line("a filter 6 deep", with(LIST, &filter(6)), (200, "BAD_USER_INPUT")),
        line("a filter 100 deep", with(LIST, &filter(100)), bad),
        line("30,000 ids", with(LIST, &ids), exceeded),
        line("30,000 ids in a filter", with(LIST, &filtered_ids), (200, "LIMIT_EXCEEDED")),
        line("a broken cursor", with(LIST, r#"{"a":"AAAA"}"#), (200, "CURSOR_INVALID")),
        line("a cursor that is none", with(LIST, r#"{"a":"\u0000"}"#), (200, "CURSOR_INVALID")),
        Line { content_type: "text/plain", ..line("a text", document("{ __typename }"), (415, "BAD_REQUEST")) },
        Line { content_type: "application/x-www-form-urlencoded", ..line("a \
            form", "query={__typename}", (415, "BAD_REQUEST")) },
        Line { content_type: "multipart/form-data; \
                              boundary=x", ..line("a form in parts", "--x--", (415, "BAD_REQUEST")) },
        Line { method: Method::GET,
            url: "?query=mutation{deleteCustomConnector(input:{id:\"a\"}){deletedId}}".to_owned(),
            ..line("a mutation by GET", "", (405, "BAD_REQUEST")) },
        Line { method: Method::GET, url: "?query=%C3%28".to_owned(), ..line("no UTF-8 in a URL", "", bad) },
        Line { method: Method::GET, url: "?query={a}&query={b}".to_owned(), ..line("two queries in a URL", "", bad) },
        Line { method: Method::DELETE, ..line("another method", document("{ __typename }"), (405, "BAD_REQUEST")) },
    ]
}

/// Returns texts with a special meaning for a database, shell, page or log; `mine` is a connector of the caller.
fn texts(mine: &str) -> Vec<Line> {
    let nothing = (200, "");
    let mut lines = Vec::new();
    for (what, text) in [
        ("SQL", "'; DROP TABLE personal_connector; --"),
        ("SQL's wildcards", "%_*"),
        ("a query of the search index", r#"name: NEAR("a" b) OR -c*"#),
        ("a query of PostgreSQL's search", "a & !b | <-> 'c':*"),
        ("NUL", "a\0b"),
        ("control characters", "\u{1}\u{7f}\u{85}\u{202e}"),
        ("no character", "\u{ffff}"),
    ] {
        let text = json!(text);
        let input = |input: String| format!(r#"{{"input":{input}}}"#);
        let create = mutation(CREATE);
        lines.extend([
            line(what, with(LIST, &format!(r#"{{"s":{text},"i":[{text}]}}"#)), nothing),
            line(what, with(LIST, &format!(r#"{{"f":{{"connectorId":{text},"createdBy":{text},"id":{text}}}}}"#)),
                nothing),
            line(what, with("query($i: ID!) { node(id: $i) { id } personalConnector(id: $i) { id } \
                             }", &format!(r#"{{"i":{text}}}"#)), nothing),
            // Text that is valid as a name or a description comes with an invalid address, so that the input is
            // rejected.
            line(what, with(&create,
                &input(format!(r#"{{"name":{text},"description":{text},"serverUrl":"https://e.co/{{}}"}}"#))), nothing),
            line(what, with(&create,
                &input(format!(r#"{{"name":"N","serverUrl":{text},"iconUrl":{text},"version":{text}}}"#))), nothing),
            line(what, with(&create, &input(format!(
                r#"{{"name":"N","serverUrl":"https://e.co","validateOnly":true,"metadata":{{{text}:{text}}}}}"#
            ))), nothing),
            line(what, with(&create,
                &input(format!(r#"{{"name":"","serverUrl":"https://e.co","idempotencyKey":{text}}}"#))), nothing),
            line(what, with(&mutation(UPDATE), &input(format!(r#"{{"id":{text},"name":{text}}}"#))), nothing),
            line(what, with(&mutation(DELETE), &input(format!(r#"{{"id":{text}}}"#))), nothing),
            line(what, with(&mutation(STATUS),
                &input(format!(r#"{{"id":"{mine}","status":"DEPRECATED","replacedById":{text}}}"#))), nothing),
        ]);
    }
    lines
}

/// Returns tokens with a false identity.
fn tokens() -> Vec<Line> {
    let now = timestamp(NOW).0 / 1_000_000;
    let claims = |more: Value| {
        let claims = json!({ "sub": "ann", "org": "acme", "iss": "us", "exp": now + 600, "scope": "catalog:admin" });
        crate::support::mutations::with(claims, more)
    };
    let sign = |algorithm, claims: &Value, secret: &str| {
        let key = EncodingKey::from_secret(secret.as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    };
    let ours = |more| sign(Algorithm::HS256, &claims(more), SECRET);
    let good = ours(json!({}));
    let mut parts = good.splitn(3, '.');
    let (_, payload, signature) = (parts.next(), parts.next().unwrap(), parts.next().unwrap());
    // {"alg":"none"}, {"alg":"RS256"}
    let none = format!("eyJhbGciOiJub25lIn0.{payload}.");
    let signed_none = format!("eyJhbGciOiJub25lIn0.{payload}.{signature}");
    let confused = format!("eyJhbGciOiJSUzI1NiJ9.{payload}.{signature}");
    let tokens = [
        ("alg=none", none),
        ("alg=none with a signature", signed_none),
        ("another algorithm in the header", confused),
        (
            "another algorithm of the same secret",
            sign(Algorithm::HS512, &claims(json!({})), SECRET),
        ),
        (
            "another secret",
            sign(
                Algorithm::HS256,
                &claims(json!({})),
                "another secret, of 32 bytes at least",
            ),
        ),
        (
            "an empty secret",
            // HMAC pads keys with zeros (RFC 2104 §2), so this equals an empty key.
            sign(Algorithm::HS256, &claims(json!({})), "\0"),
        ),
        ("expired", ours(json!({ "exp": now - 1 }))),
        ("no expiry", ours(json!({ "exp": null }))),
        ("from the future", ours(json!({ "nbf": now + 3600 }))),
        ("of another issuer", ours(json!({ "iss": "them" }))),
        ("nobody's", ours(json!({ "sub": "" }))),
        ("no token", "a.b.c".to_owned()),
    ];
    let refused = |(what, token)| Line {
        token: Some(token),
        ..line(
            what,
            document("{ viewer { userId } }"),
            (401, "UNAUTHENTICATED"),
        )
    };
    tokens.into_iter().map(refused).collect()
}

/// Requests for another organization's connector, by its id.
fn of_others(id: &str) -> Vec<Line> {
    let nothing = (200, "");
    let one = format!(r#"{{"i":["{id}"],"f":{{"id":"{id}"}}}}"#);
    let input = |more: &str| format!(r#"{{"input":{{"id":"{id}"{more}}}}}"#);
    vec![
        line("another's id", with(LIST, &one), nothing),
        line(
            "an update of another's",
            with(&mutation(UPDATE), &input(r#","name":"N""#)),
            nothing,
        ),
        line(
            "a deletion of another's",
            with(&mutation(DELETE), &input("")),
            nothing,
        ),
        line(
            "a status of another's",
            with(&mutation(STATUS), &input(r#","status":"MAINTENANCE""#)),
            nothing,
        ),
    ]
}

on_both! {
    async fn nothing_comes_of_it(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--jwt-issuer", "us"],
            fixed_clock(),
        )
        .await;
        let hasty = Server::start(
            server.storage.clone(),
            &["--jwt-issuer", "us", "--request-timeout", "1s"],
            fixed_clock(),
        )
        .await;
        let ann = server.token("ann@acme", WRITE);
        let eve = server.token("eve@evil", WRITE);
        let mine = server.create(&eve, "Mine", "PRIVATE").await;
        let others = server.create(&ann, "Secret plans", "ORGANIZATION").await;
        let before = server.written().await;

        let mut lines = malformed();
        lines.extend(texts(&mine));
        lines.extend(tokens());
        lines.extend(of_others(&others));
        // A cursor of another list.
        let listed = server
            .data(
                &eve,
                "{ personalConnectors(first: 1) { pageInfo { endCursor } } }",
                json!({}),
            )
            .await;
        let cursor = listed["personalConnectors"]["pageInfo"]["endCursor"].to_string();
        lines.push(line(
            "a foreign cursor",
            with(
                LIST,
                &format!(r#"{{"a":{cursor},"f":{{"status":"ACTIVE"}}}}"#),
            ),
            (200, "CURSOR_INVALID"),
        ));
        for Line {
            what,
            method,
            content_type,
            url,
            token,
            body,
            expected,
        } in lines
        {
            let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
            let request = client()
                .request(method, format!("{}/graphql{url}", server.url))
                .bearer_auth(token.as_ref().unwrap_or(&eve))
                .header("content-type", content_type)
                .body(body);
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let text = response.text().await.unwrap();
            let answer: Value = serde_json::from_str(&text).unwrap();
            let code = answer["errors"][0]["extensions"]["code"]
                .as_str()
                .unwrap_or_default();
            assert_eq!((status, code), expected, "{what}: {shown}: {text}");
            // The response reveals neither internals nor another user's data.
            for word in ["sql", "serde", "panic", "src/", "INTERNAL", "Secret plans"] {
                assert!(!text.contains(word), "{what}: {shown}: {text}");
            }
        }
        assert_eq!(slow_body(&hasty, &eve).await, (408, "TIMEOUT".to_owned()));
        assert_eq!(server.written().await, before);
    }
}

/// Returns the response to a client that sends a part of its body and waits.
async fn slow_body(server: &Server, token: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {JSON}\r\nContent-Length: \
         100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let code = body["errors"][0]["extensions"]["code"].as_str().unwrap();
    (head[9..12].parse().unwrap(), code.to_owned())
}
