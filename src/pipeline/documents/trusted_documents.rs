//! Trusted documents: where there is a manifest, no other documents run.
//!
//! Invariant: each is parsed, within the limits, and fits the schema, before anything is served; none is ever let go.

use std::{collections::HashMap, path::Path, sync::Arc};

use anyhow::{Context, anyhow, bail};
use async_graphql::Variables;

use crate::{
    config::{OperationLimits, read_text},
    error::Code,
    graphql::Schema,
    pipeline::{cost, parameters::Entries, refused::Refused},
};

use super::document::{Document, Hash, sha256, without_prefix};

/// The documents of a manifest: a JSON object of documents by their ids, as GraphQL Code Generator and relay-compiler write it.
#[derive(Debug)]
pub struct Trusted {
    documents: HashMap<Hash, Arc<Document>>,
    ids: HashMap<String, Hash>,
}

impl Trusted {
    /// Reads a manifest. What cannot run is refused with its id.
    pub async fn read(
        file: &Path,
        limits: OperationLimits,
        validator: &Schema,
    ) -> anyhow::Result<Self> {
        let told = || format!("--trusted-documents {}", file.display());
        let text = read_text(file).with_context(told)?;
        Self::parse(&text, limits, validator)
            .await
            .with_context(told)
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
        for (id, text) in entries {
            let text: String = serde_json::from_str(text.get())
                .map_err(|_| anyhow!("{id}: expected a document's text"))?;
            let hash = sha256(&text);
            let document = checked(&text, limits, validator).await;
            let document = document.map_err(|refused| anyhow!("{id}: {refused}"))?;
            documents.insert(hash.clone(), Arc::new(document));
            let other = ids.insert(without_prefix(&id).to_owned(), hash.clone());
            if other.is_some_and(|other| other != hash) {
                bail!("{id}: there are two documents of this id");
            }
        }
        Ok(Self { documents, ids })
    }

    /// The document of a hash.
    pub(in crate::pipeline) fn get(&self, hash: &str) -> Option<Arc<Document>> {
        self.documents.get(hash).cloned()
    }

    /// The hash of the document that is known by an id, which may be the hash itself.
    pub(in crate::pipeline) fn hash_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.ids.get(id).map_or(id, String::as_str)
    }
}

/// The document of a text, if there are variables that it could run with.
async fn checked(
    text: &str,
    limits: OperationLimits,
    validator: &Schema,
) -> Result<Document, Refused> {
    let invalid = |error| Refused::new(error, Code::GraphqlValidationFailed);
    let document = Document::parse(text, limits)?;
    let parsed = &document.parsed;
    let mut cost = cost::cost(parsed, &Variables::default())?;
    // How many items a list may have, variables may say.
    cost.complexity = 0;
    cost.within(limits)?;
    document.checked().map_err(invalid)?;
    match document.validated(validator).await {
        Ok(()) => Ok(document),
        Err(mut errors) => Err(invalid(errors.swap_remove(0))),
    }
}
