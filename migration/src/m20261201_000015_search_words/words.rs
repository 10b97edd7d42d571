//! Splits texts into words, like the program at the time of this migration and before it.

use std::{collections::HashSet, ops::Range};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_segmentation::UnicodeSegmentation;

/// The most characters of a word in the search index. PostgreSQL accepts words of up to 2 KB.
const WORD_CHARS: usize = 64;

/// Characters that are part of some words, with the full-width forms that replace them.
const FORMS: [(char, char); 3] = [('+', '＋'), ('#', '＃'), ('.', '．')];

/// The ends of names such as `Node.js` and `ASP.NET`.
const DOTTED_ENDS: [&str; 2] = ["js", "net"];

/// Labels of namespaces that name a registry of domains or a host with many owners.
const HOSTS: [&str; 36] = [
    "ac",
    "ai",
    "app",
    "azurewebsites",
    "bitbucket",
    "cloud",
    "co",
    "codeberg",
    "com",
    "dev",
    "edu",
    "fly",
    "gitbook",
    "gitee",
    "github",
    "gitlab",
    "gov",
    "herokuapp",
    "huggingface",
    "io",
    "me",
    "net",
    "netlify",
    "npmjs",
    "onrender",
    "org",
    "page",
    "pages",
    "pypi",
    "sourceforge",
    "sr",
    "tech",
    "vercel",
    "web",
    "workers",
    "xyz",
];

/// A word in a folded text.
struct Token {
    range: Range<usize>,
    word: String,
}

/// A rule by which texts are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Splitting {
    /// The rule before this migration: at everything except letters and digits.
    Plain,
    /// The rule of this migration: names such as `C++` and `.NET` are whole words.
    Names,
}

/// Returns the folded words of a text, each once, in the order of their last appearance.
pub(super) fn words(text: &str, splitting: Splitting) -> Vec<String> {
    let folded = fold(text);
    match splitting {
        Splitting::Names => last_of_each(tokens(&folded).into_iter().map(|token| token.word)),
        Splitting::Plain => {
            let runs = folded.split(|c: char| !c.is_alphanumeric());
            let words = runs.flat_map(UnicodeSegmentation::unicode_words);
            last_of_each(words.map(|word| word.chars().take(WORD_CHARS).collect()))
        }
    }
}

/// Returns the words of a connector's ID. With [`Splitting::Names`], the namespace of a reverse-DNS name has only the
/// words of its owner or vendor.
pub(super) fn of_connector_id(id: &str, splitting: Splitting) -> Vec<String> {
    match (namespace(id), splitting) {
        (Some((namespace, name)), Splitting::Names) => {
            let owner = owner(&fold(namespace)).join(" ");
            let owner = words(&owner, splitting).into_iter();
            last_of_each(owner.chain(words(name, splitting)))
        }
        _ => words(id, splitting),
    }
}

fn fold(text: &str) -> String {
    let once = text.nfkd().filter(|c| !is_combining_mark(*c));
    once.flat_map(char::to_lowercase)
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .map(|c| if c == 'ς' { 'σ' } else { c })
        .collect()
}

fn last_of_each(all: impl Iterator<Item = String>) -> Vec<String> {
    let all: Vec<_> = all.collect();
    let mut seen = HashSet::new();
    let mut words: Vec<_> = all
        .into_iter()
        .rev()
        .filter(|word| seen.insert(word.clone()))
        .collect();
    words.reverse();
    words
}

/// Returns the namespace of a reverse-DNS name, and the text after its slash.
fn namespace(id: &str) -> Option<(&str, &str)> {
    let (namespace, name) = id.split_once('/')?;
    let is_label = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    (namespace.contains('.') && namespace.chars().all(is_label)).then_some((namespace, name))
}

/// Returns the labels of a folded namespace. Omits its top-level domain and hosts with many owners, unless there are no
/// others.
fn owner(namespace: &str) -> Vec<&str> {
    let mut labels: Vec<_> = namespace
        .split('.')
        .filter(|label| !label.is_empty())
        .collect();
    let is_host = |label: Option<&&str>| label.is_some_and(|label| HOSTS.contains(label));
    // A domain in the usual order, such as `www.example.com`.
    if is_host(labels.last()) && !is_host(labels.first()) {
        labels.reverse();
    }
    let mut rest = labels.as_slice();
    if let [_, others @ ..] = rest
        && !others.is_empty()
    {
        rest = others;
    }
    while let [host, others @ ..] = rest
        && is_host(Some(host))
        && !others.is_empty()
    {
        rest = others;
    }
    rest.to_vec()
}

fn tokens(folded: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = folded.get(at..)
        && let Some(first) = rest.chars().next()
    {
        if first.is_alphanumeric() {
            at = run(folded, at, &mut tokens);
        } else if first.general_category() == GeneralCategory::OtherSymbol {
            let cluster = rest.graphemes(true).next().unwrap_or_default();
            push(&mut tokens, at..at + cluster.len(), cluster);
            at += cluster.len();
        } else {
            at += first.len_utf8();
        }
    }
    tokens
}

/// Adds the words at the letters and digits that begin at `start`, with the characters that belong to them. Returns
/// their end.
fn run(folded: &str, start: usize, tokens: &mut Vec<Token>) -> usize {
    let run = alphanumerics(folded, start);
    let mut end = start + run.len();
    let from = tokens.len();
    for (offset, word) in run.unicode_word_indices() {
        let range = start + offset..start + offset + word.len();
        push(tokens, range, word);
    }
    if tokens.len() == from {
        return end;
    }
    let before = folded.get(..start).unwrap_or_default();
    let is_after_dot = before
        .strip_suffix('.')
        .is_some_and(|before| !before.ends_with(|c: char| c == '.' || c.is_alphanumeric()));
    if is_after_dot
        && let Some(first) = tokens.get(from)
        && first.word.starts_with(char::is_alphabetic)
    {
        let (range, word) = (start - 1..first.range.end, format!(".{}", first.word));
        push(tokens, range, &word);
    }
    let Some(last) = tokens.last() else {
        return end;
    };
    if !last.word.ends_with(char::is_alphabetic) || last.range.end != end {
        return end;
    }
    let (range, word) = (last.range.clone(), last.word.clone());
    if let Some(sign) = sign(folded, end) {
        tokens.pop();
        end += sign.len();
        push(tokens, range.start..end, &format!("{word}{sign}"));
    } else if let Some(after) = dotted_end(folded, end) {
        push(tokens, end + 1..end + 1 + after.len(), after);
        end += 1 + after.len();
        push(tokens, range.start..end, &format!("{word}.{after}"));
    }
    end
}

/// Returns the `++` of `c++`, or the `#` of `c#`.
fn sign(folded: &str, at: usize) -> Option<&'static str> {
    let rest = folded.get(at..)?;
    let ends = |sign: &'static str, goes_on: fn(char) -> bool| {
        let after = rest.strip_prefix(sign)?;
        (!after.starts_with(goes_on)).then_some(sign)
    };
    ends("++", |c| c == '+' || c.is_alphabetic())
        .or_else(|| ends("#", |c| c == '#' || c.is_alphanumeric()))
}

/// Returns the `js` of `node.js`.
fn dotted_end(folded: &str, at: usize) -> Option<&str> {
    folded.get(at..)?.strip_prefix('.')?;
    let after = alphanumerics(folded, at + 1);
    let rest = folded.get(at + 1 + after.len()..)?;
    let goes_on = rest
        .strip_prefix('.')
        .is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
    (DOTTED_ENDS.contains(&after) && !goes_on).then_some(after)
}

fn alphanumerics(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find(|c: char| !c.is_alphanumeric());
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

fn push(tokens: &mut Vec<Token>, range: Range<usize>, word: &str) {
    let form = |c: char| {
        FORMS
            .iter()
            .find(|(plain, _)| *plain == c)
            .map_or(c, |(_, form)| *form)
    };
    let word = word.chars().take(WORD_CHARS).map(form).collect();
    tokens.push(Token { range, word });
}
