//! Checks a database: its pages, and that every change is complete, with its event and its number.
//!
//! Invariant: nothing is written. Each statement sees one state, so that a concurrent write is no finding.

use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::{
    config::{DatabaseLocation, DatabaseSettings},
    postgres::server::Server,
    store::{
        database::{
            backup::{self, FINDINGS},
            open_error::{Contents, OpenError},
            sqlite_file::{self, refuse_foreign_file},
        },
        tasks::joined,
    },
};

/// The result of checking a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Soundness {
    /// Violations, each with its table and row.
    pub findings: Vec<String>,
    /// Checks that could not run, each with the reason.
    pub unchecked: Vec<String>,
}

/// A statement that finds no rows in a sound database.
struct Invariant {
    /// The number of the migration that it requires.
    schema: usize,
    table: &'static str,
    flaw: &'static str,
    /// Selects the names of rows that violate it. `{seq}` is the key column of the index of tools' words. `{indexed}`
    /// selects the keys of the index of connectors' words, and `{words}` its words with the number of rows of each.
    sql: &'static str,
}

/// The vocabulary of FTS5's index, in a table of the connection's own.
const SQLITE_WORDS: &str =
    "CREATE VIRTUAL TABLE temp.words_of_search USING fts5vocab(main, connector_search, row)";

const fn invariant(
    schema: usize,
    table: &'static str,
    flaw: &'static str,
    sql: &'static str,
) -> Invariant {
    Invariant {
        schema,
        table,
        flaw,
        sql,
    }
}

/// Events up to `forgotten` are pruned, and all above exist. Checks of servers write events without a revision.
const INVARIANTS: [Invariant; 29] = [
    invariant(
        1,
        "catalog_state",
        "there is not exactly one row",
        "SELECT 'rows ' || n FROM (SELECT COUNT(*) AS n FROM catalog_state) AS counted WHERE n <> 1",
    ),
    invariant(
        2,
        "catalog_state",
        "the state is not the number of the last event, or an event before it is missing",
        "SELECT 'state ' || state FROM catalog_state
            WHERE state <> forgotten + (SELECT COUNT(*) FROM connector_event)
            OR state <> COALESCE((SELECT MAX(number) FROM connector_event), forgotten)
            OR forgotten >= (SELECT MIN(number) FROM connector_event)",
    ),
    invariant(
        1,
        "personal_connector",
        "the revision is not that of the last event",
        "SELECT id FROM personal_connector AS c WHERE revision <> (SELECT revision FROM connector_event
            WHERE personal_connector_id = c.id ORDER BY number DESC LIMIT 1)",
    ),
    invariant(
        1,
        "personal_connector",
        "the event of a revision is missing",
        "SELECT c.id FROM personal_connector AS c
            JOIN connector_event AS e ON e.personal_connector_id = c.id AND e.number >= c.seq
            GROUP BY c.id, c.revision HAVING COUNT(DISTINCT e.revision) <> c.revision - MIN(e.revision) + 1",
    ),
    invariant(
        2,
        "personal_connector",
        "the event that created it is missing",
        "SELECT id FROM personal_connector AS c WHERE seq > (SELECT MAX(forgotten) FROM catalog_state)
            AND NOT EXISTS (SELECT 1 FROM connector_event AS e WHERE e.number = c.seq AND e.kind = 'created'
                AND e.personal_connector_id = c.id AND e.revision = 1)",
    ),
    invariant(
        1,
        "connector_event",
        "the last event of a connector contradicts whether the connector is there",
        "SELECT 'number ' || e.number FROM connector_event AS e
            LEFT JOIN personal_connector AS c ON c.id = e.personal_connector_id
            WHERE NOT EXISTS (SELECT 1 FROM connector_event AS later
                WHERE later.personal_connector_id = e.personal_connector_id AND later.number > e.number)
            AND (e.kind = 'deleted') <> (c.id IS NULL)",
    ),
    invariant(
        5,
        "connector_event",
        "the mark is that of another event too",
        "SELECT 'number ' || MAX(number) FROM connector_event GROUP BY mark HAVING COUNT(*) > 1",
    ),
    invariant(
        9,
        "connector_event",
        "it has values of fields and is no update",
        "SELECT 'number ' || number FROM connector_event WHERE changed_values IS NOT NULL AND kind <> 'updated'",
    ),
    invariant(
        13,
        "connector_event",
        "its record is of other sides than its kind has",
        "SELECT 'number ' || number FROM connector_event WHERE record IS NOT NULL
            AND ((record LIKE '%\"before\":{%') <> (kind <> 'created') OR (record LIKE '%\"after\":{%') <> (kind <> \
            'deleted'))",
    ),
    invariant(
        1,
        "personal_connector",
        "the replacement does not exist",
        "SELECT id FROM personal_connector AS c WHERE replaced_by_id IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM personal_connector AS other WHERE other.id = c.replaced_by_id)",
    ),
    invariant(
        11,
        "personal_connector",
        "a custom connector has curated fields, or the file's values of them are no JSON object",
        "SELECT id FROM personal_connector WHERE file_details IS NOT NULL
            AND (type = 'custom' OR file_details NOT LIKE '{%}')",
    ),
    invariant(
        14,
        "personal_connector",
        "the category has a source, but is not there",
        "SELECT id FROM personal_connector WHERE category IS NULL AND category_source <> 'person'",
    ),
    invariant(
        1,
        "connector_search",
        "the words of a connector are missing",
        "SELECT 'seq ' || seq FROM (SELECT seq FROM personal_connector
            EXCEPT {indexed}) AS missing",
    ),
    invariant(
        1,
        "connector_search",
        "the words belong to no connector",
        "SELECT 'seq ' || seq FROM ({indexed} EXCEPT SELECT seq FROM personal_connector) AS extra",
    ),
    invariant(
        15,
        "search_word",
        "the number of connectors that have the word is not that of the index",
        "SELECT word FROM (SELECT word, connectors FROM search_word
            EXCEPT SELECT word, connectors FROM {words}) AS other",
    ),
    invariant(
        15,
        "search_word",
        "the word of a connector is missing",
        "SELECT word FROM (SELECT word FROM {words}
            EXCEPT SELECT word FROM search_word) AS missing",
    ),
    invariant(
        15,
        "search_word",
        "more connectors that have the word are public than there are",
        "SELECT word FROM search_word WHERE public_connectors < 0 OR public_connectors > connectors",
    ),
    invariant(
        3,
        "connector_tool_search",
        "the words of a connector with tools are missing",
        "SELECT 'seq ' || seq FROM (SELECT seq FROM connector_tool
            EXCEPT SELECT {seq} FROM connector_tool_search) AS missing",
    ),
    invariant(
        3,
        "connector_tool_search",
        "the words belong to no connector with tools",
        "SELECT 'seq ' || seq FROM (SELECT {seq} AS seq FROM connector_tool_search
            EXCEPT SELECT seq FROM connector_tool) AS extra",
    ),
    invariant(
        3,
        "connector_health",
        "the health belongs to no connector",
        "SELECT 'seq ' || seq FROM (SELECT seq FROM connector_health
            EXCEPT SELECT seq FROM personal_connector) AS extra",
    ),
    invariant(
        10,
        "connector_health",
        "the health of a connector is missing",
        "SELECT 'seq ' || seq FROM (SELECT seq FROM personal_connector
            EXCEPT SELECT seq FROM connector_health) AS missing",
    ),
    invariant(
        3,
        "connector_check",
        "the checks belong to no connector",
        "SELECT 'seq ' || seq FROM (SELECT seq FROM connector_check
            EXCEPT SELECT seq FROM personal_connector) AS extra",
    ),
    invariant(
        3,
        "connector_tool",
        "the tools belong to no connector",
        "SELECT 'seq ' || seq FROM (SELECT seq FROM connector_tool
            EXCEPT SELECT seq FROM personal_connector) AS extra",
    ),
    invariant(
        3,
        "connector_health",
        "a server that can be checked is never due, or one that cannot be is",
        "SELECT c.id FROM personal_connector AS c LEFT JOIN connector_health AS h ON h.seq = c.seq
            WHERE (c.server_url IS NOT NULL AND (c.server_type IS NULL OR c.server_type <> 'stdio'))
                <> (h.next_check_at IS NOT NULL)",
    ),
    invariant(
        3,
        "connector_health",
        "an outcome has no time, or a time no outcome",
        "SELECT 'seq ' || seq FROM connector_health WHERE (outcome IS NULL) <> (checked_at IS NULL)",
    ),
    invariant(
        10,
        "connector_health",
        "an outcome has no beginning, or one after its last check",
        "SELECT 'seq ' || seq FROM connector_health
            WHERE (outcome IS NULL) <> (outcome_since IS NULL) OR outcome_since > checked_at",
    ),
    invariant(
        10,
        "connector_health",
        "the id, the address, the uptime or the number of tools is not the connector's",
        "SELECT 'seq ' || h.seq FROM connector_health AS h JOIN personal_connector AS c ON c.seq = h.seq
            WHERE h.id <> c.id OR (h.address IS NULL) <> (c.server_url IS NULL) OR (h.uptime IS NULL) <> (h.outcome IS \
            NULL)
            OR h.tool_count <> (SELECT COUNT(*) FROM connector_tool AS t WHERE t.seq = h.seq)",
    ),
    invariant(
        3,
        "connector_health",
        "tools are there of which nothing is known",
        "SELECT 'seq ' || seq FROM connector_health AS h WHERE tools_digest IS NULL
            AND EXISTS (SELECT 1 FROM connector_tool AS t WHERE t.seq = h.seq)",
    ),
    invariant(
        3,
        "check_lease",
        "there is not exactly one row",
        "SELECT 'rows ' || n FROM (SELECT COUNT(*) AS n FROM check_lease) AS counted WHERE n <> 1",
    ),
];

/// The number of the migration that puts words into connectors' rows on PostgreSQL.
const WORDS_OF_ROWS: usize = 16;

/// The rows in the index of connectors' words on PostgreSQL, and its words, which have the letter of a field before
/// them.
const POSTGRES_INDEX: (&str, &str) = (
    "SELECT seq FROM personal_connector WHERE search_words IS NOT NULL",
    r#"(SELECT substr(word, 2) COLLATE "C" AS word, CAST(SUM(ndoc) AS BIGINT) AS connectors
        FROM ts_stat('SELECT search_words FROM personal_connector') GROUP BY 1) AS words"#,
);
const POSTGRES_INDEX_BEFORE: (&str, &str) = (
    "SELECT seq FROM connector_search",
    r#"(SELECT word COLLATE "C" AS word, CAST(ndoc AS BIGINT) AS connectors
        FROM ts_stat('SELECT words FROM connector_search')) AS words"#,
);

/// Checks a database, which may be in use and may be read-only. Fails if it cannot be opened, or if a newer version
/// migrated it.
pub async fn check(settings: &DatabaseSettings) -> Result<Soundness, OpenError> {
    let location = settings.location()?;
    match &location {
        DatabaseLocation::File(_) => {
            let settings = settings.clone();
            let checking = tokio::task::spawn_blocking(move || check_file(&settings, &location));
            joined(checking).await
        }
        DatabaseLocation::Server(_) => {
            let failed = |error| OpenError::new("check", &location, settings.wait, &error);
            let mut server = Server::new(settings)?;
            let connection = server.reach(settings).await.map_err(failed)?;
            let check = check_server(connection, &location, settings);
            check.await
        }
    }
}

fn check_file(
    settings: &DatabaseSettings,
    location: &DatabaseLocation,
) -> Result<Soundness, OpenError> {
    let DatabaseLocation::File(file) = location else {
        return Ok(Soundness::default());
    };
    let failed = |error: &(dyn std::error::Error + 'static)| {
        OpenError::new("check", location, settings.wait, error)
    };
    refuse_foreign_file(location, file, settings.wait)?;
    let connection = backup::open(file, settings.wait).map_err(|error| failed(&*error))?;
    let contents = sqlite_file::contents(&connection).map_err(|error| failed(&error))?;
    let mut sound = Soundness::default();
    let (_, invariants) = sound.applicable(&contents.of_catalogue(location)?);
    sound
        .findings
        .extend(backup::damage(&connection, "integrity_check"));
    let foreign_keys =
        "SELECT \"table\" || ' row ' || COALESCE(rowid, '') || ': the row that it refers to in '
        || parent || ' is missing' FROM pragma_foreign_key_check";
    match sqlite_file::texts(&connection, &limited(foreign_keys)) {
        Ok(found) => sound.findings.extend(found),
        Err(error) => sound
            .findings
            .push(format!("foreign keys cannot be checked: {error}")),
    }
    // If this fails, the statements that need the table report it.
    let _ = connection.execute_batch(SQLITE_WORDS);
    for invariant in invariants {
        let words = "(SELECT term AS word, doc AS connectors FROM words_of_search)";
        let sql = invariant.sql.replace("{seq}", "rowid");
        let sql = sql.replace("{indexed}", "SELECT rowid AS seq FROM connector_search");
        let sql = limited(&sql.replace("{words}", words));
        match sqlite_file::texts(&connection, &sql) {
            Ok(rows) => sound.found(invariant, &rows),
            Err(error) => sound.unread(invariant.table, &error.to_string()),
        }
    }
    Ok(sound)
}

async fn check_server(
    mut connection: PgConnection,
    location: &DatabaseLocation,
    settings: &DatabaseSettings,
) -> Result<Soundness, OpenError> {
    let failed = |error: sqlx::Error| OpenError::new("check", location, settings.wait, &error);
    let contents = Contents::of_postgres(&mut connection)
        .await
        .map_err(failed)?;
    let mut sound = Soundness::default();
    let (schema, invariants) = sound.applicable(&contents.of_catalogue(location)?);
    let (indexed, words) = if schema < WORDS_OF_ROWS {
        POSTGRES_INDEX_BEFORE
    } else {
        POSTGRES_INDEX
    };
    check_pages(&mut connection, &mut sound)
        .await
        .map_err(failed)?;
    for invariant in invariants {
        let sql = invariant.sql.replace("{seq}", "seq");
        let sql = sql.replace("{indexed}", indexed);
        let sql = limited(&sql.replace("{words}", words));
        match texts(&mut connection, &sql).await {
            Ok(rows) => sound.found(invariant, &rows),
            Err(sqlx::Error::Database(error)) => sound.unread(invariant.table, error.message()),
            Err(error) => return Err(failed(error)),
        }
    }
    // The result counts, even if closing the connection fails.
    let _ = connection.close().await;
    Ok(sound)
}

/// Checks tables and B-tree indexes with the functions of the amcheck extension, if it is installed.
async fn check_pages(connection: &mut PgConnection, sound: &mut Soundness) -> sqlx::Result<()> {
    let schema = "SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'amcheck'";
    let Some(schema) = texts(connection, schema).await?.pop() else {
        let why = "pages: the extension amcheck is not installed in this database. To have pages checked, a superuser \
                   runs CREATE EXTENSION amcheck";
        sound.unchecked.push(why.to_owned());
        return Ok(());
    };
    let relations = "SELECT c.oid::regclass::text, c.relkind = 'r' FROM pg_class AS c
        LEFT JOIN pg_am AS a ON a.oid = c.relam LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace
            AND (c.relkind = 'r' OR c.relkind = 'i' AND a.amname = 'btree' AND i.indisvalid)
        ORDER BY 1";
    for row in rows(connection, sqlx::query(relations)).await? {
        let (relation, is_table): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        let sql = if is_table {
            format!(
                "SELECT 'block ' || blkno || ' tuple ' || COALESCE(offnum, 0) || ': ' || msg
                    FROM {schema}.verify_heapam($1::regclass) LIMIT {FINDINGS}"
            )
        } else {
            // Its only row is null: damage is an error.
            format!(
                "SELECT NULLIF(1, length(format('%s', {schema}.bt_index_check($1::regclass, true))) + 1)::text"
            )
        };
        let found = sqlx::query(AssertSqlSafe(sql)).bind(&relation);
        match rows(connection, found).await {
            Ok(rows) => {
                for row in rows {
                    let line: Option<String> = row.try_get(0)?;
                    let line = line.map(|line| format!("{relation} {line}"));
                    sound.findings.extend(line);
                }
            }
            Err(sqlx::Error::Database(error)) if is_refusal(error.code().as_deref()) => {
                sound.unchecked.push(format!("pages: {}", error.message()));
                return Ok(());
            }
            Err(sqlx::Error::Database(error)) => {
                sound
                    .findings
                    .push(format!("{relation}: {}", error.message()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// PostgreSQL, appendix A: `insufficient_privilege` and `undefined_function`.
fn is_refusal(code: Option<&str>) -> bool {
    matches!(code, Some("42501" | "42883"))
}

async fn texts(connection: &mut PgConnection, sql: &str) -> sqlx::Result<Vec<String>> {
    let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    let rows = rows(connection, query).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Runs a statement in a transaction of its own, so that a pooler may use any session.
async fn rows(
    connection: &mut PgConnection,
    query: Query<'_, Postgres, PgArguments>,
) -> sqlx::Result<Vec<PgRow>> {
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; SET LOCAL statement_timeout = 0";
    connection.execute(begin).await?;
    let rows = query.persistent(false).fetch_all(&mut *connection).await;
    connection.execute("ROLLBACK").await?;
    rows
}

/// Limits a statement to one row more than is reported, which shows that there are more.
fn limited(sql: &str) -> String {
    format!("SELECT * FROM ({sql}) AS found LIMIT {}", FINDINGS + 1)
}

/// Returns the number in a migration's name, such as 8 of `m20261130_000008_open_enums`.
fn number(migration: &str) -> usize {
    let number = migration.split('_').nth(1);
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

impl Soundness {
    /// Returns whether there are no findings. Parts that could not be checked do not count.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Returns the number of the last of these migrations, and the invariants of their schema.
    fn applicable(
        &mut self,
        applied: &[String],
    ) -> (usize, impl Iterator<Item = &'static Invariant> + use<>) {
        let known = migration::names();
        let present = known
            .iter()
            .take_while(|name| applied.contains(name))
            .count();
        let last = present.checked_sub(1).and_then(|last| known.get(last));
        let schema = last.map_or(0, |name| number(name));
        if let Some(missing) = known.get(present) {
            let what = format!(
                "what {missing} and later migrations add: the schema is older. Run migrate first"
            );
            self.unchecked.push(what);
        }
        let invariants = INVARIANTS.iter();
        let applicable = invariants.filter(move |invariant| invariant.schema <= schema);
        (schema, applicable)
    }

    fn found(&mut self, invariant: &Invariant, rows: &[String]) {
        let Invariant { table, flaw, .. } = invariant;
        for (index, row) in rows.iter().enumerate() {
            let more = if index == FINDINGS { " and others" } else { "" };
            self.findings.push(format!("{table} {row}{more}: {flaw}"));
        }
    }

    fn unread(&mut self, table: &str, error: &str) {
        self.findings
            .push(format!("{table}: cannot be read: {error}"));
    }
}
