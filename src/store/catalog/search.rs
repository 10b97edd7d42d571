//! Search: the words of connectors and of their tools, and which rows have them.
//!
//! Invariant: both databases hold the same words and are asked for them alike; what differs is how an index is written and
//! matched.

use entity::{
    connector_tool,
    personal_connector::{Column, Model},
};
use indexmap::IndexSet;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, ExprTrait, IntoSimpleExpr,
    Statement,
    sea_query::{BinOper, CaseStatement, Expr, SimpleExpr},
};

use crate::domain::{inspection::Tool, listing::Search, text};

/// How well a row matches, best first: the tiers of RELEVANCE.
const EXACT_NAME: i32 = 0;
const NAME: i32 = 1;
const CONNECTOR_ID: i32 = 2;
const DESCRIPTION: i32 = 3;
const TOOLS: i32 = 4;

/// Bytes of tools' words that are indexed of a connector, and the words of one text beyond. PostgreSQL takes a `tsvector` of 1 MB.
const TOOL_WORDS_BYTES: usize = 128 * 1024;

/// The rows that have every word of the search, the last one as a beginning, in name, connectorId, description or their tools: by
/// conditions that share no row. A search of no words (`"+"`) finds only what is called just that.
///
/// Each is one list of numbers, from which a database begins where it is short. It would not with both in one condition.
pub(in crate::store) fn conditions(search: &Search, backend: DbBackend) -> Vec<Condition> {
    if search.words.is_empty() {
        let exact = Column::NameKey.eq(&search.key);
        return vec![Condition::all().add(exact)];
    }
    let own = Condition::all().add(matches(search, backend, DESCRIPTION));
    vec![own, only_tools(search, backend)]
}

/// The rows that are found by their tools alone.
fn only_tools(search: &Search, backend: DbBackend) -> Condition {
    let matches = |tier| matches(search, backend, tier);
    Condition::all()
        .add(matches(TOOLS))
        .add(matches(DESCRIPTION).not())
}

/// Rows that a statement finds, best first where there are several statements, and how it ranks them.
pub(in crate::store) struct Tier {
    pub(in crate::store) found: Condition,
    /// The row's tier: the first of the fields, taken together in their order, that have every word.
    pub(in crate::store) rank: SimpleExpr,
}

/// What the rows of [`conditions`] are asked for by RELEVANCE.
///
/// PostgreSQL ranks what it finds in the fields; its index does not know them, so that a tier alone costs as much. FTS5's does: a
/// tier for itself is found without a look at the others, and few searches come to the last ones, where most of the words are.
pub(in crate::store) fn tiers(search: &Search, backend: DbBackend) -> Vec<Tier> {
    let exact = Column::NameKey.eq(&search.key);
    let tier = |rank: i32, found| Tier {
        found,
        rank: Expr::val(rank),
    };
    if search.words.is_empty() {
        return vec![tier(EXACT_NAME, Condition::all().add(exact))];
    }
    let matches = |tier| matches(search, backend, tier);
    let up_to = |tier| Condition::all().add(matches(tier));
    let tools = tier(TOOLS, only_tools(search, backend));
    if backend == DbBackend::Postgres {
        let rank = CaseStatement::new()
            .case(exact, EXACT_NAME)
            .case(matches(NAME), NAME)
            .case(matches(CONNECTOR_ID), CONNECTOR_ID)
            .finally(DESCRIPTION);
        let own = Tier {
            found: up_to(DESCRIPTION),
            rank: rank.into(),
        };
        return vec![own, tools];
    }
    vec![
        tier(EXACT_NAME, up_to(NAME).add(exact.clone())),
        tier(NAME, up_to(NAME).add(exact.not())),
        tier(CONNECTOR_ID, up_to(CONNECTOR_ID).add(matches(NAME).not())),
        tier(
            DESCRIPTION,
            up_to(DESCRIPTION).add(matches(CONNECTOR_ID).not()),
        ),
        tools,
    ]
}

/// A key that what was found is sorted by. SQLite would rather walk an index in its order, past all that was not found.
pub(in crate::store) fn sorted(key: SimpleExpr, backend: DbBackend) -> SimpleExpr {
    match backend {
        DbBackend::Postgres => key,
        _ => Expr::cust_with_expr("+?", key),
    }
}

/// The rows whose fields up to `tier` have every word; [`TOOLS`] has the fields' words too, of the rows that have tools. Words are
/// letters and digits, so that quoting them is enough.
fn matches(search: &Search, backend: DbBackend, tier: i32) -> SimpleExpr {
    let last = search.words.len().saturating_sub(1);
    let words = search.words.iter().enumerate();
    let query = if backend == DbBackend::Postgres {
        let (table, weights) = match tier {
            NAME => ("connector_search", "A"),
            CONNECTOR_ID => ("connector_search", "AB"),
            DESCRIPTION => ("connector_search", "ABC"),
            _ => ("connector_tool_search", ""),
        };
        let terms: Vec<_> = words
            .map(|(i, word)| match (i == last, weights) {
                (true, weights) => format!("'{word}':*{weights}"),
                (false, "") => format!("'{word}'"),
                (false, weights) => format!("'{word}':{weights}"),
            })
            .collect();
        Expr::cust_with_values(
            format!("SELECT seq FROM {table} WHERE words @@ CAST($1 AS tsquery)"),
            [terms.join(" & ")],
        )
    } else {
        let (table, columns) = match tier {
            NAME => ("connector_search", "name"),
            CONNECTOR_ID => ("connector_search", "name connector_id"),
            DESCRIPTION => ("connector_search", "name connector_id description"),
            _ => ("connector_tool_search", "words"),
        };
        let terms: Vec<_> = words
            .map(|(i, word)| format!("\"{word}\"{}", if i == last { " *" } else { "" }))
            .collect();
        Expr::cust_with_values(
            format!("SELECT rowid FROM {table} WHERE {table} MATCH ?"),
            [format!("{{{columns}}} : ({})", terms.join(" AND "))],
        )
    };
    Column::Seq.into_simple_expr().binary(BinOper::In, query)
}

/// Indexes new rows.
pub(in crate::store) async fn insert(
    connection: &impl ConnectionTrait,
    rows: &[Model],
) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    if rows.is_empty() {
        return Ok(());
    }
    let (sql, values): (_, Vec<sea_orm::Value>) = match backend {
        DbBackend::Postgres => (
            "INSERT INTO connector_search (seq, words) VALUES",
            rows.iter()
                .flat_map(|row| [row.seq.into(), tsvector(row).into()])
                .collect(),
        ),
        _ => (
            "INSERT INTO connector_search (rowid, name, connector_id, description) VALUES",
            rows.iter()
                .flat_map(|row| {
                    let [name, connector_id, description] =
                        fields(row).map(|words| words.join(" "));
                    [
                        row.seq.into(),
                        name.into(),
                        connector_id.into(),
                        description.into(),
                    ]
                })
                .collect(),
        ),
    };
    let width = values.len() / rows.len();
    let tuples: Vec<_> = (0..rows.len())
        .map(|row| match backend {
            DbBackend::Postgres => {
                format!(
                    "(${}, CAST(${} AS tsvector))",
                    row * width + 1,
                    row * width + 2
                )
            }
            _ => "(?, ?, ?, ?)".to_owned(),
        })
        .collect();
    let sql = format!("{sql} {}", tuples.join(", "));
    connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await
        .map(drop)
}

/// A tool's words, with a space before and behind each.
pub(in crate::store) fn line(tool: &Tool) -> String {
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

/// Indexes a row by its own words and its tools', and forgets those of the tools that it had.
pub(in crate::store) async fn index_tools(
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

/// Forgets a row.
pub(in crate::store) async fn delete(
    connection: &impl ConnectionTrait,
    seq: i64,
) -> Result<(), DbErr> {
    delete_from("connector_search", connection, seq).await?;
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

/// Whether a change of the row changes its words.
pub(in crate::store) fn changed(before: &Model, after: &Model) -> bool {
    (&before.name, &before.connector_id, &before.description)
        != (&after.name, &after.connector_id, &after.description)
}

fn fields(row: &Model) -> [Vec<String>; 3] {
    [
        &row.name,
        &row.connector_id,
        row.description.as_deref().unwrap_or_default(),
    ]
    .map(|field| text::words(field).into_iter().collect())
}

/// A row's own words and its tools', as many as are indexed, each as `write` has it.
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

/// The words as a `tsvector`'s text; a weight needs a position, and any will do.
fn tsvector(row: &Model) -> String {
    let lexemes = fields(row).into_iter().zip(["1A", "2B", "3C"]);
    let lexemes = lexemes.flat_map(|(words, position)| {
        words
            .into_iter()
            .map(move |word| format!("'{word}':{position}"))
    });
    lexemes.collect::<Vec<_>>().join(" ")
}
