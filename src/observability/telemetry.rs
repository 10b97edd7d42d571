//! Logs to standard error and spans to a collector. Standard output is left to the commands' results.
//!
//! Invariant: tokens, bodies and variables are never logged, and a slow or unreachable collector delays nothing.

use std::{
    io::{self, IsTerminal},
    panic,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use async_trait::async_trait;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{Bytes, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{SdkTracer, SdkTracerProvider, SpanData},
};
use tokio::{
    runtime::Handle,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use url::Url;

use crate::{
    config::LogFormat,
    error::chain,
    outbound::{Outbound, http_client::HttpClient},
};

/// The longest time for one batch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a collector's response.
const ANSWER_BYTES: usize = 64 * 1024;

/// Starts the log on standard error, including panics. `filter` is a level, or levels by module as tracing-subscriber
/// reads them.
///
/// # Panics
///
/// Panics if the process has a log already.
pub fn log(filter: &str, format: LogFormat) {
    // A panic is logged in the same format, with its request's span.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a panic")));
    let log = tracing_subscriber::fmt()
        // The MCP library logs untrusted text of servers. The PostgreSQL driver logs unknown parts of a URL, which may
        // belong to the password.
        .with_env_filter(format!("{filter},rmcp=off,sqlx_postgres::options=off"))
        .with_writer(io::stderr)
        // Otherwise a failed write to the log is reported to the same output, which panics.
        .log_internal_errors(false);
    match format {
        LogFormat::Human => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Creates spans.
pub(crate) type Tracer = SdkTracer;

/// Sends spans to a collector by OTLP over HTTP, in batches from a thread of its own. Its queue is bounded and drops
/// further spans.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends to the collector at a base URL (OTLP specification, "Endpoint URLs for OTLP/HTTP"), on this runtime.
    pub(crate) fn to(collector: &Url, outbound: Outbound) -> anyhow::Result<Self> {
        let base = collector.as_str().trim_end_matches('/');
        let reason = Reason::default();
        let sender = Sender {
            client: HttpClient::new(outbound, TIMEOUT, ANSWER_BYTES),
            runtime: Handle::current(),
            reason: Arc::clone(&reason),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .with_endpoint(format!("{base}/v1/traces"))
            .build()
            .context("spans cannot be exported")?;
        let resource = Resource::builder_empty()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_detector(Box::new(TelemetryResourceDetector))
            // The last detector wins: OTEL_RESOURCE_ATTRIBUTES may rename the service.
            .with_detector(Box::new(EnvResourceDetector::new()));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(Reported {
                exporter,
                reason,
                failing: AtomicBool::new(false),
            });
        Ok(Self(provider.build()))
    }

    pub(crate) fn tracer(&self) -> Tracer {
        self.0.tracer(env!("CARGO_PKG_NAME"))
    }

    /// Sends the remaining spans until the deadline, then stops.
    pub(crate) async fn stop(self, deadline: Instant) {
        let within = deadline.saturating_duration_since(Instant::now());
        let stop = move || self.0.shutdown_with_timeout(within);
        let stopped = timeout_at(deadline, spawn_blocking(stop)).await;
        if !matches!(stopped, Ok(Ok(Ok(())))) {
            tracing::warn!("the last spans were not sent before the end");
        }
    }
}

/// Sends batches on the runtime, because the exporter's thread has none.
#[derive(Debug)]
struct Sender {
    client: HttpClient,
    runtime: Handle,
    reason: Reason,
}

/// The error of the last batch, which the exporter's own errors omit.
type Reason = Arc<Mutex<Option<String>>>;

#[async_trait]
impl opentelemetry_http::HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self
            .runtime
            .spawn(async move { client.send(request).await });
        Ok(sending.await?.inspect_err(|error| {
            let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
            *reason = Some(chain(error));
        })?)
    }
}

/// Logs when a collector stops accepting spans, and when it accepts them again.
#[derive(Debug)]
struct Reported {
    exporter: SpanExporter,
    reason: Reason,
    failing: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Reported {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(spans).await;
        let reason = {
            let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
            reason.take()
        };
        let failed = self.failing.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Err(error) if !failed => {
                let cause = reason.unwrap_or_else(|| chain(error));
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
