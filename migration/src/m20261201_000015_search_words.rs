//! Adds the words of connectors, with the number of connectors that have each, and fills the search index again. In a
//! namespace, only the words of its owner are indexed. Names such as `C++`, `.NET` and `Node.js` are whole words.
//!
//! Invariant: the migration has its own copies of the code that split texts before this migration and at its time.

mod words;

use std::collections::{BTreeMap, HashSet};

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value},
};
use words::{Splitting, of_connector_id, words};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The number of connectors that one statement reads, and of words that one statement inserts.
const BATCH: usize = 500;

/// The limit of tools' words for a connector, in bytes. No more texts are indexed after it is reached.
const TOOL_WORDS_BYTES: usize = 128 * 1024;

/// `{key}` is text that compares by bytes, and `{integer}` a 64-bit integer.
const STATEMENTS: [&str; 2] = [
    "CREATE TABLE search_word (
        word {key} NOT NULL CONSTRAINT search_word_pkey PRIMARY KEY,
        connectors {integer} NOT NULL,
        public_connectors {integer} NOT NULL,
        since {integer} NOT NULL
    )",
    // Replicas read the words that were added since their last read.
    "CREATE INDEX search_word_by_since ON search_word (since)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (key, integer) = match manager.get_database_backend() {
            DbBackend::Postgres => (r#"TEXT COLLATE "C""#, "BIGINT"),
            _ => ("TEXT", "INTEGER"),
        };
        let connection = manager.get_connection();
        for statement in STATEMENTS {
            let statement = statement
                .replace("{key}", key)
                .replace("{integer}", integer);
            connection.execute_unprepared(&statement).await?;
        }
        let counts = index(connection, Splitting::Names).await?;
        insert_counts(connection, counts).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop = Table::drop().table("search_word").to_owned();
        manager.drop_table(drop).await?;
        index(manager.get_connection(), Splitting::Plain).await?;
        Ok(())
    }
}

/// The number of connectors with each word, and the number of public ones among them.
type Counts = BTreeMap<String, (i64, i64)>;

/// The searched texts of a connector.
struct Row {
    seq: i64,
    name: String,
    connector_id: String,
    description: String,
    is_public: bool,
    has_tools: bool,
}

impl Row {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let description: Option<String> = row.try_get_by_index(3)?;
        let visibility: String = row.try_get_by_index(4)?;
        Ok(Self {
            seq: row.try_get_by_index(0)?,
            name: row.try_get_by_index(1)?,
            connector_id: row.try_get_by_index(2)?,
            description: description.unwrap_or_default(),
            is_public: visibility == "public",
            has_tools: row.try_get_by_index::<i64>(5)? > 0,
        })
    }

    fn fields(&self, splitting: Splitting) -> [Vec<String>; 3] {
        [
            words(&self.name, splitting),
            of_connector_id(&self.connector_id, splitting),
            words(&self.description, splitting),
        ]
    }
}

/// Replaces the indexed words of every connector and tool. Returns the counts of the connectors' words.
async fn index(connection: &impl ConnectionTrait, splitting: Splitting) -> Result<Counts, DbErr> {
    let backend = connection.get_database_backend();
    for table in ["connector_search", "connector_tool_search"] {
        let delete = format!("DELETE FROM {table}");
        connection.execute_unprepared(&delete).await?;
    }
    let select = format!(
        "SELECT c.seq, c.name, c.connector_id, c.description, c.visibility,
            (SELECT COUNT(*) FROM connector_tool AS t WHERE t.seq = c.seq)
            FROM personal_connector AS c WHERE c.seq > {} ORDER BY c.seq LIMIT {BATCH}",
        parameter(backend, 1)
    );
    let mut counts = Counts::new();
    let mut last = i64::MIN;
    loop {
        let select = Statement::from_sql_and_values(backend, &select, [last.into()]);
        let rows = connection.query_all_raw(select).await?;
        let rows = rows.iter().map(Row::read).collect::<Result<Vec<_>, _>>()?;
        let Some(row) = rows.last() else {
            return Ok(counts);
        };
        last = row.seq;
        let mut indexed = Vec::with_capacity(rows.len());
        for row in rows {
            let fields = row.fields(splitting);
            let own: HashSet<&String> = fields.iter().flatten().collect();
            for word in own {
                let (connectors, public) = counts.entry(word.clone()).or_default();
                *connectors += 1;
                *public += i64::from(row.is_public);
            }
            if row.has_tools {
                index_tools(connection, row.seq, &fields, splitting).await?;
            }
            indexed.push((row.seq, fields));
        }
        insert_words(connection, indexed).await?;
    }
}

async fn insert_words(
    connection: &impl ConnectionTrait,
    rows: Vec<(i64, [Vec<String>; 3])>,
) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    let row = |(seq, fields): (i64, [Vec<String>; 3])| -> Vec<Value> {
        if backend != DbBackend::Postgres {
            let fields = fields.map(|words| words.join(" ").into());
            return [seq.into()].into_iter().chain(fields).collect();
        }
        let lexemes = fields.into_iter().zip(["1A", "2B", "3C"]);
        let lexemes = lexemes.flat_map(|(words, position)| {
            let lexeme = move |word| format!("'{word}':{position}");
            words.into_iter().map(lexeme)
        });
        let words = lexemes.collect::<Vec<_>>().join(" ");
        vec![seq.into(), words.into()]
    };
    let values = rows.into_iter().map(row).collect();
    let into = match backend {
        DbBackend::Postgres => "connector_search (seq, words)",
        _ => "connector_search (rowid, name, connector_id, description)",
    };
    insert(connection, into, ["BIGINT", "tsvector"], values).await
}

/// Replaces the words of a connector's tools, and adds its row of the tools' index, which includes its own words.
async fn index_tools(
    connection: &impl ConnectionTrait,
    seq: i64,
    own: &[Vec<String>; 3],
    splitting: Splitting,
) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    let select = format!(
        "SELECT name, title, description, words FROM connector_tool WHERE seq = {} ORDER BY name",
        parameter(backend, 1)
    );
    let select = Statement::from_sql_and_values(backend, select, [seq.into()]);
    let update = format!(
        "UPDATE connector_tool SET words = {} WHERE seq = {} AND name = {}",
        parameter(backend, 1),
        parameter(backend, 2),
        parameter(backend, 3)
    );
    let (mut names, mut titles, mut descriptions) = (Vec::new(), Vec::new(), Vec::new());
    for row in connection.query_all_raw(select).await? {
        let name: String = row.try_get_by_index(0)?;
        let title: Option<String> = row.try_get_by_index(1)?;
        let description: Option<String> = row.try_get_by_index(2)?;
        let before: String = row.try_get_by_index(3)?;
        let mut line = " ".to_owned();
        let mut seen = HashSet::new();
        for text in [Some(&name), title.as_ref(), description.as_ref()] {
            for word in text.map_or(Vec::new(), |text| words(text, splitting)) {
                if seen.insert(word.clone()) {
                    line.push_str(&word);
                    line.push(' ');
                }
            }
        }
        if line != before {
            let values: [Value; 3] = [line.into(), seq.into(), name.clone().into()];
            let update = Statement::from_sql_and_values(backend, &update, values);
            connection.execute_raw(update).await?;
        }
        names.push(name);
        titles.extend(title);
        descriptions.extend(description);
    }
    let mut all: Vec<String> = own.iter().flatten().cloned().collect();
    let mut bytes = 0;
    for text in names.iter().chain(&titles).chain(&descriptions) {
        if bytes >= TOOL_WORDS_BYTES {
            break;
        }
        let words = words(text, splitting);
        bytes += words.iter().map(String::len).sum::<usize>();
        all.extend(words);
    }
    let mut seen = HashSet::new();
    all.retain(|word| seen.insert(word.clone()));
    let (into, words) = match backend {
        DbBackend::Postgres => {
            let quoted: Vec<_> = all.iter().map(|word| format!("'{word}'")).collect();
            ("connector_tool_search (seq, words)", quoted.join(" "))
        }
        _ => ("connector_tool_search (rowid, words)", all.join(" ")),
    };
    let row = vec![seq.into(), words.into()];
    insert(connection, into, ["BIGINT", "tsvector"], vec![row]).await
}

async fn insert_counts(connection: &impl ConnectionTrait, counts: Counts) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    let state = Statement::from_string(backend, "SELECT state FROM catalog_state");
    let state = connection.query_one_raw(state).await?;
    let state: i64 = state.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    let rows = counts.into_iter().map(|(word, (connectors, public))| {
        vec![word.into(), connectors.into(), public.into(), state.into()]
    });
    let rows: Vec<Vec<Value>> = rows.collect();
    let into = "search_word (word, connectors, public_connectors, since)";
    for rows in rows.chunks(BATCH) {
        let types = ["TEXT", "BIGINT", "BIGINT", "BIGINT"];
        insert(connection, into, types, rows.to_vec()).await?;
    }
    Ok(())
}

/// Inserts rows. On PostgreSQL, the first columns have these types.
async fn insert<const N: usize>(
    connection: &impl ConnectionTrait,
    into: &str,
    types: [&str; N],
    rows: Vec<Vec<Value>>,
) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    let mut number = 0;
    let mut tuple = |row: &Vec<Value>| {
        let cells = (0..row.len()).map(|column| {
            number += 1;
            let cell = parameter(backend, number);
            match (backend, types.get(column)) {
                (DbBackend::Postgres, Some(kind)) => format!("CAST({cell} AS {kind})"),
                _ => cell,
            }
        });
        format!("({})", cells.collect::<Vec<_>>().join(", "))
    };
    let tuples: Vec<_> = rows.iter().map(&mut tuple).collect();
    let sql = format!("INSERT INTO {into} VALUES {}", tuples.join(", "));
    let values = rows.into_iter().flatten();
    let insert = Statement::from_sql_and_values(backend, sql, values);
    connection.execute_raw(insert).await.map(drop)
}

fn parameter(backend: DbBackend, number: usize) -> String {
    match backend {
        DbBackend::Postgres => format!("${number}"),
        _ => "?".to_owned(),
    }
}
