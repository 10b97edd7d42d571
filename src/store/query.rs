//! A read statement as text with parameters.

use std::sync::Arc;

use sea_orm::{
    DbBackend, Statement, Value,
    sea_query::{PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder, Values},
};

/// A statement's text, and its parameters in order.
#[derive(Clone, Debug)]
pub(in crate::store) struct Query {
    pub(in crate::store) sql: Arc<str>,
    pub(in crate::store) values: Vec<Value>,
}

impl Query {
    /// Builds a statement for a database. On PostgreSQL its final LIMIT is part of the text: with a parameter,
    /// PostgreSQL would plan for a tenth of all rows.
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

    /// Returns the statement in SeaORM's form.
    pub(in crate::store) fn statement(&self, backend: DbBackend) -> Statement {
        Statement::from_sql_and_values(backend, &*self.sql, self.values.clone())
    }
}
