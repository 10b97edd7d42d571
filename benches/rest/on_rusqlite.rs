//! REST over rusqlite: each worker thread has a connection, calls it inline, and writes columns directly to JSON.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    extract::{self, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, OpenFlags, Row, Rows, ToSql, params, types::ValueRef};

use self::Form::{Json, Text, Time};
use crate::{
    answer::{Failed, Group, Tail, sent},
    query::{Query, cursor, fts5_queries},
};

pub(crate) fn router(url: &str) -> rusqlite::Result<Router> {
    let db = Arc::new(Db::new(url.trim_start_matches("sqlite://").into()));
    open(&db.file)?;
    Ok(Router::new()
        .route("/connectors", get(list))
        .route("/connectors/{id}", get(by_id))
        .with_state(db))
}

/// The encoding of a column.
#[derive(Clone, Copy)]
enum Form {
    Text,
    /// Raw JSON text.
    Json,
    /// Microseconds since 1970, written as RFC 3339.
    Time,
}

/// A column, and the JSON before its value.
type Field = (&'static str, &'static str, Form);

/// The columns of a list. `created_at` follows for cursors.
const LISTED: [Field; 11] = [
    ("id", r#"{"id":"#, Text),
    ("name", r#","name":"#, Text),
    ("type", r#","type":"#, Text),
    ("connector_id", r#","connectorId":"#, Text),
    ("description", r#","description":"#, Text),
    ("category", r#","category":"#, Text),
    ("version", r#","version":"#, Text),
    ("status", r#","status":"#, Text),
    ("server_url", r#","serverUrl":"#, Text),
    ("metadata", r#","metadata":"#, Json),
    ("updated_at", r#","updatedAt":"#, Time),
];

/// All columns that an anonymous viewer sees.
const WHOLE: [Field; 14] = [
    ("id", r#"{"object":"personal_connector","id":"#, Text),
    ("name", r#","name":"#, Text),
    ("type", r#","type":"#, Text),
    ("connector_id", r#","connectorId":"#, Text),
    ("description", r#","description":"#, Text),
    ("icon_url", r#","iconUrl":"#, Text),
    ("category", r#","category":"#, Text),
    ("version", r#","version":"#, Text),
    ("status", r#","status":"#, Text),
    ("server_url", r#","serverUrl":"#, Text),
    ("server_type", r#","serverType":"#, Text),
    ("metadata", r#","metadata":"#, Json),
    ("created_at", r#","createdAt":"#, Time),
    ("updated_at", r#","updatedAt":"#, Time),
];

const GROUPS: &str = "SELECT category, status, type, server_type, COUNT(*) FROM personal_connector \
     WHERE visibility = 'public' GROUP BY category, status, type, server_type";

/// The file, and prepared statement texts.
struct Db {
    file: PathBuf,
    first: String,
    after: String,
    search: String,
    by_id: String,
}

impl Db {
    fn new(file: PathBuf) -> Self {
        let listed = select(&LISTED, ", created_at");
        let filter = "category = ?1 AND status = ?2";
        let order = "ORDER BY created_at DESC, id LIMIT";
        let found = "seq IN (SELECT rowid FROM connector_search WHERE connector_search MATCH";
        Self {
            file,
            first: format!("{listed} AND {filter} {order} ?3"),
            after: format!(
                "{listed} AND {filter} AND created_at <= ?4 AND (created_at < ?4 OR id > ?5) {order} ?3"
            ),
            // The same ranking as the service's.
            search: format!(
                "{listed} AND {found} ?4) ORDER BY CASE WHEN name_key = ?1 THEN 0 \
                 WHEN substr(name_key, 1, length(?1)) = ?1 AND {found} ?2) THEN 1 WHEN {found} ?2) THEN 2 \
                 WHEN {found} ?3) THEN 3 ELSE 4 END, name_key, id LIMIT ?5"
            ),
            by_id: format!("{} AND id = ?1", select(&WHOLE, "")),
        }
    }

    /// Runs a function on the thread's connection.
    fn with<T>(&self, run: impl FnOnce(&Connection) -> Result<T, Failed>) -> Result<T, Failed> {
        thread_local! {
            static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
        }
        CONNECTION.with_borrow_mut(|connection| match connection {
            Some(connection) => run(connection),
            none => run(none.insert(open(&self.file)?)),
        })
    }
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.execute_batch("PRAGMA mmap_size = 268435456; PRAGMA cache_size = -65536")?;
    Ok(connection)
}

fn select(fields: &[Field], more: &str) -> String {
    let columns: Vec<_> = fields.iter().map(|(column, ..)| *column).collect();
    format!(
        "SELECT {}{more} FROM personal_connector WHERE visibility = 'public'",
        columns.join(", ")
    )
}

fn write_row(json: &mut Vec<u8>, fields: &[Field], row: &Row) -> Result<(), Failed> {
    for (column, (_, key, form)) in fields.iter().enumerate() {
        json.extend_from_slice(key.as_bytes());
        match (row.get_ref(column)?, form) {
            (ValueRef::Text(text), Text) => {
                serde_json::to_writer(&mut *json, str::from_utf8(text)?)?;
            }
            (ValueRef::Text(text), Json) => json.extend_from_slice(text),
            (ValueRef::Integer(micros), Time) => {
                let time = DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default();
                json.push(b'"');
                json.extend(time.to_rfc3339_opts(SecondsFormat::AutoSi, true).bytes());
                json.push(b'"');
            }
            _ => json.extend_from_slice(b"null"),
        }
    }
    json.push(b'}');
    Ok(())
}

async fn list(State(db): State<Arc<Db>>, RawQuery(query): RawQuery) -> Result<Response, Failed> {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let json = db.with(|connection| {
        let limit = query.first + 1;
        let page = |statement: &str, values: &[&dyn ToSql]| {
            let mut statement = connection.prepare_cached(statement)?;
            write_page(statement.query(values)?, query.first)
        };
        let (mut json, has_next_page, end_cursor) = match (&query.search, &query.after) {
            (Some(word), _) => {
                let [name, connector_id, all] = fts5_queries(word);
                page(&db.search, &[word, &name, &connector_id, &all, &limit])
            }
            (None, Some((time, id))) => page(
                &db.after,
                &[&query.category, &query.status, &limit, time, id],
            ),
            (None, None) => page(&db.first, &[&query.category, &query.status, &limit]),
        }?;
        let groups = query.counts.then(|| groups(connection)).transpose()?;
        let tail = Tail::new(&query, has_next_page, end_cursor, groups.as_deref());
        // The brace that begins the tail becomes a comma.
        let end = json.len();
        serde_json::to_writer(&mut json, &tail)?;
        json[end] = b',';
        Ok(json)
    })?;
    Ok(sent(json))
}

/// Returns the page's JSON up to its nodes, whether more follow, and the cursor of the last.
fn write_page(mut rows: Rows, first: i64) -> Result<(Vec<u8>, bool, Option<String>), Failed> {
    let mut json = Vec::with_capacity(16 * 1024);
    json.extend_from_slice(b"{\"nodes\":[");
    let (mut written, mut has_next_page) = (0, false);
    let (mut last_time, mut last_id) = (0, String::new());
    while let Some(row) = rows.next()? {
        if written == first {
            has_next_page = true;
            break;
        }
        if written > 0 {
            json.push(b',');
        }
        write_row(&mut json, &LISTED, row)?;
        written += 1;
        last_time = row.get(LISTED.len())?;
        last_id.clear();
        last_id.push_str(row.get_ref(0)?.as_str()?);
    }
    json.push(b']');
    let end_cursor = (written > 0).then(|| cursor(last_time, &last_id));
    Ok((json, has_next_page, end_cursor))
}

fn groups(connection: &Connection) -> Result<Vec<Group>, Failed> {
    let mut statement = connection.prepare_cached(GROUPS)?;
    let groups = statement.query_map(params![], |row| row.try_into())?;
    Ok(groups.collect::<rusqlite::Result<_>>()?)
}

async fn by_id(
    State(db): State<Arc<Db>>,
    extract::Path(id): extract::Path<String>,
) -> Result<Response, Failed> {
    let json = db.with(|connection| {
        let mut statement = connection.prepare_cached(&db.by_id)?;
        let mut rows = statement.query([id])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let mut json = Vec::with_capacity(1024);
        write_row(&mut json, &WHOLE, row)?;
        Ok(Some(json))
    })?;
    Ok(json.map_or_else(|| StatusCode::NOT_FOUND.into_response(), sent))
}
