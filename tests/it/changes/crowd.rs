//! Many subscribers, and one that reads nothing.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    clients::subscribers::{CHANGED, LONG, Socket, now, told},
    harness::{Server, TestDatabase, rows},
    mutations::{ADMIN, CREATE, draft, text},
    objects::objects,
    process::{Serving, program_on, run},
};

#[tokio::test(flavor = "multi_thread")]
async fn one_who_reads_nothing_holds_up_nobody_and_is_given_up() {
    const SUBSCRIPTIONS: usize = 100;
    const CHANGES: usize = 90;
    const LONG_CHANGED: &str = "subscription($after: String) {
        personalConnectorChanged(after: $after) { cursor personalConnector { name description } }
    }";
    let server = Server::on_sqlite(&[]).await;
    let admin = server.token("boss@acme", ADMIN);
    let after = now(&server, &admin).await;
    let mut deaf = Socket::of(&server, &admin).await;
    let mut hears = Socket::of(&server, &admin).await;
    // Together, the subscriptions send more than the system buffers for a connection.
    for i in 0..SUBSCRIPTIONS {
        let variables = json!({ "after": after });
        deaf.subscribe(&i.to_string(), LONG_CHANGED, variables)
            .await;
    }
    hears
        .subscribe("1", CHANGED, json!({ "after": after }))
        .await;
    for i in 0..CHANGES {
        let description = "x".repeat(2000);
        let input = json!({ "description": description, "visibility": "ORGANIZATION" });
        let input = draft(&format!("N{i}"), input);
        server.change(&admin, CREATE, input).await;
    }
    for i in 0..CHANGES {
        assert_eq!(told(&hears.change().await), ("CREATED", &*format!("N{i}")));
    }

    // The service ends the socket after half a minute. The client reads the earlier changes, and continues over another
    // socket.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let mut last = Value::Null;
    let (mut all, mut of_first) = (0, 0);
    let mut code = None;
    while let Some(Ok(message)) = timeout(LONG, deaf.0.next()).await.unwrap() {
        if let Message::Close(Some(frame)) = &message {
            code = Some(u16::from(frame.code));
        }
        let Message::Text(text) = message else {
            continue;
        };
        let message: Value = serde_json::from_str(&text).unwrap();
        all += 1;
        if message["id"] == "0" {
            of_first += 1;
            last = message["payload"]["data"]["personalConnectorChanged"]["cursor"].clone();
        }
    }
    assert!(all < SUBSCRIPTIONS * CHANGES, "the socket was not closed");
    assert_eq!(code, Some(1013));
    let mut resumed = Socket::of(&server, &admin).await;
    let after = if last.is_null() { json!(after) } else { last };
    resumed
        .subscribe("1", CHANGED, json!({ "after": after }))
        .await;
    for i in of_first..CHANGES {
        assert_eq!(
            told(&resumed.change().await),
            ("CREATED", &*format!("N{i}"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_beside_the_server_is_told_to_everybody() {
    crowd(20, 300, &Value::Null).await;
}

/// `cargo test --release --test it a_crowd -- --ignored --nocapture` prints how long a burst takes to reach the last
/// subscriber, and the memory of the crowd: first without a list, then with the largest filter, whose last condition
/// matches.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and measures"]
async fn a_crowd() {
    crowd(10_000, 1000, &Value::Null).await;
    let values: Vec<_> = (0..100).map(|number| format!("nobody{number}")).collect();
    let mut any = vec![json!({ "name": { "startsWith": "none" } }); 96];
    any.extend(["connectorId", "createdBy", "toolName"].map(|field| json!({ field: values })));
    any.push(json!({ "status": "ACTIVE" }));
    crowd(10_000, 1000, &json!({ "filter": { "or": any } })).await;
}

/// Sends changes of a list, made by another process, to many subscribers.
async fn crowd(size: usize, burst: usize, list: &Value) {
    let storage = TestDatabase::sqlite();
    let flags = ["--max-sockets", "0", "--max-connections", "12000"];
    let flags = [
        &flags[..],
        &["--max-connections-per-address", "0", "--log", "warn"],
    ]
    .concat();
    let server = Serving::start(program_on(&storage, &flags));
    let memory = || server.process.resident().unwrap_or_default();
    let before = memory();
    let cursor = "{ personalConnectors(first: 0) { changesCursor } }";
    let cursor = server.data("", cursor, json!({})).await;
    let after = &cursor["personalConnectors"]["changesCursor"];
    let query = "subscription($after: String, $list: PersonalConnectorListInput) {
        personalConnectorChanged(after: $after, list: $list) { cursor kind personalConnectorId }
    }";
    let began = Instant::now();
    let mut crowd = Vec::new();
    for _ in 0..size {
        let mut socket = Socket::at(&server.url, "").await;
        socket
            .subscribe("1", query, json!({ "after": after, "list": list }))
            .await;
        // The response comes when the subscription has nearly caught up.
        socket.subscribe("q", "{ __typename }", json!({})).await;
        while socket.next().await["type"] != "complete" {}
        crowd.push(socket);
    }
    println!("{size} subscribers after {:.1?}", began.elapsed());
    let waiting = memory();
    println!(
        "memory: {before} KiB before, {waiting} KiB with them, {} bytes each",
        (waiting - before) * 1024 / size as u64
    );

    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("burst.jsonl");
    std::fs::write(&file, objects(burst)).unwrap();
    let listen = |mut socket: Socket| async move {
        let mut ids = Vec::with_capacity(burst);
        while ids.len() < burst {
            let change = socket.change().await;
            assert_eq!(change["kind"], "CREATED");
            ids.push(text(&change["personalConnectorId"]).to_owned());
        }
        (Instant::now(), ids)
    };
    let listening: Vec<_> = crowd
        .into_iter()
        .map(|socket| tokio::spawn(listen(socket)))
        .collect();
    let arguments = [
        "import",
        "--organization",
        "acme",
        "--visibility",
        "public",
        file.to_str().unwrap(),
    ];
    run(program_on(&storage, &arguments)).ok();
    let imported = Instant::now();
    let newest = format!(
        "SELECT personal_connector_id FROM connector_event ORDER BY number DESC LIMIT {burst}"
    );
    let expected = rows(&storage.url, &newest).await;
    let expected: Vec<_> = expected.lines().rev().map(ToOwned::to_owned).collect();
    let mut heard = Vec::new();
    for listener in listening {
        let (at, ids) = listener.await.unwrap();
        assert_eq!(ids, expected);
        heard.push(at.saturating_duration_since(imported));
    }
    heard.sort_unstable();
    println!(
        "{burst} changes: the first has heard all {:.1?} after the import, the last {:.1?}",
        heard[0],
        heard[size - 1]
    );
    println!("memory: {} KiB afterwards", memory());
}
