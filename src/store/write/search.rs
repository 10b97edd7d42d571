//! The search index: the words of connectors and of their tools.
//!
//! Invariant: both databases contain the same words, in different forms.

use entity::{
    connector_tool,
    personal_connector::{Column, Entity, Model},
};
use indexmap::{IndexMap, IndexSet};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, Iterable, ModelTrait, Statement,
    sea_query::{Expr, InsertStatement, IntoIden, Query, SimpleExpr},
};

use crate::{
    domain::{inspection::Tool, text},
    store::catalog::word_index::{Field, POSTGRES_COLUMN, letter},
};

use super::vocabulary::Fields;

/// The most bytes of tools' words to index for a connector, and of the words of one text after that. PostgreSQL accepts
/// a `tsvector` of 1 MB.
const TOOL_WORDS_BYTES: usize = 128 * 1024;

/// Indexes new rows by the words of their fields. On PostgreSQL, a column of the row has the words ([`column`]).
pub(super) async fn insert(
    connection: &impl ConnectionTrait,
    rows: &[Model],
    fields: &[Fields],
) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    if rows.is_empty() || backend == DbBackend::Postgres {
        return Ok(());
    }
    let values = rows.iter().zip(fields).flat_map(|(row, fields)| {
        let fields = fields.iter().map(|words| words.join(" ").into());
        [row.seq.into()].into_iter().chain(fields)
    });
    let values: Vec<sea_orm::Value> = values.collect();
    let tuples = vec!["(?, ?, ?, ?)"; rows.len()].join(", ");
    let sql = format!(
        "INSERT INTO connector_search (rowid, name, connector_id, description) VALUES {tuples}"
    );
    connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await
        .map(drop)
}

/// Returns the statement that inserts rows, with their words if there is a column for them.
pub(super) fn with_words(
    rows: &[Model],
    fields: &[Fields],
    backend: DbBackend,
) -> Result<InsertStatement, DbErr> {
    let words = fields.first().and_then(|fields| column(fields, backend));
    let columns = Column::iter().map(IntoIden::into_iden);
    let mut insert = Query::insert();
    insert
        .into_table(Entity)
        .columns(columns.chain(words.map(|(column, _)| column.into_iden())));
    for (row, fields) in rows.iter().zip(fields) {
        let values = Column::iter().map(|column| Expr::val(row.get(column)));
        let words = column(fields, backend).map(|(_, words)| words);
        let values = insert.values(values.chain(words));
        values.map_err(|error| DbErr::Custom(error.to_string()))?;
    }
    Ok(insert)
}

/// Returns the column with a row's own words, and its value. None on SQLite, which has a table for them.
pub(super) fn column(fields: &Fields, backend: DbBackend) -> Option<(&'static str, SimpleExpr)> {
    let tsvector = || Expr::cust_with_values("CAST($1 AS tsvector)", [tsvector(fields)]);
    (backend == DbBackend::Postgres).then(|| (POSTGRES_COLUMN, tsvector()))
}

/// Returns the words of a tool, with a space before and after each.
pub(super) fn line(tool: &Tool) -> String {
    let texts = [
        Some(&tool.name),
        tool.title.as_ref(),
        tool.description.as_ref(),
    ];
    let texts = texts.into_iter().flatten();
    let words: IndexSet<_> = texts.flat_map(|text| text::words(text)).collect();
    let spaced = words.into_iter();
    spaced.fold(" ".to_owned(), |line, word| line + &word + " ")
}

/// Indexes a row by its own words and its tools', and removes the words of its previous tools.
pub(super) async fn index_tools(
    connection: &impl ConnectionTrait,
    row: &Model,
    tools: &[connector_tool::Model],
) -> Result<(), DbErr> {
    delete_from("connector_tool_search", connection, row.seq).await?;
    if tools.is_empty() {
        return Ok(());
    }
    let backend = connection.get_database_backend();
    let (sql, words) = match backend {
        DbBackend::Postgres => (
            "INSERT INTO connector_tool_search (seq, words) VALUES ($1, CAST($2 AS tsvector))",
            tool_words(row, tools, |word| format!("'{word}'")),
        ),
        _ => (
            "INSERT INTO connector_tool_search (rowid, words) VALUES (?, ?)",
            tool_words(row, tools, ToOwned::to_owned),
        ),
    };
    let values = [row.seq.into(), words.into()];
    connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await
        .map(drop)
}

/// Removes a row from the index, except the words in its own column.
pub(super) async fn delete(connection: &impl ConnectionTrait, seq: i64) -> Result<(), DbErr> {
    if connection.get_database_backend() != DbBackend::Postgres {
        delete_from("connector_search", connection, seq).await?;
    }
    delete_from("connector_tool_search", connection, seq).await
}

async fn delete_from(
    table: &str,
    connection: &impl ConnectionTrait,
    seq: i64,
) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => format!("DELETE FROM {table} WHERE seq = $1"),
        _ => format!("DELETE FROM {table} WHERE rowid = ?"),
    };
    connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, [seq.into()]))
        .await
        .map(drop)
}

/// Returns whether a change of the row changes its words.
pub(super) fn changed(before: &Model, after: &Model) -> bool {
    (&before.name, &before.connector_id, &before.description)
        != (&after.name, &after.connector_id, &after.description)
}

/// Returns the words of the searched fields: the name, the connectorId and the description.
pub(super) fn fields(row: &Model) -> Fields {
    [
        text::words(&row.name),
        text::of_connector_id(&row.connector_id),
        text::words(row.description.as_deref().unwrap_or_default()),
    ]
    .map(|words| words.into_iter().collect())
}

/// Returns a row's own words and its tools', up to the limit, in the form of `write`.
fn tool_words(
    row: &Model,
    tools: &[connector_tool::Model],
    write: impl Fn(&str) -> String,
) -> String {
    let mut words: IndexSet<_> = fields(row).into_iter().flatten().collect();
    let titles = tools.iter().filter_map(|tool| tool.title.as_ref());
    let names = tools.iter().map(|tool| &tool.name).chain(titles);
    let descriptions = tools.iter().filter_map(|tool| tool.description.as_ref());
    let mut bytes = 0;
    for text in names.chain(descriptions) {
        if bytes >= TOOL_WORDS_BYTES {
            break;
        }
        let own = text::words(text);
        bytes += own.iter().map(String::len).sum::<usize>();
        words.extend(own);
    }
    let words: Vec<_> = words.iter().map(|word| write(word)).collect();
    words.join(" ")
}

/// Returns the words as the text of a `tsvector`, each after the letter of the first field that contains it.
fn tsvector(fields: &Fields) -> String {
    let letters = [Field::Name, Field::ConnectorId, Field::Description].map(letter);
    let mut first = IndexMap::new();
    for (letter, words) in letters.into_iter().zip(fields) {
        for word in words {
            first.entry(word).or_insert(letter);
        }
    }
    let lexemes = first.iter();
    let lexemes = lexemes.map(|(word, letter)| format!("'{letter}{word}'"));
    lexemes.collect::<Vec<_>>().join(" ")
}
