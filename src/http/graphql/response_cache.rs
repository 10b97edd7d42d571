//! A cache of complete responses, with a single execution for concurrent equal requests.
//!
//! Invariant: a response is found only by its own viewer, for a request of the same bytes, under the current catalogue
//! version. A commit of this process changes the version before it is acknowledged, and another's within a second. A
//! waiting request gets the response, or executes itself. The size is bounded.

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

/// All inputs of a response besides the catalogue.
#[derive(Debug, Hash)]
pub(super) struct Variant<'a> {
    pub(super) method: Allowed,
    /// The body of POST or the query of the URL, unparsed: a response is found before its request is parsed.
    pub(super) parameters: &'a [u8],
    pub(super) viewer: &'a Viewer,
    pub(super) media_type: MediaType,
    pub(super) coding: Coding,
    pub(super) reports_cost: bool,
}

/// The SHA-256 of a request, which is unique to it, and the catalogue version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    request: [u8; 32],
    version: Version,
}

/// Digests a value by its `Hash`, which differs for unequal values.
struct Digesting(Sha256);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// This is unused, because the digest is longer.
    fn finish(&self) -> u64 {
        0
    }
}

/// A response without errors, ready to send.
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
    /// Creates a response; one to GET has an `ETag`.
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

    /// Returns the response to a request with this method and these headers.
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

    /// Records the first request's operation for another request.
    pub(super) fn record(&self, record: &RequestRecord) {
        if let Some(operation) = &self.0.operation {
            record.set_operation(operation.clone());
        }
    }
}

/// Responses by key. `None` appears for a moment, and makes waiting requests execute themselves.
type Responses = Cache<Key, Option<CacheableResponse>, Weight>;
type Guard<'a> = PlaceholderGuard<
    'a,
    Key,
    Option<CacheableResponse>,
    Weight,
    DefaultHashBuilder,
    DefaultLifecycle<Key, Option<CacheableResponse>>,
>;

/// The cache of responses.
pub(crate) struct ResponseCache {
    cached: Option<Responses>,
    state: Arc<State>,
    usage: CacheUsage,
}

/// The result of a lookup.
pub(super) enum Lookup<'a> {
    Hit(CacheableResponse),
    /// The caller has to make the response.
    Miss(Fill<'a>),
}

impl ResponseCache {
    /// Caches up to about this many bytes of responses; none if 0.
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

    /// Returns the key of a request that arrives now; `None` if caching is off.
    ///
    /// Call this before the request's first statement.
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

    /// Returns the cached response of a key.
    pub(super) fn get(&self, key: &Key) -> Option<CacheableResponse> {
        let response = self.cached.as_ref()?.get(key)??;
        self.usage.hits.inc();
        Some(response)
    }

    /// Waits for a response that another request makes; fails with `TIMEOUT` at the deadline. If no request makes it,
    /// the caller gets the right to.
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

/// The right to make a response that others may wait for. Dropping it, for example on a disconnect, passes it to the
/// next one.
pub(super) struct Fill<'a>(Option<(&'a ResponseCache, &'a Responses, Key, Guard<'a>)>);

impl Fill<'_> {
    /// Makes the response to this request uncached.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Passes the response to waiting requests, and caches it.
    pub(super) fn complete(self, response: &CacheableResponse) {
        let Some((cache, cached, key, guard)) = self.0 else {
            return;
        };
        let _ = guard.insert(Some(response.clone()));
        // The waiting requests arrived before the change, so the response is valid for them. For new requests it is
        // not.
        if cache.state.version() != Some(key.version) {
            cached.remove(&key);
        }
        cache.usage.misses.inc();
        cache.usage.set_bytes(cached.weight());
    }

    /// Makes all waiting requests execute themselves at once.
    pub(super) fn abandon(&mut self) {
        if let Some((_, cached, key, guard)) = self.0.take() {
            let _ = guard.insert(None);
            cached.remove(&key);
        }
    }
}

/// The size of a response with about ten connectors, in bytes.
const TYPICAL: u64 = 4 * 1024;

/// The memory of a response.
#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Key, Option<CacheableResponse>> for Weight {
    fn weight(&self, _: &Key, answer: &Option<CacheableResponse>) -> u64 {
        /// A table entry and its links, in bytes.
        const LINKS: usize = 64;
        let parts = answer.as_ref().map_or(0, |CacheableResponse(parts)| {
            let name = (parts.operation.as_ref()).map_or(0, |label| label.name.len());
            let etag = parts.etag.as_ref().map_or(0, |_| http_caching::ETAG_BYTES);
            size_of::<Parts>() + parts.body.len() + name + etag
        });
        (size_of::<Key>() + size_of::<CacheableResponse>() + LINKS + parts) as u64
    }
}
