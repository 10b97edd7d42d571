//! A search with replacements for words that find nothing.
//!
//! Invariant: a replacement is a word of a visible connector. The caller ensures that.

use crate::domain::text;

use super::{Search, SearchTerm, SearchWord};

/// The most words of a search that is corrected.
const MOST_WORDS: usize = 16;

/// The most alternatives of a word, because few connectors may have each.
const MOST_ALTERNATIVES: usize = 32;

/// A corrected search, and its terms as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    pub(crate) search: Search,
    /// A term for each word, or for two neighbours that were joined.
    pub(crate) terms: Vec<CorrectedTerm>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CorrectedTerm {
    /// The given words.
    pub(crate) given: Vec<String>,
    /// The replacements, each of one or two words; none if the word is not replaced.
    pub(crate) replacements: Vec<Vec<String>>,
}

/// The possible replacements of a given word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidates {
    /// Whether the word itself is visible.
    pub(crate) is_in_sight: bool,
    /// Whether this word and the next one together are a visible word.
    pub(crate) is_joined: bool,
    /// Visible words near to it. They are added to a visible word, and replace another.
    pub(crate) near: Vec<String>,
    /// Pairs of visible words that together are the word.
    pub(crate) parts: Vec<[String; 2]>,
}

impl Search {
    /// Returns whether its words may be replaced: not those of an address, and not too many.
    pub(crate) fn is_correctable(&self) -> bool {
        let words = 1..=MOST_WORDS;
        self.address.is_none() && words.contains(&self.terms.len())
    }

    /// Joins each word with the next one.
    pub(crate) fn joined(&self) -> Vec<String> {
        let words: Vec<_> = self.given().map(String::as_str).collect();
        words.windows(2).map(<[&str]>::concat).collect()
    }

    /// Replaces each word that is not visible. None if one of them has no replacement, or if nothing is replaced.
    pub(crate) fn corrected(&self, candidates: &[Candidates]) -> Option<Correction> {
        let mut given = self.words().zip(candidates).peekable();
        let (mut terms, mut searched) = (Vec::new(), Vec::new());
        while let Some((word, own)) = given.next() {
            let mut term = CorrectedTerm {
                given: vec![word.text.clone()],
                replacements: Vec::new(),
            };
            let next = given.next_if(|_| own.is_joined);
            if let Some((next, of_next)) = next {
                term.replacements
                    .push(vec![format!("{}{}", word.text, next.text)]);
                term.given.push(next.text.clone());
                let mut alternatives = whole(&term.replacements);
                if own.is_in_sight && of_next.is_in_sight {
                    alternatives.push(vec![word.clone(), next.clone()]);
                }
                searched.push(SearchTerm { alternatives });
            } else if own.is_in_sight {
                let near = own.near.iter().take(MOST_ALTERNATIVES);
                let near: Vec<_> = near.map(|word| vec![word.clone()]).collect();
                let mut alternatives = vec![vec![word.clone()]];
                alternatives.extend(whole(&near));
                searched.push(SearchTerm { alternatives });
                if !near.is_empty() {
                    term.replacements.push(vec![word.text.clone()]);
                    term.replacements.extend(near);
                }
            } else {
                let near = own.near.iter().map(|word| vec![word.clone()]);
                let parts = own.parts.iter().map(|parts| parts.to_vec());
                term.replacements
                    .extend(near.chain(parts).take(MOST_ALTERNATIVES));
                if term.replacements.is_empty() {
                    return None;
                }
                searched.push(SearchTerm {
                    alternatives: whole(&term.replacements),
                });
            }
            terms.push(term);
        }
        let is_corrected = terms.iter().any(|term| !term.replacements.is_empty());
        is_corrected.then(|| Correction {
            search: Search {
                key: rewritten(&self.key, &terms),
                terms: searched,
                address: None,
                is_corrected,
            },
            terms,
        })
    }

    /// Returns the unchanged search, in the form of a corrected one.
    pub(crate) fn uncorrected(&self) -> Correction {
        let given = self.given().cloned();
        let terms = given.map(|word| CorrectedTerm {
            given: vec![word],
            replacements: Vec::new(),
        });
        Correction {
            terms: terms.collect(),
            search: Self {
                is_corrected: true,
                ..self.clone()
            },
        }
    }
}

/// Makes an alternative of each list of words.
fn whole(replacements: &[Vec<String>]) -> Vec<Vec<SearchWord>> {
    let word = |text: &String| SearchWord {
        text: text.clone(),
        is_prefix: false,
    };
    let words = replacements.iter();
    words
        .map(|words| words.iter().map(word).collect())
        .collect()
}

/// Returns a folded search with the first replacement of each term.
fn rewritten(key: &str, terms: &[CorrectedTerm]) -> String {
    let located = text::located(key);
    let (mut text, mut end, mut at) = (String::new(), 0, 0);
    while let Some((range, _)) = located.get(at) {
        let begins = |term: &&CorrectedTerm| {
            let words = located.iter().skip(at).map(|(_, word)| word);
            term.given.iter().eq(words.take(term.given.len()))
        };
        let term = terms.iter().find(begins);
        let replacement = term.and_then(|term| Some((term, term.replacements.first()?)));
        if let Some((term, words)) = replacement
            && range.start >= end
        {
            text.push_str(key.get(end..range.start).unwrap_or_default());
            let words: Vec<_> = words.iter().map(|word| text::display(word)).collect();
            text.push_str(&text::fold(&words.join(" ")));
            at += term.given.len();
            end = located.get(at - 1).map_or(end, |(range, _)| range.end);
        } else {
            at += 1;
        }
    }
    text + key.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str) -> Search {
        Search::parse("search", Some(text)).unwrap().unwrap()
    }

    fn in_sight() -> Candidates {
        Candidates {
            is_in_sight: true,
            ..Candidates::default()
        }
    }

    fn near(words: &[&str]) -> Candidates {
        Candidates {
            near: words.iter().map(|word| (*word).to_owned()).collect(),
            ..Candidates::default()
        }
    }

    #[test]
    fn replaces_what_is_not_in_sight() {
        let joined = Candidates {
            is_joined: true,
            ..in_sight()
        };
        let parts = Candidates {
            parts: vec![["vector".to_owned(), "db".to_owned()]],
            ..Candidates::default()
        };
        for (given, candidates, expected) in [
            (
                "my gihtub",
                &[in_sight(), near(&["github", "gitub"])][..],
                Some("my github"),
            ),
            (
                "gihtub-mcp",
                &[near(&["github"]), in_sight()],
                Some("github-mcp"),
            ),
            ("git hub!", &[joined.clone(), in_sight()], Some("github!")),
            ("a vectordb", &[in_sight(), parts], Some("a vector db")),
            ("한국아", &[near(&[&text::fold("한국어")])], Some("한국어")),
            ("my wiki", &[in_sight(), in_sight()], None),
            ("my wikki", &[in_sight(), near(&[])], None),
        ] {
            let corrected = search(given).corrected(candidates);
            let key = corrected.map(|corrected| corrected.search.key);
            assert_eq!(key, expected.map(text::fold), "{given}");
        }
        let corrected = search("git hub").corrected(&[joined, in_sight()]).unwrap();
        let alternatives = &corrected.search.terms[0].alternatives;
        assert_eq!(alternatives.len(), 2);
        assert!(alternatives[1][1].is_prefix);
    }

    #[test]
    fn a_corrected_search_is_another() {
        let wiki = search("wiki");
        let corrected = search("wikki")
            .corrected(&[near(&["wiki"])])
            .unwrap()
            .search;
        let json = |search: &Search| serde_json::to_string(search).unwrap();
        assert_eq!(json(&wiki), r#"{"key":"wiki","words":["wiki"]}"#);
        assert_eq!(corrected.key, wiki.key);
        assert_ne!(json(&corrected), json(&wiki));
    }
}
