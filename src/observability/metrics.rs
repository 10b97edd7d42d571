//! Metrics for Prometheus.
//!
//! Invariant: the number of series is bounded, whatever clients send.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::{
    domain::inspection,
    store::{CheckCounters, Database, Pool},
};

use super::operation_names::{self, OperationNames};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    r#type: &'static str,
    operation: Arc<str>,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorCode {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolName {
    pool: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Came {
    outcome: &'static str,
}

/// The counters of a cache. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct CacheUsage {
    /// Lookups that found an entry.
    pub(crate) hits: Counter,
    /// Lookups that found no entry.
    pub(crate) misses: Counter,
    /// Bytes of all entries.
    pub(crate) bytes: Gauge,
}

impl CacheUsage {
    /// Registers hits, misses and bytes, each with its name and help.
    fn register(&self, r: &mut Registry, names: [(&'static str, &'static str); 3]) {
        let [hits, misses, bytes] = names;
        r.register(hits.0, hits.1, self.hits.clone());
        r.register(misses.0, misses.1, self.misses.clone());
        r.register_with_unit(bytes.0, bytes.1, Unit::Bytes, self.bytes.clone());
    }

    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    names: OperationNames,
    requests: Family<Asked, Counter>,
    seconds: Family<Kind, Histogram>,
    errors: Family<ErrorCode, Counter>,
    connections: Family<PoolName, Gauge>,
    idle: Family<PoolName, Gauge>,
    state: Gauge<i64, AtomicI64>,
    checks: Checks,
}

/// The metrics of the monitor.
#[derive(Debug, Default)]
struct Checks {
    made: Family<Came, Counter>,
    under_way: Gauge<i64, AtomicI64>,
    lease: Gauge<i64, AtomicI64>,
}

impl Checks {
    fn register(&self, r: &mut Registry) {
        r.register(
            "connector_checks",
            "Checks of connectors by this process, by outcome",
            self.made.clone(),
        );
        r.register(
            "connector_checks_under_way",
            "Checks in progress",
            self.under_way.clone(),
        );
        r.register(
            "connector_check_lease",
            "Whether this is the process that checks: 1 or 0",
            self.lease.clone(),
        );
    }

    fn update(&self, counters: &CheckCounters) {
        for (outcome, count) in counters.checks() {
            let outcome = inspection::name(outcome);
            let made = self.made.get_or_create(&Came { outcome });
            made.inner().store(count, Ordering::Relaxed);
        }
        let under_way = i64::try_from(counters.under_way()).unwrap_or(i64::MAX);
        self.under_way.set(under_way);
        self.lease.set(counters.holds_lease().into());
    }
}

/// An answered request.
#[derive(Debug)]
pub(crate) struct Answered {
    /// `query`, `mutation` or `subscription`; empty if unknown.
    pub(crate) r#type: &'static str,
    pub(crate) operation: Arc<str>,
    pub(crate) status: u16,
    /// The code of the first error.
    pub(crate) code: Option<&'static str>,
    pub(crate) has_token: bool,
}

impl Metrics {
    /// The metrics of a process that started at this time, in seconds since 1970.
    ///
    /// The caches share their counters with it.
    pub(crate) fn new(started_at: f64, documents: &CacheUsage, responses: &CacheUsage) -> Self {
        // Buckets from a millisecond to half a minute.
        let histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::default(),
            names: OperationNames::default(),
            requests: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            errors: Family::default(),
            connections: Family::default(),
            idle: Family::default(),
            state: Gauge::default(),
            checks: Checks::default(),
        };
        let started: Gauge<f64, AtomicU64> = Gauge::default();
        started.set(started_at);
        let r = &mut metrics.registry;
        r.register(
            "graphql_requests",
            "Requests, by operation and status",
            metrics.requests.clone(),
        );
        r.register_with_unit(
            "graphql_request_duration",
            "Time from the head of a request to the end of its response",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        r.register(
            "graphql_errors",
            "Requests with errors, by the code of the first",
            metrics.errors.clone(),
        );
        r.register(
            "database_connections",
            "Open connections to the database",
            metrics.connections.clone(),
        );
        r.register(
            "database_connections_idle",
            "Open connections that are idle",
            metrics.idle.clone(),
        );
        r.register(
            "catalogue_state",
            "Number of the last change that this process knows",
            metrics.state.clone(),
        );
        metrics.checks.register(r);
        documents.register(
            r,
            [
                (
                    "graphql_documents_found",
                    "Documents that were already parsed",
                ),
                (
                    "graphql_documents_parsed",
                    "Documents that had to be parsed",
                ),
                ("graphql_documents_kept", "Memory of parsed documents"),
            ],
        );
        responses.register(
            r,
            [
                (
                    "graphql_answers_found",
                    "Responses from the cache, or shared with an identical request",
                ),
                (
                    "graphql_answers_made",
                    "Responses that were computed and offered to the cache",
                ),
                ("graphql_answers_kept", "Memory of the response cache"),
            ],
        );
        r.register_with_unit(
            "process_start_time",
            "Start of the process, in Unix time",
            Unit::Seconds,
            started,
        );
        metrics
    }

    /// Counts an answered request.
    pub(crate) fn answered(&self, answered: &Answered, took: Duration, now: Instant) {
        let Answered {
            r#type,
            operation,
            status,
            code,
            has_token,
        } = answered;
        let (r#type, status) = (*r#type, *status);
        self.seconds
            .get_or_create(&Kind { r#type })
            .observe(took.as_secs_f64());
        let asked = operation_names::Asked {
            name: operation,
            labels: (r#type, status),
            has_token: *has_token,
        };
        let series = |operation, (r#type, status)| Asked {
            r#type,
            operation,
            status,
        };
        self.names.count(
            asked,
            now,
            |operation| {
                let series = series(operation, asked.labels);
                self.requests.get_or_create_owned(&series)
            },
            |operation, labels| {
                self.requests.remove(&series(operation.clone(), labels));
            },
        );
        if let Some(code) = *code {
            self.errors.get_or_create(&ErrorCode { code }).inc();
        }
    }

    /// Returns all metrics in Prometheus' text format.
    pub(crate) fn text(&self, database: &Database, state: Option<i64>) -> String {
        for (pool, Pool { open, idle }) in database.pools() {
            let pool = PoolName { pool };
            self.connections.get_or_create(&pool).set(open);
            self.idle.get_or_create(&pool).set(idle);
        }
        if let Some(state) = state {
            self.state.set(state);
        }
        self.checks.update(database.check_counters());
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_bounded() {
        let metrics = Metrics::new(0.0, &CacheUsage::default(), &CacheUsage::default());
        for number in 0..1000 {
            let answered = Answered {
                r#type: "query",
                operation: format!("Q{number}").into(),
                status: 200,
                code: None,
                has_token: true,
            };
            metrics.answered(&answered, Duration::ZERO, Instant::now());
        }
        let mut text = String::new();
        text::encode(&mut text, &metrics.registry).unwrap();
        assert_eq!(text.matches("graphql_requests_total{").count(), 101);
        assert!(
            text.contains("operation=\"other\",status=\"200\"} 900"),
            "{text}"
        );
    }
}
