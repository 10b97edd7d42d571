//! The bounds, and the table of layers. Edit this file when you move files.

/// The file that sentences about broken rules refer to.
pub(crate) const TABLE: &str = "tests/structure/src/rules.rs";

/// The largest share of the lines of `src` that a first-level folder may have, in percent.
pub(crate) const SHARE: usize = 20;

/// The largest number of files directly in one folder.
pub(crate) const FOLDER_FILES: usize = 15;

/// The most functions that visit a document by recursion, and the most calls that parse the schema or write it as text.
pub(crate) const VISITORS: usize = 4;
pub(crate) const SCHEMAS: usize = 1;

/// The most columns of a line of Rust.
pub(crate) const COLUMNS: usize = 120;

/// Words that put the subject of a sentence last, and the number of comments that may begin with one.
pub(crate) const OPENINGS: [&str; 9] = [
    "What", "Who", "Whoever", "Where", "Of", "By", "For", "That", "Else",
];
pub(crate) const INVERTED: usize = 0;

/// The most lines of README.md.
pub(crate) const README_LINES: usize = 150;

/// The folders whose files are counted, with their subfolders.
pub(crate) const FOLDERS: [&str; 9] = [
    "src",
    "tests",
    "docs",
    "benches",
    "script",
    "entity",
    "migration",
    "web/src",
    "fuzz",
];

/// Folders that may have more files, each with the reason.
pub(crate) const LARGE_FOLDERS: [(&str, &str); 3] = [
    ("snapshots", "insta writes one file a snapshot here"),
    ("fuzz/seeds", "one file a seed"),
    (
        "migration/src",
        "one file a migration, and migrations only grow in number",
    ),
];

/// Two folders. A request leaves the first one and enters the second one once.
pub(crate) const CROSSING: (&str, &str) = ("src/http/", "src/pipeline/");

/// The functions and methods of the second folder that the first one may call, each with the exact number of calls.
pub(crate) const CROSSING_CALLS: &[(&str, usize)] = &[
    // The calls that run an operation: one for requests, and one for sockets.
    (".respond", 1),
    (".stream", 1),
    // The calls that read its parameters: from a body, from a message of a socket, and from a URL.
    ("parameters::from_body", 2),
    ("parameters::from_url", 1),
    // A stop ends the subscriptions of an event stream, and of a socket.
    (".end_subscription", 2),
    // The start passes these counters to the metrics.
    (".document_usage", 1),
];

/// Names of methods that the standard library has too. A call by such a name is not counted.
pub(crate) const COMMON_METHODS: [&str; 12] = [
    "as_str", "clone", "get", "get_mut", "insert", "is_empty", "iter", "len", "new", "next",
    "push", "remove",
];

/// Types whose recursive functions are counted as visitors of a document, and their aliases.
pub(crate) const DOCUMENT_TYPES: [&str; 4] = [
    "ExecutableDocument",
    "Selection",
    "SelectionSet",
    "Selections",
];

#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    /// Files, and folders with a slash at the end.
    pub(crate) paths: &'static [&'static str],
    /// The layers that this one may import besides itself and `error`.
    pub(crate) imports: &'static [&'static str],
}

const fn layer(
    name: &'static str,
    paths: &'static [&'static str],
    imports: &'static [&'static str],
) -> Layer {
    Layer {
        name,
        paths,
        imports,
    }
}

/// All layers, from the bottom up.
#[rustfmt::skip]
pub(crate) const LAYERS: [Layer; 30] = [
    layer("entity", &["entity/src/"], &[]),
    layer("migration", &["migration/src/"], &[]),
    layer("error", &["src/error.rs"], &["entity"]),
    layer("clock", &["src/clock.rs"], &["entity"]),
    layer("buckets", &["src/buckets.rs"], &[]),
    layer("byte_budget", &["src/byte_budget.rs"], &[]),
    layer("fair_budget", &["src/fair_budget.rs"], &["byte_budget"]),
    layer("answer_budget", &["src/answer_budget.rs"], &["fair_budget"]),
    layer("content_decoding", &["src/content_decoding.rs"], &[]),
    layer("terminal", &["src/terminal.rs"], &[]),
    layer("domain", &["src/domain/"], &["entity"]),
    // All layers may import this one, so it imports only the domain.
    layer("config", &["src/config/"], &["domain", "entity"]),
    layer("outbound", &["src/outbound/"], &["config", "content_decoding"]),
    layer("mcp", &["src/mcp/"], &["buckets", "byte_budget", "clock", "config", "content_decoding", "domain", "entity",
        "outbound"]),
    layer("postgres", &["src/postgres/"], &["config"]),
    // The store's layers. `store` re-exports their names.
    layer("store/base", &["src/store/memory/", "src/store/errors.rs", "src/store/query.rs", "src/store/tasks.rs",
        "src/store/unwritable.rs"], &["domain", "entity", "postgres"]),
    layer("store/database", &["src/store/database/"], &["answer_budget", "config", "domain", "entity", "migration",
        "postgres", "store/base"]),
    layer("store/reads", &["src/store/catalog/", "src/store/changes/", "src/store/checks/"],
        &["answer_budget", "domain", "entity", "store/base", "store/database"]),
    layer("store/write", &["src/store/write/"], &["clock", "domain", "entity", "store/base", "store/database",
        "store/reads"]),
    layer("store", &["src/store/mod.rs"], &["domain", "entity", "store/base", "store/database", "store/reads",
        "store/write"]),
    layer("observability", &["src/observability/"], &["byte_budget", "clock", "config", "domain", "outbound", "store",
        "store/base", "store/database"]),
    layer("commands", &["src/commands/"], &["byte_budget", "clock", "domain", "entity", "interchange", "mcp", "store",
        "store/base", "store/database", "store/reads", "store/write"]),
    layer("monitor", &["src/monitor/"], &["byte_budget", "clock", "config", "domain", "entity", "mcp", "store",
        "store/base", "store/database", "store/reads", "store/write", "terminal"]),
    layer("interchange", &["src/interchange/"], &["clock", "config", "domain", "entity", "store", "store/database",
        "store/reads", "store/write", "terminal"]),
    layer("graphql", &["src/graphql/"], &["answer_budget", "byte_budget", "clock", "commands", "domain", "entity",
        "mcp", "store", "store/reads", "store/write"]),
    layer("pipeline", &["src/pipeline/"], &["answer_budget", "byte_budget", "commands", "config", "domain", "graphql",
        "observability", "store", "store/base", "store/reads"]),
    layer("http", &["src/http/"], &["answer_budget", "buckets", "byte_budget", "clock", "config", "domain", "entity",
        "fair_budget", "graphql", "observability", "outbound", "pipeline", "store", "store/base", "store/database",
        "store/reads"]),
    layer("app", &["src/app.rs"], &["answer_budget", "byte_budget", "clock", "commands", "config", "graphql", "http",
        "interchange", "mcp", "monitor", "observability", "outbound", "pipeline", "store", "store/base",
        "store/database", "store/reads", "store/write"]),
    layer("lib", &["src/lib.rs"], &[]),
    layer("main", &["src/main.rs"], &["app", "clock", "config", "domain", "entity", "graphql", "http", "interchange",
        "monitor", "observability", "store", "store/database", "terminal"]),
];

/// Words, and the files and folders whose code may have them outside tests.
pub(crate) const WORDS: &[(&str, &[&str])] = &[
    // Only the store has SQL. Migrations and entities have the tables.
    (
        "sea_orm",
        &["src/store/", "src/postgres/", "entity/", "migration/"],
    ),
    ("sea_orm_migration", &["migration/"]),
    // The configuration parses the URL of a database as the store does.
    (
        "sqlx",
        &[
            "src/store/",
            "src/postgres/",
            "src/config/database.rs",
            "src/config/database_url.rs",
        ],
    ),
    ("deadpool", &["src/postgres/"]),
    ("rusqlite", &["src/store/"]),
    (
        "migration::",
        &["src/store/", "src/config/values.rs", "migration/"],
    ),
    ("Entity::", &["src/store/"]),
    ("ActiveModel", &["src/store/", "entity/"]),
    ("Column::", &["src/store/"]),
    ("catalog_state", &["src/store/", "entity/", "migration/"]),
    ("connector_event", &["src/store/", "entity/", "migration/"]),
    // GraphQL and HTTP are two outer forms of the catalogue.
    (
        "async_graphql",
        &["src/graphql/", "src/http/", "src/pipeline/"],
    ),
    (
        "axum",
        &[
            "src/http/",
            "src/observability/",
            "src/config/origin.rs",
            "src/app.rs",
        ],
    ),
    // Nothing may use this crate, because it reads proxies and certificates from the environment. src/outbound/ makes
    // the connections.
    ("reqwest", &[]),
    // Requests to MCP servers pass the guard in src/mcp/. The log leaves out lines of the MCP library.
    ("rmcp", &["src/mcp/", "src/observability/"]),
    (
        "tokio_tungstenite",
        &["src/mcp/", "src/http/graphql/websocket/"],
    ),
    ("jsonwebtoken", &["src/http/auth/"]),
    ("opentelemetry", &["src/observability/"]),
    ("opentelemetry_sdk", &["src/observability/"]),
    ("opentelemetry_otlp", &["src/observability/"]),
    // One module reads the environment. Another one reads the time and makes ids.
    ("std::env", &["src/config/"]),
    ("env::var", &["src/config/"]),
    ("Utc::now", &["src/clock.rs"]),
    ("SystemTime", &["src/clock.rs"]),
    ("Ulid::generate", &["src/clock.rs"]),
    ("getrandom", &["src/config/secret.rs", "src/clock.rs"]),
    ("clap::", &["src/config/", "src/main.rs"]),
    // These macros panic when the output is closed.
    ("print!", &[]),
    ("println!", &[]),
    ("eprint!", &[]),
    ("eprintln!", &[]),
];

/// Words that a folder must not have: the domain has no tables, futures, logs, input or output.
pub(crate) const FORBIDDEN: &[(&str, &[&str])] = &[(
    "src/domain/",
    &[
        "personal_connector",
        "Model",
        "tokio",
        "tracing",
        "async",
        "await",
        "std::fs",
        "std::net",
    ],
)];
