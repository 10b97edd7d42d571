//! Documents as they were parsed, kept for when they are sent again.
//!
//! Invariant: what is kept was within the limits, and all of it together is of bounded size; a document is found by the
//! SHA-256 of its text, so that none can stand for another.

use std::{mem::size_of, sync::Arc};

use async_graphql::{
    Positioned,
    parser::{
        parse_query,
        types::{ExecutableDocument, Selection},
    },
};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use quick_cache::{Weighter, sync::Cache};
use sha2::{Digest, Sha256};

use crate::error::Code;

use super::{gate::Refused, limits::Limits, scan::scan};

/// The SHA-256 of a document's text.
type Hash = [u8; 32];

/// A document that was within the limits before it was parsed.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) parsed: ExecutableDocument,
    pub(super) tokens: u64,
    text_bytes: usize,
}

impl Document {
    pub(super) fn parse(text: &str, limits: Limits) -> Result<Self, Refused> {
        let tokens = scan(text, limits)?;
        let parsed = parse_query(text)
            .map_err(|error| Refused::new(error.into(), Code::GraphqlParseFailed))?;
        Ok(Self {
            parsed,
            tokens,
            text_bytes: text.len(),
        })
    }
}

/// What clients send again and again.
#[derive(Debug)]
pub struct Documents {
    limits: Limits,
    kept: Cache<Hash, Arc<Document>, Bytes>,
    pub(super) usage: Usage,
}

impl Documents {
    /// Keeps about as many bytes of documents within these limits; none if 0.
    pub fn new(bytes: u64, limits: Limits) -> Self {
        let typical = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX);
        Self {
            limits,
            kept: Cache::with_weighter(typical, bytes, Bytes),
            usage: Usage::default(),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// The document of a text, kept or parsed.
    pub(super) fn get(&self, text: &str) -> Result<Arc<Document>, Refused> {
        let hash = Sha256::digest(text).into();
        if let Some(document) = self.kept.get(&hash) {
            self.usage.found.inc();
            return Ok(document);
        }
        let document = Arc::new(Document::parse(text, self.limits)?);
        self.usage.parsed.inc();
        self.kept.insert(hash, document.clone());
        let bytes = i64::try_from(self.kept.weight()).unwrap_or(i64::MAX);
        self.usage.bytes.set(bytes);
        Ok(document)
    }
}

/// How the kept documents serve.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// Documents that were there already.
    pub(super) found: Counter,
    pub(super) parsed: Counter,
    /// Size of those kept.
    pub(super) bytes: Gauge,
}

/// Bytes of a document of some forty tokens.
const TYPICAL: u64 = 16 * 1024;

/// About how much memory a document takes.
#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Hash, Arc<Document>> for Bytes {
    fn weight(&self, _: &Hash, document: &Arc<Document>) -> u64 {
        // A token is at most a selection, and whatever it consists of is among the others; names are copied out of the text.
        let nodes = document.tokens * size_of::<Positioned<Selection>>() as u64;
        nodes + document.text_bytes as u64
    }
}
