//! A read statement as text with parameters.

use std::{
    fmt::{self, Write},
    sync::Arc,
};

use sea_orm::{
    DbBackend, Statement, Value,
    sea_query::{
        PostgresQueryBuilder, QueryBuilder, SelectStatement, SqlWriter, SqlWriterValues,
        SqliteQueryBuilder, Values,
    },
};

/// A statement's text, and its parameters in order.
#[derive(Clone, Debug)]
pub(in crate::store) struct Query {
    pub(in crate::store) sql: Arc<str>,
    pub(in crate::store) values: Vec<Value>,
}

impl Query {
    /// Builds a statement for a database. On PostgreSQL its LIMITs are part of the text: with a parameter, PostgreSQL
    /// would plan for a tenth of all rows.
    pub(in crate::store) fn build(select: &SelectStatement, backend: DbBackend) -> Self {
        let (sql, Values(values)) = if backend == DbBackend::Postgres {
            let mut writer = WithLimits(SqlWriterValues::new("$", true));
            select.build_collect_any_into(&PostgresQueryBuilder, &mut writer);
            writer.0.into_parts()
        } else {
            select.build(SqliteQueryBuilder)
        };
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

/// Writes the numbers of LIMITs as text, and all other values as parameters.
struct WithLimits(SqlWriterValues);

impl Write for WithLimits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(text)
    }
}

impl fmt::Display for WithLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SqlWriter for WithLimits {
    fn push_param<T: QueryBuilder>(&mut self, value: Value, builder: &T) {
        match value {
            // No value of a column is of this type.
            Value::BigUnsigned(Some(limit)) => {
                // Writing to a string does not fail.
                let _ = write!(self.0, "{limit}");
            }
            value => self.0.push_param(value, builder),
        }
    }

    fn as_writer(&mut self) -> &mut dyn Write {
        self
    }
}
