//! Replaces the words of a search that finds nothing.
//!
//! Invariant: a replacement is shown to a viewer and used for them only if they see a connector with that word. All
//! reads of one decision use the same snapshot and ignore the filter. So the pages, the size and the facets of a search
//! use the same words.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use entity::{connector_event, search_word};
use indexmap::IndexSet;
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{CaseStatement, Expr, SelectStatement, SimpleExpr},
};

use crate::{
    answer_budget::AnswerBudget,
    domain::{
        cursor::LogPosition,
        listing::{Candidates, Correction, Listing, Pass, Search, SearchTerm, SearchWord},
        text::spelling::MOST_EDITS,
        viewer::Sight,
    },
    error::Result,
    store::{
        catalog::{Catalog, search, selectivity::finds_any, visible},
        database::{row::Row, sqlite_readers::Pace},
        memory::vocabulary::{Word, Words},
    },
};

/// The most words that one statement looks up.
const LOOKED_UP: usize = 500;

/// The most searches that one statement tests.
const SEARCHED: usize = 32;

/// The most words without a PUBLIC connector that are tested for visibility, nearest first.
const NOT_PUBLIC: usize = 512;

impl Catalog {
    /// Decides the words of a list's search. It replaces the given words only if they find no visible connector,
    /// whatever the filter is, and the replacements find one.
    pub(crate) async fn decide(&self, listing: &Listing) -> Result<()> {
        if listing.pass.get().is_some() {
            return Ok(());
        }
        let pass = match &listing.search {
            Some(search) if search.is_correctable() => {
                // This is a future of its own because it is large, and few searches find nothing.
                Box::pin(self.pass(search, listing.is_forgiving)).await?
            }
            _ => Pass::Strict,
        };
        // Either a concurrent decision saw the same snapshot, or there was none.
        let _ = listing.pass.set(pass);
        Ok(())
    }

    async fn pass(&self, search: &Search, is_forgiving: bool) -> Result<Pass> {
        let own;
        let catalog = if self.snapshot.is_some() {
            self
        } else {
            own = Self::snapshot(self.database.clone(), self.sight.clone());
            &own
        };
        if !is_forgiving && catalog.finds(search).await? {
            return Ok(Pass::Strict);
        }
        let correction = match catalog.correction(search, is_forgiving).await? {
            Some(correction) if is_forgiving || catalog.finds(&correction.search).await? => {
                correction
            }
            None if is_forgiving => search.uncorrected(),
            _ => return Ok(Pass::Strict),
        };
        Ok(Pass::Forgiving(Arc::new(correction)))
    }

    /// Returns the search with replacements for its words. If all words have become visible since the list was first
    /// read, near words are added as alternatives.
    async fn correction(&self, search: &Search, is_forgiving: bool) -> Result<Option<Correction>> {
        let words: Vec<SearchWord> = search.words().cloned().collect();
        let joined = search.joined();
        let given = words.iter().map(|word| word.text.clone());
        let asked = given.chain(joined.clone()).collect();
        let in_sight = self.words_in_sight(asked).await?;
        let mut unseen = words.clone();
        unseen.retain(|word| !in_sight.contains(&word.text));
        // The word is a beginning, or the word of a tool.
        let singles = unseen.iter().map(search_of).collect();
        let found = self.find(singles, search::conditions).await?;
        let missing = unseen.into_iter().zip(found);
        let missing = missing.filter(|(_, is_found)| !is_found);
        let missing: Vec<String> = missing.map(|(word, _)| word.text).collect();
        let are_all_in_sight = missing.is_empty();
        let looked_up = if are_all_in_sight && is_forgiving {
            words.iter().map(|word| word.text.clone()).collect()
        } else {
            missing.clone()
        };
        let stand_ins = self.stand_ins(looked_up).await?;
        let candidates = words.iter().enumerate().map(|(index, word)| {
            let is_joined = joined.get(index);
            let stand_ins = stand_ins.get(&word.text).cloned();
            Candidates {
                is_in_sight: are_all_in_sight || !missing.contains(&word.text),
                is_joined: is_joined.is_some_and(|word| in_sight.contains(word)),
                ..stand_ins.unwrap_or_default()
            }
        });
        Ok(search.corrected(&candidates.collect::<Vec<_>>()))
    }

    /// Returns visible replacements for each of these words: words at one edit, including a missing space, or else at
    /// two edits.
    async fn stand_ins(&self, words: Vec<String>) -> Result<HashMap<String, Candidates>> {
        let log = self.log().await?;
        let (mut stand_ins, mut missing) = (HashMap::new(), words);
        for edits in 1..=MOST_EDITS {
            if missing.is_empty() {
                break;
            }
            let near = (self.database.vocabulary).near(missing.clone(), edits, log, self);
            let near: Vec<_> = missing.drain(..).zip(near.await?).collect();
            let in_sight = self.words_in_sight(to_look_for(&near)).await?;
            for (word, near) in near {
                let mut parts = parts(&word);
                parts.retain(|parts| parts.iter().all(|part| in_sight.contains(part)));
                let near = near.into_iter().map(|(_, word)| word);
                let candidates = Candidates {
                    near: near.filter(|word| in_sight.contains(word)).collect(),
                    parts,
                    ..Candidates::default()
                };
                if candidates.near.is_empty() && candidates.parts.is_empty() {
                    missing.push(word);
                } else {
                    stand_ins.insert(word, candidates);
                }
            }
        }
        Ok(stand_ins)
    }

    /// Returns the words that a visible connector has in its own fields.
    async fn words_in_sight(&self, words: Vec<String>) -> Result<HashSet<String>> {
        let words: IndexSet<_> = words.into_iter().collect();
        let words: Vec<_> = words.into_iter().collect();
        let mut public = HashSet::new();
        let mut others = HashSet::new();
        for words in words.chunks(LOOKED_UP) {
            let select = search_word::Entity::find()
                .select_only()
                .columns([
                    search_word::Column::Word,
                    search_word::Column::PublicConnectors,
                ])
                .filter(search_word::Column::Word.is_in(words))
                .into_query();
            let read = |row: Row<'_>| {
                let mut cells = row.cells(0);
                Ok((cells.next::<String>()?, cells.next::<i64>()?))
            };
            for (word, connectors) in self.unbounded(&select, Pace::Brief, read).await? {
                if connectors > 0 || self.sight == Sight::Everything {
                    public.insert(word);
                } else {
                    others.insert(word);
                }
            }
        }
        if self.sight != Sight::Public {
            let mut others: Vec<_> = words
                .into_iter()
                .filter(|word| others.contains(word))
                .collect();
            others.truncate(NOT_PUBLIC);
            let searches = others.iter().map(|word| {
                search_of(&SearchWord {
                    text: word.clone(),
                    is_prefix: false,
                })
            });
            // Whether the word of a tool becomes a replacement must not depend on connectors that the viewer does not
            // see.
            let found = self.find(searches.collect(), search::own).await?;
            let found = others
                .into_iter()
                .zip(found)
                .filter(|(_, is_found)| *is_found);
            public.extend(found.map(|(word, _)| word));
        }
        Ok(public)
    }

    /// Returns whether a search finds a visible connector.
    async fn finds(&self, search: &Search) -> Result<bool> {
        let searches = vec![search.clone()];
        let found = self.find(searches, search::conditions).await?;
        Ok(found.first() == Some(&true))
    }

    /// Returns for each of these searches whether it finds a visible connector. `of` makes the conditions.
    async fn find(
        &self,
        searches: Vec<Search>,
        of: fn(&Search, DbBackend) -> Vec<Condition>,
    ) -> Result<Vec<bool>> {
        let backend = self.database.reader.backend();
        let mut found = Vec::with_capacity(searches.len());
        for searches in searches.chunks(SEARCHED) {
            let mut select = SelectStatement::new();
            for search in searches {
                let conditions = of(search, backend).into_iter();
                let exist = conditions.map(|condition| {
                    let rows = visible(&self.sight).filter(condition).select_only();
                    finds_any(rows.expr(Expr::cust("1")).into_query(), backend)
                });
                let case = exist.fold(CaseStatement::new(), |case, exists: SimpleExpr| {
                    case.case(exists, Expr::cust("1"))
                });
                select.expr(case.finally(Expr::cust("0")));
            }
            let width = searches.len();
            let read = move |row: Row<'_>| {
                let mut cells = row.cells(0);
                let found = (0..width).map(|_| Ok(cells.next::<i64>()? > 0));
                found.collect::<Result<Vec<_>>>()
            };
            let rows = self.unbounded(&select, Pace::Long, read).await?;
            found.extend(rows.into_iter().flatten());
        }
        Ok(found)
    }

    /// Returns the rows of a statement that belong to no answer.
    async fn unbounded<T: Send + 'static>(
        &self,
        select: &SelectStatement,
        pace: Pace,
        read: impl Fn(Row<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let budget = AnswerBudget::unbounded();
        self.rows_within(select, pace, &budget, read).await
    }
}

impl Words for Catalog {
    async fn since(&self, state: Option<i64>) -> Result<Vec<Word>> {
        use search_word::{Column, Entity};

        let mut select =
            (Entity::find().select_only()).columns([Column::Word, Column::PublicConnectors]);
        if let Some(state) = state {
            select = select.filter(Column::Since.gt(state));
        }
        let select = select.order_by_desc(Column::Connectors).into_query();
        let read = |row: Row<'_>| {
            let mut cells = row.cells(0);
            Ok((cells.next()?, cells.next::<i64>()? > 0))
        };
        self.unbounded(&select, Pace::Long, read).await
    }

    async fn has(&self, position: LogPosition) -> Result<bool> {
        use connector_event::{Column, Entity};

        let select = Entity::find()
            .select_only()
            .column(Column::Mark)
            .filter(Column::Number.eq(position.number))
            .into_query();
        let marks = self.unbounded(&select, Pace::Brief, |row| row.cells(0).next::<i64>());
        Ok(marks.await?.contains(&position.mark))
    }
}

/// A search for one word.
fn search_of(word: &SearchWord) -> Search {
    Search {
        key: String::new(),
        terms: vec![SearchTerm::of(word.clone())],
        address: None,
        is_corrected: false,
    }
}

/// Returns the replacements of these words from their near words: first the two parts of a word, then the nearest
/// words.
fn to_look_for(near: &[(String, Vec<(usize, String)>)]) -> Vec<String> {
    let parts = near.iter().flat_map(|(word, _)| parts(word)).flatten();
    let mut nearest: Vec<_> = near.iter().flat_map(|(_, near)| near).collect();
    nearest.sort_unstable();
    let nearest = nearest.into_iter().map(|(_, word)| word.clone());
    parts.chain(nearest).collect()
}

/// Returns the ways to split a word in two, each part with at least two characters.
fn parts(word: &str) -> Vec<[String; 2]> {
    let ends = word.char_indices().map(|(index, _)| index).skip(2);
    let splits = ends.filter_map(|end| word.split_at_checked(end));
    let are_long = |(_, after): &(&str, &str)| after.chars().nth(1).is_some();
    let splits = splits.filter(are_long);
    splits
        .map(|(before, after)| [before.to_owned(), after.to_owned()])
        .collect()
}
