//! REST over sqlx, on SQLite or PostgreSQL: one statement for each page, prepared statements, no ping before a
//! statement, and a few connections.

mod create;
mod rows;

use std::str::FromStr;

use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use sqlx::{
    AssertSqlSafe, PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use self::rows::{LISTED, Listed, WHOLE, Whole};
use crate::{
    answer::{Failed, Group, Tail, json},
    query::{Query, cursor, fts5_queries},
};

pub(crate) async fn router(url: &str) -> Result<Router, sqlx::Error> {
    Ok(Router::new()
        .route("/connectors", get(list).post(create::create))
        .route("/connectors/{id}", get(by_id))
        .with_state(Db::open(url).await?))
}

#[derive(Clone)]
enum Db {
    Sqlite {
        reader: SqlitePool,
        writer: SqlitePool,
    },
    Postgres(PgPool),
}

/// Runs the same code on the readers of either database.
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
        // Like the service's writer: an acknowledged write survives a power cut.
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

#[derive(Serialize)]
struct Page {
    nodes: Vec<Listed>,
    #[serde(flatten)]
    tail: Tail,
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
    let end_cursor = nodes.last().map(|last| cursor(last.created_at, &last.id));
    let groups = if query.counts {
        Some(groups(&db).await?)
    } else {
        None
    };
    let tail = Tail::new(&query, has_next_page, end_cursor, groups.as_deref());
    Ok(json(&Page { nodes, tail }))
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

/// Finds the connectors with a word that has this prefix, by rank: the exact name, a name that begins with it, the
/// name, the connectorId, the description.
async fn search(db: &Db, word: &str, first: i64) -> Result<Vec<Listed>, sqlx::Error> {
    let (found, [name, connector_id, all]) = match db {
        Db::Sqlite { .. } => (
            "seq IN (SELECT rowid FROM connector_search WHERE connector_search MATCH $0)",
            fts5_queries(word),
        ),
        Db::Postgres(_) => (
            "search_words @@ $0::tsquery",
            ["n", "nc", "ncd"].map(|fields| {
                let lexemes = fields.chars().map(|field| format!("'{field}{word}':*"));
                lexemes.collect::<Vec<_>>().join(" | ")
            }),
        ),
    };
    let found = |number: u32| found.replace("$0", &format!("${number}"));
    let sql = format!(
        "SELECT {LISTED}, CASE WHEN name_key = $1 THEN 0 WHEN substr(name_key, 1, length($1)) = $1 AND {0} THEN 1 \
         WHEN {0} THEN 2 WHEN {1} THEN 3 ELSE 4 END AS tier \
         FROM personal_connector WHERE visibility = 'public' AND {2} ORDER BY tier, name_key, id LIMIT $5",
        found(2),
        found(3),
        found(4),
    );
    read!(db, pool => sqlx::query_as(AssertSqlSafe(sql))
        .bind(word).bind(name).bind(connector_id).bind(all).bind(first + 1)
        .fetch_all(pool).await)
}

/// Counts all public connectors once, for all facets and the total.
async fn groups(db: &Db) -> Result<Vec<Group>, sqlx::Error> {
    let sql = "SELECT category, status, type, server_type, COUNT(*) FROM personal_connector \
         WHERE visibility = 'public' GROUP BY category, status, type, server_type";
    read!(db, pool => sqlx::query_as(sql).fetch_all(pool).await)
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
