//! Loads values that are not in the rows of a list, in one statement for all its connectors.
//!
//! Invariant: the first connector that needs a value loads it for all of them, and the others wait.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use entity::{Timestamp, UserKey, personal_connector::Model};
use tokio::sync::OnceCell;

use crate::{
    domain::{
        changes::{self, Place},
        check_history::{Buckets, History, HistoryPage, Spans, Uptime},
        inspection::{Health, Tool, window},
        listing::SearchWord,
        tools,
    },
    error::Result,
    graphql::{changes::Named, user::Users},
    store::Catalog,
};

/// The replacements of connectors by their ids, and the loader of the replacements.
type Replacements = (HashMap<String, Arc<Model>>, Arc<Loader>);

#[derive(Default)]
pub(in crate::graphql) struct Loader {
    seqs: Vec<i64>,
    replacement_ids: Vec<String>,
    replacements: OnceCell<Replacements>,
    /// The users who created the connectors.
    pub(in crate::graphql) creators: Arc<Users>,
    health: Shared<(), Health>,
    histories: Shared<HistoryPage, History>,
    /// The uptimes, by the hours of their window.
    uptimes: Shared<i32, Uptime>,
    /// The charts, by their hours and number of buckets.
    buckets: Shared<(i32, i32), Buckets>,
    tools: Shared<tools::Listing, tools::Page>,
    tool_counts: Shared<Option<Vec<String>>, u64>,
    matching_tools: Shared<Vec<SearchWord>, Tool>,
    changes: Shared<Place, (changes::History, Arc<Named>)>,
}

impl Loader {
    pub(in crate::graphql) fn of<'a>(models: impl IntoIterator<Item = &'a Model>) -> Arc<Self> {
        let (mut seqs, mut replacement_ids, mut creators) = (Vec::new(), Vec::new(), Vec::new());
        for model in models {
            seqs.push(model.seq);
            replacement_ids.extend(model.replaced_by_id.clone());
            creators.extend(model.created_by.clone().map(|id| UserKey {
                organization: model.organization_id.clone(),
                id,
            }));
        }
        replacement_ids.sort_unstable();
        replacement_ids.dedup();
        Arc::new(Self {
            seqs,
            replacement_ids,
            creators: Users::of(creators),
            ..Self::default()
        })
    }

    /// Returns the replacement of one connector. All replacements share a loader.
    pub(in crate::graphql) async fn replacement(
        &self,
        catalog: &Catalog,
        id: &str,
    ) -> Result<Option<(Arc<Model>, Arc<Self>)>> {
        let load = || async {
            let models = catalog.get(&self.replacement_ids).await?;
            let loader = Self::of(models.values());
            let models = models.into_iter();
            let models = models.map(|(id, model)| (id, Arc::new(model)));
            Ok((models.collect(), loader))
        };
        let (models, loader) = self.replacements.get_or_try_init(load).await?;
        Ok(models.get(id).map(|model| (model.clone(), loader.clone())))
    }

    /// Returns the last check of one connector.
    pub(in crate::graphql) async fn health(
        &self,
        catalog: &Catalog,
        seq: i64,
    ) -> Result<Option<Arc<Health>>> {
        let load = || catalog.health(&self.seqs);
        self.health.get((), seq, load).await
    }

    /// Returns a page of the checks of one connector.
    pub(in crate::graphql) async fn history(
        &self,
        catalog: &Catalog,
        seq: i64,
        page: HistoryPage,
    ) -> Result<Option<Arc<History>>> {
        let load = || catalog.history(&self.seqs, page);
        self.histories.get(page, seq, load).await
    }

    /// Returns the share of one connector's checks in the last hours that found a working server.
    pub(in crate::graphql) async fn uptime(
        &self,
        catalog: &Catalog,
        seq: i64,
        hours: i32,
        now: Timestamp,
    ) -> Result<Option<Arc<Uptime>>> {
        let since = window(hours, now)?;
        let load = || catalog.uptime(&self.seqs, since, now);
        self.uptimes.get(hours, seq, load).await
    }

    /// Returns the checks of one connector in the last hours, counted in buckets.
    pub(in crate::graphql) async fn buckets(
        &self,
        catalog: &Catalog,
        seq: i64,
        (hours, count): (i32, i32),
        now: Timestamp,
    ) -> Result<Option<Arc<Buckets>>> {
        let spans = Spans::parse(hours, count, now)?;
        let load = || catalog.buckets(&self.seqs, spans);
        self.buckets.get((hours, count), seq, load).await
    }

    /// Returns a page of the tools of one connector.
    pub(in crate::graphql) async fn tools(
        &self,
        catalog: &Catalog,
        seq: i64,
        listing: &tools::Listing,
    ) -> Result<Option<Arc<tools::Page>>> {
        let load = || catalog.tools(&self.seqs, listing);
        self.tools.get(listing.clone(), seq, load).await
    }

    /// Returns the first tool of one connector that has one of these words.
    pub(in crate::graphql) async fn matching_tool(
        &self,
        catalog: &Catalog,
        seq: i64,
        words: Vec<SearchWord>,
    ) -> Result<Option<Arc<Tool>>> {
        let load = || catalog.matching_tools(&self.seqs, &words);
        self.matching_tools.get(words.clone(), seq, load).await
    }

    /// Returns a page of the changes of one connector. The replacements of all pages are loaded together.
    pub(in crate::graphql) async fn changes(
        &self,
        catalog: &Catalog,
        seq: i64,
        place: Place,
    ) -> Result<Option<Arc<(changes::History, Arc<Named>)>>> {
        let load = || async {
            let histories = catalog.histories(&self.seqs, place).await?;
            let all = histories.values().flat_map(|history| &history.changes);
            let named = Named::of(all);
            let histories = histories.into_iter();
            Ok(histories
                .map(|(seq, history)| (seq, (history, named.clone())))
                .collect())
        };
        self.changes.get(place, seq, load).await
    }

    /// Returns the number of one connector's tools that have these words.
    pub(in crate::graphql) async fn tool_count(
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

/// Loaded values of the page's connectors, by arguments and then by connector. The first caller loads them; the others
/// wait.
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
