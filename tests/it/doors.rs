//! The doors between the rooms: which room may name what.
//!
//! The compiler does not know them, and one careless `use` opens one for good: a query past `visible()`, a clock that tests
//! cannot set, a header in a resolver. `docs/develop/code.md` says why each is closed.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What may be named only in these files and folders.
const DOORS: [(&str, &[&str]); 30] = [
    // All SQL is in the store, and tables are the migration's and the entities' alone.
    ("sea_orm", &["src/store", "entity", "migration"]),
    ("sea_orm_migration", &["migration"]),
    ("sqlx", &["src/store"]),
    ("rusqlite", &["src/store"]),
    ("migration::", &["src/store", "migration"]),
    ("Entity::", &["src/store"]),
    ("ActiveModel", &["src/store", "entity"]),
    ("Column::", &["src/store"]),
    ("catalog_state", &["src/store", "entity", "migration"]),
    ("connector_event", &["src/store", "entity", "migration"]),
    // GraphQL is a form of what is there, and HTTP one way to it.
    ("async_graphql", &["src/graphql", "src/http"]),
    ("axum", &["src/http", "src/app.rs"]),
    ("reqwest", &["src/http", "src/telemetry.rs", "src/mcp"]),
    // Whatever is called because somebody gave its address is called by the guard's leave.
    // The log leaves out what its library writes.
    ("rmcp", &["src/mcp", "src/telemetry.rs"]),
    ("tokio_tungstenite", &["src/mcp"]),
    ("jsonwebtoken", &["src/http/auth"]),
    ("opentelemetry", &["src/telemetry.rs", "src/http/span.rs"]),
    (
        "opentelemetry_sdk",
        &["src/telemetry.rs", "src/http/span.rs"],
    ),
    ("opentelemetry_otlp", &["src/telemetry.rs"]),
    // One place reads the environment, one tells time and makes ids.
    ("std::env", &["src/config.rs"]),
    ("env::var", &["src/config.rs"]),
    ("Utc::now", &["src/clock.rs"]),
    ("SystemTime", &["src/clock.rs"]),
    ("Ulid::generate", &["src/clock.rs"]),
    ("getrandom", &["src/config/secret.rs"]),
    ("clap::", &["src/config", "src/main.rs"]),
    // They panic where nobody reads the output.
    ("print!", &[]),
    ("println!", &[]),
    ("eprint!", &[]),
    ("eprintln!", &[]),
];

/// The rooms that each room may enter, besides itself and `error`.
const ROOMS: [(&str, &[&str]); 11] = [
    ("error", &[]),
    ("clock", &[]),
    ("domain", &[]),
    ("buckets", &[]),
    ("progress", &[]),
    ("mcp", &["buckets", "clock", "domain"]),
    ("store", &["clock", "domain"]),
    ("commands", &["clock", "domain", "mcp", "store"]),
    ("graphql", &["commands", "clock", "domain", "mcp", "store"]),
    ("monitor", &["clock", "domain", "mcp", "progress", "store"]),
    ("interchange", &["clock", "domain", "progress", "store"]),
];

/// A line of a source that is neither comment nor test, with where it is.
struct Line {
    path: String,
    number: usize,
    text: String,
}

fn lines() -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = ["src", "entity/src", "migration/src"]
        .iter()
        .map(|folder| root.join(folder))
        .collect();
    let mut lines = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                // A folder of tests is a module that is compiled for them only.
                if name != "tests" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && name != "tests.rs"
            {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_str().unwrap();
                lines.extend(code(&text).map(|(number, text)| Line {
                    path: path.to_owned(),
                    number,
                    text: text.to_owned(),
                }));
            }
        }
    }
    assert!(lines.len() > 1000, "the sources were not found");
    lines
}

/// Numbered lines up to the tests, which stand at a file's end, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let source = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    let source = source.take_while(|(_, line)| *line != "#[cfg(test)]");
    source.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether the line has the name as a word of its own.
fn names(line: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        !before.is_some_and(part) && (name.ends_with(':') || !after.is_some_and(part))
    })
}

fn offence(line: &Line, what: &str) -> String {
    format!(
        "{}:{}: {what}: {}\n",
        line.path,
        line.number,
        line.text.trim()
    )
}

#[test]
fn nothing_is_named_outside_its_room() {
    let mut offences = String::new();
    for line in lines() {
        for (name, rooms) in DOORS {
            let at_home = rooms.iter().any(|room| line.path.starts_with(room));
            if !at_home && names(&line.text, name) {
                offences += &offence(&line, name);
            }
        }
    }
    assert!(offences.is_empty(), "{offences}");
}

/// Nothing of a table reaches the domain, nor a future or a log.
#[test]
fn the_domain_is_pure() {
    let mut offences = String::new();
    for line in lines()
        .iter()
        .filter(|line| line.path.starts_with("src/domain"))
    {
        for name in [
            "personal_connector",
            "Model",
            "tokio",
            "tracing",
            "async",
            "await",
            "std::fs",
            "std::net",
        ] {
            if names(&line.text, name) {
                offences += &offence(line, name);
            }
        }
    }
    assert!(offences.is_empty(), "{offences}");
}

#[test]
fn rooms_are_entered_by_their_doors() {
    let lines = lines();
    let mut offences = String::new();
    for (room, enters) in ROOMS {
        let (file, folder) = (format!("src/{room}.rs"), format!("src/{room}/"));
        let inside = lines
            .iter()
            .filter(|line| line.path == file || line.path.starts_with(&folder));
        // How many braces deep a `use crate::{` is that began on a line before.
        let mut depth = 0;
        let mut found = 0;
        for line in inside {
            for entered in entered(&line.text, &mut depth) {
                found += 1;
                if ![room, "error"].contains(&entered) && !enters.contains(&entered) {
                    offences += &offence(line, &format!("{room} enters {entered}"));
                }
            }
        }
        assert!(found > 0 || enters.is_empty(), "nothing was read of {room}");
    }
    assert!(offences.is_empty(), "{offences}");
}

/// The rooms that a line names, after `crate::` or within its braces.
fn entered<'a>(line: &'a str, depth: &mut usize) -> Vec<&'a str> {
    let mut rooms = Vec::new();
    let mut rest = line.trim_start();
    if *depth == 1 && !word(rest).is_empty() {
        rooms.push(word(rest));
    }
    while !rest.is_empty() {
        if *depth == 0 {
            let Some((_, after)) = rest.split_once("crate::") else {
                break;
            };
            rest = after;
            if !rest.starts_with('{') {
                rooms.push(word(rest));
                continue;
            }
        }
        // Of a list, what stands right within the outermost braces.
        let (c, after) = rest.split_at(1);
        match c {
            "{" => *depth += 1,
            "}" => *depth -= 1,
            _ => {}
        }
        rest = after.trim_start();
        if *depth == 1 && matches!(c, "{" | ",") && !word(rest).is_empty() {
            rooms.push(word(rest));
        }
    }
    rooms
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}
