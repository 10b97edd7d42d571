//! Drops the constraints that list an enum's values: the API's enums are open to additions, and the program checks
//! values itself. Constraints across columns stay.
//!
//! SQLite has no statement for this. A constraint changes no stored content, so its text in the schema is replaced, as
//! SQLite documents (<https://sqlite.org/lang_altertable.html#otheralter>). No row is copied, and no index is rebuilt.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{DbBackend, Statement},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

struct Constraint {
    table: &'static str,
    name: &'static str,
    /// The column's line in the SQLite schema, without the constraint.
    column: &'static str,
    condition: &'static str,
    /// The space after the constraint's name in the SQLite schema.
    space: &'static str,
}

const LINE: &str = "\n            ";

const fn constraint(
    table: &'static str,
    name: &'static str,
    column: &'static str,
    condition: &'static str,
    space: &'static str,
) -> Constraint {
    Constraint {
        table,
        name,
        column,
        condition,
        space,
    }
}

const CONSTRAINTS: [Constraint; 9] = [
    constraint(
        "personal_connector",
        "personal_connector_type_check",
        "type TEXT NOT NULL",
        "type IN ('official', 'aitronos_built', 'custom')",
        " ",
    ),
    constraint(
        "personal_connector",
        "personal_connector_category_check",
        "category TEXT",
        "category IN ('productivity', 'development', 'communication', 'design', 'custom')",
        LINE,
    ),
    constraint(
        "personal_connector",
        "personal_connector_status_check",
        "status TEXT NOT NULL",
        "status IN ('active', 'deprecated', 'maintenance')",
        " ",
    ),
    constraint(
        "personal_connector",
        "personal_connector_server_type_check",
        "server_type TEXT",
        "server_type IN ('http', 'websocket', 'stdio')",
        " ",
    ),
    constraint(
        "personal_connector",
        "personal_connector_visibility_check",
        "visibility TEXT NOT NULL",
        "visibility IN ('private', 'organization', 'public')",
        LINE,
    ),
    constraint(
        "personal_connector",
        "personal_connector_source_check",
        "source TEXT NOT NULL",
        "source IN ('catalog', 'import', 'api')",
        " ",
    ),
    constraint(
        "connector_event",
        "connector_event_kind_check",
        "kind TEXT NOT NULL",
        "kind IN ('created', 'updated', 'deleted')",
        " ",
    ),
    constraint(
        "connector_health",
        "connector_health_outcome_check",
        "outcome TEXT",
        "outcome IN (
                'open', 'auth_required', 'wrong_transport', 'not_mcp', 'unreachable', 'timeout', 'blocked', \
                'not_checkable'
            )",
        " ",
    ),
    constraint(
        "connector_health",
        "connector_health_transport_check",
        "transport TEXT",
        "transport IN ('streamable_http', 'sse', 'web_socket')",
        " ",
    ),
];

impl Constraint {
    /// Returns the column's line with and without the constraint, in the form of SQLite's schema.
    fn lines(&self) -> (String, String) {
        let Self {
            name,
            column,
            condition,
            space,
            ..
        } = self;
        (
            format!("\n        {column}{LINE}CONSTRAINT {name}{space}CHECK ({condition}),"),
            format!("\n        {column},"),
        )
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            for Constraint { table, name, .. } in &CONSTRAINTS {
                let drop = format!("ALTER TABLE {table} DROP CONSTRAINT {name}");
                connection.execute_unprepared(&drop).await?;
            }
            return Ok(());
        }
        let edits = CONSTRAINTS.iter().map(|constraint| {
            let (with, without) = constraint.lines();
            (constraint.table, with, without)
        });
        edit_schema(connection, edits).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            for constraint in &CONSTRAINTS {
                let Constraint {
                    table,
                    name,
                    condition,
                    ..
                } = constraint;
                let add = format!("ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition})");
                connection.execute_unprepared(&add).await?;
            }
            return Ok(());
        }
        for constraint in &CONSTRAINTS {
            let Constraint {
                table,
                name,
                condition,
                ..
            } = constraint;
            let violated = format!("SELECT 1 FROM {table} WHERE NOT ({condition}) LIMIT 1");
            let violated = Statement::from_string(DbBackend::Sqlite, violated);
            if connection.query_one_raw(violated).await?.is_some() {
                let message = format!("a row of {table} violates {name}: it has a newer value");
                return Err(DbErr::Migration(message));
            }
        }
        let edits = CONSTRAINTS.iter().map(|constraint| {
            let (with, without) = constraint.lines();
            (constraint.table, without, with)
        });
        edit_schema(connection, edits).await
    }
}

/// Replaces a part of each table's text in SQLite's schema. The transaction can roll it back.
async fn edit_schema(
    connection: &SchemaManagerConnection<'_>,
    edits: impl Iterator<Item = (&'static str, String, String)>,
) -> Result<(), DbErr> {
    let version = Statement::from_string(DbBackend::Sqlite, "PRAGMA schema_version");
    let version = connection.query_one_raw(version).await?;
    let version: i32 = match version {
        Some(row) => row.try_get_by_index(0)?,
        None => 0,
    };
    connection
        .execute_unprepared("PRAGMA writable_schema = ON")
        .await?;
    for (table, from, to) in edits {
        let update = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?)
            WHERE type = 'table' AND name = ? AND instr(sql, ?) > 0";
        let values = [from.as_str(), &to, table, &from].map(Value::from);
        let update = Statement::from_sql_and_values(DbBackend::Sqlite, update, values);
        if connection.execute_raw(update).await?.rows_affected() != 1 {
            let message = format!("the table {table} is not as a migration made it: {from}");
            return Err(DbErr::Migration(message));
        }
    }
    // This makes every connection read the schema again.
    let next = format!("PRAGMA schema_version = {}", version.wrapping_add(1));
    connection.execute_unprepared(&next).await?;
    connection
        .execute_unprepared("PRAGMA writable_schema = OFF")
        .await?;
    // A schema that cannot be parsed fails here, before the commit.
    let parsed = "SELECT 1 FROM personal_connector, connector_event, connector_health LIMIT 0";
    connection.execute_unprepared(parsed).await.map(drop)
}
