//! The connectors of one list, who look up together what is not in their rows.
//!
//! Invariant: the first that is asked for something asks for all of them, in one statement; the others wait for it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use entity::{Timestamp, personal_connector::Model};
use tokio::sync::OnceCell;

use crate::{
    domain::{
        inspection::{Health, PastCheck, window},
        tools,
    },
    error::Result,
    store::Catalog,
};

/// The replacements of connectors, by their ids, and as siblings.
type Replacements = (HashMap<String, Arc<Model>>, Arc<Siblings>);

#[derive(Default)]
pub(super) struct Siblings {
    seqs: Vec<i64>,
    replacement_ids: Vec<String>,
    replacements: OnceCell<Replacements>,
    health: Shared<(), Health>,
    histories: Shared<u64, Vec<PastCheck>>,
    /// By the windows' hours.
    uptimes: Shared<i32, f64>,
    tools: Shared<tools::Listing, tools::Page>,
    tool_counts: Shared<Option<Vec<String>>, u64>,
}

impl Siblings {
    pub(super) fn of<'a>(models: impl IntoIterator<Item = &'a Model>) -> Arc<Self> {
        let (mut seqs, mut replacement_ids) = (Vec::new(), Vec::new());
        for model in models {
            seqs.push(model.seq);
            replacement_ids.extend(model.replaced_by_id.clone());
        }
        replacement_ids.sort_unstable();
        replacement_ids.dedup();
        Arc::new(Self {
            seqs,
            replacement_ids,
            ..Self::default()
        })
    }

    /// What one of them is replaced by, which is a sibling of what the others are.
    pub(super) async fn replacement(
        &self,
        catalog: &Catalog,
        id: &str,
    ) -> Result<Option<(Arc<Model>, Arc<Self>)>> {
        let load = || async {
            let models = catalog.get(&self.replacement_ids).await?;
            let siblings = Self::of(models.values());
            let models = models.into_iter();
            let models = models.map(|(id, model)| (id, Arc::new(model)));
            Ok((models.collect(), siblings))
        };
        let (models, siblings) = self.replacements.get_or_try_init(load).await?;
        Ok(models
            .get(id)
            .map(|model| (model.clone(), siblings.clone())))
    }

    /// What the last check of one found.
    pub(super) async fn health(&self, catalog: &Catalog, seq: i64) -> Result<Option<Arc<Health>>> {
        let load = || catalog.health(&self.seqs);
        self.health.get((), seq, load).await
    }

    /// The last checks of one.
    pub(super) async fn history(
        &self,
        catalog: &Catalog,
        seq: i64,
        most: u64,
    ) -> Result<Option<Arc<Vec<PastCheck>>>> {
        let load = || catalog.history(&self.seqs, most);
        self.histories.get(most, seq, load).await
    }

    /// Which part of the checks of one in the last hours found a server that works.
    pub(super) async fn uptime(
        &self,
        catalog: &Catalog,
        seq: i64,
        hours: i32,
        now: Timestamp,
    ) -> Result<Option<Arc<f64>>> {
        let since = window(hours, now)?;
        let load = || catalog.uptime(&self.seqs, since);
        self.uptimes.get(hours, seq, load).await
    }

    /// A page of the tools of one.
    pub(super) async fn tools(
        &self,
        catalog: &Catalog,
        seq: i64,
        listing: &tools::Listing,
    ) -> Result<Option<Arc<tools::Page>>> {
        let load = || catalog.tools(&self.seqs, listing);
        self.tools.get(listing.clone(), seq, load).await
    }

    /// How many tools of one have these words.
    pub(super) async fn tool_count(
        &self,
        catalog: &Catalog,
        seq: i64,
        words: Option<&[String]>,
    ) -> Result<Option<Arc<u64>>> {
        let load = || catalog.tool_counts(&self.seqs, words);
        self.tool_counts
            .get(words.map(ToOwned::to_owned), seq, load)
            .await
    }
}

/// What connectors have, by their numbers, of each way in which it was asked for.
struct Shared<K, T>(Mutex<HashMap<K, Asked<T>>>);

type Asked<T> = Arc<OnceCell<HashMap<i64, Arc<T>>>>;

impl<K, T> Default for Shared<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T> Shared<K, T> {
    async fn get<F: Future<Output = Result<HashMap<i64, T>>>>(
        &self,
        key: K,
        seq: i64,
        load: impl FnOnce() -> F,
    ) -> Result<Option<Arc<T>>> {
        let asked = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(key).or_default().clone()
        };
        let load = || async {
            let loaded = load().await?.into_iter();
            Ok(loaded.map(|(seq, value)| (seq, Arc::new(value))).collect())
        };
        let loaded = asked.get_or_try_init(load).await?;
        Ok(loaded.get(&seq).cloned())
    }
}
