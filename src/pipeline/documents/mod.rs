//! Documents as they were parsed, kept for when they are sent again, or their hashes alone are.
//!
//! Invariant: what is kept was within the limits, and all of it together is of bounded size; a document is found by the
//! SHA-256 of its text, so that none can stand for another. Where there are trusted documents, no other is looked at.

pub(crate) mod selections;
mod trusted_documents;

use std::{
    borrow::Cow,
    mem::size_of,
    sync::{Arc, OnceLock},
};

use async_graphql::{
    Positioned, Request, ServerError,
    parser::{
        parse_query,
        types::{ExecutableDocument, Selection},
    },
};
use quick_cache::{Weighter, sync::Cache};
use sha2::{Digest, Sha256};

use crate::{
    config::OperationLimits,
    error::{Code, Error},
    graphql::Schema,
    observability::metrics::CacheUsage,
};

use super::{
    lexical_limits::scan,
    parameters::Given,
    refused::Refused,
    rules::{
        correct_values::correct_values, overlapping_fields::overlapping_fields,
        variable_positions::variable_positions,
    },
};

use selections::selections;

pub use trusted_documents::Trusted;

/// The SHA-256 of a document's text, in lowercase hexadecimal digits.
pub(crate) type Hash = String;

pub(crate) fn sha256(text: &str) -> Hash {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(text);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// An identifier (GraphQL over HTTP, appendix A) without what says that it is a SHA-256.
pub(crate) fn without_prefix(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// A document that was within the limits before it was parsed.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) parsed: ExecutableDocument,
    pub(crate) tokens: u64,
    text_bytes: usize,
    checked: OnceLock<Result<Traits, ServerError>>,
    /// That it fits the schema was found out.
    fits: OnceLock<()>,
}

/// What is true of a document whatever its variables are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// One statement answers it: else its statements share a snapshot.
    pub(crate) one_read: bool,
    /// Selections of fields of one key are merged.
    pub(crate) merges: bool,
    /// It reads something that changes without a change of the catalogue's state: the log, from which old events go, more of
    /// a connector's health than the outcome, or whether the database takes writes.
    pub(crate) changes_without_the_catalogue: bool,
}

impl Document {
    pub(crate) fn parse(text: &str, limits: OperationLimits) -> Result<Self, Refused> {
        let tokens = scan(text, limits)?;
        let parsed = parse_query(text)
            .map_err(|error| Refused::new(error.into(), Code::GraphqlParseFailed))?;
        Ok(Self {
            parsed,
            tokens,
            text_bytes: text.len(),
            checked: OnceLock::new(),
            fits: OnceLock::new(),
        })
    }

    /// Checks what the library does not, or not before it executes; once, however often the document comes.
    pub(crate) fn checked(&self) -> Result<Traits, ServerError> {
        let check = || {
            let merges = overlapping_fields(&self.parsed)?;
            correct_values(&self.parsed)?;
            variable_positions(&self.parsed)?;
            Ok(Traits::of(&self.parsed, merges))
        };
        self.checked.get_or_init(check).clone()
    }

    /// Refuses a document that does not fit the schema, as it was sent; one that does is not looked at again.
    ///
    /// The library looks at variables' values too, which `coerce` has checked: without them what it says is true of
    /// the document whatever comes with it.
    pub(crate) async fn validated(&self, validator: &Schema) -> Result<(), Vec<ServerError>> {
        if self.fits.get().is_some() {
            return Ok(());
        }
        let mut request = Request::new(String::new());
        request.set_parsed_query(self.parsed.clone());
        let errors = validator.execute(request).await.errors;
        if !errors.is_empty() {
            return Err(errors);
        }
        let _ = self.fits.set(());
        Ok(())
    }
}

/// What clients send again and again.
#[derive(Debug)]
pub struct Documents {
    limits: OperationLimits,
    trusted: Option<Trusted>,
    kept: Cache<Hash, Arc<Document>, Bytes>,
    pub(crate) usage: CacheUsage,
}

impl Documents {
    /// Keeps about as many bytes of documents within these limits, none if 0; or has trusted ones, and takes no others.
    pub fn new(bytes: u64, limits: OperationLimits, trusted: Option<Trusted>) -> Self {
        let typical = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX);
        Self {
            limits,
            trusted,
            kept: Cache::with_weighter(typical, bytes, Bytes),
            usage: CacheUsage::default(),
        }
    }

    pub(crate) fn limits(&self) -> OperationLimits {
        self.limits
    }

    /// The hash of the document that is given, which need not be there; none where documents are not kept, and it is given by
    /// its hash alone.
    pub(crate) fn hash<'a>(&'a self, given: &'a Given) -> Result<Cow<'a, str>, Error> {
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
                    Some(trusted) => Ok(Cow::Borrowed(trusted.hash(id))),
                    None if self.kept.capacity() == 0 => Err(self.unknown(id)),
                    None => Ok(Cow::Borrowed(id)),
                }
            }
        }
    }

    /// The document that is given: trusted, kept or parsed.
    pub(crate) fn get(&self, given: &Given) -> Result<Arc<Document>, Refused> {
        let hash = self.hash(given)?;
        if let Some(trusted) = &self.trusted {
            let document = trusted.get(&hash).ok_or_else(not_trusted)?;
            self.usage.hits.inc();
            return Ok(document);
        }
        if let Some(document) = self.kept.get(&*hash) {
            self.usage.hits.inc();
            return Ok(document);
        }
        let Given::Text { text, .. } = given else {
            return Err(self.unknown(&hash).into());
        };
        let document = Arc::new(Document::parse(text, self.limits)?);
        self.usage.misses.inc();
        self.kept.insert(hash.into_owned(), document.clone());
        self.usage.set_bytes(self.kept.weight());
        Ok(document)
    }

    /// Why a hash alone is no document. Apollo's clients and others send the text when they are told the message.
    fn unknown(&self, hash: &str) -> Error {
        let is_digit = |digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if hash.len() != 64 || !hash.bytes().all(is_digit) {
            let message = "documentId, and extensions.persistedQuery.sha256Hash, must be the SHA-256 of a document: \
                           64 lowercase hexadecimal digits";
            return Error::new(Code::BadRequest, message);
        }
        if self.kept.capacity() == 0 {
            let code = Code::PersistedQueryNotSupported;
            return Error::new(code, "PersistedQueryNotSupported");
        }
        Error::new(Code::PersistedQueryNotFound, "PersistedQueryNotFound")
    }
}

fn not_trusted() -> Error {
    let message = "only trusted documents run here: send the id of one as documentId, or its text as it is in the manifest";
    Error::new(Code::DocumentNotTrusted, message)
}

/// The root field that reads the log of changes.
const CHANGES: &str = "personalConnectorChanges";

impl Traits {
    fn of(document: &ExecutableDocument, merges: bool) -> Self {
        let mut traits = Self {
            one_read: document.operations.iter().all(|(_, operation)| {
                let items = &operation.node.selection_set.node.items;
                items.len() == 1 && matches!(items[0].node, Selection::Field(_))
            }),
            merges,
            changes_without_the_catalogue: false,
        };
        for (parent, selection) in selections(document) {
            let Selection::Field(field) = selection else {
                continue;
            };
            let name = field.node.name.node.as_str();
            traits.one_read &= !matches!(
                name,
                "totalCount"
                    | "facets"
                    | "replacedBy"
                    | "health"
                    | "tools"
                    | "changesCursor"
                    | CHANGES
            );
            // The outcome of a check is the one field of health whose change is one of the catalogue.
            let is_of_health = parent.is_some_and(|parent| parent == "ConnectorHealth");
            traits.changes_without_the_catalogue |= matches!(name, CHANGES | "readOnly")
                || is_of_health && !matches!(name, "outcome" | "__typename");
        }
        traits
    }
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
