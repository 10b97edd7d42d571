//! Finds words near to another word.
//!
//! Invariant: the result has all words within the distance, whatever else the dictionary contains.

use std::{collections::BTreeSet, ops::Bound};

use super::behind;

/// The fewest characters of the longer one of two words at one edit, and of two words at two edits.
const ONE_EDIT: usize = 4;
const TWO_EDITS: usize = 8;

/// The most edits between a word and its replacement.
pub(crate) const MOST_EDITS: usize = 2;

/// The most characters of a word that is corrected, or that is a replacement.
const MOST_CHARS: usize = 32;

/// Words to search for near ones.
///
/// They are compared in order. A shared beginning is compared once, and all words with it are skipped if it is too far.
/// Finding the words within two edits among 200,000 takes some milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Dictionary(BTreeSet<Box<str>>);

impl Dictionary {
    /// Adds a word, unless it cannot be a replacement. Returns its bytes in memory, about.
    pub(crate) fn insert(&mut self, word: &str) -> usize {
        let chars = word.chars().count();
        // A word of three letters may be near to one of four.
        let is_near_some = (ONE_EDIT - 1..=MOST_CHARS).contains(&chars);
        if is_near_some && word.contains(char::is_alphabetic) && self.0.insert(word.into()) {
            word.len() + 2 * size_of::<Box<str>>()
        } else {
            0
        }
    }

    /// Returns the words within this many edits of a word, without the word itself: fewer edits first, then in
    /// alphabetical order.
    pub(crate) fn near(&self, word: &str, edits: usize) -> Vec<(usize, String)> {
        let given: Vec<char> = word.chars().collect();
        // A longer word may be within the distance too.
        let edits = edits.min(allowed(given.len() + edits));
        if given.len() > MOST_CHARS {
            return Vec::new();
        }
        let mut near = Vec::new();
        let mut rows = Rows::new(&given);
        let mut from = Bound::Unbounded;
        'seek: loop {
            for word in self
                .0
                .range::<str, _>((from.as_ref().map(String::as_str), Bound::Unbounded))
            {
                match rows.compare(word, edits) {
                    Ok(distance) => {
                        let longer = given.len().max(word.chars().count());
                        if (1..=edits.min(allowed(longer))).contains(&distance) {
                            near.push((distance, word.to_string()));
                        }
                    }
                    Err(beginning) => match behind(&beginning) {
                        Some(next) => {
                            from = Bound::Included(next);
                            continue 'seek;
                        }
                        None => break 'seek,
                    },
                }
            }
            break;
        }
        near.sort_unstable();
        near
    }
}

/// Returns the most edits between two words, by the characters of the longer one.
pub(crate) fn allowed(chars: usize) -> usize {
    match chars {
        TWO_EDITS.. => 2,
        ONE_EDIT.. => 1,
        _ => 0,
    }
}

/// The distances between the beginnings of two words. A missing, added or replaced character counts one, and so do two
/// swapped neighbours (the optimal string alignment distance).
struct Rows<'a> {
    given: &'a [char],
    /// The compared part of the last word.
    word: Vec<char>,
    /// A row for each beginning of the word, from the empty one on. The rows after the word's end are of earlier words.
    rows: Vec<Vec<u8>>,
}

impl<'a> Rows<'a> {
    fn new(given: &'a [char]) -> Self {
        let row: Vec<u8> = (0..).take(given.len() + 1).collect();
        Self {
            given,
            word: Vec::with_capacity(MOST_CHARS),
            rows: (0..)
                .take(MOST_CHARS + 1)
                .map(|length| starting_with(length, &row))
                .collect(),
        }
    }

    /// Returns the distance of a word. If it exceeds `edits`, returns the shortest beginning with which all words
    /// exceed it.
    fn compare(&mut self, word: &str, edits: usize) -> Result<usize, String> {
        let shared = self.word.iter().zip(word.chars());
        let shared = shared.take_while(|(a, b)| **a == *b).count();
        self.word.truncate(shared);
        for c in word.chars().skip(shared) {
            let least = self.add(c);
            if least > edits {
                return Err(self.word.iter().collect());
            }
        }
        let row = &self.rows[self.word.len()];
        Ok(row[self.given.len()].into())
    }

    /// Adds a character to the compared word. Returns the least distance of all words with this beginning.
    fn add(&mut self, c: char) -> usize {
        let length = self.word.len();
        let (rows, rest) = self.rows.split_at_mut(length + 1);
        let (row, above) = (&mut rest[0], &rows[length]);
        let mut least = row[0];
        for (column, given) in self.given.iter().enumerate() {
            let replaced = above[column] + u8::from(*given != c);
            let mut distance = replaced.min(above[column + 1] + 1).min(row[column] + 1);
            let is_swapped =
                column > 0 && self.given[column - 1] == c && self.word.last() == Some(given);
            if is_swapped {
                distance = distance.min(rows[length - 1][column - 1] + 1);
            }
            row[column + 1] = distance;
            least = least.min(distance);
        }
        self.word.push(c);
        least.into()
    }
}

/// Returns a row whose first distance is the length of the beginning.
fn starting_with(length: u8, row: &[u8]) -> Vec<u8> {
    let mut row = row.to_vec();
    row[0] = length;
    if length > 0 {
        row[1..].fill(0);
    }
    row
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn near(words: &[&str], word: &str) -> Vec<String> {
        let mut dictionary = Dictionary::default();
        for word in words {
            dictionary.insert(word);
        }
        let near = dictionary.near(word, 2).into_iter();
        near.map(|(edits, word)| format!("{edits} {word}"))
            .collect()
    }

    #[test]
    fn finds_slips() {
        let words = [
            "github",
            "gitlab",
            "wiki",
            "wik",
            "日本語文",
            "kubernetes",
            "postgres",
            "12345",
            "go",
            "wikis",
        ];
        for (word, expected) in [
            ("gihtub", &["1 github"][..]),
            ("githb", &["1 github"]),
            ("githubb", &["1 github"]),
            ("gitkub", &["1 github"]),
            ("github", &[]),
            ("wikki", &["1 wiki"]),
            ("wki", &["1 wiki"]),
            ("wiki", &["1 wik", "1 wikis"]),
            ("日語本文", &["1 日本語文"]),
            ("kbernets", &["2 kubernetes"]),
            ("postgrse", &["1 postgres"]),
            ("ostgrse", &["2 postgres"]),
            ("12346", &[]),
            ("g", &[]),
            (&"x".repeat(40), &[]),
        ] {
            assert_eq!(near(&words, word), expected, "{word}");
        }
    }

    /// Returns the distance by its definition.
    fn distance(a: &[char], b: &[char]) -> usize {
        let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                rows[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let mut least = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    least = least.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        least = least.min(rows[i - 2][j - 2] + 1);
                    }
                    least
                };
            }
        }
        rows[a.len()][b.len()]
    }

    proptest! {
        #[test]
        fn finds_all_that_are_near(words in vec("[abé]{3,10}", 0..40), word in "[abé]{1,10}", edits in 1..=2_usize) {
            let mut dictionary = Dictionary::default();
            for word in &words {
                dictionary.insert(word);
            }
            let chars = |word: &str| word.chars().collect::<Vec<_>>();
            let given = chars(&word);
            let mut expected: Vec<_> = words.iter().filter_map(|other| {
                let other_chars = chars(other);
                let distance = distance(&given, &other_chars);
                let most = edits.min(allowed(given.len().max(other_chars.len())));
                (1..=most).contains(&distance).then(|| (distance, other.clone()))
            }).collect();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(dictionary.near(&word, edits), expected);
        }
    }
}
