//! Marks the words of a search in the texts of a match.
//!
//! Invariant: the fragments together are the text, or one contiguous part of it.

use std::ops::Range;

use indexmap::IndexSet;

use crate::domain::text;

use super::{Search, SearchTerm, SearchWord};

/// The most characters of a long text to show, and the characters among them before the first match.
const SHOWN: usize = 200;
const BEFORE: usize = 60;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) text: String,
    /// Whether it matches the search.
    pub(crate) is_matched: bool,
}

impl Search {
    /// Returns the fragments of a name. None if it has no word of the search.
    pub(crate) fn in_name(&self, name: &str) -> Option<Vec<Fragment>> {
        if self.terms.is_empty() && text::given_key(name) == self.key {
            return Some(all(name));
        }
        self.in_words(name, text::located(name))
    }

    /// Returns the fragments of a connectorId. None if it has no word of the search. Labels of hosts do not count.
    pub(crate) fn in_connector_id(&self, id: &str) -> Option<Vec<Fragment>> {
        self.in_words(id, text::located_in_connector_id(id))
    }

    /// Returns the fragments of a text, and of a long text those around the first match. None if it has no word of the
    /// search.
    pub(crate) fn in_text(&self, text: &str) -> Option<Vec<Fragment>> {
        let located = text::located(text);
        let found = located.iter().filter(|(_, word)| self.has(word));
        let first = found.map(|(range, _)| range.start).min()?;
        let chars: Vec<usize> = text.char_indices().map(|(index, _)| index).collect();
        if chars.len() <= SHOWN {
            return self.in_words(text, located);
        }
        let at = chars.partition_point(|index| *index < first);
        let from = at.saturating_sub(BEFORE).min(chars.len() - SHOWN);
        let start = chars.get(from).copied().unwrap_or_default();
        let end = chars.get(from + SHOWN).copied().unwrap_or(text.len());
        // A word may be longer than what is shown.
        let within = located.into_iter().filter_map(|(range, word)| {
            let range = range.start.max(start)..range.end.min(end);
            (range.start < range.end).then(|| (range.start - start..range.end - start, word))
        });
        self.in_words(text.get(start..end)?, within.collect())
    }

    /// Returns whether a text with these words has every term.
    pub(crate) fn is_had_by(&self, words: &IndexSet<String>) -> bool {
        let has = |word: &SearchWord| words.iter().any(|own| word.is(own));
        let has_term = |term: &SearchTerm| {
            let mut alternatives = term.alternatives.iter();
            alternatives.any(|words| words.iter().all(has))
        };
        self.terms.iter().all(has_term)
    }

    fn has(&self, word: &str) -> bool {
        self.words().any(|searched| searched.is(word))
    }

    fn in_words(&self, text: &str, located: Vec<(Range<usize>, String)>) -> Option<Vec<Fragment>> {
        // A whole name such as `.NET` comes after its parts in the list, and begins before them in the text.
        let found = located.into_iter().filter(|(_, word)| self.has(word));
        let mut found: Vec<_> = found.map(|(range, _)| range).collect();
        found.sort_unstable_by_key(|range| range.start);
        let mut matched: Vec<Range<usize>> = Vec::new();
        for range in found {
            match matched.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => matched.push(range),
            }
        }
        let mut fragments = Vec::new();
        let mut add = |range: Range<usize>, is_matched| {
            if let Some(text) = text.get(range).filter(|text| !text.is_empty()) {
                let text = text.to_owned();
                fragments.push(Fragment { text, is_matched });
            }
        };
        let mut end = 0;
        for range in &matched {
            add(end..range.start, false);
            add(range.clone(), true);
            end = range.end;
        }
        add(end..text.len(), false);
        (!matched.is_empty()).then_some(fragments)
    }
}

impl SearchWord {
    fn is(&self, word: &str) -> bool {
        if self.is_prefix {
            word.starts_with(&self.text)
        } else {
            word == self.text
        }
    }
}

/// Returns a text that matches as a whole.
pub(crate) fn all(text: &str) -> Vec<Fragment> {
    vec![Fragment {
        text: text.to_owned(),
        is_matched: true,
    }]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(text: &str) -> Search {
        Search::parse("search", Some(text)).unwrap().unwrap()
    }

    /// Returns the fragments as text, with brackets around matches.
    fn shown(fragments: Option<Vec<Fragment>>) -> String {
        let fragments = fragments
            .into_iter()
            .flatten()
            .map(|fragment| match fragment {
                Fragment {
                    text,
                    is_matched: true,
                } => format!("[{text}]"),
                Fragment { text, .. } => text,
            });
        fragments.collect()
    }

    #[test]
    fn finds_words_in_texts() {
        for (searched, text, expected) in [
            ("pull req", "A Pull-Request bot", "A [Pull]-[Request] bot"),
            ("eclair", "Deux Éclairs", "Deux [Éclairs]"),
            ("eclair x", "Éclairs", ""),
            ("日本", "日本語", "[日本]語"),
            ("node.js", "Node.js 2", "[Node.js] 2"),
            ("js", "Node.js 2", "Node.[js] 2"),
            ("c++", "C++", "[C++]"),
            ("wiki", "", ""),
        ] {
            assert_eq!(
                shown(search(searched).in_name(text)),
                expected,
                "{searched}: {text}"
            );
        }
        assert_eq!(shown(search("++").in_name("++")), "[++]");
        let id = search("github acme").in_connector_id("io.github.acme/github-mcp");
        assert_eq!(shown(id), "io.github.[acme]/[github]-mcp");
        let long = format!("{} wiki {}", "a ".repeat(200), "é".repeat(200));
        let cut = search("wiki").in_text(&long).unwrap();
        assert_eq!(cut[1].text, "wiki");
        let chars = |fragment: &Fragment| fragment.text.chars().count();
        assert_eq!(cut.iter().map(chars).sum::<usize>(), 200);
        assert_eq!(chars(&cut[0]), 60);
        let word = "x".repeat(300);
        let cut = shown(search("x").in_text(&word));
        assert_eq!(cut, format!("[{}]", &word[..200]));
    }

    proptest! {
        #[test]
        fn fragments_make_the_text(text in "[abé.+# /日]{0,300}|[ab]{0,400}", searched in "[ab.+#日]{1,5}") {
            let Some(search) = Search::parse("search", Some(&searched)).unwrap() else { return Ok(()) };
            let joined = |fragments: Vec<Fragment>| {
                let texts = fragments.into_iter().map(|fragment| fragment.text);
                texts.collect::<String>()
            };
            if let Some(fragments) = search.in_name(&text) {
                prop_assert_eq!(joined(fragments), text.clone());
            }
            if let Some(fragments) = search.in_text(&text) {
                prop_assert!(fragments.iter().any(|fragment| fragment.is_matched));
                prop_assert!(text.contains(&joined(fragments)));
            }
        }
    }
}
