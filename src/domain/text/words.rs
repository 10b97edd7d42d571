//! The words of texts.
//!
//! Invariant: a word consists of letters, digits, symbols such as emoji, and the full-width forms of `+`, `#` and `.`.
//! Folded text contains none of these forms, and they are no operators of an index.

use std::ops::Range;

use indexmap::IndexSet;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_segmentation::UnicodeSegmentation;

use super::fold;

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
    /// Whether it is part of a longer word, which contains a dot.
    is_part: bool,
}

/// Returns the folded words of a text, each once, in the order of their last appearance.
///
/// The text is split at everything except letters, digits and symbols, and at Unicode's word boundaries (UAX #29): each
/// Han character is a word. `C++` and `C#` are whole words. `Node.js` and `.NET` are words, in addition to their parts
/// between the dots.
pub(crate) fn words(text: &str) -> IndexSet<String> {
    last_of_each(tokens(&fold(text)).into_iter().map(|token| token.word))
}

/// Returns the words of a search in the order of their last appearance. They are those of a text, without the parts of
/// longer words. A connector's ID in it has the words of an ID.
pub(crate) fn searched(search: &str) -> IndexSet<String> {
    let of_part = |part: &str| -> Vec<String> {
        match namespace(part) {
            Some(_) => of_connector_id(part).into_iter().collect(),
            None => whole(part).collect(),
        }
    };
    last_of_each(search.split_whitespace().flat_map(of_part))
}

/// Returns the folded words of a text, in order.
pub(crate) fn split(text: &str) -> Vec<String> {
    let tokens = tokens(&fold(text)).into_iter();
    tokens.map(|token| token.word).collect()
}

/// Returns the words of a connector's ID. The namespace of a reverse-DNS name has only the words of its owner or
/// vendor, such as `acme` in `io.github.acme/wiki` and `com.acme/wiki`.
pub(crate) fn of_connector_id(id: &str) -> IndexSet<String> {
    match of_owner(id) {
        Some((owner, name)) => last_of_each(owner.into_iter().chain(words(name))),
        None => words(id),
    }
}

/// Returns the words of the owner or vendor in a reverse-DNS name, and the text after its slash.
pub(crate) fn of_owner(id: &str) -> Option<(IndexSet<String>, &str)> {
    let (namespace, name) = namespace(id)?;
    Some((words(&owner(&fold(namespace)).join(" ")), name))
}

/// A word as people write it, with the syllables of Hangul composed.
pub(crate) fn display(word: &str) -> String {
    let form = |c: char| FORMS.iter().find(|(_, form)| *form == c);
    let plain = word.chars().map(|c| form(c).map_or(c, |(plain, _)| *plain));
    plain.nfc().collect()
}

/// Returns the words of a text with their ranges in the text.
pub(crate) fn located(text: &str) -> Vec<(Range<usize>, String)> {
    let mut folded = String::new();
    // The original character of each byte of the folded text.
    let mut origins = Vec::new();
    let mut ends = Vec::new();
    for (start, c) in text.char_indices() {
        folded.push_str(&fold(c.encode_utf8(&mut [0; 4])));
        if origins.len() == folded.len() && !ends.is_empty() {
            // A mark belongs to the letter before it.
            let last = ends.len() - 1;
            if let Some(end) = ends.get_mut(last) {
                *end = start + c.len_utf8();
            }
            continue;
        }
        origins.resize(folded.len(), (start, ends.len()));
        ends.push(start + c.len_utf8());
    }
    let origin = |at: usize| origins.get(at).copied();
    let tokens = tokens(&folded).into_iter();
    let tokens = tokens.filter_map(|token| {
        let (start, _) = origin(token.range.start)?;
        let (_, last) = origin(token.range.end.checked_sub(1)?)?;
        Some((start..*ends.get(last)?, token.word))
    });
    tokens.collect()
}

/// Returns the words of a connector's ID with their ranges, without the labels of the namespace that are not its
/// owner's.
pub(crate) fn located_in_connector_id(id: &str) -> Vec<(Range<usize>, String)> {
    let mut located = located(id);
    if let Some((owner, name)) = of_owner(id) {
        let server = id.len() - name.len();
        located.retain(|(range, word)| range.start >= server || owner.contains(word));
    }
    located
}

/// The words of a text, folded, in their order, without those within longer ones.
pub(crate) fn whole(text: &str) -> impl Iterator<Item = String> {
    let tokens = tokens(&fold(text)).into_iter();
    tokens
        .filter(|token| !token.is_part)
        .map(|token| token.word)
}

fn last_of_each(all: impl IntoIterator<Item = String>) -> IndexSet<String> {
    let mut words = IndexSet::new();
    for word in all {
        let (index, _) = words.insert_full(word);
        words.move_index(index, words.len() - 1);
    }
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
            push(&mut tokens, at..at + cluster.len(), cluster, false);
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
        push(tokens, range, word, false);
    }
    if tokens.len() == from {
        return end;
    }
    let before = folded.get(..start).unwrap_or_default();
    let is_after_dot = before
        .strip_suffix('.')
        .is_some_and(|before| !before.ends_with(|c: char| c == '.' || c.is_alphanumeric()));
    if is_after_dot
        && let Some(first) = tokens.get_mut(from)
        && first.word.starts_with(char::is_alphabetic)
    {
        first.is_part = true;
        let (range, word) = (start - 1..first.range.end, format!(".{}", first.word));
        push(tokens, range, &word, false);
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
        push(tokens, range.start..end, &format!("{word}{sign}"), false);
    } else if let Some(after) = dotted_end(folded, end) {
        if let Some(last) = tokens.last_mut() {
            last.is_part = true;
        }
        push(tokens, end + 1..end + 1 + after.len(), after, true);
        end += 1 + after.len();
        push(tokens, range.start..end, &format!("{word}.{after}"), false);
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

fn push(tokens: &mut Vec<Token>, range: Range<usize>, word: &str, is_part: bool) {
    let form = |c: char| {
        FORMS
            .iter()
            .find(|(plain, _)| *plain == c)
            .map_or(c, |(_, form)| *form)
    };
    let word = word.chars().take(WORD_CHARS).map(form).collect();
    tokens.push(Token {
        range,
        word,
        is_part,
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(words: impl IntoIterator<Item = String>) -> Vec<String> {
        words.into_iter().map(|word| display(&word)).collect()
    }

    #[test]
    fn splits_words() {
        for (text, expected) in [
            (
                "io.github.acme/pull_requests-2",
                &["io", "github", "acme", "pull", "requests", "2"][..],
            ),
            ("日本 go go", &["日", "本", "go"]),
            ("한국어 a", &["한국어", "a"]),
            ("mail team mail", &["team", "mail"]),
            (" +!? ", &[]),
            ("C++17, C# (F#), g++", &["c++", "17", "c#", "f#", "g++"]),
            ("a+b a++b c#4 #5 5# x###", &["a", "b", "c", "4", "5", "x"]),
            (
                "Node.js and .NET",
                &["node", "js", "node.js", "and", "net", ".net"],
            ),
            ("ASP.NET Core.", &["asp", "net", "asp.net", "core"]),
            (
                "a.net.example ..net e.g. node.jsx",
                &["a", "example", "net", "e", "g", "node", "jsx"],
            ),
            ("🚀🚀 to the 👩‍🚀", &["🚀", "to", "the", "👩‍🚀"]),
            ("c＋＋", &["c++"]),
        ] {
            assert_eq!(shown(words(text)), expected, "{text}");
        }
        assert_eq!(words(&"x".repeat(2000))[0].len(), 64);
    }

    #[test]
    fn of_a_namespace_only_the_owner_counts() {
        for (id, expected) in [
            ("io.github.acme/wiki-mcp", &["acme", "wiki", "mcp"][..]),
            ("com.acme/wiki", &["acme", "wiki"]),
            ("com.acme.mail/wiki", &["acme", "mail", "wiki"]),
            ("com.github/github", &["github"]),
            ("uk.co.acme/wiki", &["acme", "wiki"]),
            ("acme.com/wiki", &["acme", "wiki"]),
            ("app.vercel.ACME/x", &["acme", "x"]),
            ("acme/wiki.dev", &["acme", "wiki", "dev"]),
            ("Pro.Wiki", &["pro", "wiki"]),
            ("github", &["github"]),
            (".../x", &["x"]),
        ] {
            assert_eq!(shown(of_connector_id(id)), expected, "{id}");
        }
    }

    #[test]
    fn a_search_has_whole_words() {
        for (search, expected) in [
            ("node.js", &["node.js"][..]),
            ("asp.net .net c++ js", &["asp.net", ".net", "c++", "js"]),
            ("find io.github.acme/wiki", &["find", "acme", "wiki"]),
            (
                "https://github.com/acme",
                &["https", "github", "com", "acme"],
            ),
        ] {
            assert_eq!(shown(searched(search)), expected, "{search}");
        }
    }

    #[test]
    fn words_are_where_they_were_written() {
        for (text, expected) in [
            ("Éclair ﬁne", &["Éclair", "ﬁne"][..]),
            ("e\u{301}te\u{301} C++!", &["e\u{301}te\u{301}", "C++"]),
            ("Node.js", &["Node", "js", "Node.js"]),
            ("日本", &["日", "本"]),
            ("\u{301}x", &["x"]),
        ] {
            let found = located(text).into_iter();
            let found: Vec<_> = found.map(|(range, _)| &text[range]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn words_are_their_own_words(text in any::<String>()) {
            for word in words(&text) {
                prop_assert!(words(&word).contains(&word));
                prop_assert_eq!(Vec::from_iter(searched(&word)), [word]);
            }
        }

        #[test]
        fn what_is_searched_is_among_the_words(text in "[a-z.+# /\u{1f680}]{0,20}|\\PC{0,20}") {
            let all = words(&text);
            prop_assert!(whole(&text).all(|word| all.contains(&word)));
        }

        #[test]
        fn located_words_are_the_words(text in "[a-zÉ.+# \u{301}]{0,20}|\\PC{0,20}") {
            let located: Vec<_> = located(&text).into_iter().map(|(_, word)| word).collect();
            prop_assert_eq!(located, split(&text));
        }
    }
}
