//! Measures how often a search finds the intended connector, on real servers and on generated connectors.
//!
//! The searches have slips: a letter of the longest word is missing, swapped with the next one, wrong or doubled; words
//! are joined or split. The goals are those of a person who types a name.

use std::{collections::BTreeSet, fs, path::Path};

use entity::personal_connector::Model;
use serde_json::{Value, json};

use crate::{
    on_both,
    support::{connectors::official, harness::Server},
};

/// Files of servers, beside the project and no part of it.
const FILES: [&str; 3] = [
    "registry-servers-2025-10.json",
    "registry-servers-2025-12.json",
    "registry-v0.1-list-response.json",
];

/// A name to search for, and its words.
struct Named {
    name: String,
    words: Vec<String>,
}

impl Named {
    fn new(name: &str) -> Self {
        let lower = name.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric());
        let words = words.filter(|word| !word.is_empty()).map(ToOwned::to_owned);
        Self {
            name: name.to_owned(),
            words: words.collect(),
        }
    }

    /// The position of the longest word.
    fn longest(&self) -> usize {
        let words = self.words.iter().enumerate();
        words
            .max_by_key(|(index, word)| (word.chars().count(), usize::MAX - index))
            .unwrap()
            .0
    }

    /// Returns the words, with the longest one replaced.
    fn with(&self, word: String) -> String {
        let mut words = self.words.clone();
        let at = self.longest();
        words[at] = word;
        words.join(" ")
    }

    /// Returns the longest word with `change` applied at a position that depends on `seed`. None for a word that is too
    /// short.
    fn slip(&self, seed: usize, change: fn(&mut Vec<char>, usize)) -> Option<String> {
        let mut chars: Vec<char> = self.words[self.longest()].chars().collect();
        if chars.len() < 5 {
            return None;
        }
        let at = seed * 7 % (chars.len() - 1);
        change(&mut chars, at);
        let slipped: String = chars.into_iter().collect();
        (!self.words.contains(&slipped)).then(|| self.with(slipped))
    }
}

type Query = (&'static str, f64, fn(&Named, usize) -> Option<String>);

/// The kinds of searches, the least share of them that must find the connector among the first five, and how a name
/// makes them.
const QUERIES: [Query; 10] = [
    ("exact", 1.0, |named, _| Some(named.name.clone())),
    ("reversed", 1.0, |named, _| {
        Some(
            named
                .words
                .iter()
                .rev()
                .cloned()
                .collect::<Vec<_>>()
                .join(" "),
        )
    }),
    ("missing letter", 0.95, |named, seed| {
        named.slip(seed, |chars, at| {
            chars.remove(at);
        })
    }),
    ("swapped letters", 0.95, |named, seed| {
        named.slip(seed, |chars, at| chars.swap(at, at + 1))
    }),
    ("wrong letter", 0.95, |named, seed| {
        named.slip(seed, |chars, at| {
            chars[at] = if chars[at] == 'x' { 'y' } else { 'x' }
        })
    }),
    ("extra letter", 0.95, |named, seed| {
        named.slip(seed, |chars, at| chars.insert(at, 'q'))
    }),
    ("split word", 0.9, |named, _| {
        let longest = &named.words[named.longest()];
        let half = longest.char_indices().nth(longest.chars().count() / 2)?.0;
        (longest.chars().count() >= 6)
            .then(|| named.with(format!("{} {}", &longest[..half], &longest[half..])))
    }),
    ("joined words", 0.9, |named, _| {
        let (first, rest) = named.words.split_first()?;
        let (second, rest) = rest.split_first()?;
        let is_long = |word: &String| word.chars().count() > 1;
        let joined = [vec![format!("{first}{second}")], rest.to_vec()]
            .concat()
            .join(" ");
        (is_long(first) && is_long(second)).then_some(joined)
    }),
    ("the longest word alone", 1.0, |named, _| {
        Some(named.words[named.longest()].clone())
    }),
    ("one slip in the longest word alone", 0.95, |named, seed| {
        let slipped = named.slip(seed, |chars, at| chars.swap(at, at + 1))?;
        slipped
            .split(' ')
            .nth(named.longest())
            .map(ToOwned::to_owned)
    }),
];

/// Returns the first names that a search finds.
async fn first(server: &Server, search: &str) -> Vec<String> {
    let query = "query($search: String) { personalConnectors(search: $search, first: 5) { nodes { name } } }";
    let data = server.data("", query, json!({ "search": search })).await;
    let nodes = data["personalConnectors"]["nodes"]
        .as_array()
        .unwrap()
        .iter();
    nodes
        .map(|node| node["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Measures each kind of search, prints the shares, and fails below a goal.
async fn measure(server: &Server, of: &str, names: &[String], step: usize) {
    let all: Vec<_> = names.iter().map(|name| Named::new(name)).collect();
    let mut below = Vec::new();
    for (kind, goal, make) in QUERIES {
        let (mut made, mut found, mut missed) = (0, 0, Vec::new());
        for (seed, named) in all.iter().enumerate().step_by(step) {
            let has_all =
                |other: &&Named| named.words.iter().all(|word| other.words.contains(word));
            // A name of frequent words cannot be distinguished from others with these words.
            if named.words.is_empty() || kind != "exact" && all.iter().filter(has_all).count() > 5 {
                continue;
            }
            let Some(search) = make(named, seed) else {
                continue;
            };
            let others = first(server, &search).await;
            let longest = &named.words[named.longest()];
            let is_meant = |other: &String| {
                if kind.ends_with("alone") {
                    Named::new(other).words.contains(longest)
                } else {
                    *other == named.name
                }
            };
            made += 1;
            if others.iter().any(is_meant) {
                found += 1;
            } else {
                missed.push(search);
            }
        }
        let share = f64::from(found) / f64::from(made.max(1));
        missed.truncate(5);
        println!("{of}: {kind}: recall@5 {share:.3} of {made}; missed: {missed:?}");
        if share < goal {
            below.push(format!(
                "{kind}: {share:.3} of {made}, at least {goal}: {missed:?}"
            ));
        }
    }
    assert!(below.is_empty(), "{of}: {below:#?}");
}

/// Returns the servers of the files. None if the files are missing.
fn servers() -> Option<Vec<Model>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for file in FILES {
        let Ok(text) = fs::read_to_string(folder.join(file)) else {
            println!(
                "SKIPPED: recall is not measured on real servers, since {} is not there",
                folder.join(file).display()
            );
            return None;
        };
        let mut list: Value = serde_json::from_str(&text).unwrap();
        let servers = if list.is_array() {
            list
        } else {
            list["servers"].take()
        };
        for server in servers.as_array().unwrap() {
            let server = server.get("server").unwrap_or(server);
            let id = server["name"].as_str().unwrap();
            let title = server["title"]
                .as_str()
                .filter(|title| !title.trim().is_empty());
            let name = title.unwrap_or_else(|| id.rsplit('/').next().unwrap());
            let description = server["description"].as_str().unwrap_or_default();
            if seen.insert(id.to_owned()) {
                rows.push(Model {
                    connector_id: id.to_owned(),
                    description: Some(description.chars().take(1000).collect()),
                    ..official(&format!("s{}", rows.len()), name)
                });
            }
        }
    }
    Some(rows)
}

/// Returns names of two words and a number, many of which are near to each other.
fn generated() -> Vec<Model> {
    const FIRST: [&str; 16] = [
        "Amber", "Cobalt", "Crimson", "Silver", "Golden", "Northern", "Southern", "Global",
        "Quantum", "Rapid", "Secure", "Simple", "Smart", "Solid", "Sonic", "Vivid",
    ];
    const SECOND: [&str; 16] = [
        "Calendar",
        "Database",
        "Documents",
        "Explorer",
        "Forecast",
        "Gateway",
        "Inventory",
        "Messages",
        "Notebook",
        "Payments",
        "Pipeline",
        "Registry",
        "Scheduler",
        "Spreadsheet",
        "Translator",
        "Warehouse",
    ];
    let pairs = FIRST
        .iter()
        .flat_map(|first| SECOND.iter().map(move |second| format!("{first} {second}")));
    pairs
        .enumerate()
        .map(|(n, name)| official(&format!("g{n}"), &name))
        .collect()
}

on_both! {
    async fn of_real_servers(server: Server) {
        let Some(rows) = servers() else { return };
        server.clear().await;
        let names: Vec<_> = rows.iter().map(|row| row.name.clone()).collect();
        let texts: Vec<_> = rows
            .iter()
            .map(|row| {
                let id = &row.connector_id;
                let own = id
                    .strip_prefix("io.github.")
                    .or(id.strip_prefix("com."))
                    .unwrap_or(id);
                format!(
                    "{} {own} {}",
                    row.name,
                    row.description.as_deref().unwrap_or_default()
                )
                .to_lowercase()
            })
            .collect();
        server.insert(rows).await;
        // A sample, which has names of all lengths.
        measure(&server, "real servers", &names, 4).await;
        // The host of a namespace is no word.
        for search in ["github", "com", "io", "gitlab", "org", "dev"] {
            let query = "query($search: String) { personalConnectors(search: $search, first: 100) { totalCount nodes { \
                         name } } }";
            let data = server.data("", query, json!({ "search": search })).await;
            let count = data["personalConnectors"]["totalCount"].as_u64().unwrap();
            let has = |text: &&String| {
                text.split(|c: char| !c.is_alphanumeric())
                    .any(|word| word.starts_with(search))
            };
            let about = texts.iter().filter(has).count() as u64;
            println!(
                "real servers: {search}: {count} found, {about} have it in a name, an owner or a description"
            );
            assert!(count <= about, "{search}: {count} of {about}");
            if search == "github" {
                assert_eq!(
                    data["personalConnectors"]["nodes"][0]["name"],
                    "GitHub MCP Server"
                );
                assert!(count <= 10, "{count}");
            }
        }
    }

    async fn of_generated_connectors(server: Server) {
        server.clear().await;
        let rows = generated();
        let names: Vec<_> = rows.iter().map(|row| row.name.clone()).collect();
        server.insert(rows).await;
        measure(&server, "generated connectors", &names, 3).await;
    }
}
