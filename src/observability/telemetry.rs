//! Logs, to standard error, and spans, to a collector; standard output is for what was asked for.
//!
//! Invariant: neither tokens nor bodies nor variables are ever logged, and a collector that is slow or gone holds nothing up.

use std::{
    io::{self, IsTerminal},
    panic,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{SdkTracer, SdkTracerProvider, SpanData},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use url::Url;

use crate::{config::LogFormat, error::chain};

/// How long a collector may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(10);

pub fn log(filter: &str, format: LogFormat) {
    // In the log's format, and in the span of the request that it happened in.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a panic")));
    let log = tracing_subscriber::fmt()
        // The library of MCP writes what servers send, which anybody may have made up; PostgreSQL's writes what it does not
        // know of a URL, which may be a part of the password.
        .with_env_filter(format!("{filter},rmcp=off,sqlx_postgres::options=off"))
        .with_writer(io::stderr)
        // Else a line that cannot be written is reported to where it cannot be written, which panics.
        .log_internal_errors(false);
    match format {
        LogFormat::Human => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Makes spans.
pub type Tracer = SdkTracer;

/// Sends spans to a collector by OTLP over HTTP: in batches, from a thread of its own. Spans beyond a bounded queue are
/// dropped.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// To the collector at a base URL (OTLP specification, "Endpoint URLs for OTLP/HTTP").
    pub async fn to(collector: &Url) -> anyhow::Result<Self> {
        let base = collector.as_str().trim_end_matches('/');
        let https_only = collector.scheme() == "https";
        // A blocking client, since batches leave from a thread without a runtime; none is made on one of the runtime's.
        let client = spawn_blocking(move || client(https_only)).await?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client.context("spans have no HTTP client")?)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .with_endpoint(format!("{base}/v1/traces"))
            .build()
            .context("spans cannot be exported")?;
        let resource = Resource::builder_empty()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_detector(Box::new(TelemetryResourceDetector))
            // The last counts: OTEL_RESOURCE_ATTRIBUTES may name the service otherwise.
            .with_detector(Box::new(EnvResourceDetector::new()));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(Reported {
                exporter,
                failing: AtomicBool::new(false),
            });
        Ok(Self(provider.build()))
    }

    pub fn tracer(&self) -> Tracer {
        self.0.tracer(env!("CARGO_PKG_NAME"))
    }

    /// Sends what there is until the deadline, and then no more.
    pub async fn stop(self, deadline: Instant) {
        let within = deadline.saturating_duration_since(Instant::now());
        let stop = move || self.0.shutdown_with_timeout(within);
        let stopped = timeout_at(deadline, spawn_blocking(stop)).await;
        if !matches!(stopped, Ok(Ok(Ok(())))) {
            tracing::warn!("the last spans are left unsent");
        }
    }
}

/// A client that sends to the collector, and nowhere that the environment's proxies or the collector say.
fn client(https_only: bool) -> reqwest::Result<reqwest::blocking::Client> {
    // The client panics where the process has no cryptography; an error says that somebody has installed some.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::blocking::Client::builder()
        .timeout(TIMEOUT)
        .https_only(https_only)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

/// Has the log tell once when a collector takes no more spans, and once when it does again.
#[derive(Debug)]
struct Reported {
    exporter: SpanExporter,
    failing: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Reported {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(spans).await;
        let failed = self.failing.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Err(error) if !failed => {
                let cause = chain(error);
                tracing::warn!(
                    cause,
                    "spans cannot be exported, and are dropped until they can"
                );
            }
            Ok(()) if failed => tracing::info!("spans are exported again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, within: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(within)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
