//! Trusted documents: if there is a manifest, no other documents run.
//!
//! Invariant: all are parsed and within the limits before the service starts, and none is evicted. A document that does
//! not fit the schema, for example of an older client, gets its validation errors.

use std::{collections::HashMap, path::Path, sync::Arc};

use anyhow::{Context, anyhow, bail};
use async_graphql::{ServerError, Variables};

use crate::{
    config::{OperationLimits, read_text},
    graphql::Schema,
    pipeline::{parameters::Entries, refused::Refused},
};

use super::document::{Document, Hash, sha256, without_prefix};

/// The documents of a manifest: a JSON object of documents by id, as GraphQL Code Generator and relay-compiler write
/// it.
#[derive(Debug)]
pub(crate) struct Trusted {
    documents: HashMap<Hash, Arc<Document>>,
    ids: HashMap<String, Hash>,
}

impl Trusted {
    /// Reads a manifest. The error names the id of a document that cannot run.
    pub(crate) async fn read(
        file: &Path,
        limits: OperationLimits,
        validator: &Schema,
    ) -> anyhow::Result<Self> {
        let flag = || format!("--trusted-documents {}", file.display());
        let text = read_text(file).with_context(flag)?;
        Self::parse(&text, limits, validator)
            .await
            .with_context(flag)
    }

    async fn parse(
        manifest: &str,
        limits: OperationLimits,
        validator: &Schema,
    ) -> anyhow::Result<Self> {
        let Entries(entries) = serde_json::from_str(manifest)
            .context("expected a JSON object of documents by their ids")?;
        let mut documents = HashMap::new();
        let mut ids = HashMap::new();
        let mut unfit = Vec::new();
        let count = entries.len();
        for (id, text) in entries {
            let text: String = serde_json::from_str(text.get())
                .map_err(|_| anyhow!("{id}: expected a document's text"))?;
            let hash = sha256(&text);
            let document = within_limits(&text, limits);
            let document = document.map_err(|refused| anyhow!("{id}: {refused}"))?;
            if let Err(error) = fits(&document, validator).await {
                unfit.push((id.clone(), error.message));
            }
            documents.insert(hash.clone(), Arc::new(document));
            let other = ids.insert(without_prefix(&id).to_owned(), hash.clone());
            if other.is_some_and(|other| other != hash) {
                bail!("{id}: there are two documents of this id");
            }
        }
        // No document fits if the manifest belongs to another service.
        if let [(id, error), ..] = &*unfit
            && unfit.len() == count
        {
            bail!("{id}: {error}");
        }
        for (id, error) in unfit {
            tracing::warn!(
                id,
                error,
                "a trusted document does not match the schema: its requests get this error"
            );
        }
        Ok(Self { documents, ids })
    }

    /// Returns the document with a hash.
    pub(in crate::pipeline) fn get(&self, hash: &str) -> Option<Arc<Document>> {
        self.documents.get(hash).cloned()
    }

    /// Returns the hash of the document with an id, which may be the hash itself.
    pub(in crate::pipeline) fn hash_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.ids.get(id).map_or(id, String::as_str)
    }
}

/// Parses a document, if some variables could run it in this schema or an older one.
fn within_limits(text: &str, limits: OperationLimits) -> Result<Document, Refused> {
    let document = Document::parse(text, limits)?;
    let mut cost = document.cost(&Variables::default())?;
    // Variables may change the size of lists.
    cost.complexity = 0;
    cost.within(limits)?;
    Ok(document)
}

/// Validates a document against this schema, and returns the first error.
async fn fits(document: &Document, validator: &Schema) -> Result<(), ServerError> {
    document.checked()?;
    let validated = document.validated(validator).await;
    validated.map_err(|mut errors| errors.swap_remove(0))
}
