//! Limits on a document's text, checked in one pass before parsing.
//!
//! Invariant: the check is linear and not recursive, so a parsed document is bounded in size and depth. Numbers that
//! the parser would round are refused. So are objects with a repeated key, of which the parser would keep the last:
//! stored metadata would differ from the text. Variables are read separately and have their own limits.

use std::collections::HashSet;

use async_graphql::Pos;

use crate::{
    config::OperationLimits,
    error::{Code, Error},
};

use super::refused::Refused;

/// The longest name, because validation messages repeat names, and suggestions compare them with all fields of a type.
const NAME_BYTES: usize = 256;

/// Counts a document's tokens (GraphQL, section 2.1.6). Refuses too many tokens, long names, deep brackets, rounded
/// numbers, and input objects with a repeated field (section 5.6.3). Refuses introspection (section 4) if it is
/// disabled, because the library would answer null. The error has the token's location.
pub(super) fn scan(document: &str, limits: OperationLimits) -> Result<(), Refused> {
    let mut tokens = 0;
    let mut open = Vec::new();
    // The number of tokens in arguments.
    let mut arguments = 0;
    let mut name = None;
    let mut rest = document;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '#' => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            '"' => string(rest),
            '_' | 'a'..='z' | 'A'..='Z' => token(rest, |c| c == '_'),
            '-' | '0'..='9' => token(rest, |c| matches!(c, '+' | '-' | '.')),
            other => other.len_utf8(),
        };
        let begin = document.len() - rest.len();
        let refused = |error: Error| Refused::at(&error, position(document, begin));
        let (text, after) = rest.split_at(length);
        rest = after;
        if matches!(c, ' ' | '\t' | '\n' | '\r' | ',' | '\u{feff}') {
            continue;
        }
        // A comment is no token but costs as much, and so does each line of a block string.
        tokens += 1;
        if text.starts_with(BLOCK) {
            tokens += text.bytes().filter(|byte| b"\n\r".contains(byte)).count() as u64;
        }
        if tokens > limits.max_tokens {
            return Err(refused(Error::limit_exceeded(
                "the document",
                limits.max_tokens,
                "tokens",
            )));
        }
        match c {
            '(' => {
                arguments += 1;
                open.push(Bracket::Arguments);
            }
            '[' => open.push(Bracket::List),
            '{' if arguments > 0 => open.push(Bracket::Object(HashSet::new())),
            '{' => open.push(Bracket::Selections),
            '}' | ']' | ')' => {
                if let Some(Bracket::Arguments) = open.pop() {
                    arguments -= 1;
                }
            }
            ':' => {
                if let (Some(Bracket::Object(names)), Some((begin, name))) = (open.last_mut(), name)
                    && !names.insert(name)
                {
                    let message = format!("the input field {name:.100} is given twice");
                    let error = Error::new(Code::GraphqlValidationFailed, message);
                    return Err(Refused::at(&error, position(document, begin)));
                }
            }
            '_' | 'a'..='z' | 'A'..='Z' if length > NAME_BYTES => {
                let most = NAME_BYTES as u64;
                return Err(refused(Error::limit_exceeded(
                    "a name of the document",
                    most,
                    "characters",
                )));
            }
            '_' if !limits.introspection && matches!(text, "__schema" | "__type") => {
                let message = format!("{text} is not available: introspection is switched off");
                return Err(refused(Error::new(Code::GraphqlValidationFailed, message)));
            }
            '-' | '0'..='9' if is_rounded(text) => {
                let message = format!(
                    "the number {text:.40} would be rounded in a document: send it as a variable"
                );
                return Err(refused(Error::new(Code::GraphqlValidationFailed, message)));
            }
            _ => {}
        }
        // A level of selections has up to three brackets: its own, its arguments', and that of a value in them.
        if open.len() as u64 > BRACKETS_A_LEVEL * limits.max_depth {
            return Err(refused(Error::limit_exceeded(
                "the document",
                limits.max_depth,
                "levels",
            )));
        }
        if c != '#' {
            name = (c == '_' || c.is_ascii_alphabetic()).then_some((begin, text));
        }
    }
    Ok(())
}

const BRACKETS_A_LEVEL: u64 = 3;

/// Returns the line and column of a byte, from 1, as the parser counts them.
fn position(document: &str, byte: usize) -> Pos {
    let before = &document[..byte];
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    Pos {
        line: 1 + before.matches('\n').count(),
        column: 1 + before[line..].chars().count(),
    }
}

/// The delimiter of a block string.
const BLOCK: &str = "\"\"\"";

/// A bracket that is open at the scan's position.
enum Bracket<'a> {
    Selections,
    Arguments,
    List,
    /// An input object, with its field names so far.
    Object(HashSet<&'a str>),
}

/// Returns the length of the leading ASCII letters, digits and `others`.
fn token(text: &str, others: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && !others(c))
        .unwrap_or(text.len())
}

/// Returns the length of the leading string or block string.
fn string(text: &str) -> usize {
    let (quote, escape) = if text.starts_with(BLOCK) {
        (BLOCK, "\\\"\"\"")
    } else {
        ("\"", "\\")
    };
    let mut at = quote.len();
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with(escape) {
            at += escape.len();
            // A backslash in an ordinary string escapes one more character.
            if escape.len() == 1 {
                at += text[at..].chars().next().map_or(0, char::len_utf8);
            }
        } else if text[at..].starts_with(quote) {
            return at + quote.len();
        } else {
            at += c.len_utf8();
        }
    }
    text.len()
}

/// Returns whether the parser would round a number. A float keeps 15 significant digits, and an integer all digits up
/// to 64 bits.
fn is_rounded(number: &str) -> bool {
    let fits = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let zeros = |c| c == '0';
    let significant = digits
        .trim_start_matches(zeros)
        .trim_end_matches(zeros)
        .len();
    let overflows = number.parse::<f64>().is_ok_and(f64::is_infinite);
    !fits && (significant > 15 || overflows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(scanned: Result<(), Refused>) -> Option<String> {
        scanned.err().map(|refused| refused.to_string())
    }

    fn refusal(document: &str) -> Option<String> {
        let limits = OperationLimits {
            max_tokens: 20,
            max_depth: 2,
            ..OperationLimits::default()
        };
        message(scan(document, limits))
    }

    #[test]
    fn finds_what_would_be_rounded() {
        for (document, number) in [
            ("{ a(x: 1.10, y: [-5, 18446744073709551615]) }", None),
            (
                "{ a(x: 123456789012345678901234567890) }",
                Some("123456789012345678901234567890"),
            ),
            (
                "{ a(x: -0.12345678901234567) }",
                Some("-0.12345678901234567"),
            ),
            ("{ a(x: 1e999) }", Some("1e999")),
            ("{ a(x: 1000000000000000000000000) }", None),
            ("{ a12345678901234567890123 }", None),
            (
                r#"{ a(x: "123456789012345678901234567890 \" 1e999") }"#,
                None,
            ),
            (
                "{ a(x: \"\"\"1e999 \" \\\"\"\" 1e999\"\"\", y: 1e999) }",
                Some("1e999"),
            ),
            ("# 1e999\n{ a(x: 2e999) }", Some("2e999")),
            ("{ a(x: \"1e999", None),
            ("\"\\", None),
        ] {
            let expected = number.map(|number| {
                format!("the number {number} would be rounded in a document: send it as a variable")
            });
            assert_eq!(refusal(document), expected, "{document}");
        }
    }

    #[test]
    fn counts_tokens_and_brackets() {
        let tokens = Some("the document must have at most 20 tokens".to_owned());
        let levels = Some("the document must have at most 2 levels".to_owned());
        for (document, expected) in [
            (format!("{{ {} }}", "a ".repeat(18)), None),
            (format!("{{ {} }}", "a ".repeat(19)), tokens.clone()),
            (format!("{{ {} }}", "a, # comment\n".repeat(9)), None),
            (r#"{ a(x: "{ { { { { { { {") }"#.to_owned(), None),
            ("{".repeat(6), None),
            ("{".repeat(7), levels.clone()),
            ("{}".repeat(9), None),
            ("[".repeat(10_000), levels),
            (format!("\"\"\"{}\"\"\"", "a\n\r".repeat(9)), None),
            (
                format!("\"\"\"{}\"\"\"", "a\n\r".repeat(10)),
                tokens.clone(),
            ),
            (format!("{{ {} }}", "a".repeat(256)), None),
            (
                format!("{{ {} }}", "a".repeat(257)),
                Some("a name of the document must have at most 256 characters".to_owned()),
            ),
            ("a ".repeat(10_000), tokens),
        ] {
            assert_eq!(refusal(&document), expected, "{document:.60}");
        }
    }

    #[test]
    fn finds_what_is_said_twice() {
        for (document, twice) in [
            ("{ a(x: {b: 1, c: {b: 2}}, y: {b: 3}) { b: c b: c } }", None),
            ("{ a(x: [{b: B}, {b: B}]) }", None),
            ("{ a(x: {b: c, c: b}) }", None),
            ("{ a(x: {b: 1, c: [], b: 2}) }", Some("b")),
            ("{ a(x: [{b: {c: 1 # :\n c # :\n : 2}}]) }", Some("c")),
            ("query($x: X = {b: 1 b: 1}) { a }", Some("b")),
            ("{ a @b(x: {c: \"c:\", c: 1}) }", Some("c")),
            ("{ a(x: {b: }, b: 1, b: 1) } b: b:", None),
        ] {
            let limits = OperationLimits::default();
            let expected = twice.map(|name| format!("the input field {name} is given twice"));
            let refusal = message(scan(document, limits));
            assert_eq!(refusal, expected, "{document}");
        }
    }

    #[test]
    fn locates_the_token() {
        for (document, line, column) in [
            ("{ a(x: 1e999) }", 1, 8),
            ("{ a\n  é: b(x: \"é\", y: 1e999) }", 2, 19),
            ("# é\r\n{\r\n\ta(x: {b: 1, b: 2}) }", 3, 14),
        ] {
            let refused = scan(document, OperationLimits::default()).unwrap_err();
            let expected = serde_json::json!([{ "line": line, "column": column }]);
            assert_eq!(refused.errors[0]["locations"], expected, "{document}");
        }
    }

    proptest! {
        #[test]
        fn takes_any_text(document in any::<String>()) {
            let _ = refusal(&document);
        }
    }
}
