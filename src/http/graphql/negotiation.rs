//! Negotiates the media type by `Accept` (RFC 9110, section 12.5.1), among the two of GraphQL over HTTP and two of
//! streams. Negotiates the content coding by `Accept-Encoding` (section 12.5.3).
//!
//! Invariant: a response has a type and coding that its client accepts, and UTF-8. Without a preference, it is
//! `application/json` without coding.

use axum::http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, ACCEPT_ENCODING},
};
use mime::Mime;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::http) enum MediaType {
    Json,
    GraphqlResponse,
}

impl MediaType {
    pub(in crate::http) const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        })
    }

    const fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::GraphqlResponse => "application/graphql-response+json",
        }
    }
}

/// A type of response stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum StreamType {
    /// `text/event-stream`
    Events,
    /// `multipart/mixed;subscriptionSpec=1.0`
    Multipart,
}

/// The content coding of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::http) enum Coding {
    Identity,
    Gzip,
    Brotli,
}

impl Coding {
    pub(in crate::http) const fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        })
    }
}

/// Returns the client's preferred coding, and the most compact one of equals.
pub(in crate::http) fn coding(headers: &HeaderMap) -> Coding {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|text| {
            let (name, parameters) = text.split_once(';').unwrap_or((text, "q=1"));
            let is = |other: &str| name.trim().eq_ignore_ascii_case(other);
            let coding = match () {
                () if is("br") => Coding::Brotli,
                () if is("gzip") || is("x-gzip") => Coding::Gzip,
                () if is("identity") => Coding::Identity,
                () => return None,
            };
            Some((weight(parameters.trim())?, coding))
        });
    let best = codings.filter(|(weight, _)| *weight > 0).max();
    best.map_or(Coding::Identity, |(_, coding)| coding)
}

/// The media types that a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Accepted {
    /// The preferred type of a single response; none if neither is accepted.
    pub(in crate::http) answer: Option<MediaType>,
    /// The preferred stream that is named. A client that accepts anything expects no stream.
    pub(in crate::http) stream: Option<StreamType>,
}

pub(in crate::http) fn accepted(headers: &HeaderMap) -> Accepted {
    // The headers of nearly all clients, compared as a whole.
    let mut values = headers.get_all(ACCEPT).iter();
    if let (Some(value), None) = (values.next(), values.next()) {
        let answer = match value.as_bytes() {
            b"*/*" | b"application/json" => Some(MediaType::Json),
            b"application/graphql-response+json" => Some(MediaType::GraphqlResponse),
            _ => None,
        };
        if answer.is_some() {
            return Accepted {
                answer,
                stream: None,
            };
        }
    }
    let mut ranges = Vec::new();
    let mut is_open = true;
    for value in headers.get_all(ACCEPT) {
        let text = value.to_str().unwrap_or("?");
        is_open &= text.trim().is_empty();
        ranges.extend(split(text, ',').filter_map(Range::parse));
    }
    if is_open {
        return Accepted {
            answer: Some(MediaType::Json),
            stream: None,
        };
    }
    let json = quality(&ranges, MediaType::Json);
    let graphql = quality(&ranges, MediaType::GraphqlResponse);
    let answer = match (json, graphql) {
        (None, None) => None,
        // A named type precedes one that a wildcard allows. If both have equal weight,
        // `application/graphql-response+json` comes first.
        (json, graphql) if graphql > json => Some(MediaType::GraphqlResponse),
        (Some((_, Specificity::Type)), graphql) if graphql == json => {
            Some(MediaType::GraphqlResponse)
        }
        _ => Some(MediaType::Json),
    };
    let streams = ranges.iter().filter(|range| range.weight > 0);
    // The maximum is the last of equal items, so the first of equal ranges is taken.
    let best = streams
        .filter_map(|range| Some((range.weight, range.stream_type()?)))
        .rev()
        .max_by_key(|(weight, _)| *weight);
    Accepted {
        answer,
        stream: best.map(|(_, stream)| stream),
    }
}

/// The specificity of a range; the most specific one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Anything,
    Subtypes,
    Type,
}

/// A media range and its weight, in thousandths.
struct Range {
    range: Mime,
    weight: u16,
}

impl Range {
    /// Parses a range; none if it is malformed, which then accepts nothing.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';').map(str::trim);
        let mut range = parts.next()?.to_owned();
        let mut weight = 1000;
        for part in parts.filter(|part| !part.is_empty()) {
            if part.starts_with("q=") || part.starts_with("Q=") {
                weight = self::weight(part)?;
                // Parameters after the weight do not belong to the media type.
                break;
            }
            range = format!("{range};{part}");
        }
        let range = range.parse().ok()?;
        Some(Self { range, weight })
    }

    /// Returns the stream that the range names. Multipart without a protocol stands for no known subscription.
    fn stream_type(&self) -> Option<StreamType> {
        let is_protocol = |(name, value): (mime::Name<'_>, mime::Name<'_>)| {
            name == "subscriptionspec" && value == "1.0"
        };
        match self.range.essence_str() {
            "text/event-stream" => Some(StreamType::Events),
            "multipart/mixed" if self.range.params().any(is_protocol) => {
                Some(StreamType::Multipart)
            }
            _ => None,
        }
    }

    fn matches(&self, offered: MediaType) -> Option<Specificity> {
        let is_utf8 =
            |(name, value): (mime::Name, mime::Name)| name == "charset" && value == "utf-8";
        if !self.range.params().all(is_utf8) {
            return None;
        }
        match self.range.essence_str() {
            "*/*" => Some(Specificity::Anything),
            "application/*" => Some(Specificity::Subtypes),
            essence => (essence == offered.essence()).then_some(Specificity::Type),
        }
    }
}

/// Returns the weight of a type by its most specific range; none if it is not accepted.
fn quality(ranges: &[Range], offered: MediaType) -> Option<(u16, Specificity)> {
    let matching = ranges
        .iter()
        .filter_map(|range| Some((range.matches(offered)?, range.weight)));
    let (specificity, weight) = matching.max()?;
    (weight > 0).then_some((weight, specificity))
}

/// Parses a weight in thousandths: `q=` and 0 to 1, with at most three digits after the point.
fn weight(parameter: &str) -> Option<u16> {
    let text = parameter
        .strip_prefix("q=")
        .or(parameter.strip_prefix("Q="))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" if is_number => Some(fraction),
        "1" if is_number && fraction == 0 => Some(1000),
        _ => None,
    }
}

/// Splits text at separators outside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{body::Body, extract::Request, http::header::CONTENT_ENCODING, response::Response};
    use tower::{ServiceExt, service_fn};
    use tower_http::compression::Compression;

    use super::*;

    const JSON: Option<MediaType> = Some(MediaType::Json);
    const GRAPHQL: Option<MediaType> = Some(MediaType::GraphqlResponse);

    #[test]
    fn chooses_what_the_client_likes_best() {
        for (accept, expected) in [
            (&[][..], JSON),
            (&[""], JSON),
            (&["*/*"], JSON),
            (&["application/*"], JSON),
            (&["application/json"], JSON),
            (&["application/graphql-response+json"], GRAPHQL),
            (&["APPLICATION/GraphQL-Response+JSON"], GRAPHQL),
            // Weights.
            (
                &["application/graphql-response+json, application/json"],
                GRAPHQL,
            ),
            (
                &["application/json, application/graphql-response+json"],
                GRAPHQL,
            ),
            (
                &["application/json;q=0.9, application/graphql-response+json;q=0.8"],
                JSON,
            ),
            (
                &["application/json;q=0.899, application/graphql-response+json;q=0.9"],
                GRAPHQL,
            ),
            (
                &["application/json; q=0.5 , application/graphql-response+json ; Q=1.000"],
                GRAPHQL,
            ),
            (
                &["application/json;q=0, application/graphql-response+json;q=0.001"],
                GRAPHQL,
            ),
            (&["application/json;q=0"], None),
            (&["application/json;q=0, */*"], GRAPHQL),
            (&["application/graphql-response+json;q=0, */*"], JSON),
            (&["*/*;q=0"], None),
            (&["*/*;q=0, application/json"], JSON),
            // Named types precede wildcards.
            (&["application/graphql-response+json, */*"], GRAPHQL),
            (&["application/json, */*"], JSON),
            (&["application/json;q=0.5, */*"], GRAPHQL),
            (
                &["application/graphql-response+json;q=0.5, */*;q=0.8"],
                JSON,
            ),
            (
                &["application/graphql-response+json;q=0.5, application/*;q=0.4"],
                GRAPHQL,
            ),
            (
                &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
                JSON,
            ),
            // Several headers form one list.
            (&["text/html", "application/graphql-response+json"], GRAPHQL),
            (
                &[
                    "application/json;q=0.1",
                    "application/graphql-response+json;q=0.2",
                ],
                GRAPHQL,
            ),
            (&["", "application/json"], JSON),
            // Parameters.
            (
                &[
                    "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                ],
                GRAPHQL,
            ),
            (&["application/json; charset=UTF-8"], JSON),
            (&["application/json; charset=\"utf-8\""], JSON),
            (&["application/json; charset=latin1"], None),
            (
                &["application/json; charset=utf-16, application/graphql-response+json;q=0.1"],
                GRAPHQL,
            ),
            (&["application/json; profile=\"a,b;q=1\""], None),
            (&["application/json;q=0.5;ext=1"], JSON),
            // Others.
            (&["text/html"], None),
            (&["text/*, image/*"], None),
            (&["application/xml, text/event-stream"], None),
            (&["application/jsonp"], None),
            // A malformed media range accepts nothing, and does not affect the others.
            (&["json"], None),
            (&["*"], None),
            (&["*/json"], None),
            (&["application/json;q=x"], None),
            (&["application/json;q=2"], None),
            (&["application/json;q=-0"], None),
            (&["application/json;q=0.1234"], None),
            (&["application/json;q=+0.1"], None),
            (&[",,application/json,,"], JSON),
            (&["\", application/json"], None),
            (&["/, application/json"], JSON),
        ] {
            let headers = accept
                .iter()
                .map(|text| (ACCEPT, HeaderValue::from_static(text)));
            assert_eq!(accepted(&headers.collect()).answer, expected, "{accept:?}");
        }
        let opaque = HeaderValue::from_bytes(b"application/json, \xff").unwrap();
        assert_eq!(
            accepted(&HeaderMap::from_iter([(ACCEPT, opaque)])).answer,
            None
        );
    }

    #[test]
    fn streams_are_taken_by_name() {
        let (events, multipart) = (Some(StreamType::Events), Some(StreamType::Multipart));
        for (accept, expected) in [
            ("text/event-stream", events),
            ("application/json, TEXT/Event-Stream;q=0.1", events),
            ("text/event-stream;q=0, */*", None),
            ("*/*", None),
            ("text/*", None),
            ("", None),
            // Apollo iOS, Apollo Kotlin, Apollo Client 4 and 3, and urql.
            (
                "multipart/mixed;subscriptionSpec=1.0,application/graphql-response+json,application/json",
                multipart,
            ),
            (
                "multipart/mixed;subscriptionSpec=1.0, application/graphql-response+json, application/json",
                multipart,
            ),
            (
                "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json",
                multipart,
            ),
            (
                r#"multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json"#,
                multipart,
            ),
            ("text/event-stream, multipart/mixed", events),
            ("MULTIPART/Mixed; SubscriptionSpec=1.0", multipart),
            ("multipart/mixed;deferSpec=20220824, application/json", None),
            ("multipart/mixed;subscriptionSpec=2.0", None),
            ("multipart/mixed", None),
            ("multipart/mixed;subscriptionSpec=1.0;q=0, */*", None),
            (
                "multipart/mixed;subscriptionSpec=1.0, text/event-stream",
                multipart,
            ),
            (
                "text/event-stream, multipart/mixed;subscriptionSpec=1.0",
                events,
            ),
            (
                "text/event-stream;q=0.5, multipart/mixed;subscriptionSpec=1.0",
                multipart,
            ),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(accepted(&headers).stream, expected, "{accept}");
        }
    }

    /// The compression library for uncached responses chooses the same coding.
    #[tokio::test]
    async fn chooses_the_coding_that_is_liked_best() {
        for (accepted, expected) in [
            (&[][..], Coding::Identity),
            (&[""], Coding::Identity),
            (&["gzip"], Coding::Gzip),
            (&["X-GZip"], Coding::Gzip),
            (&["br"], Coding::Brotli),
            (&["gzip, deflate, br, zstd"], Coding::Brotli),
            (&["gzip", "br"], Coding::Brotli),
            (&["gzip;q=0.9, br;q=0.899"], Coding::Gzip),
            (&["gzip; Q=1.000 ,br;q=1"], Coding::Brotli),
            (&["identity, gzip;q=0.5"], Coding::Identity),
            (&["identity;q=0.5, gzip;q=0.5"], Coding::Gzip),
            (&["identity;q=0, gzip;q=0"], Coding::Identity),
            (&["br;q=0, gzip;q=0.001"], Coding::Gzip),
            (&["deflate, zstd, *"], Coding::Identity),
            (&["br;q=2, gzip;q=x"], Coding::Identity),
            (&["br;q, gzip;x=1"], Coding::Identity),
            (&["br;q=0.1234, gzip"], Coding::Gzip),
            (&["gzip;q=0.5;x=1"], Coding::Identity),
            (&["brotli, gzipped"], Coding::Identity),
        ] {
            let headers = accepted
                .iter()
                .map(|text| (ACCEPT_ENCODING, HeaderValue::from_static(text)));
            let headers: HeaderMap = headers.collect();
            assert_eq!(coding(&headers), expected, "{accepted:?}");
            let long = service_fn(async |_| {
                Ok::<_, Infallible>(Response::new(Body::from("x".repeat(10_000))))
            });
            let mut request = Request::new(Body::empty());
            *request.headers_mut() = headers;
            let response = Compression::new(long).oneshot(request).await.unwrap();
            let identity = Coding::Identity.name();
            let chosen = response.headers().get(CONTENT_ENCODING);
            assert_eq!(
                *chosen.unwrap_or(&identity),
                expected.name(),
                "{accepted:?}"
            );
        }
    }
}
