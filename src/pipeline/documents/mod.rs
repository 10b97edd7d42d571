//! A cache of parsed documents, for repeated documents and for persisted queries.
//!
//! Invariant: every cached document is within the limits, and the cache's size is bounded. The key is the SHA-256 of
//! the text, so no document replaces another. With trusted documents, no others are accepted.

mod direct;
pub(super) mod document;
pub(super) mod heap_bytes;
mod parse_error;
pub(super) mod selections;
mod trusted_documents;

use std::{borrow::Cow, mem::size_of, sync::Arc};

use quick_cache::{Weighter, sync::Cache};

use crate::{
    config::OperationLimits,
    error::{Code, Error},
    observability::metrics::CacheUsage,
};

use super::{parameters::Given, refused::Refused};

use document::{Document, Hash, sha256, without_prefix};

pub(crate) use trusted_documents::Trusted;

/// The documents of all clients.
#[derive(Debug)]
pub(crate) struct Documents {
    limits: OperationLimits,
    trusted: Option<Trusted>,
    cached: Cache<Hash, Arc<Document>, Bytes>,
    pub(in crate::pipeline) usage: CacheUsage,
}

impl Documents {
    /// Caches documents up to about this many bytes, none if 0; or accepts only the trusted ones.
    pub(crate) fn new(bytes: u64, limits: OperationLimits, trusted: Option<Trusted>) -> Self {
        let typical = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX);
        Self {
            limits,
            trusted,
            cached: Cache::with_weighter(typical, bytes, Bytes),
            usage: CacheUsage::default(),
        }
    }

    pub(in crate::pipeline) fn limits(&self) -> OperationLimits {
        self.limits
    }

    /// Returns the hash of a document, cached or not. Fails for a bare hash if documents are not cached.
    pub(in crate::pipeline) fn hash_of<'a>(
        &'a self,
        given: &'a Given,
    ) -> Result<Cow<'a, str>, Error> {
        match given {
            Given::Text { text, sha256: said } => {
                let hash = sha256(text);
                if said.as_ref().is_some_and(|said| *said != hash) {
                    let message =
                        "extensions.persistedQuery.sha256Hash: provided sha does not match query";
                    return Err(Error::new(Code::BadRequest, message));
                }
                Ok(Cow::Owned(hash))
            }
            Given::Id(id) => {
                let id = without_prefix(id);
                match &self.trusted {
                    Some(trusted) => Ok(Cow::Borrowed(trusted.hash_of(id))),
                    None if self.cached.capacity() == 0 => Err(self.unknown(id)),
                    None => Ok(Cow::Borrowed(id)),
                }
            }
        }
    }

    /// Returns a trusted or cached document, or parses it.
    pub(in crate::pipeline) fn get(&self, given: &Given) -> Result<Arc<Document>, Refused> {
        let hash = self.hash_of(given)?;
        if let Some(trusted) = &self.trusted {
            let document = trusted.get(&hash).ok_or_else(not_trusted)?;
            self.usage.hits.inc();
            return Ok(document);
        }
        if let Some(document) = self.cached.get(&*hash) {
            self.usage.hits.inc();
            return Ok(document);
        }
        let Given::Text { text, .. } = given else {
            return Err(self.unknown(&hash).into());
        };
        let document = Arc::new(Document::parse(text, self.limits)?);
        self.usage.misses.inc();
        self.cached.insert(hash.into_owned(), document.clone());
        self.usage.set_bytes(self.cached.weight());
        Ok(document)
    }

    /// The error for an unknown hash. Clients such as Apollo's send the text after this message.
    fn unknown(&self, hash: &str) -> Error {
        let is_digit = |digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if hash.len() != 64 || !hash.bytes().all(is_digit) {
            let message = "documentId, and extensions.persistedQuery.sha256Hash, must be the SHA-256 of a document: \
                           64 lowercase hexadecimal digits";
            return Error::new(Code::BadRequest, message);
        }
        if self.cached.capacity() == 0 {
            let code = Code::PersistedQueryNotSupported;
            return Error::new(code, "PersistedQueryNotSupported");
        }
        Error::new(Code::PersistedQueryNotFound, "PersistedQueryNotFound")
    }
}

fn not_trusted() -> Error {
    let message = "the service executes only trusted documents, and this is none: send the id of one as documentId, or \
                   its text as it is in the manifest";
    Error::new(Code::DocumentNotTrusted, message)
}

/// The size of a document with about forty tokens, in bytes.
const TYPICAL: u64 = 8 * 1024;

/// The size of a table entry with its links, in bytes.
const LINKS: usize = 128;

/// The estimated memory of a document.
#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Hash, Arc<Document>> for Bytes {
    fn weight(&self, hash: &Hash, document: &Arc<Document>) -> u64 {
        (hash.capacity() + size_of::<Hash>() + size_of::<Document>() + LINKS + document.heap_bytes)
            as u64
    }
}
