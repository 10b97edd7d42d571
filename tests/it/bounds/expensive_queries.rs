//! Clients that send the most expensive allowed queries, beside one that sends cheap ones.
//!
//! `cargo test --release --test it expensive_queries -- --include-ignored --nocapture` prints the durations of the
//! cheap ones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    harness::TestDatabase,
    objects::objects,
    process::{Serving, program_on, run_with, token},
};

const CLIENTS: usize = 24;
const CACHED: &str = "{ personalConnectors(first: 1) { nodes { id } } }";
const CHEAP: &str = "query($from: DateTime!) {
    personalConnectors(first: 5, filter: { createdAt: { gte: $from } }) { nodes { id name status } }
}";

/// Arguments and selections of a list, sent under as many aliases as allowed.
const LISTS: [(&str, &str); 5] = [
    (
        "first: 0, filter: { createdAt: { gte: $from } }",
        "totalCount",
    ),
    (
        "first: 0, filter: { createdAt: { gte: $from } }",
        "facets { category { value count } type { value count } status { value count } }",
    ),
    (
        "first: 1, search: \"object 1\", filter: { createdAt: { gte: $from } }",
        "totalCount nodes { id }",
    ),
    (
        "first: 100, search: \"o\", filter: { createdAt: { gte: $from } }",
        "facets { status { value count } } nodes { id metadata }",
    ),
    (
        "last: 100, filter: { not: { or: [{ toolName: [\"a\"] }, { createdAt: { lt: $from } }] } }",
        "totalCount nodes { id description metadata }",
    ),
];

/// Returns one list under this many aliases.
fn question((arguments, selection): (&str, &str), aliases: usize) -> String {
    let lists: Vec<_> = (0..aliases)
        .map(|alias| format!("a{alias}: personalConnectors({arguments}) {{ {selection} }}"))
        .collect();
    format!("query($from: DateTime!) {{ {} }}", lists.join(" "))
}

/// Returns a new time before all connectors, so that no count is cached.
fn from() -> Value {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % 1_000_000;
    json!({ "from": format!("1970-01-01T00:00:03.{next:06}Z") })
}

fn code(answer: &Value) -> Option<&str> {
    answer["errors"][0]["extensions"]["code"].as_str()
}

/// Returns the list under as many aliases as an operation may have.
async fn most_expensive(server: &Serving, token: &str, list: (&str, &str)) -> String {
    for aliases in (1..=100).rev() {
        let question = question(list, aliases);
        let answer = server.ask(token, &question, from()).await.unwrap();
        if code(&answer) != Some("LIMIT_EXCEEDED") {
            println!("{aliases} aliases of {list:?}: {:?}", code(&answer));
            return question;
        }
    }
    panic!("no question of {list:?} is allowed");
}

struct Seen {
    cheap: Vec<Duration>,
    refused: usize,
    cached: Vec<Duration>,
    not_ready: usize,
    expensive: usize,
}

async fn ask_the_most_expensive(storage: TestDatabase, time: Duration) -> Seen {
    let import = program_on(&storage, &["import", "--organization", "acme"]);
    run_with(import, &objects(20_000)).ok();
    let server = Arc::new(Serving::start(program_on(&storage, &[])));
    let ann = token("ann@acme", "connectors:write");
    let mut questions = Vec::new();
    for list in LISTS {
        questions.push(most_expensive(&server, &ann, list).await);
    }
    let questions = Arc::new(questions);
    server.data("", CACHED, json!({})).await;
    let until = Instant::now() + time;
    let expensive = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (server, ann, questions) = (server.clone(), ann.clone(), questions.clone());
        let expensive = expensive.clone();
        clients.spawn(async move {
            for number in client.. {
                if Instant::now() > until {
                    break;
                }
                let question = &questions[number % questions.len()];
                let answer = server.ask(&ann, question, from()).await.unwrap();
                match code(&answer) {
                    None => expensive.fetch_add(1, Ordering::Relaxed),
                    // A client retries after a second, as requested.
                    Some("UNAVAILABLE") => {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        0
                    }
                    Some("TIMEOUT") => 0,
                    Some(other) => panic!("{other}: {answer}"),
                };
            }
        });
    }
    let mut seen = Seen {
        cheap: Vec::new(),
        refused: 0,
        cached: Vec::new(),
        not_ready: 0,
        expensive: 0,
    };
    while Instant::now() < until {
        let began = Instant::now();
        let answer = server.ask(&ann, CHEAP, from()).await.unwrap();
        match code(&answer) {
            None => seen.cheap.push(began.elapsed()),
            Some(_) => seen.refused += 1,
        }
        let began = Instant::now();
        server.data("", CACHED, json!({})).await;
        seen.cached.push(began.elapsed());
        seen.not_ready += usize::from(server.get("/health/ready").await.0 != 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    seen.expensive = expensive.load(Ordering::Relaxed);
    seen.cheap.sort();
    seen.cached.sort();
    let at = |times: &[Duration], share: usize| {
        times
            .get((times.len() * share / 100).min(times.len().saturating_sub(1)))
            .copied()
    };
    println!(
        "{} expensive answers; cheap ones: {} and {} refused, median {:.1?}, p95 {:.1?}; cached: {}, p95 {:.1?}; not \
         ready {} times",
        seen.expensive,
        seen.cheap.len(),
        seen.refused,
        at(&seen.cheap, 50),
        at(&seen.cheap, 95),
        seen.cached.len(),
        at(&seen.cached, 95),
        seen.not_ready,
    );
    seen
}

/// Cheap requests, cached responses and readiness stay available while others send all that they may.
fn are_served(seen: &Seen) {
    assert!(seen.expensive > 0, "no expensive query is answered");
    assert_eq!(seen.not_ready, 0);
    assert!(
        seen.refused * 20 <= seen.cheap.len(),
        "{} are refused",
        seen.refused
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expensive_queries_leave_places_to_cheap_ones() {
    are_served(&ask_the_most_expensive(TestDatabase::sqlite(), Duration::from_secs(15)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: set CONNECTORS_TEST_POSTGRES"]
async fn expensive_queries_leave_places_to_cheap_ones_postgres() {
    are_served(
        &ask_the_most_expensive(TestDatabase::postgres().await, Duration::from_secs(15)).await,
    );
}
