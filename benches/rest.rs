//! The opponent: REST endpoints, written by hand with axum and sqlx, that give what an anonymous viewer sees of the service's own
//! database; and fixed bytes, which nothing that answers over HTTP is faster than.
//!
//! `rest URL` serves the database of a URL, `rest --fixed FILE` a file's bytes. Both say where they listen.
//!
//! It has what anybody would give it who cares for speed: one statement a page from which the database can seek, only the
//! columns that are sent, metadata passed on as text, statements prepared once, no ping before a statement, and a few
//! connections. It has neither limits nor timeouts, and a page and its counts may be of two states.

use std::{
    env, fs,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use sqlx::{
    AssertSqlSafe, ColumnIndex, Decode, FromRow, PgPool, Row, SqlitePool, Type,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio::net::TcpListener;

#[derive(Clone)]
enum Db {
    Sqlite {
        reader: SqlitePool,
        writer: SqlitePool,
    },
    Postgres(PgPool),
}

/// Runs the same lines on either database's pool of readers.
macro_rules! read {
    ($db:expr, $pool:ident => $lines:expr) => {
        match $db {
            Db::Sqlite { reader: $pool, .. } => $lines,
            Db::Postgres($pool) => $lines,
        }
    };
}

impl Db {
    async fn open(url: &str) -> Result<Self, sqlx::Error> {
        if !url.starts_with("sqlite:") {
            let pool = PgPoolOptions::new()
                .max_connections(16)
                .test_before_acquire(false);
            return Ok(Self::Postgres(pool.connect(url).await?));
        }
        let options = SqliteConnectOptions::from_str(url)?.foreign_keys(true);
        // As the service's: what it acknowledged survives a power cut.
        let writer = options
            .clone()
            .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
        let reader = options
            .read_only(true)
            .pragma("mmap_size", "268435456")
            .pragma("cache_size", "-65536");
        let pool = SqlitePoolOptions::new().test_before_acquire(false);
        Ok(Self::Sqlite {
            writer: pool.clone().max_connections(1).connect_with(writer).await?,
            reader: pool.max_connections(2).connect_with(reader).await?,
        })
    }
}

/// Microseconds since 1970, written as RFC 3339.
struct Time(i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or_default();
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

/// A connector as lists give it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    name: String,
    r#type: String,
    connector_id: String,
    description: Option<String>,
    category: Option<String>,
    version: Option<String>,
    status: String,
    server_url: Option<String>,
    metadata: Option<Box<RawValue>>,
    updated_at: Time,
    #[serde(skip)]
    created_at: i64,
}

const LISTED: &str = "id, name, type, connector_id, description, category, version, status, server_url, metadata, \
     updated_at, created_at";

impl<'r, R: Row> FromRow<'r, R> for Listed
where
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            r#type: row.try_get(2)?,
            connector_id: row.try_get(3)?,
            description: row.try_get(4)?,
            category: row.try_get(5)?,
            version: row.try_get(6)?,
            status: row.try_get(7)?,
            server_url: row.try_get(8)?,
            metadata: raw(row.try_get(9)?)?,
            updated_at: Time(row.try_get(10)?),
            created_at: row.try_get(11)?,
        })
    }
}

/// All that an anonymous viewer sees of a connector.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    id: String,
    object: &'static str,
    name: String,
    r#type: String,
    connector_id: String,
    description: Option<String>,
    icon_url: Option<String>,
    category: Option<String>,
    version: Option<String>,
    status: String,
    server_url: Option<String>,
    server_type: Option<String>,
    metadata: Option<Box<RawValue>>,
    created_at: Time,
    updated_at: Time,
}

const WHOLE: &str = "id, name, type, connector_id, description, icon_url, category, version, status, server_url, \
     server_type, metadata, created_at, updated_at";

impl<'r, R: Row> FromRow<'r, R> for Whole
where
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            object: "personal_connector",
            name: row.try_get(1)?,
            r#type: row.try_get(2)?,
            connector_id: row.try_get(3)?,
            description: row.try_get(4)?,
            icon_url: row.try_get(5)?,
            category: row.try_get(6)?,
            version: row.try_get(7)?,
            status: row.try_get(8)?,
            server_url: row.try_get(9)?,
            server_type: row.try_get(10)?,
            metadata: raw(row.try_get(11)?)?,
            created_at: Time(row.try_get(12)?),
            updated_at: Time(row.try_get(13)?),
        })
    }
}

fn raw(text: Option<String>) -> Result<Option<Box<RawValue>>, sqlx::Error> {
    text.map(RawValue::from_string)
        .transpose()
        .map_err(|error| sqlx::Error::Decode(error.into()))
}

/// How many there are of one category, status, type and server type.
type Group = (Option<String>, String, String, Option<String>, i64);

#[derive(Serialize)]
struct Count {
    value: Option<String>,
    count: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Facets {
    category: Vec<Count>,
    status: Vec<Count>,
    r#type: Vec<Count>,
    server_type: Vec<Count>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    nodes: Vec<Listed>,
    page_info: PageInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facets: Option<Facets>,
}

#[derive(Default)]
struct Query {
    category: String,
    status: String,
    search: Option<String>,
    after: Option<(i64, String)>,
    counts: bool,
    first: i64,
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self {
            first: 20,
            ..Self::default()
        };
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "category" => parsed.category = value.into_owned(),
                "status" => parsed.status = value.into_owned(),
                "search" => parsed.search = Some(value.to_lowercase()),
                "after" => parsed.after = cursor(&value),
                "counts" => parsed.counts = true,
                "first" => parsed.first = value.parse().unwrap_or(20).clamp(0, 100),
                _ => {}
            }
        }
        parsed
    }
}

/// Where a page goes on: after a time and, at that time, an id.
fn cursor(text: &str) -> Option<(i64, String)> {
    let text = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
    let (time, id) = text.split_once(' ')?;
    Some((time.parse().ok()?, id.to_owned()))
}

/// Something failed in the database.
struct Failed(sqlx::Error);

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn list(State(db): State<Db>, RawQuery(query): RawQuery) -> Result<Response, Failed> {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let mut nodes = match &query.search {
        Some(word) => search(&db, word, query.first).await?,
        None => page(&db, &query).await?,
    };
    let has_next_page = nodes.len() > usize::try_from(query.first).unwrap_or_default();
    if has_next_page {
        nodes.pop();
    }
    let end_cursor = nodes
        .last()
        .map(|last| BASE64.encode(format!("{} {}", last.created_at, last.id)));
    let groups = if query.counts {
        Some(groups(&db).await?)
    } else {
        None
    };
    let groups = groups.as_deref();
    Ok(json(&Page {
        nodes,
        page_info: PageInfo {
            has_next_page,
            end_cursor,
        },
        total_count: groups.map(|groups| total(groups, &query)),
        facets: groups.map(|groups| facets(groups, &query)),
    }))
}

async fn page(db: &Db, query: &Query) -> Result<Vec<Listed>, sqlx::Error> {
    let order = "ORDER BY created_at DESC, id LIMIT";
    let filter = "visibility = 'public' AND category = $1 AND status = $2";
    if let Some((time, id)) = &query.after {
        let sql = format!(
            "SELECT {LISTED} FROM personal_connector WHERE {filter} AND created_at <= $3 \
             AND (created_at < $3 OR id > $4) {order} $5"
        );
        read!(db, pool => sqlx::query_as(AssertSqlSafe(sql))
            .bind(&query.category).bind(&query.status).bind(time).bind(id).bind(query.first + 1)
            .fetch_all(pool).await)
    } else {
        let sql = format!("SELECT {LISTED} FROM personal_connector WHERE {filter} {order} $3");
        read!(db, pool => sqlx::query_as(AssertSqlSafe(sql))
            .bind(&query.category).bind(&query.status).bind(query.first + 1)
            .fetch_all(pool).await)
    }
}

/// The connectors that have a word as a word's beginning: those called so first, then those that have it in their name, in their
/// connectorId, and in their description.
async fn search(db: &Db, word: &str, first: i64) -> Result<Vec<Listed>, sqlx::Error> {
    let (found, [name, connector_id, all]) = match db {
        Db::Sqlite { .. } => (
            "SELECT rowid FROM connector_search WHERE connector_search MATCH",
            ["name", "name connector_id", "name connector_id description"]
                .map(|columns| format!("{{{columns}}} : (\"{word}\" *)")),
        ),
        Db::Postgres(_) => (
            "SELECT seq FROM connector_search WHERE words @@ $0::tsquery",
            ["A", "AB", "ABC"].map(|weights| format!("'{word}':*{weights}")),
        ),
    };
    let found = |number: u32| match db {
        Db::Sqlite { .. } => format!("seq IN ({found} ${number})"),
        Db::Postgres(_) => format!("seq IN ({})", found.replace("$0", &format!("${number}"))),
    };
    let sql = format!(
        "SELECT {LISTED}, CASE WHEN name_key = $1 THEN 0 WHEN {} THEN 1 WHEN {} THEN 2 ELSE 3 END AS tier \
         FROM personal_connector WHERE visibility = 'public' AND {} ORDER BY tier, name_key, id LIMIT $5",
        found(2),
        found(3),
        found(4),
    );
    read!(db, pool => sqlx::query_as(AssertSqlSafe(sql))
        .bind(word).bind(name).bind(connector_id).bind(all).bind(first + 1)
        .fetch_all(pool).await)
}

/// All that is public, counted once for all facets and the total.
async fn groups(db: &Db) -> Result<Vec<Group>, sqlx::Error> {
    let sql = "SELECT category, status, type, server_type, COUNT(*) FROM personal_connector \
         WHERE visibility = 'public' GROUP BY category, status, type, server_type";
    read!(db, pool => sqlx::query_as(sql).fetch_all(pool).await)
}

fn total(groups: &[Group], query: &Query) -> i64 {
    let listed = groups
        .iter()
        .filter(|group| group.0.as_ref() == Some(&query.category) && group.1 == query.status);
    listed.map(|group| group.4).sum()
}

/// A dimension's counts leave out the filter's restriction of that dimension.
fn facets(groups: &[Group], query: &Query) -> Facets {
    let category = |group: &Group| group.0.as_ref() == Some(&query.category);
    let status = |group: &Group| group.1 == query.status;
    Facets {
        category: counts(groups, status, |group| group.0.clone()),
        status: counts(groups, category, |group| Some(group.1.clone())),
        r#type: counts(
            groups,
            |group| category(group) && status(group),
            |group| Some(group.2.clone()),
        ),
        server_type: counts(
            groups,
            |group| category(group) && status(group),
            |group| group.3.clone(),
        ),
    }
}

fn counts(
    groups: &[Group],
    listed: impl Fn(&Group) -> bool,
    value: impl Fn(&Group) -> Option<String>,
) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for group in groups.iter().filter(|group| listed(group)) {
        let value = value(group);
        match counts.iter_mut().find(|count| count.value == value) {
            Some(count) => count.count += group.4,
            None => counts.push(Count {
                value,
                count: group.4,
            }),
        }
    }
    counts
}

async fn by_id(State(db): State<Db>, Path(id): Path<String>) -> Result<Response, Failed> {
    let sql =
        format!("SELECT {WHOLE} FROM personal_connector WHERE visibility = 'public' AND id = $1");
    let found: Option<Whole> = read!(&db, pool =>
        sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await)?;
    Ok(match found {
        Some(connector) => json(&connector),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

/// What a create sends: a private connector of a user in the organization `acme`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    user: String,
    name: String,
    description: String,
    server_url: String,
}

const USER_MAX: i64 = 1_000_000_000;

/// A moment in microseconds, never the same twice.
fn moment() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    #[expect(
        clippy::disallowed_methods,
        reason = "this is not the service, and has no Clock"
    )]
    let now = Utc::now().timestamp_micros();
    let last = LAST.fetch_max(now, Relaxed);
    if last < now {
        now
    } else {
        LAST.fetch_add(1, Relaxed) + 1
    }
}

/// Writes what the service writes, in a transaction as it does: the next number, the row, its words and its event.
macro_rules! write {
    ($tx:ident, $lock:literal, $words:literal, $values:expr, $create:ident) => {{
        let state: i64 = sqlx::query_scalar($lock).fetch_one(&mut *$tx).await?;
        let (seq, now) = (state + 1, moment());
        let id = format!("pcon_{now:020}");
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM personal_connector WHERE created_by = $1 AND organization_id = 'acme'",
        )
        .bind(&$create.user)
        .fetch_one(&mut *$tx)
        .await?;
        if count >= USER_MAX {
            return Ok(StatusCode::FORBIDDEN.into_response());
        }
        sqlx::query(
            "INSERT INTO personal_connector (seq, id, name, name_key, type, connector_id, description, category, status, \
             server_url, server_type, visibility, organization_id, created_by, created_at, updated_at, revision, source) \
             VALUES ($1, $2, $3, $4, 'custom', 'custom_mcp', $5, 'custom', 'active', $6, 'http', 'private', 'acme', $7, \
             $8, $8, 1, 'api')",
        )
        .bind(seq)
        .bind(&id)
        .bind(&$create.name)
        .bind($create.name.to_lowercase())
        .bind(&$create.description)
        .bind(&$create.server_url)
        .bind(&$create.user)
        .bind(now)
        .execute(&mut *$tx)
        .await?;
        let [name, connector_id, description] = $values;
        sqlx::query($words)
            .bind(seq)
            .bind(name)
            .bind(connector_id)
            .bind(description)
            .execute(&mut *$tx)
            .await?;
        sqlx::query(
            "INSERT INTO connector_event (number, kind, personal_connector_id, type, organization_id, changed_fields, \
             revision, actor_id, actor_organization_id, occurred_at, visibility_after, created_by_after, category_after, \
             status_after) VALUES ($1, 'created', $2, 'custom', 'acme', '[]', 1, $3, 'acme', $4, 'private', $3, 'custom', \
             'active')",
        )
        .bind(seq)
        .bind(&id)
        .bind(&$create.user)
        .bind(now)
        .execute(&mut *$tx)
        .await?;
        sqlx::query("UPDATE catalog_state SET state = $1 WHERE id = 1")
            .bind(seq)
            .execute(&mut *$tx)
            .await?;
        let sql = format!("SELECT {WHOLE} FROM personal_connector WHERE id = $1");
        let created: Whole = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id)
            .fetch_one(&mut *$tx)
            .await?;
        $tx.commit().await?;
        created
    }};
}

async fn create(State(db): State<Db>, body: Bytes) -> Result<Response, Failed> {
    let Ok(create) = serde_json::from_slice::<Create>(&body) else {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    };
    let texts = [&create.name, "custom mcp", &create.description].map(str::to_lowercase);
    let created = match &db {
        Db::Sqlite { writer, .. } => {
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            write!(
                tx,
                "SELECT state FROM catalog_state WHERE id = 1",
                "INSERT INTO connector_search (rowid, name, connector_id, description) VALUES ($1, $2, $3, $4)",
                texts,
                create
            )
        }
        Db::Postgres(pool) => {
            let mut tx = pool.begin().await?;
            write!(
                tx,
                "SELECT state FROM catalog_state WHERE id = 1 FOR UPDATE",
                "INSERT INTO connector_search (seq, words) VALUES ($1, CAST($2 || ' ' || $3 || ' ' || $4 AS tsvector))",
                [0, 1, 2].map(|field| tsvector(&texts[field], ["1A", "2B", "3C"][field])),
                create
            )
        }
    };
    Ok((StatusCode::CREATED, json(&created)).into_response())
}

/// The words of a text as a `tsvector`'s text.
fn tsvector(text: &str, weight: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| format!("'{word}':{weight}")).collect();
    words.join(" ")
}

async fn serve(app: Router) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("Listens at http://{}", listener.local_addr()?);
    // An answer is one write: nothing is gained by waiting for another.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let app = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--fixed", file] => {
            let bytes = Bytes::from(fs::read(file)?);
            let fixed = async move || ([(header::CONTENT_TYPE, "application/json")], bytes);
            Router::new().route("/fixed", get(fixed))
        }
        [url] => Router::new()
            .route("/connectors", get(list).post(create))
            .route("/connectors/{id}", get(by_id))
            .with_state(Db::open(url).await?),
        _ => return Err("usage: rest URL | rest --fixed FILE".into()),
    };
    serve(app).await
}
