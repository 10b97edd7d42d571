//! Words that are near to another one.
//!
//! Invariant: near words are all that are within the distance, whatever else is in the dictionary: none crowds out
//! another.

use std::{collections::BTreeSet, ops::Bound};

use super::behind;

/// The least characters of the longer of two words that may be one edit apart, and of two that may be two.
const ONE_EDIT: usize = 4;
const TWO_EDITS: usize = 8;

/// The most edits between two words, of which one stands for the other.
pub(crate) const MOST_EDITS: usize = 2;

/// Characters of the longest word that is corrected, or stands for another.
const MOST_CHARS: usize = 32;

/// Words, to find those near to another one.
///
/// They are compared in their order, so that a beginning which many share is compared once, and skipped where it is too
/// far. To find the words within two edits among 200,000 takes some milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Dictionary(BTreeSet<Box<str>>);

impl Dictionary {
    /// Adds a word, unless it is one that stands for no other. Gives the bytes that it takes, about.
    pub(crate) fn insert(&mut self, word: &str) -> usize {
        let chars = word.chars().count();
        // A word of three letters may lack one of four.
        let is_near_some = (ONE_EDIT - 1..=MOST_CHARS).contains(&chars);
        if is_near_some && word.contains(char::is_alphabetic) && self.0.insert(word.into()) {
            word.len() + 2 * size_of::<Box<str>>()
        } else {
            0
        }
    }

    /// The words within this many edits of a word, without itself: first those of fewer edits, each in the order of the
    /// alphabet.
    pub(crate) fn near(&self, word: &str, edits: usize) -> Vec<(usize, String)> {
        let given: Vec<char> = word.chars().collect();
        // A longer word may be as far.
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

/// How many edits may be between two words, of which the longer one has so many characters.
pub(crate) fn allowed(chars: usize) -> usize {
    match chars {
        TWO_EDITS.. => 2,
        ONE_EDIT.. => 1,
        _ => 0,
    }
}

/// Distances of the beginnings of a word from those of the given one: characters that are missing, added or replaced,
/// or two neighbours that are swapped, count one (the optimal string alignment distance).
struct Rows<'a> {
    given: &'a [char],
    /// The word that was compared last, as far as it was.
    word: Vec<char>,
    /// A row for each beginning of a word, from the empty one on. Those beyond the word are of other words.
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

    /// The distance of a word, or its shortest beginning that all words with it are further than so many edits.
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

    /// Adds a character to the word that is compared, and gives the least distance that a word which begins so can
    /// have.
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

/// A row whose first distance is that of a beginning of this length.
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

    /// The distance as its definition has it.
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
