//! A create, which writes the same rows as the service's.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::Utc;
use serde::Deserialize;
use sqlx::AssertSqlSafe;

use super::{
    Db,
    rows::{WHOLE, Whole},
};
use crate::answer::{Failed, json};

/// The input of a create: a private connector of a user in the organization `acme`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    user: String,
    name: String,
    description: String,
    server_url: String,
}

const USER_MAX: i64 = 1_000_000_000;

/// Returns a unique moment in microseconds.
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

/// Writes the same rows as the service, in one transaction: the next number, the connector, its words and its event.
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
            "INSERT INTO personal_connector (seq, id, name, name_key, type, connector_id, description, category, \
             status, server_url, server_type, visibility, organization_id, created_by, created_at, updated_at, \
             revision, source) VALUES ($1, $2, $3, $4, 'custom', 'custom_mcp', $5, 'custom', 'active', $6, 'http', \
             'private', 'acme', $7, $8, $8, 1, 'api')",
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
             revision, actor_id, actor_organization_id, occurred_at, visibility_after, created_by_after, \
             category_after, status_after) VALUES ($1, 'created', $2, 'custom', 'acme', '[]', 1, $3, 'acme', $4, \
             'private', $3, 'custom', 'active')",
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

pub(super) async fn create(State(db): State<Db>, body: Bytes) -> Result<Response, Failed> {
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
                "UPDATE personal_connector SET search_words = CAST($2 || ' ' || $3 || ' ' || $4 AS tsvector) WHERE seq \
                 = $1",
                [0, 1, 2].map(|field| tsvector(&texts[field], ['n', 'c', 'd'][field])),
                create
            )
        }
    };
    Ok((StatusCode::CREATED, json(&created)).into_response())
}

/// Returns the words of a text in the form of a `tsvector`, each behind the letter of its field.
fn tsvector(text: &str, field: char) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| format!("'{field}{word}'")).collect();
    words.join(" ")
}
