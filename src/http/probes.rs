//! Liveness, readiness and metrics of the process.
//!
//! Invariant: these need no token, have no limits and block nothing. Each responds within about a second.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::time;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    observability::metrics::Metrics,
    store::{Database, State as CatalogState, Unwritable, WriteWatch},
};

use super::{
    admission::Admission,
    stopping::{Phase, Stopping},
};

/// The longest time for the database to respond.
const REACHED_IN: Duration = Duration::from_secs(1);
/// The oldest acceptable knowledge of the catalogue's state.
const STATE_AGE: Duration = Duration::from_secs(3);

pub(super) const LIVE: &str = "/health/live";
pub(super) const READY: &str = "/health/ready";
pub(super) const METRICS: &str = "/metrics";

/// Returns whether a path is served even under overload.
pub(super) fn is_probe(path: &str) -> bool {
    [LIVE, READY, METRICS].contains(&path)
}

/// The parts of the service that the probes examine.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) database: Database,
    pub(crate) state: Arc<CatalogState>,
    /// The interval of polls of the catalogue's state.
    pub(crate) state_poll: Duration,
    pub(crate) background: Background,
}

/// Tasks that run while the routes exist.
#[derive(Debug)]
pub(crate) struct Background {
    pub(crate) _write_watch: Option<WriteWatch>,
    /// Loads the catalogue file, if that failed at the start.
    pub(crate) loading: Option<AbortOnDropHandle<()>>,
}

impl Background {
    fn is_loaded(&self) -> bool {
        self.loading
            .as_ref()
            .is_none_or(AbortOnDropHandle::is_finished)
    }
}

/// The state of the probes and the metrics.
#[derive(Clone)]
pub(super) struct Probes {
    pub(super) probed: Arc<Probed>,
    pub(super) admission: Admission,
    pub(super) stopping: Stopping,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) async fn live() -> Response {
    Json(json!({ "live": true })).into_response()
}

/// Responds with 503 if a read or a write cannot succeed, so that a load balancer sends requests elsewhere.
pub(super) async fn ready(
    State(Probes {
        probed,
        admission,
        stopping,
        ..
    }): State<Probes>,
) -> Response {
    // This is immediate, whatever the database does.
    if stopping.has_reached(Phase::Draining) {
        let report = json!({ "ready": false, "reason": "the service stops" });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(report)).into_response();
    }
    let asked = probed.database.is_migrated();
    let asked = time::timeout(REACHED_IN, asked)
        .await
        .ok()
        .and_then(Result::ok);
    let oldest = STATE_AGE.max(probed.state_poll * 4);
    let polled = probed.state.age().is_some_and(|age| age < oldest);
    let unwritable = probed.database.unwritable();
    // A service that is started read-only is ready without write access.
    let obstacle = unwritable.filter(|reason| *reason != Unwritable::Configured);
    let damage = probed.database.damage();
    let keys = admission.has_keys();
    let loaded = probed.background.is_loaded();
    let reason = match (asked, obstacle) {
        (_, Some(reason)) => Some(format!("{reason}: {}", reason.advice())),
        (None, _) => Some("the database does not answer: see the service's log".to_owned()),
        (Some(false), _) => Some("the schema is not up to date: run migrate".to_owned()),
        _ if !polled => Some(
            "the catalogue's state was not read for some seconds: see the service's log".to_owned(),
        ),
        _ if !keys => {
            Some("there are no keys to verify tokens with: check the JWKS of --jwks".to_owned())
        }
        _ if !loaded => Some("the catalogue file is not loaded: see the service's log".to_owned()),
        _ => None,
    };
    let status = match reason {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut report = json!({
        "ready": reason.is_none(),
        "database": asked.is_some(),
        "migrated": asked == Some(true),
        "state": polled,
        "writable": unwritable.is_none(),
        "sound": damage.is_none(),
        "keys": keys,
        "catalogue": loaded,
    });
    if let Some(reason) = reason {
        report["reason"] = reason.into();
    }
    (status, Json(report)).into_response()
}

pub(super) async fn metrics(
    State(Probes {
        probed, metrics, ..
    }): State<Probes>,
) -> Response {
    let text = metrics.text(&probed.database, probed.state.number());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
