//! Random rows, searches and viewers for the model of `fixtures`.

use std::{collections::HashSet, fmt::Debug, future::Future};

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Outcome, ServerType,
    Timestamp, personal_connector::Model,
};
use fixtures::model::{Connector, Order, Search, Viewer};
use personal_connectors::domain::inspection::Inspection;
use proptest::{
    option,
    prelude::*,
    sample::{self, select},
    test_runner::{TestCaseError, TestRunner},
};
use serde_json::{Value, json};

use crate::support::{
    checks::{self, found, offering},
    connectors,
    harness::Server,
};

/// Names, their folded form, and their words.
const NAMES: [(&str, &str, &[&str]); 14] = [
    ("GitHub", "github", &["github"]),
    ("github", "github", &["github"]),
    ("Éclair", "eclair", &["eclair"]),
    ("eclair PRO", "eclair pro", &["eclair", "pro"]),
    ("ÄPFEL", "apfel", &["apfel"]),
    ("apfel", "apfel", &["apfel"]),
    ("ﬁne Git-Tune", "fine git-tune", &["fine", "git", "tune"]),
    ("日本", "日本", &["日", "本"]),
    ("Straße", "straße", &["straße"]),
    ("ΟΔΟΣ", "οδοσ", &["οδοσ"]),
    ("İstanbul", "istanbul", &["istanbul"]),
    ("10", "10", &["10"]),
    ("9", "9", &["9"]),
    ("++", "++", &[]),
];

const CONNECTOR_IDS: [(&str, &[&str]); 8] = [
    ("github", &["github"]),
    ("git/hub", &["git", "hub"]),
    ("wiki_2", &["wiki", "2"]),
    ("Pro.Wiki", &["pro", "wiki"]),
    ("jira", &["jira"]),
    ("eclair", &["eclair"]),
    ("ten-9", &["ten", "9"]),
    ("z", &["z"]),
];

const DESCRIPTIONS: [(&str, &[&str]); 4] = [
    ("Git for teams", &["git", "for", "teams"]),
    ("L'éclair: 日 wiki!", &["l", "eclair", "日", "wiki"]),
    ("", &[]),
    ("Pro pro PRO", &["pro"]),
];

/// The outcomes of a check, with their GraphQL names.
const OUTCOMES: [(Outcome, &str); 8] = [
    (Outcome::Open, "OPEN"),
    (Outcome::AuthRequired, "AUTH_REQUIRED"),
    (Outcome::WrongTransport, "WRONG_TRANSPORT"),
    (Outcome::NotMcp, "NOT_MCP"),
    (Outcome::Unreachable, "UNREACHABLE"),
    (Outcome::Timeout, "TIMEOUT"),
    (Outcome::Blocked, "BLOCKED"),
    (Outcome::NotCheckable, "NOT_CHECKABLE"),
];

/// A tool's name, its description, and the words of both.
type Tool = (&'static str, &'static str, &'static [&'static str]);

/// The tools that servers offer.
const TOOLS: [&[Tool]; 4] = [
    &[],
    &[("git_wiki", "For teams", &["git", "wiki", "for", "teams"])],
    &[
        ("Git_wiki", "", &["git", "wiki"]),
        ("bake", "Éclair", &["bake", "eclair"]),
    ],
    &[
        ("pro", "Of 日", &["pro", "of", "日"]),
        ("git_wiki", "", &["git", "wiki"]),
    ],
];

/// URLs of servers, their hosts, and their normalized addresses.
const SERVERS: [(&str, &str, &str); 3] = [
    (
        "https://MCP.example.com/wiki/",
        "mcp.example.com",
        "mcp.example.com/wiki",
    ),
    (
        "http://mcp.example.com:80/wiki?x=1",
        "mcp.example.com",
        "mcp.example.com/wiki?x=1",
    ),
    ("http://localhost:8000", "localhost:8000", "localhost:8000/"),
];

/// Searches, their folded form, and their words.
const SEARCHES: [(&str, &str, &[&str]); 20] = [
    (
        "http://mcp.example.com/wiki",
        "http://mcp.example.com/wiki",
        &["http", "mcp", "example", "com", "wiki"],
    ),
    (
        "https://LOCALHOST:8000/#x",
        "https://localhost:8000/#x",
        &["https", "localhost", "8000", "x"],
    ),
    ("GITHUB", "github", &["github"]),
    ("Ecl", "ecl", &["ecl"]),
    ("éclair", "eclair", &["eclair"]),
    ("eclair pro", "eclair pro", &["eclair", "pro"]),
    ("git", "git", &["git"]),
    ("wiki git", "wiki git", &["wiki", "git"]),
    ("custom", "custom", &["custom"]),
    ("日", "日", &["日"]),
    ("++", "++", &[]),
    ("p", "p", &["p"]),
    // Slips, words that are joined, and words that are split.
    ("Eclar", "eclar", &["eclar"]),
    ("ecliar PRO", "ecliar pro", &["ecliar", "pro"]),
    ("gihtub", "gihtub", &["gihtub"]),
    ("gitwiki", "gitwiki", &["gitwiki"]),
    ("git hub", "git hub", &["git", "hub"]),
    ("tems", "tems", &["tems"]),
    ("istnabl", "istnabl", &["istnabl"]),
    ("temas wki", "temas wki", &["temas", "wki"]),
];

const OWNERS: [&str; 6] = [
    "ann@acme",
    "bob@acme",
    "cid@other",
    "ann@other",
    "ann",
    "dan",
];

/// Few times, so that many rows share one: microseconds around the hour of the tests' clock.
const TIMES: [i64; 5] = [
    1_795_334_400_000_000,
    1_795_334_400_000_001,
    1_795_334_400_500_000,
    1_795_334_401_000_000,
    -1,
];

pub(crate) const VIEWERS: [Viewer<'static>; 9] = [
    Viewer {
        who: "",
        scopes: &[],
    },
    Viewer {
        who: "ann@acme",
        scopes: &[],
    },
    Viewer {
        who: "bob@acme",
        scopes: &["connectors:write"],
    },
    Viewer {
        who: "ann@acme",
        scopes: &["connectors:admin"],
    },
    Viewer {
        who: "ann@other",
        scopes: &[],
    },
    Viewer {
        who: "ann",
        scopes: &["connectors:write"],
    },
    Viewer {
        who: "dan",
        scopes: &["connectors:admin"],
    },
    Viewer {
        who: "eve@elsewhere",
        scopes: &["connectors:admin"],
    },
    Viewer {
        who: "eve@elsewhere",
        scopes: &["catalog:admin"],
    },
];

impl Server {
    pub(crate) fn viewer_token(&self, viewer: Viewer) -> String {
        if viewer.who.is_empty() {
            String::new()
        } else {
            self.token(viewer.who, viewer.scopes)
        }
    }
}

/// One of the searches that are never corrected.
pub(crate) fn search_as_given() -> impl Strategy<Value = Search> + Clone {
    search().prop_filter("is not corrected", |search| {
        let texts = ["Ecl", "wiki git", "custom", "日", "++", "p"];
        search.address.is_some() || texts.contains(&search.text.as_str())
    })
}

/// One of the searches.
pub(crate) fn search() -> impl Strategy<Value = Search> + Clone {
    select(&SEARCHES[..]).prop_map(|(text, key, words)| Search {
        text: text.to_owned(),
        key: key.to_owned(),
        words: owned(words),
        address: match key.split_once("://") {
            Some((_, "localhost:8000/#x")) => Some("localhost:8000/".to_owned()),
            Some((_, address)) => Some(address.to_owned()),
            None => None,
        },
    })
}

/// An order and up to three tie-breakers, each possibly reversed.
pub(crate) fn orders() -> impl Strategy<Value = Vec<(Order, bool)>> {
    let fields = sample::subsequence(&Order::FIELDS[..], 1..=4).prop_shuffle();
    let single = select(&Order::FIELDS[..]).prop_map(|order| vec![order]);
    let fields = prop_oneof![single, fields];
    (fields, any::<[bool; 4]>())
        .prop_map(|(fields, reversed)| fields.into_iter().zip(reversed).collect())
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Converts a row to the model's form.
fn connector(row: &Model) -> Connector {
    let (_, name_key, name) = NAMES.iter().find(|name| name.0 == row.name).unwrap();
    let connector_id = CONNECTOR_IDS
        .iter()
        .find(|(id, _)| *id == row.connector_id)
        .map_or(&["custom", "mcp"][..], |(_, words)| words);
    let description = DESCRIPTIONS
        .iter()
        .find(|(text, _)| Some(*text) == row.description.as_deref())
        .map_or(&[][..], |(_, words)| words);
    let tools: Vec<_> = tools(row).iter().flat_map(|tool| tool.2).copied().collect();
    Connector {
        fields: fields(row),
        name_key: (*name_key).to_owned(),
        words: [name, connector_id, description, &tools].map(owned),
    }
}

pub(crate) fn fields(row: &Model) -> Value {
    fn name(stored: impl serde::Serialize) -> Value {
        match json!(stored) {
            Value::String(name) => name.to_uppercase().into(),
            none => none,
        }
    }
    fn time(time: Timestamp) -> String {
        let time = chrono::DateTime::from_timestamp_micros(time.0).unwrap();
        time.to_rfc3339()
    }
    json!({
        "id": row.id,
        "type": name(row.r#type),
        "category": name(row.category),
        "status": name(row.status),
        "serverType": name(row.server_type),
        "visibility": name(row.visibility),
        "connectorId": row.connector_id,
        "outcome": outcome(row).map_or_else(|| unchecked(row), |(_, name)| Some(name)),
        "toolName": tools(row).iter().map(|tool| tool.0).collect::<Vec<_>>(),
        "toolCount": tools(row).len(),
        "checkedAt": outcome(row).map(|_| time(checked_at(row))),
        "latencyMs": outcome(row).and_then(|_| latency(row)),
        "uptime": uptime(row),
        "nameKey": row.name_key,
        "host": server(row).map(|(_, host, _)| host),
        "address": server(row).map(|(_, _, address)| address),
        "createdBy": row.created_by,
        "organizationId": row.organization_id,
        "createdAt": time(row.created_at),
        "updatedAt": time(row.updated_at),
    })
}

pub(crate) fn sees(viewer: Viewer, row: &Model) -> bool {
    viewer.sees(&fields(row))
}

/// Returns the rows that a viewer sees, in the form that they read.
pub(crate) fn seen(viewer: Viewer, rows: &[Model]) -> Vec<Connector> {
    let connectors = rows.iter().map(connector);
    connectors
        .filter(|connector| viewer.sees(&connector.fields))
        .map(|connector| Connector {
            fields: viewer.read(&connector.fields),
            ..connector
        })
        .collect()
}

/// Returns the outcome of the last check of a row's server, with its GraphQL name; none without a check. The id
/// determines it.
fn outcome(row: &Model) -> Option<(Outcome, &'static str)> {
    OUTCOMES.get(sum(row) % 9).copied()
}

/// Returns the outcome of a row without a check; none before the first check.
fn unchecked(row: &Model) -> Option<&'static str> {
    let can_be_checked = row.server_url.is_some() && row.server_type != Some(ServerType::Stdio);
    (!can_be_checked).then_some("NOT_CHECKABLE")
}

fn server(row: &Model) -> Option<(&'static str, &'static str, &'static str)> {
    let url = row.server_url.as_deref()?;
    SERVERS.into_iter().find(|(other, ..)| *other == url)
}

fn checked_at(row: &Model) -> Timestamp {
    checks::after(i64::try_from(sum(row) % 4).unwrap())
}

fn latency(row: &Model) -> Option<i64> {
    (!sum(row).is_multiple_of(5)).then_some(i64::try_from(sum(row) % 3).unwrap() * 10)
}

/// Returns whether a check before the last one failed.
fn has_failed(row: &Model) -> bool {
    sum(row) % 7 < 3
}

fn uptime(row: &Model) -> Option<i64> {
    let (outcome, _) = outcome(row)?;
    Some(match outcome {
        Outcome::Open | Outcome::AuthRequired if has_failed(row) => 500_000,
        Outcome::Open | Outcome::AuthRequired => 1_000_000,
        _ => 0,
    })
}

/// Returns the tools of a row's server.
fn tools(row: &Model) -> &'static [Tool] {
    let offered = TOOLS[sum(row) % 4];
    outcome(row).map_or(&[], |_| offered)
}

fn sum(row: &Model) -> usize {
    row.id.bytes().map(usize::from).sum()
}

/// Returns the inspections to record for these rows.
pub(crate) fn checked(rows: &[Model]) -> Vec<(String, Inspection)> {
    let check = |row: &Model| {
        let (outcome, _) = outcome(row)?;
        let tools: Vec<_> = tools(row).iter().map(|tool| (tool.0, tool.1)).collect();
        let last = Inspection {
            outcome,
            checked_at: checked_at(row),
            latency_ms: latency(row).map(i64::unsigned_abs),
            ..offering(&tools)
        };
        let failed = Inspection {
            checked_at: checks::after(-60),
            ..found(Outcome::Timeout)
        };
        let checks = has_failed(row).then_some(failed).into_iter().chain([last]);
        let id = row.id.clone();
        Some(checks.map(move |found| (id.clone(), found)))
    };
    rows.iter().filter_map(check).flatten().collect()
}

/// A strategy for all fields of a row except the id.
pub(crate) fn row() -> impl Strategy<Value = Model> {
    use ConnectorVisibility::{Organization, Private, Public};
    let kind = (
        select(&NAMES[..]),
        option::weighted(0.4, select(&CONNECTOR_IDS[..])),
        select(&OWNERS[..]),
        select(vec![Private, Organization, Public]),
        any::<bool>(),
    );
    let rest = (
        option::weighted(
            0.8,
            select(vec![
                ConnectorCategory::Productivity,
                ConnectorCategory::Development,
                ConnectorCategory::Custom,
            ]),
        ),
        select(vec![
            ConnectorStatus::Active,
            ConnectorStatus::Deprecated,
            ConnectorStatus::Maintenance,
        ]),
        option::weighted(0.8, select(vec![ServerType::Http, ServerType::Stdio])),
        option::weighted(0.8, select(&DESCRIPTIONS[..])),
        (select(&TIMES[..]), select(&TIMES[..])),
        option::weighted(0.7, select(&SERVERS[..])),
    );
    (kind, rest).prop_map(|((name, official, owner, visibility, built), rest)| {
        let model = if let Some((connector_id, _)) = official {
            let r#type = if built {
                ConnectorType::AitronosBuilt
            } else {
                ConnectorType::Official
            };
            Model {
                r#type,
                connector_id: connector_id.to_owned(),
                ..connectors::official("", name.0)
            }
        } else {
            // Without an organization, there are no members to share with.
            let visibility = if visibility == Organization && !owner.contains('@') {
                Private
            } else {
                visibility
            };
            connectors::custom("", name.0, owner, visibility)
        };
        let (category, status, server_type, description, (created_at, updated_at), server) = rest;
        Model {
            category,
            status,
            server_type,
            server_url: server.map(|(url, ..)| url.to_owned()),
            description: description.map(|(text, _)| text.to_owned()),
            created_at: Timestamp(created_at),
            updated_at: Timestamp(updated_at),
            ..model
        }
    })
}

/// Rows that can be in the catalogue together, with ids of mixed case in no order.
pub(crate) fn catalogue(most: usize) -> impl Strategy<Value = Vec<Model>> {
    proptest::collection::vec(row(), 0..most).prop_map(|mut rows| {
        let mut taken = HashSet::new();
        rows.retain(|row| taken.insert(claim(row)));
        for (number, row) in rows.iter_mut().enumerate() {
            row.id = id(number);
        }
        rows
    })
}

/// Returns a unique id for each number.
pub(crate) fn id(number: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digits = [number * 17 % 62, number / 62].map(|digit| char::from(DIGITS[digit]));
    format!("pcon_{}{}", digits[0], digits[1])
}

/// The values that are unique to a row.
fn claim(row: &Model) -> [String; 4] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if row.r#type != ConnectorType::Custom {
        return [
            row.connector_id.clone(),
            String::new(),
            String::new(),
            String::new(),
        ];
    }
    let creator = if row.visibility == ConnectorVisibility::Private {
        text(&row.created_by)
    } else {
        "*".to_owned()
    };
    [
        "custom_mcp".to_owned(),
        row.name_key.clone(),
        text(&row.organization_id),
        creator,
    ]
}

/// Runs an asynchronous property on random values. The panic message has the smallest failing input.
pub(crate) fn check<S: Strategy, F: Future<Output = Result<(), TestCaseError>>>(
    cases: u32,
    strategy: S,
    property: impl Fn(S::Value) -> F,
) where
    S::Value: Debug,
{
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    });
    let runtime = tokio::runtime::Handle::current();
    let result = tokio::task::block_in_place(|| {
        runner.run(&strategy, |value| runtime.block_on(property(value)))
    });
    if let Err(failure) = result {
        panic!("{failure}\n{runner}");
    }
}
