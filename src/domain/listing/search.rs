//! The words with which a list is searched.
//!
//! Invariant: a term has at least one alternative, and an alternative at least one word. Words are folded and split
//! like those of the index.

use serde::{Serialize, Serializer};

use crate::{
    domain::{server_address, text},
    error::{Error, Result},
};

/// The most characters of a search.
const SEARCH_CHARS: usize = 256;

/// A search. A row matches if it has every term, or the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Search {
    /// The whole search, folded like names.
    pub(crate) key: String,
    /// Empty for a search without words, which finds only names that are equal to it.
    #[serde(rename = "words", serialize_with = "serialize_terms")]
    pub(crate) terms: Vec<SearchTerm>,
    /// The address that the search is; none if it is no URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Whether words were replaced. Its rows come after those of the given words.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) is_corrected: bool,
}

/// A part of a search. A row has it if it has all words of one alternative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SearchTerm {
    pub(crate) alternatives: Vec<Vec<SearchWord>>,
}

/// A folded word, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct SearchWord {
    pub(crate) text: String,
    pub(crate) is_prefix: bool,
}

impl SearchTerm {
    /// Creates a term of one word.
    pub(crate) fn of(word: SearchWord) -> Self {
        Self {
            alternatives: vec![vec![word]],
        }
    }

    /// Returns the only word, if there are no alternatives.
    fn word(&self) -> Option<&SearchWord> {
        match self.alternatives.as_slice() {
            [words] => match words.as_slice() {
                [word] => Some(word),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns its bytes in memory, about.
    pub(super) fn heap_bytes(&self) -> usize {
        let words = self
            .words()
            .map(|word| size_of::<SearchWord>() + word.text.len());
        size_of::<Self>()
            + self.alternatives.len() * size_of::<Vec<SearchWord>>()
            + words.sum::<usize>()
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &SearchWord> {
        self.alternatives.iter().flatten()
    }
}

/// Given words are written as texts, because cursors of earlier versions have the digest of that form.
fn serialize_terms<S: Serializer>(terms: &[SearchTerm], serializer: S) -> Result<S::Ok, S::Error> {
    let last = terms.len().saturating_sub(1);
    let given = terms.iter().enumerate().map(|(index, term)| {
        let word = term.word()?;
        (word.is_prefix == (index == last)).then_some(&word.text)
    });
    match given.collect::<Option<Vec<_>>>() {
        Some(words) => words.serialize(serializer),
        None => terms.serialize(serializer),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference to the field"
)]
fn is_false(value: &bool) -> bool {
    !value
}

impl Search {
    /// Parses a search. None for blank text, which finds everything. The last word is the beginning of a word.
    /// `BAD_USER_INPUT` names the argument.
    pub(in crate::domain) fn parse(argument: &str, search: Option<&str>) -> Result<Option<Self>> {
        let Some(search) = search else {
            return Ok(None);
        };
        if search.chars().nth(SEARCH_CHARS).is_some() {
            return Err(Error::beyond(
                format!("{argument} must be at most {SEARCH_CHARS} characters"),
                SEARCH_CHARS as u64,
                search.chars().count() as u64,
            ));
        }
        let search = search.trim();
        if search.is_empty() {
            return Ok(None);
        }
        let words = text::searched(search);
        let last = words.len().saturating_sub(1);
        let words = words.into_iter().enumerate();
        let words = words.map(|(index, text)| SearchWord {
            text,
            is_prefix: index == last,
        });
        Ok(Some(Self {
            key: text::given_key(search),
            terms: words.map(SearchTerm::of).collect(),
            address: server_address::of_url(search),
            is_corrected: false,
        }))
    }

    /// Returns the given words.
    pub(crate) fn given(&self) -> impl Iterator<Item = &String> {
        self.words().map(|word| &word.text)
    }

    /// Returns the words of all alternatives.
    pub(crate) fn words(&self) -> impl Iterator<Item = &SearchWord> {
        self.terms.iter().flat_map(SearchTerm::words)
    }
}
