//! Whether the process lives, whether it can answer, and its metrics.
//!
//! Invariant: these need no token, are not limited, and hold up nobody: each answers within a second or so.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::time;

use crate::store::{self, Database, while_wanted};

use super::metrics::Metrics;

/// How long the database may take to say that it is there.
const REACHED_IN: Duration = Duration::from_secs(1);
/// How old the knowledge of the catalogue's state may be.
const STATE_AGE: Duration = Duration::from_secs(3);

/// What is looked at.
#[derive(Clone, Debug)]
pub(super) struct Vitals {
    pub(super) database: Database,
    pub(super) state: Arc<store::State>,
    pub(super) metrics: Arc<Metrics>,
    /// How often the state is asked for.
    pub(super) poll: Duration,
}

pub(super) async fn live() -> Response {
    Json(json!({ "live": true })).into_response()
}

/// 503 is to have a load balancer send requests elsewhere.
pub(super) async fn ready(State(vitals): State<Vitals>) -> Response {
    let database = vitals.database.clone();
    let asked = while_wanted(async move { database.is_migrated().await });
    let asked = time::timeout(REACHED_IN, asked)
        .await
        .ok()
        .and_then(Result::ok);
    let oldest = STATE_AGE.max(vitals.poll * 4);
    let polled = vitals.state.age().is_some_and(|age| age < oldest);
    let ready = asked == Some(true) && polled;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let told = json!({
        "ready": ready,
        "database": asked.is_some(),
        "migrated": asked == Some(true),
        "state": polled,
    });
    (status, Json(told)).into_response()
}

pub(super) async fn metrics(State(vitals): State<Vitals>) -> Response {
    let text = vitals.metrics.text(&vitals.database, vitals.state.number());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
