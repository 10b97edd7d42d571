//! Search: the words of connectors, and which rows have them.
//!
//! Invariant: both databases hold the same words and are asked for them alike; what differs is how an index is written and
//! matched.

use entity::personal_connector::{Column, Model};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, ExprTrait, IntoSimpleExpr,
    Statement,
    sea_query::{CaseStatement, Expr, SimpleExpr},
};

use crate::domain::{listing::Search, text};

/// How well a row matches, best first: the tiers of RELEVANCE.
const EXACT_NAME: i32 = 0;
const NAME: i32 = 1;
const CONNECTOR_ID: i32 = 2;
const DESCRIPTION: i32 = 3;

/// The rows that have every word of the search, the last one as a beginning, in name, connectorId or description. A search
/// of no words (`"+"`) finds only what is called just that.
pub(super) fn condition(search: &Search, backend: DbBackend) -> Condition {
    let exact = Column::NameKey.eq(&search.key);
    let found = if search.words.is_empty() {
        exact
    } else {
        matches(search, backend, DESCRIPTION)
    };
    Condition::all().add(found)
}

/// The row's tier: the first of the fields, taken together in their order, that have every word.
pub(super) fn tier(search: &Search, backend: DbBackend) -> SimpleExpr {
    let tiers = CaseStatement::new().case(Column::NameKey.eq(&search.key), EXACT_NAME);
    if search.words.is_empty() {
        return tiers.finally(DESCRIPTION).into();
    }
    tiers
        .case(matches(search, backend, NAME), NAME)
        .case(matches(search, backend, CONNECTOR_ID), CONNECTOR_ID)
        .finally(DESCRIPTION)
        .into()
}

/// The rows whose fields up to `tier` have every word. Words are letters and digits, so that quoting them is enough.
fn matches(search: &Search, backend: DbBackend, tier: i32) -> SimpleExpr {
    let last = search.words.len().saturating_sub(1);
    let words = search.words.iter().enumerate();
    let query = if backend == DbBackend::Postgres {
        let weights = match tier {
            NAME => "A",
            CONNECTOR_ID => "AB",
            _ => "ABC",
        };
        let terms: Vec<_> = words
            .map(|(i, word)| format!("'{word}':{}{weights}", if i == last { "*" } else { "" }))
            .collect();
        Expr::cust_with_values(
            "SELECT seq FROM connector_search WHERE words @@ CAST($1 AS tsquery)",
            [terms.join(" & ")],
        )
    } else {
        let columns = match tier {
            NAME => "name",
            CONNECTOR_ID => "name connector_id",
            _ => "name connector_id description",
        };
        let terms: Vec<_> = words
            .map(|(i, word)| format!("\"{word}\"{}", if i == last { " *" } else { "" }))
            .collect();
        Expr::cust_with_values(
            "SELECT rowid FROM connector_search WHERE connector_search MATCH ?",
            [format!("{{{columns}}} : ({})", terms.join(" AND "))],
        )
    };
    Column::Seq
        .into_simple_expr()
        .binary(sea_orm::sea_query::BinOper::In, query)
}

/// Indexes new rows.
pub(super) async fn insert(connection: &impl ConnectionTrait, rows: &[Model]) -> Result<(), DbErr> {
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

/// Forgets a row.
pub(super) async fn delete(connection: &impl ConnectionTrait, seq: i64) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "DELETE FROM connector_search WHERE seq = $1",
        _ => "DELETE FROM connector_search WHERE rowid = ?",
    };
    connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, [seq.into()]))
        .await
        .map(drop)
}

/// Whether a change of the row changes its words.
pub(super) fn changed(before: &Model, after: &Model) -> bool {
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
