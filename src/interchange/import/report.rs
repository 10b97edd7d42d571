//! The report of an import: one line for each error, and counts at the end.

use std::{collections::HashMap, fmt};

use entity::{CategorySource, ConnectorCategory, Iterable};

use crate::{
    domain::{cursor::LogPosition, field::word, field_values},
    interchange::load::Categorized,
};

/// Lines of one kind to write before the rest are only counted.
const LINES_A_KIND: u64 = 20;

/// Kinds of lines to count separately.
const KINDS: usize = 200;

/// The results of the objects of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    /// Older versions of registry servers.
    pub(crate) older_versions: u64,
    /// Registry servers with the status `deleted`.
    pub(crate) deleted: u64,
    /// Servers that their client's configuration disables.
    pub(crate) disabled: u64,
    pub(crate) rejected: u64,
    /// Loaded entries whose replacement cannot be set.
    pub(crate) without_replacement: u64,
    /// Omitted parts of the files and of the loaded entries.
    pub(crate) warnings: u64,
    /// The position of the last written change, if there is one.
    pub(crate) position: Option<LogPosition>,
    pub(crate) categories: CategoryCounts,
}

/// The loaded entries by their connectors' present category, and by its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CategoryCounts {
    /// Counts by category and source, in the order of the enums.
    counts: [[u64; SOURCES]; CATEGORIES],
    without: u64,
}

const CATEGORIES: usize = 5;
const SOURCES: usize = 4;

impl CategoryCounts {
    pub(super) fn count(&mut self, category: Categorized) {
        let count = match category {
            Some((category, source)) => {
                let counts = self.counts.get_mut(category as usize);
                counts.and_then(|counts| counts.get_mut(source as usize))
            }
            None => Some(&mut self.without),
        };
        if let Some(count) = count {
            *count += 1;
        }
    }

    /// Returns the counts above 0, in the order of categories and sources. The last one is for connectors without a
    /// category.
    pub(crate) fn each(&self) -> Vec<(Categorized, u64)> {
        let pairs = ConnectorCategory::iter()
            .flat_map(|category| CategorySource::iter().map(move |source| (category, source)));
        let counts = self.counts.iter().flatten();
        let all = pairs.map(Some).zip(counts.copied());
        all.chain([(None, self.without)])
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn of_source(&self, source: CategorySource) -> u64 {
        let counts = self.counts.iter();
        counts
            .filter_map(|counts| counts.get(source as usize))
            .sum()
    }
}

/// Writes one line if the import gave categories: the counts by category, and by source.
impl fmt::Display for CategoryCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("categories:")?;
        for (category, counts) in ConnectorCategory::iter().zip(&self.counts) {
            write!(f, " {} {},", counts.iter().sum::<u64>(), word(category))?;
        }
        write!(
            f,
            " {} without; {} by rules, {} by --category, {} by files, {} by people",
            self.without,
            self.of_source(CategorySource::Rule),
            self.of_source(CategorySource::Given),
            self.of_source(CategorySource::File),
            self.of_source(CategorySource::Person),
        )
    }
}

impl Report {
    /// Returns the categories, if a rule or the import gave any.
    pub fn categories(&self) -> Option<impl fmt::Display> {
        let given = [CategorySource::Rule, CategorySource::Given];
        let is_given = given
            .iter()
            .any(|source| self.categories.of_source(*source) > 0);
        is_given.then_some(self.categories)
    }

    /// Returns whether each object of the input is in the catalogue now, with its replacement.
    pub fn is_complete(&self) -> bool {
        self.rejected == 0 && self.without_replacement == 0
    }

    pub(crate) fn total(&self) -> u64 {
        self.created
            + self.updated
            + self.unchanged
            + self.older_versions
            + self.deleted
            + self.disabled
            + self.rejected
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} objects: {} created, {} updated, {} unchanged, {} older versions, {} deleted in the registry, {} \
             rejected",
            self.total(),
            self.created,
            self.updated,
            self.unchanged,
            self.older_versions,
            self.deleted,
            self.rejected
        )?;
        if self.without_replacement > 0 {
            write!(
                f,
                "; {} without their replacement",
                self.without_replacement
            )?;
        }
        if self.disabled > 0 {
            write!(f, "; {} disabled", self.disabled)?;
        }
        match self.warnings {
            0 => Ok(()),
            1 => f.write_str("; 1 warning"),
            warnings => write!(f, "; {warnings} warnings"),
        }
    }
}

/// A candidate line of the report.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) kind: String,
    pub(super) text: String,
}

impl Line {
    pub(super) fn new(what: &str, at: &str, kind: &str, text: impl fmt::Display) -> Self {
        Self {
            kind: format!("{what}: {}", without_numbers(kind)),
            text: format!("{what}: {at}: {text}"),
        }
    }
}

/// Returns a reason without numbers and ids, so that reasons which differ only in these have one kind.
fn without_numbers(reason: &str) -> String {
    const CHARS: usize = 120;
    let is_no_id = |word: &&str| !word.starts_with(field_values::ID_PREFIX);
    let words: Vec<_> = reason.split(' ').filter(is_no_id).collect();
    let (reason, mut kind) = (words.join(" "), String::new());
    for c in reason.chars().take(CHARS) {
        if !c.is_ascii_digit() {
            kind.push(c);
        } else if !kind.ends_with('#') {
            kind.push('#');
        }
    }
    kind
}

/// Counts lines by kind, and passes only the first ones of each.
#[derive(Debug, Default)]
pub(super) struct Lines {
    counts: HashMap<String, u64>,
    /// Kinds with further lines, in order of occurrence.
    more: Vec<String>,
}

impl Lines {
    pub(super) fn admit(&mut self, line: Line) -> Option<String> {
        // The last kind collects all others.
        let kind = if self.counts.len() < KINDS || self.counts.contains_key(&line.kind) {
            line.kind
        } else {
            "others".to_owned()
        };
        let count = self.counts.entry(kind.clone()).or_default();
        *count += 1;
        if *count == LINES_A_KIND + 1 {
            self.more.push(kind);
        }
        (*count <= LINES_A_KIND).then_some(line.text)
    }

    /// Returns a line for each kind with omitted lines.
    pub(super) fn rest(&self) -> Vec<String> {
        let line = |kind: &String| {
            let more = self.counts.get(kind)? - LINES_A_KIND;
            let (what, reason) = kind.split_once(": ").unwrap_or(("rejected", kind));
            Some(format!("{what}: and {more} more like it: {reason}"))
        };
        self.more.iter().filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_of_each_kind() {
        let mut lines = Lines::default();
        let line = |number: u64, kind: &str| {
            Line::new(
                "rejected",
                &format!("a:{number}"),
                kind,
                format!("{kind} {number}"),
            )
        };
        let mut written = Vec::new();
        for number in 1..=3255 {
            written.extend(lines.admit(line(number, &format!("name must be at most {number}"))));
        }
        written.extend(lines.admit(line(1, "version is required")));
        assert_eq!(written.len(), 21);
        assert_eq!(written[0], "rejected: a:1: name must be at most 1 1");
        assert_eq!(
            lines.rest(),
            ["rejected: and 3235 more like it: name must be at most #"]
        );

        // The number of lines is bounded for any number of kinds.
        let mut lines = Lines::default();
        let kinds = (0..10_000).map(|number: u32| {
            let letters: String = number
                .to_string()
                .bytes()
                .map(|b| char::from(b + 49))
                .collect();
            line(1, &letters)
        });
        let written = kinds.filter_map(|line| lines.admit(line)).count();
        assert_eq!(written, KINDS + 20);
        assert_eq!(lines.rest().len(), 1);
    }
}
