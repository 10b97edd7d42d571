//! Adds columns and indexes to order, filter and find lists. Each connector gets a row of health, even if there is
//! nothing to check. It has the connector's id, the address of its server, its uptime, the number of its tools, and the
//! time since which the outcome holds.
//!
//! An enum is ordered by the position of its value. SQLite uses a generated column, because it cannot seek in an index
//! of the expression; PostgreSQL indexes the expression of the statements. A new value of the enum needs a migration
//! that rebuilds these.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend, Statement, Value},
};
use url::Url;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Rows whose addresses are set by one statement.
const BATCH: usize = 500;

/// The most bytes of an address.
const ADDRESS_BYTES: usize = 600;

/// `{key}` is text that compares by bytes, and `{integer}` a 64-bit integer. Connectors that can be checked have a row
/// already. An outcome holds since the first stored check after the last one with another outcome.
const STATEMENTS: &[&str] = &[
    "ALTER TABLE connector_health ADD COLUMN id {key} NOT NULL DEFAULT ''",
    "ALTER TABLE connector_health ADD COLUMN address {key}",
    "ALTER TABLE connector_health ADD COLUMN outcome_since {integer}",
    "ALTER TABLE connector_health ADD COLUMN uptime {integer}",
    "ALTER TABLE connector_health ADD COLUMN tool_count {integer} NOT NULL DEFAULT 0",
    "INSERT INTO connector_health (seq, failures)
        SELECT seq, 0 FROM personal_connector AS c
        WHERE NOT EXISTS (SELECT 1 FROM connector_health AS h WHERE h.seq = c.seq)",
    "UPDATE connector_health SET
        id = (SELECT c.id FROM personal_connector AS c WHERE c.seq = connector_health.seq),
        tool_count = (SELECT COUNT(*) FROM connector_tool AS t WHERE t.seq = connector_health.seq)",
    "UPDATE connector_health SET
        outcome_since = COALESCE(
            (SELECT MIN(checked_at) FROM connector_check AS c
                WHERE c.seq = connector_health.seq AND c.checked_at > COALESCE(
                    (SELECT MAX(checked_at) FROM connector_check AS o
                        WHERE o.seq = connector_health.seq AND o.outcome <> connector_health.outcome),
                    -4611686018427387904)),
            checked_at),
        uptime = COALESCE(
            (SELECT SUM(CASE WHEN c.outcome IN ('open', 'auth_required') THEN 1 ELSE 0 END) * 1000000 / COUNT(*)
                FROM connector_check AS c WHERE c.seq = connector_health.seq),
            CASE WHEN outcome IN ('open', 'auth_required') THEN 1000000 ELSE 0 END)
        WHERE outcome IS NOT NULL",
];

struct Index {
    /// The ordering expression: the column, or the position of its value.
    by: &'static str,
    table: &'static str,
    /// The expression of the value, and the values in order; none if the column is a number.
    ranked: Option<(&'static str, &'static [&'static str])>,
    rest: &'static str,
}

const fn of_connector(by: &'static str, values: &'static [&'static str]) -> Index {
    Index {
        by,
        table: "personal_connector",
        ranked: Some((by, values)),
        rest: "name_key, id",
    }
}

const fn of_health(by: &'static str, rest: &'static str) -> Index {
    Index {
        by,
        table: "connector_health",
        ranked: None,
        rest,
    }
}

const INDEXES: [Index; 9] = [
    of_connector("status", &["active", "deprecated", "maintenance"]),
    of_connector("type", &["official", "aitronos_built", "custom"]),
    of_connector(
        "category",
        &[
            "productivity",
            "development",
            "communication",
            "design",
            "custom",
        ],
    ),
    Index {
        ranked: Some((
            "COALESCE(outcome, CASE WHEN next_check_at IS NULL THEN 'not_checkable' END)",
            &[
                "open",
                "auth_required",
                "wrong_transport",
                "not_mcp",
                "unreachable",
                "timeout",
                "blocked",
                "not_checkable",
            ],
        )),
        ..of_health("outcome", "id")
    },
    of_health("checked_at", "id"),
    of_health("latency_ms", "id"),
    of_health("uptime", "id"),
    of_health("tool_count", "id"),
    of_health("address", "seq"),
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
        set_addresses(connection).await?;
        for Index {
            by,
            table,
            ranked,
            rest,
        } in &INDEXES
        {
            let mut first = (*by).to_owned();
            if let Some((value, values)) = ranked {
                let rank = rank(value, values);
                first = format!("({rank})");
                if connection.get_database_backend() != DbBackend::Postgres {
                    first = format!("{by}_rank");
                    let add = format!(
                        "ALTER TABLE {table} ADD COLUMN {first} INTEGER GENERATED ALWAYS AS ({rank}) VIRTUAL"
                    );
                    connection.execute_unprepared(&add).await?;
                }
            }
            let create = format!("CREATE INDEX {table}_by_{by} ON {table} ({first}, {rest})");
            connection.execute_unprepared(&create).await?;
        }
        Ok(())
    }

    /// The rows stay, because earlier versions have such rows for connectors that lost their server.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for Index {
            by, table, ranked, ..
        } in &INDEXES
        {
            let drop = format!("DROP INDEX {table}_by_{by}");
            connection.execute_unprepared(&drop).await?;
            if ranked.is_some() && connection.get_database_backend() != DbBackend::Postgres {
                let drop = format!("ALTER TABLE {table} DROP COLUMN {by}_rank");
                connection.execute_unprepared(&drop).await?;
            }
        }
        for column in ["tool_count", "uptime", "outcome_since", "address", "id"] {
            let drop = format!("ALTER TABLE connector_health DROP COLUMN {column}");
            connection.execute_unprepared(&drop).await?;
        }
        Ok(())
    }
}

/// Returns the position of a value in this list; null if it is not in it.
fn rank(value: &str, values: &[&str]) -> String {
    let cases = values.iter().enumerate();
    let cases = cases.map(|(rank, is)| format!(" WHEN {value} = '{is}' THEN {rank}"));
    format!("CASE{} END", cases.collect::<String>())
}

/// Sets the addresses of all servers.
async fn set_addresses(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    let servers =
        "SELECT seq, server_url FROM personal_connector WHERE server_url IS NOT NULL ORDER BY seq";
    let servers = Statement::from_string(backend, servers);
    let mut addresses = Vec::new();
    for row in connection.query_all_raw(servers).await? {
        let url: String = row.try_get_by_index(1)?;
        if let Some(address) = address(&url) {
            addresses.push((row.try_get_by_index::<i64>(0)?, address));
        }
    }
    for batch in addresses.chunks(BATCH) {
        let tuples = (0..batch.len()).map(|index| match backend {
            DbBackend::Postgres => {
                format!("(CAST(${} AS BIGINT), ${})", 2 * index + 1, 2 * index + 2)
            }
            _ => "(?, ?)".to_owned(),
        });
        let sql = format!(
            "UPDATE connector_health SET address = given.column2 FROM (VALUES {}) AS given WHERE seq = given.column1",
            tuples.collect::<Vec<_>>().join(", ")
        );
        let values = batch
            .iter()
            .flat_map(|(seq, address)| [Value::from(*seq), address.as_str().into()]);
        let update = Statement::from_sql_and_values(backend, sql, values);
        connection.execute_raw(update).await?;
    }
    Ok(())
}

/// Returns the address of a URL, as the program computed it at the time of this migration.
fn address(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let mut address = url.host_str()?.to_owned();
    if let Some(port) = url.port() {
        address = format!("{address}:{port}");
    }
    let path = url.path().trim_end_matches('/');
    address.push_str(if path.is_empty() { "/" } else { path });
    if let Some(query) = url.query() {
        address = format!("{address}?{query}");
    }
    address.truncate(address.floor_char_boundary(ADDRESS_BYTES));
    Some(address)
}
