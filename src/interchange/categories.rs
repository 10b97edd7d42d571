//! Categories for entries whose files have none.
//!
//! Invariant: each category of an import has a source, and never replaces one from a higher source. The order is: a
//! rule, `--category`, the file itself, people.

use std::{collections::HashMap, fmt::Write, path::Path};

use anyhow::Context;
use entity::{CategorySource, ConnectorCategory, ConnectorType, Iterable};
use indexmap::IndexSet;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    config::read_text,
    domain::{
        connector::{Entry, Extent},
        field::word,
        text,
    },
};

/// The compiled-in rules.
const BUILT_IN: &str = include_str!("categories.txt");

/// The name for no rules.
const NONE: &str = "none";

/// The most rules of a text, because each is tried on each entry.
const MOST: usize = 5000;

/// The most words of a rule, because all are tried at each word of an entry.
const MOST_WORDS: usize = 10;

/// The prefix of a rule for names only.
const OF_NAMES: &str = "name:";

/// The categories that an import gives to entries without one.
#[derive(Clone, Debug, Default)]
pub struct Categories {
    /// The category of all these entries.
    pub given: Option<ConnectorCategory>,
    /// The rules for each entry, if no category is given.
    pub rules: Rules,
}

/// The rules, in order. The default has none.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// The rules of one whole word, by word.
    by_word: HashMap<String, Vec<usize>>,
    /// The other rules.
    patterns: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Rule {
    category: ConnectorCategory,
    /// Whether it applies only to names and titles.
    is_of_names: bool,
    /// Adjacent words to match.
    words: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    part: String,
    is_open_before: bool,
    is_open_after: bool,
}

impl Categories {
    /// Adds a category to an entry, if its file has none and one is found.
    ///
    /// A custom connector that this service exported may have no category by choice. Only `--category` gives it one.
    pub(super) fn give(&self, entry: Entry) -> Entry {
        if entry.details.category.is_some() {
            return entry;
        }
        let is_of_people = entry.r#type == ConnectorType::Custom && entry.extent == Extent::Whole;
        let found = match self.given {
            Some(given) => Some((given, CategorySource::Given)),
            None if is_of_people => return entry,
            None => {
                let found = self.rules.category_of(&entry);
                found.map(|found| (found, CategorySource::Rule))
            }
        };
        let Some((category, source)) = found else {
            return Entry {
                category_source: None,
                ..entry
            };
        };
        // A repeated import changes nothing unless the category differs.
        let hash = json!([entry.hash, word(source), word(category)]).to_string();
        let mut entry = entry;
        entry.details.category = Some(category);
        entry.category_source = Some(source);
        entry.hash = format!("{:x}", Sha256::digest(hash));
        entry
    }
}

impl Rules {
    /// Returns the compiled-in rules.
    pub fn built_in() -> Self {
        // A test parses them.
        Self::parse(BUILT_IN).unwrap_or_default()
    }

    /// Reads the rules of a file; none for the name `none`, and the compiled-in ones by default.
    pub fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            return Ok(Self::built_in());
        };
        if file.as_os_str() == NONE {
            return Ok(Self::default());
        }
        let rules = read_text(file)
            .map_err(anyhow::Error::from)
            .and_then(|text| Self::parse(&text).map_err(anyhow::Error::msg));
        rules.with_context(|| format!("--category-rules {}", file.display()))
    }

    /// Parses rules. The error names the line and the reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Self::default();
        let mut category = None;
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            let wrong = |reason: &str| format!("line {number}: {reason}");
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let heading = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'));
            if let Some(name) = heading {
                let found = ConnectorCategory::iter().find(|known| word(*known) == name.trim());
                category = Some(found.ok_or_else(|| wrong(&unknown(name)))?);
                continue;
            }
            let Some(category) = category else {
                let reason = "the first rule must come after a category, such as [development]";
                return Err(wrong(reason));
            };
            let rule = Rule::parse(category, line).map_err(|reason| wrong(&reason))?;
            if rules.rules.len() == MOST {
                return Err(wrong(&format!("there must be at most {MOST} rules")));
            }
            rules.push(rule);
        }
        Ok(rules)
    }

    fn push(&mut self, rule: Rule) {
        let index = self.rules.len();
        match &*rule.words {
            [only] if !only.is_open_before && !only.is_open_after => {
                let rules = self.by_word.entry(only.part.clone()).or_default();
                rules.push(index);
            }
            _ => self.patterns.push(index),
        }
        self.rules.push(rule);
    }

    /// Returns the category of the first matching rule. It tries the name and title, then the description, then the
    /// namespace.
    fn category_of(&self, entry: &Entry) -> Option<ConnectorCategory> {
        if self.rules.is_empty() {
            return None;
        }
        let id = match entry.r#type {
            ConnectorType::Custom => "",
            _ => &*entry.connector_id,
        };
        let (owner, server) = text::of_owner(id).unwrap_or_else(|| (IndexSet::new(), id));
        let owner: Vec<_> = owner.into_iter().collect();
        let description = entry.details.description.as_deref();
        self.first(&text::split(&entry.details.name.text), true)
            .into_iter()
            .chain(self.first(&text::split(server), true))
            .min()
            .or_else(|| self.first(&text::split(description.unwrap_or_default()), false))
            .or_else(|| self.first(&owner, false))
            .and_then(|index| self.rules.get(index))
            .map(|rule| rule.category)
    }

    /// Returns the first rule that matches a text.
    fn first(&self, words: &[String], is_name: bool) -> Option<usize> {
        let fits = |index: &usize| {
            let rule = self.rules.get(*index);
            rule.is_some_and(|rule| (is_name || !rule.is_of_names) && rule.fits(words))
        };
        let by_word = words.iter().filter_map(|word| self.by_word.get(word));
        let by_word = by_word.flatten().copied().filter(fits).min();
        let pattern = self.patterns.iter().copied().find(fits);
        by_word.into_iter().chain(pattern).min()
    }
}

impl Rule {
    fn parse(category: ConnectorCategory, line: &str) -> Result<Self, String> {
        let (is_of_names, line) = match line.strip_prefix(OF_NAMES) {
            Some(line) => (true, line),
            None => (false, line),
        };
        let words = line.split_whitespace().map(Pattern::parse);
        let words = words.collect::<Result<Vec<_>, _>>()?;
        if words.is_empty() {
            return Err(format!("a word must follow {OF_NAMES}"));
        }
        if words.len() > MOST_WORDS {
            return Err(format!(
                "a rule must have at most {MOST_WORDS} words, and this one has {}",
                words.len()
            ));
        }
        Ok(Self {
            category,
            is_of_names,
            words,
        })
    }

    fn fits(&self, words: &[String]) -> bool {
        words
            .windows(self.words.len())
            .any(|words| self.words.iter().zip(words).all(|(a, b)| a.fits(b)))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let after = text.strip_prefix('*');
        let part = after.unwrap_or(text);
        let before = part.strip_suffix('*');
        let part = before.unwrap_or(part);
        if let [word] = &*text::whole(part).collect::<Vec<_>>() {
            return Ok(Self {
                part: word.clone(),
                is_open_before: after.is_some(),
                is_open_after: before.is_some(),
            });
        }
        let text: String = text.chars().take(50).collect();
        Err(format!(
            "{text} must be one word, such as wiki or node.js, with a * before or behind it at most: write several \
             words with blanks between them"
        ))
    }

    fn fits(&self, word: &str) -> bool {
        match (self.is_open_before, self.is_open_after) {
            (false, false) => word == self.part,
            (true, false) => word.ends_with(&self.part),
            (false, true) => word.starts_with(&self.part),
            (true, true) => word.contains(&self.part),
        }
    }
}

fn unknown(name: &str) -> String {
    let name: String = name.chars().take(50).collect();
    let mut reason = format!("[{name}] is no category: expected ");
    for (number, known) in ConnectorCategory::iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        let _ = write!(reason, "{comma}[{}]", word(known));
    }
    reason
}

#[cfg(test)]
mod tests;
