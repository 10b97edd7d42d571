//! The span of a request, by OpenTelemetry's conventions for HTTP servers and GraphQL.
//!
//! Invariant: the only parts of a request in a span are a known method, the trace context, the request id and the
//! operation's name.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{HeaderMap, Method},
};
use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    propagation::{Extractor, TextMapPropagator},
    trace::{Span as _, SpanKind, Status, Tracer as _},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::Span};

use crate::error::Code;

use super::{
    request_record::{OperationLabel, Recorded},
    telemetry::Tracer,
};

/// The span of a request, started with it.
pub(crate) struct RequestSpan(Span);

impl RequestSpan {
    pub(crate) fn begin(tracer: &Tracer, request: &Request, route: &'static str) -> Self {
        let method = known(request.method());
        // The name excludes the operation's name: callers choose it, and metrics by span name would grow without bound.
        let name = format!("{} {route}", method.unwrap_or("HTTP"));
        let span = tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", method.unwrap_or("_OTHER")),
                KeyValue::new("http.route", route),
                KeyValue::new("url.path", route),
                KeyValue::new("url.scheme", "http"),
            ])
            .start_with_context(tracer, &parent(request.headers()));
        Self(span)
    }

    /// Ends the span, with the response's status if one was sent.
    pub(crate) fn end(&mut self, request_id: &str, status: Option<u16>, recorded: &Recorded) {
        let Self(span) = self;
        // A header attribute is a list of values.
        let ids = Array::String(vec![StringValue::from(request_id.to_owned())]);
        span.set_attribute(KeyValue::new(
            "http.response.header.x-request-id",
            Value::Array(ids),
        ));
        if let Some(status) = status {
            span.set_attribute(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
        }
        if let Some(OperationLabel { kind, name }) = &recorded.operation {
            span.set_attribute(KeyValue::new("graphql.operation.type", *kind));
            if !name.is_empty() {
                span.set_attribute(KeyValue::new("graphql.operation.name", Arc::clone(name)));
            }
        }
        if let Some(code) = recorded.code {
            span.set_attribute(KeyValue::new("error.type", code.as_str()));
        }
        // With application/json, a server error may have the status 200.
        let ours = matches!(recorded.code, Some(Code::Internal | Code::Timeout));
        if status.is_some_and(|status| status >= 500 || status < 400 && ours) {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// Returns the method's name, if the conventions know it.
fn known(method: &Method) -> Option<&'static str> {
    Some(match *method {
        Method::CONNECT => "CONNECT",
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::TRACE => "TRACE",
        _ => return None,
    })
}

/// Returns the remote parent of a request's span (W3C Trace Context). The context is empty if the headers are missing
/// or malformed.
fn parent(headers: &HeaderMap) -> Context {
    let context = TraceContext::of(headers);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &context)
}

/// The headers of W3C Trace Context, section 3.
struct TraceContext<'a> {
    traceparent: Option<&'a str>,
    tracestate: String,
}

impl<'a> TraceContext<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let values = |name| {
            headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().ok())
        };
        let mut parents = values("traceparent");
        let traceparent = match (parents.next(), parents.next()) {
            (Some(only), None) => only.filter(|text| is_traceparent(text)),
            _ => None,
        };
        // The header may be split over several lines (RFC 9110 §5.3).
        let states: Option<Vec<_>> = values("tracestate").collect();
        Self {
            traceparent,
            tracestate: states.unwrap_or_default().join(","),
        }
    }
}

impl Extractor for TraceContext<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent,
            "tracestate" => Some(&self.tracestate),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// Checks the header's form, because the propagator accepts fields of any length.
fn is_traceparent(text: &str) -> bool {
    let mut fields = text.split('-');
    let fits = [2, 32, 16, 2].into_iter().all(|digits| {
        let is_hex = |field: &str| field.bytes().all(|byte| byte.is_ascii_hexdigit());
        fields
            .next()
            .is_some_and(|field| field.len() == digits && is_hex(field))
    });
    // Only later versions may have more fields.
    fits && (fields.next().is_none() || !text.starts_with("00"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use opentelemetry::trace::TraceContextExt;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (HeaderName::from_static(name), value)
        };
        lines.iter().map(header).collect()
    }

    fn read(lines: &[(&'static str, &str)]) -> Option<(String, String, bool, String)> {
        let context = parent(&headers(lines));
        let span = context.span();
        let read = span.span_context();
        read.is_valid().then(|| {
            (
                read.trace_id().to_string(),
                read.span_id().to_string(),
                read.is_sampled(),
                read.trace_state().header(),
            )
        })
    }

    #[test]
    fn reads_a_parent() {
        let good = format!("00-{TRACE}-{PARENT}-01");
        let some = |sampled: bool, state: &str| {
            Some((TRACE.into(), PARENT.into(), sampled, state.to_owned()))
        };
        let parent = ("traceparent", good.as_str());
        assert_eq!(read(&[parent]), some(true, ""));
        let unsampled = format!("00-{TRACE}-{PARENT}-00");
        assert_eq!(read(&[("traceparent", &unsampled)]), some(false, ""));
        let later = format!("cc-{TRACE}-{PARENT}-01-what-comes");
        assert_eq!(read(&[("traceparent", &later)]), some(true, ""));

        let state = |states: &[&'static str]| {
            let states = states.iter().map(|state| ("tracestate", *state));
            read(&[parent].into_iter().chain(states).collect::<Vec<_>>())
        };
        assert_eq!(state(&["a=1,b@c=2"]), some(true, "a=1,b@c=2"));
        assert_eq!(state(&["a=1", "b=2"]), some(true, "a=1,b=2"));
        assert_eq!(state(&[""]), some(true, ""));
        for bad in ["a", "A=1", "a=\u{e9}", "a=1=2"] {
            assert_eq!(state(&[bad]), some(true, ""), "{bad}");
        }
        assert_eq!(read(&[("tracestate", "a=1")]), None);
    }

    #[test]
    fn a_parent_that_is_none_is_ignored() {
        let good = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(read(&[]), None);
        let twice = [("traceparent", good.as_str()); 2];
        assert_eq!(read(&twice), None);
        for bad in [
            "",
            "00",
            "00-1-1-01",
            &format!("0-{TRACE}-{PARENT}-01"),
            &format!("ff-{TRACE}-{PARENT}-01"),
            &format!("00-{TRACE}-{PARENT}-1"),
            &format!("00-{TRACE}-{PARENT}"),
            &format!("00-{TRACE}-{PARENT}-01-"),
            &format!("00-{TRACE}-{PARENT}-01-more"),
            &format!("00-{}-{PARENT}-01", "0".repeat(32)),
            &format!("00-{TRACE}-{}-01", "0".repeat(16)),
            &format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            &format!("00-+{}-{PARENT}-01", &TRACE[1..]),
            &format!("00-{}\u{e9}-{PARENT}-01", &TRACE[2..]),
        ] {
            assert_eq!(read(&[("traceparent", bad)]), None, "{bad}");
        }
    }
}
