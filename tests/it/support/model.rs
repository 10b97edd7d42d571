//! Lists of connectors in plain Rust: random rows, who sees them, what a search finds and how well, and the orders.
//!
//! Nothing here is taken from the service but its tables: what the two agree on, they agree on by the contract.

use std::{collections::HashSet, fmt::Debug, future::Future};

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Outcome, ServerType,
    Timestamp, personal_connector::Model,
};
use personal_connectors::domain::inspection::Inspection;
use proptest::{
    option,
    prelude::*,
    sample::select,
    test_runner::{TestCaseError, TestRunner},
};

use crate::support::{checks::offering, connectors, harness::Server};

/// Names, what they fold to, and the words they have.
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

/// What the last check of a server came to, and its GraphQL name.
pub(crate) const OUTCOMES: [(Outcome, &str); 8] = [
    (Outcome::Open, "OPEN"),
    (Outcome::AuthRequired, "AUTH_REQUIRED"),
    (Outcome::WrongTransport, "WRONG_TRANSPORT"),
    (Outcome::NotMcp, "NOT_MCP"),
    (Outcome::Unreachable, "UNREACHABLE"),
    (Outcome::Timeout, "TIMEOUT"),
    (Outcome::Blocked, "BLOCKED"),
    (Outcome::NotCheckable, "NOT_CHECKABLE"),
];

/// A tool's name and description, and the words of both.
type Tool = (&'static str, &'static str, &'static [&'static str]);

/// What servers offer.
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

/// Searches, what they fold to, and their words.
pub(crate) const SEARCHES: [(&str, &str, &[&str]); 10] = [
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
];

const OWNERS: [&str; 6] = [
    "ann@acme",
    "bob@acme",
    "cid@other",
    "ann@other",
    "ann",
    "dan",
];

/// Few, so that many rows share one: microseconds around the hour at which the tests' clock stands.
const TIMES: [i64; 5] = [
    1_795_334_400_000_000,
    1_795_334_400_000_001,
    1_795_334_400_500_000,
    1_795_334_401_000_000,
    -1,
];

pub(crate) const VIEWERS: [Viewer; 9] = [
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

#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    pub(crate) who: &'static str,
    pub(crate) scopes: &'static [&'static str],
}

impl Viewer {
    pub(crate) fn token(self, server: &Server) -> String {
        if self.who.is_empty() {
            String::new()
        } else {
            server.token(self.who, self.scopes)
        }
    }

    fn has(self, scope: &str) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the row is of the viewer's organization, or both are of none.
    fn is_of(self, row: &Model) -> bool {
        let organization = self
            .who
            .split_once('@')
            .map(|(_, organization)| organization);
        !self.who.is_empty() && row.organization_id.as_deref() == organization
    }

    fn created(self, row: &Model) -> bool {
        let user = self.who.split('@').next();
        self.is_of(row) && row.created_by.as_deref() == user
    }

    /// The contract's table of who sees what.
    pub(crate) fn sees(self, row: &Model) -> bool {
        let administers = self.has("connectors:admin") && row.organization_id.is_some();
        self.has("catalog:admin")
            || match row.visibility {
                ConnectorVisibility::Public => true,
                ConnectorVisibility::Organization => self.is_of(row),
                ConnectorVisibility::Private => {
                    self.created(row) || (self.is_of(row) && administers)
                }
            }
    }

    /// Whether `createdBy` and `organizationId` are told: not outside the organization.
    pub(crate) fn sees_owner(self, row: &Model) -> bool {
        self.has("catalog:admin")
            || self.created(row)
            || (self.is_of(row) && row.organization_id.is_some())
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Name,
    CreatedAt,
    UpdatedAt,
    /// With one of the [`SEARCHES`].
    Relevance(usize),
}

impl Order {
    /// Brings rows into the list's order: best, first in the alphabet and latest first, or all that `reversed`.
    pub(crate) fn sort(self, rows: &mut [&Model], reversed: bool) {
        let name = |row: &Model| known(&NAMES, &row.name).1;
        rows.sort_by(|a, b| {
            let by_key = match self {
                Self::Name => name(a).as_bytes().cmp(name(b).as_bytes()),
                Self::CreatedAt => b.created_at.cmp(&a.created_at),
                Self::UpdatedAt => b.updated_at.cmp(&a.updated_at),
                Self::Relevance(search) => {
                    (tier(a, search), name(a)).cmp(&(tier(b, search), name(b)))
                }
            };
            by_key.then_with(|| a.id.as_bytes().cmp(b.id.as_bytes()))
        });
        if reversed {
            rows.reverse();
        }
    }

    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::CreatedAt => "CREATED_AT",
            Self::UpdatedAt => "UPDATED_AT",
            Self::Relevance(_) => "RELEVANCE",
        }
    }

    /// The direction's GraphQL name; RELEVANCE has none.
    pub(crate) fn direction(self, reversed: bool) -> Option<&'static str> {
        match self {
            Self::Name => Some(if reversed { "DESC" } else { "ASC" }),
            Self::CreatedAt | Self::UpdatedAt => Some(if reversed { "ASC" } else { "DESC" }),
            Self::Relevance(_) => None,
        }
    }
}

fn known(
    names: &[(&'static str, &'static str, &'static [&'static str])],
    name: &str,
) -> (&'static str, &'static str, &'static [&'static str]) {
    *names.iter().find(|known| known.0 == name).unwrap()
}

/// What the last check of a row's server came to, and its GraphQL name; none where there was no check. The id tells.
pub(crate) fn outcome(row: &Model) -> Option<(Outcome, &'static str)> {
    OUTCOMES.get(sum(row) % 9).copied()
}

/// What a row's server offers.
pub(crate) fn tools(row: &Model) -> &'static [Tool] {
    let offered = TOOLS[sum(row) % 4];
    outcome(row).map_or(&[], |_| offered)
}

fn sum(row: &Model) -> usize {
    row.id.bytes().map(usize::from).sum()
}

/// What was found of rows' servers, to be recorded.
pub(crate) fn checks(rows: &[Model]) -> Vec<(String, Inspection)> {
    let check = |row: &Model| {
        let (outcome, _) = outcome(row)?;
        let tools: Vec<_> = tools(row).iter().map(|tool| (tool.0, tool.1)).collect();
        let found = Inspection {
            outcome,
            ..offering(&tools)
        };
        Some((row.id.clone(), found))
    };
    rows.iter().filter_map(check).collect()
}

/// How well a search finds a row, 0 for its very name; none where it does not.
pub(crate) fn tier(row: &Model, search: usize) -> Option<u8> {
    let (_, key, words) = SEARCHES[search];
    let (_, name_key, name) = known(&NAMES, &row.name);
    if name_key == key {
        return Some(0);
    }
    let (last, whole) = words.split_last()?;
    let connector_id = CONNECTOR_IDS
        .iter()
        .find(|(id, _)| *id == row.connector_id)
        .map_or(&["custom", "mcp"][..], |(_, words)| words);
    let description = DESCRIPTIONS
        .iter()
        .find(|(text, _)| Some(*text) == row.description.as_deref())
        .map_or(&[][..], |(_, words)| words);
    let mut fields = Vec::new();
    let tools: Vec<_> = tools(row).iter().flat_map(|tool| tool.2).copied().collect();
    for (tier, field) in (1..).zip([name, connector_id, description, &tools]) {
        fields.extend(field);
        let found = whole.iter().all(|word| fields.contains(&word))
            && fields.iter().any(|word| word.starts_with(last));
        if found {
            return Some(tier);
        }
    }
    None
}

/// What a row is made of, but its id.
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
        select(&TIMES[..]),
        select(&TIMES[..]),
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
            // Nobody shares with an organization that is none.
            let visibility = if visibility == Organization && !owner.contains('@') {
                Private
            } else {
                visibility
            };
            connectors::custom("", name.0, owner, visibility)
        };
        let (category, status, server_type, description, created_at, updated_at) = rest;
        Model {
            category,
            status,
            server_type,
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

/// An id of its own for each number.
pub(crate) fn id(number: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digits = [number * 17 % 62, number / 62].map(|digit| char::from(DIGITS[digit]));
    format!("pcon_{}{}", digits[0], digits[1])
}

/// What must be unique about a row.
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

/// Runs an asynchronous property on random values; the smallest that fails is in the panic's message.
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
