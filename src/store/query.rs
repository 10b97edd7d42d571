//! A statement that reads, as text with its values.

use std::sync::Arc;

use sea_orm::{
    DbBackend, Statement, Value,
    sea_query::{PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder, Values},
};

/// A statement's text, and the values of its parameters in their order.
#[derive(Clone, Debug)]
pub(in crate::store) struct Query {
    pub(in crate::store) sql: Arc<str>,
    pub(in crate::store) values: Vec<Value>,
}

impl Query {
    /// A statement in the language of a database. On PostgreSQL its LIMIT, which is the last of it, stands in the text: for one that is
    /// a parameter, PostgreSQL plans as if a tenth of all rows were wanted.
    pub(in crate::store) fn build(select: &SelectStatement, backend: DbBackend) -> Self {
        let is_postgres = backend == DbBackend::Postgres;
        let (mut sql, Values(mut values)) = if is_postgres {
            select.build(PostgresQueryBuilder)
        } else {
            select.build(SqliteQueryBuilder)
        };
        if is_postgres
            && let Some((text, number)) = sql.rsplit_once(" LIMIT $")
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && let Some(Value::BigUnsigned(Some(limit))) = values.pop()
        {
            sql = format!("{text} LIMIT {limit}");
        }
        Self {
            sql: sql.into(),
            values,
        }
    }

    /// The same as SeaORM has it.
    pub(in crate::store) fn statement(&self, backend: DbBackend) -> Statement {
        Statement::from_sql_and_values(backend, &*self.sql, self.values.clone())
    }
}
