//! A cache of responses as they are sent, with one execution for equal requests at a time.
//!
//! Invariant: a response is found only by the viewer that it was made for, by a request of the same bytes, under the catalogue
//! version of this process. The version changes with each commit: with one of this process before it is acknowledged, with another's
//! within a second. A request that waits for another's response gets it, or is executed itself. The size is bounded.

use std::{
    fmt,
    hash::{Hash, Hasher},
    mem::size_of,
    sync::Arc,
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Method},
    response::Response,
};
use headers::ETag;
use quick_cache::{
    DefaultHashBuilder, Weighter,
    sync::{Cache, DefaultLifecycle, PlaceholderGuard},
};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::{
    answer_budget::AnswerText,
    domain::viewer::Viewer,
    error::Error,
    observability::{
        metrics::CacheUsage,
        request_record::{OperationLabel, RequestRecord},
    },
    store::{State, Version},
};

use super::{
    content_coding::{encoded, response},
    http_caching,
    methods::Allowed,
    negotiation::{Coding, MediaType},
};

/// All that a response depends on besides the catalogue.
#[derive(Debug, Hash)]
pub(super) struct Variant<'a> {
    pub(super) method: Allowed,
    /// The body of POST, or the query of the URL, as it was sent: a response is found before its request is parsed.
    pub(super) parameters: &'a [u8],
    pub(super) viewer: &'a Viewer,
    pub(super) media_type: MediaType,
    pub(super) coding: Coding,
    pub(super) reports_cost: bool,
}

/// The SHA-256 of a request, so that no other request has the same key, and the version of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    request: [u8; 32],
    version: Version,
}

/// Digests what a value's `Hash` writes, which differs for values that are not equal.
struct Digesting(Sha256);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the digest is longer.
    fn finish(&self) -> u64 {
        0
    }
}

/// A response without errors, as it is sent.
#[derive(Clone, Debug)]
pub(super) struct CacheableResponse(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    media_type: MediaType,
    coding: Coding,
    body: Bytes,
    etag: Option<ETag>,
    operation: Option<OperationLabel>,
}

impl CacheableResponse {
    /// With an `ETag`, for a response to GET.
    pub(super) async fn new(
        text: AnswerText,
        media_type: MediaType,
        coding: Coding,
        with_etag: bool,
        operation: Option<OperationLabel>,
    ) -> Self {
        let etag = with_etag.then(|| http_caching::etag(media_type.content_type(), text.text()));
        let (coding, body) = encoded(coding, text).await;
        Self(Arc::new(Parts {
            media_type,
            coding,
            body,
            etag: etag.flatten(),
            operation,
        }))
    }

    /// The response to a request of this method and these headers.
    pub(super) fn response(&self, method: &Method, headers: &HeaderMap) -> Response {
        let Self(parts) = self;
        let answer = || response(parts.media_type, parts.coding, parts.body.clone());
        match &parts.etag {
            Some(etag) if matches!(*method, Method::GET | Method::HEAD) => {
                http_caching::revalidated(headers, etag, answer)
            }
            _ => http_caching::not_stored(answer()),
        }
    }

    /// Records the operation of the first request for another.
    pub(super) fn record(&self, record: &RequestRecord) {
        if let Some(operation) = &self.0.operation {
            record.set_operation(operation.clone());
        }
    }
}

/// Responses by their keys. `None` is there for a moment: it has those who wait execute their own requests.
type Responses = Cache<Key, Option<CacheableResponse>, Weight>;
type Guard<'a> = PlaceholderGuard<
    'a,
    Key,
    Option<CacheableResponse>,
    Weight,
    DefaultHashBuilder,
    DefaultLifecycle<Key, Option<CacheableResponse>>,
>;

/// Responses to requests that come again.
pub(crate) struct ResponseCache {
    cached: Option<Responses>,
    state: Arc<State>,
    usage: CacheUsage,
}

/// The result of a lookup.
pub(super) enum Lookup<'a> {
    Hit(CacheableResponse),
    /// The response is to be made.
    Miss(Fill<'a>),
}

impl ResponseCache {
    /// Caches about as many bytes of responses, none if 0.
    pub(crate) fn new(bytes: u64, state: Arc<State>) -> Self {
        let typical = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX);
        Self {
            cached: (bytes > 0).then(|| Cache::with_weighter(typical, bytes, Weight)),
            state,
            usage: CacheUsage::default(),
        }
    }

    pub(in crate::http) fn usage(&self) -> &CacheUsage {
        &self.usage
    }

    /// The key of a response to a request that comes now; `None` where no response is cached.
    ///
    /// To be taken before the first statement of the request.
    pub(super) fn key(&self, variant: &Variant<'_>) -> Option<Key> {
        self.cached.as_ref()?;
        let version = self.state.version()?;
        let mut digest = Digesting(Sha256::new());
        variant.hash(&mut digest);
        Some(Key {
            request: digest.0.finalize().into(),
            version,
        })
    }

    /// The cached response of a key.
    pub(super) fn get(&self, key: &Key) -> Option<CacheableResponse> {
        let response = self.cached.as_ref()?.get(key)??;
        self.usage.hits.inc();
        Some(response)
    }

    /// Waits for a response that another request makes, until the deadline: `TIMEOUT` after it. Gives the right to make it where
    /// no other request does.
    pub(super) async fn look_up(&self, key: Key, deadline: Instant) -> Result<Lookup<'_>, Error> {
        let Some(cached) = &self.cached else {
            return Ok(Lookup::Miss(Fill::none()));
        };
        match timeout_at(deadline, cached.get_value_or_guard_async(&key)).await {
            Err(_) => Err(Error::took_too_long()),
            Ok(Ok(Some(response))) => {
                self.usage.hits.inc();
                Ok(Lookup::Hit(response))
            }
            Ok(Ok(None)) => Ok(Lookup::Miss(Fill::none())),
            Ok(Err(guard)) => Ok(Lookup::Miss(Fill(Some((self, cached, key, guard))))),
        }
    }
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache")
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

/// The right to make a response that others may wait for. Dropped, as when its client hung up, it goes to the next of them.
pub(super) struct Fill<'a>(Option<(&'a ResponseCache, &'a Responses, Key, Guard<'a>)>);

impl Fill<'_> {
    /// Leaves the response to this request alone.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Gives the response to those who wait, and caches it.
    pub(super) fn complete(self, response: &CacheableResponse) {
        let Some((cache, cached, key, guard)) = self.0 else {
            return;
        };
        let _ = guard.insert(Some(response.clone()));
        // Those who waited came before the change, so the response is right for them. For those who come now it is not.
        if cache.state.version() != Some(key.version) {
            cached.remove(&key);
        }
        cache.usage.misses.inc();
        cache.usage.set_bytes(cached.weight());
    }

    /// Has those who wait execute their own requests, all at once.
    pub(super) fn abandon(&mut self) {
        if let Some((_, cached, key, guard)) = self.0.take() {
            let _ = guard.insert(None);
            cached.remove(&key);
        }
    }
}

/// Bytes of a response of some ten connectors.
const TYPICAL: u64 = 4 * 1024;

/// The memory that a response takes.
#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Key, Option<CacheableResponse>> for Weight {
    fn weight(&self, _: &Key, answer: &Option<CacheableResponse>) -> u64 {
        /// An entry's in the table, and its links.
        const LINKS: usize = 64;
        let parts = answer.as_ref().map_or(0, |CacheableResponse(parts)| {
            let name = (parts.operation.as_ref()).map_or(0, |label| label.name.len());
            let etag = parts.etag.as_ref().map_or(0, |_| http_caching::ETAG_BYTES);
            size_of::<Parts>() + parts.body.len() + name + etag
        });
        (size_of::<Key>() + size_of::<CacheableResponse>() + LINKS + parts) as u64
    }
}
