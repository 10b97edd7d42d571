//! A read statement as text with parameters.

use std::{
    fmt::{self, Write},
    sync::{Arc, OnceLock},
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
            let mut writer = WithLimits {
                writer: SqlWriterValues::new("$", true),
                is_offset: false,
            };
            select.build_collect_any_into(&PostgresQueryBuilder, &mut writer);
            writer.writer.into_parts()
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

/// A statement that is always the same, built once for each database.
pub(in crate::store) struct Constant {
    select: fn() -> SelectStatement,
    sqlite: OnceLock<Query>,
    postgres: OnceLock<Query>,
}

impl Constant {
    pub(in crate::store) const fn new(select: fn() -> SelectStatement) -> Self {
        Self {
            select,
            sqlite: OnceLock::new(),
            postgres: OnceLock::new(),
        }
    }

    pub(in crate::store) fn query(&self, backend: DbBackend) -> Query {
        let built = match backend {
            DbBackend::Postgres => &self.postgres,
            _ => &self.sqlite,
        };
        let query = built.get_or_init(|| Query::build(&(self.select)(), backend));
        query.clone()
    }
}

/// Writes the numbers of LIMITs as text, and all other values as parameters.
struct WithLimits {
    writer: SqlWriterValues,
    /// Whether the number of an OFFSET comes next.
    is_offset: bool,
}

impl Write for WithLimits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.is_offset = text.ends_with("OFFSET ");
        self.writer.write_str(text)
    }
}

impl fmt::Display for WithLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.writer.fmt(f)
    }
}

impl SqlWriter for WithLimits {
    fn push_param<T: QueryBuilder>(&mut self, value: Value, builder: &T) {
        match value {
            // No value of a column is of this type. A page's OFFSET stays a parameter: PostgreSQL then takes the rows
            // before it for many, and looks for its end once for each connector.
            Value::BigUnsigned(Some(limit)) if limit == 0 || !self.is_offset => {
                // Writing to a string does not fail.
                let _ = write!(self.writer, "{limit}");
            }
            value => self.writer.push_param(value, builder),
        }
    }

    fn as_writer(&mut self) -> &mut dyn Write {
        self
    }
}
