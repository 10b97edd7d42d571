//! The words of connectors in memory, to correct the words of searches.
//!
//! Invariant: at the state that was read last, every word of a connector is there, unless the words take too many
//! bytes. Words that are gone may be there still: the catalogue is asked for each before it is told.
//!
//! Invariant: words that no PUBLIC connector has take no place of the others, so that nobody's private connectors keep
//! a word from correcting the searches of all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedRwLockReadGuard, RwLock},
    task::spawn_blocking,
};

use crate::{
    domain::{changes::Log, cursor::LogPosition, text::spelling::Dictionary},
    error::Result,
    store::tasks::joined,
};

/// Bytes of words that are kept, about: together those of a million words. The rest corrects nothing.
const PUBLIC_BYTES: usize = 48 << 20;
const OTHER_BYTES: usize = 16 << 20;

/// All words are read again when the words added since then exceed the last full read by this number, because words
/// without a connector use memory too.
const ADDED: usize = 10_000;

/// The most by which a snapshot may be older than the words. An older one has another history, such as a restored
/// backup.
const SNAPSHOT_AGE: Duration = Duration::from_secs(10);

/// Words near to one that are looked at: the nearest of PUBLIC connectors, and the nearest of others.
const NEAR: usize = 1000;

/// The words, once they are needed.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Vocabulary(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The words that a PUBLIC connector had when they were read.
    public: Part,
    others: Part,
    /// Words that were read when all were, and since.
    read: usize,
    added: usize,
    /// The state of the words, and the time at which it was read.
    state: Option<(LogPosition, Instant)>,
}

#[derive(Debug, Default)]
struct Part {
    dictionary: Dictionary,
    bytes: usize,
}

/// A word, and whether a PUBLIC connector has it.
pub(in crate::store) type Word = (String, bool);

/// Reads words from the catalogue, in one snapshot.
pub(in crate::store) trait Words {
    /// The words that came or became PUBLIC after a state, or all.
    async fn since(&self, state: Option<i64>) -> Result<Vec<Word>>;
    /// Whether the log has this position.
    async fn has(&self, position: LogPosition) -> Result<bool>;
}

impl Vocabulary {
    /// Returns the words within this many edits of each given word, at the state of a snapshot: those with fewer edits
    /// first.
    pub(in crate::store) async fn near(
        &self,
        words: Vec<String>,
        edits: usize,
        log: Log,
        catalog: &impl Words,
    ) -> Result<Vec<Vec<(usize, String)>>> {
        let known = self.at(log, catalog).await?;
        joined(spawn_blocking(move || {
            let near = |word: String| {
                let parts = [&known.public, &known.others].into_iter();
                let nearest = parts.map(|part| {
                    let near = part.dictionary.near(&word, edits).into_iter();
                    near.take(NEAR)
                });
                let mut near: Vec<_> = nearest.flatten().collect();
                near.sort_unstable();
                near.dedup();
                near
            };
            Ok(words.into_iter().map(near).collect())
        }))
        .await
    }

    /// Returns the words at the state of a snapshot, and maybe others.
    async fn at(&self, log: Log, catalog: &impl Words) -> Result<OwnedRwLockReadGuard<Known>> {
        let known = Arc::clone(&self.0).read_owned().await;
        if known.is_at(log.state) {
            return Ok(known);
        }
        drop(known);
        let mut known = Arc::clone(&self.0).write_owned().await;
        if !known.is_at(log.state) {
            let before = match known.state {
                Some((state, _)) if state.number < log.state.number => {
                    let goes_on = state == log.forgotten || catalog.has(state).await?;
                    let is_small = known.added <= known.read + ADDED;
                    (goes_on && is_small).then_some(state.number)
                }
                _ => None,
            };
            let words = catalog.since(before).await?;
            known.take(before, &words);
            known.state = Some((log.state, Instant::now()));
        }
        Ok(known.downgrade())
    }
}

impl Known {
    /// Returns whether it has the words of a state.
    fn is_at(&self, asked: LogPosition) -> bool {
        self.state.is_some_and(|(state, read)| {
            state == asked || state.number > asked.number && read.elapsed() < SNAPSHOT_AGE
        })
    }

    fn take(&mut self, before: Option<i64>, words: &[Word]) {
        if before.is_none() {
            *self = Self {
                read: words.len(),
                ..Self::default()
            };
        } else {
            self.added += words.len();
        }
        let mut is_full = false;
        for (word, is_public) in words {
            let (part, most) = if *is_public {
                (&mut self.public, PUBLIC_BYTES)
            } else {
                (&mut self.others, OTHER_BYTES)
            };
            if part.bytes < most {
                part.bytes += part.dictionary.insert(word);
            } else {
                is_full = true;
            }
        }
        if is_full {
            tracing::warn!(
                "searches are corrected by only a part of the catalogue's words, because there are too many"
            );
        }
    }
}
