//! Answers kept as they are sent, for when the same is asked again.
//!
//! Invariant: an answer is found only by whoever it was made for, asked in the same words, and while nothing has changed that
//! this process knows of: what it commits itself it knows before anybody is told, what others commit within a second. Whoever
//! waits for an answer that somebody else is making gets it, or makes their own. All that is kept together is of bounded size.

use std::{
    convert::Infallible,
    fmt,
    hash::{Hash, Hasher},
    mem::size_of,
    sync::Arc,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, Method, header},
    response::Response,
};
use headers::ETag;
use http_body_util::BodyExt;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use quick_cache::{
    DefaultHashBuilder, Weighter,
    sync::{Cache, DefaultLifecycle, PlaceholderGuard},
};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, error::Elapsed, timeout_at};
use tower::{ServiceExt, service_fn};
use tower_http::compression::Compression;

use crate::{
    domain::viewer::Viewer,
    http::COMPRESSED_FROM,
    observability::request_log::{self, Operation},
    pipeline::encode::encode,
    store::{State, Version},
};

use super::{
    http_caching,
    negotiation::{Coding, MediaType},
};

/// All that an answer depends on beside the catalogue.
#[derive(Debug, Hash)]
pub(crate) struct Asked<'a> {
    /// The document's hash.
    pub(crate) document: &'a str,
    pub(crate) operation_name: Option<&'a str>,
    /// As they were sent.
    pub(crate) variables: &'a str,
    pub(crate) viewer: &'a Viewer,
    pub(crate) media_type: MediaType,
    pub(crate) coding: Coding,
    pub(crate) reports_cost: bool,
}

/// What is asked, by its SHA-256, so that nobody can ask something else that leads to the same; and of which catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    asked: [u8; 32],
    version: Version,
}

impl Key {
    fn new(asked: &Asked<'_>, version: Version) -> Self {
        let mut digest = Digesting(Sha256::new());
        asked.hash(&mut digest);
        Self {
            asked: digest.0.finalize().into(),
            version,
        }
    }
}

/// Takes in whatever a value says of itself to a hash table, which tells it from all that are not equal to it.
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

/// An answer without errors, as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Whole(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    media_type: MediaType,
    coding: Coding,
    body: Bytes,
    etag: Option<ETag>,
    operation: Option<Operation>,
}

impl Whole {
    /// With an `ETag`, for an answer to GET, or one that is kept and may become one.
    pub(crate) async fn new(
        answer: &async_graphql::Response,
        media_type: MediaType,
        coding: Coding,
        with_etag: bool,
    ) -> Self {
        let text = encode(answer);
        let etag = with_etag.then(|| http_caching::etag(media_type, &text));
        // Kept for long, it must be of no more bytes than it has.
        let text = Bytes::from(text.into_boxed_slice());
        let (coding, body) = encoded(coding, text).await;
        Self(Arc::new(Parts {
            media_type,
            coding,
            body,
            etag: etag.flatten(),
            operation: request_log::told_operation(),
        }))
    }

    /// The answer to a request of this method and these headers.
    pub(crate) fn response(&self, method: &Method, asked: &HeaderMap) -> Response {
        let Self(parts) = self;
        let answer = || written(parts.media_type, parts.coding, parts.body.clone());
        match &parts.etag {
            Some(etag) if *method == Method::GET => http_caching::revalidated(asked, etag, answer),
            _ => http_caching::not_kept(answer()),
        }
    }

    /// Has the account of this task's request tell what the account of the first was told.
    fn tell(&self) {
        if let Some(operation) = &self.0.operation {
            request_log::operation_again(operation.clone());
        }
    }
}

/// An answer of a text in a coding.
pub(crate) fn written(media_type: MediaType, coding: Coding, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type.content_type());
    if coding != Coding::Identity {
        headers.insert(header::CONTENT_ENCODING, coding.name());
    }
    response
}

/// A text in a coding. What is short stays as it is.
pub(crate) async fn encoded(coding: Coding, text: Bytes) -> (Coding, Bytes) {
    if coding == Coding::Identity || text.len() < usize::from(COMPRESSED_FROM) {
        return (Coding::Identity, text);
    }
    let body = text.clone();
    let plain = service_fn(async |_| Ok::<_, Infallible>(Response::new(Body::from(body.clone()))));
    let mut request = Request::new(Body::empty());
    request
        .headers_mut()
        .insert(header::ACCEPT_ENCODING, coding.name());
    let Ok(response) = Compression::new(plain).oneshot(request).await;
    match response.into_body().collect().await {
        Ok(body) => (coding, body.to_bytes()),
        Err(_) => (Coding::Identity, text),
    }
}

/// What is kept, by what was asked. Nothing is kept for a moment where others who wait are to make their own.
type Kept = Cache<Key, Option<Whole>, Weight>;
type Guard<'a> = PlaceholderGuard<
    'a,
    Key,
    Option<Whole>,
    Weight,
    DefaultHashBuilder,
    DefaultLifecycle<Key, Option<Whole>>,
>;

/// Answers that are asked for again and again.
pub struct Answers {
    kept: Option<Kept>,
    state: Arc<State>,
    pub(crate) usage: Usage,
}

/// What became of a question.
pub(crate) enum Found<'a> {
    Kept(Whole),
    /// Nothing: the answer is to be made.
    Nothing(Turn<'a>),
}

impl Answers {
    /// Keeps about as many bytes, none if 0.
    pub fn new(bytes: u64, state: Arc<State>) -> Self {
        let typical = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX);
        Self {
            kept: (bytes > 0).then(|| Cache::with_weighter(typical, bytes, Weight)),
            state,
            usage: Usage::default(),
        }
    }

    /// Looks for an answer, and waits for one that is being made, until the deadline.
    pub(crate) async fn find(
        &self,
        asked: &Asked<'_>,
        deadline: Instant,
    ) -> Result<Found<'_>, Elapsed> {
        // Before anything is looked for, and so before the first statement.
        let (Some(kept), Some(version)) = (&self.kept, self.state.version()) else {
            return Ok(Found::Nothing(Turn::alone()));
        };
        let key = Key::new(asked, version);
        let found = match kept.get(&key) {
            Some(found) => found,
            None => match timeout_at(deadline, kept.get_value_or_guard_async(&key)).await? {
                Ok(found) => found,
                Err(guard) => {
                    let place = Some((self, kept, key, guard));
                    return Ok(Found::Nothing(Turn(place)));
                }
            },
        };
        Ok(match found {
            Some(whole) => {
                self.usage.found.inc();
                whole.tell();
                Found::Kept(whole)
            }
            None => Found::Nothing(Turn::alone()),
        })
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers")
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

/// To make an answer that others may wait for. Dropped, as when its client hung up, it is the next one's.
pub(crate) struct Turn<'a>(Option<(&'a Answers, &'a Kept, Key, Guard<'a>)>);

impl Turn<'_> {
    /// To make an answer that nobody else is given.
    pub(crate) fn alone() -> Self {
        Self(None)
    }

    /// Whether the answer is to be kept.
    pub(crate) fn keeps(&self) -> bool {
        self.0.is_some()
    }

    /// Gives the answer to those who wait, and keeps it.
    pub(crate) fn keep(self, whole: &Whole) {
        let Some((answers, kept, key, guard)) = self.0 else {
            return;
        };
        let _ = guard.insert(Some(whole.clone()));
        // Those who waited came before whatever has happened since, and nobody comes any more to whom it didn't.
        if answers.state.version() != Some(key.version) {
            kept.remove(&key);
        }
        answers.usage.made.inc();
        let bytes = i64::try_from(kept.weight()).unwrap_or(i64::MAX);
        answers.usage.bytes.set(bytes);
    }

    /// Has those who wait make their own, all at once.
    pub(crate) fn pass(&mut self) {
        if let Some((_, kept, key, guard)) = self.0.take() {
            let _ = guard.insert(None);
            kept.remove(&key);
        }
    }
}

/// How the kept answers serve.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// Answers that were there already.
    pub(crate) found: Counter,
    /// Answers made to be kept.
    pub(crate) made: Counter,
    /// Size of those kept.
    pub(crate) bytes: Gauge,
}

/// Bytes of an answer of some ten connectors.
const TYPICAL: u64 = 4 * 1024;

/// How much memory an answer takes.
#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Key, Option<Whole>> for Weight {
    fn weight(&self, _: &Key, answer: &Option<Whole>) -> u64 {
        /// An entry's in the table, and its links.
        const LINKS: usize = 64;
        let parts = answer.as_ref().map_or(0, |Whole(parts)| {
            let name = parts.operation.as_ref().map_or(0, |told| told.name.len());
            let etag = parts.etag.as_ref().map_or(0, |_| http_caching::ETAG_BYTES);
            size_of::<Parts>() + parts.body.len() + name + etag
        });
        (size_of::<Key>() + size_of::<Whole>() + LINKS + parts) as u64
    }
}
