//! Numbers written into a document.
//!
//! Invariant: a number that the parser would round is refused, not rounded: metadata would be stored other than it was
//! written. Variables are read digit by digit and have no such bound.

/// The first number of a document that a 64-bit integer or float does not hold as written (GraphQL, section 2.1, for the
/// tokens).
pub(super) fn rounded_number(document: &str) -> Option<&str> {
    let mut rest = document;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '#' => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            '"' => string(rest),
            '_' | 'a'..='z' | 'A'..='Z' => token(rest, |c| c == '_'),
            '-' | '0'..='9' => {
                let length = token(rest, |c| matches!(c, '+' | '-' | '.'));
                let number = &rest[..length];
                if is_rounded(number) {
                    return Some(number);
                }
                length
            }
            other => other.len_utf8(),
        };
        rest = &rest[length..];
    }
    None
}

/// The length of the ASCII letters, digits and `others` that `text` begins with.
fn token(text: &str, others: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && !others(c))
        .unwrap_or(text.len())
}

/// The length of the string, or block string, that `text` begins with.
fn string(text: &str) -> usize {
    let (quote, escape) = if text.starts_with("\"\"\"") {
        ("\"\"\"", "\\\"\"\"")
    } else {
        ("\"", "\\")
    };
    let mut at = quote.len();
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with(escape) {
            at += escape.len();
            // What an ordinary string escapes is one character more.
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

/// A float keeps 15 significant digits of whatever decimal number, an integer all digits up to 64 bits.
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

    #[test]
    fn finds_what_would_be_rounded() {
        for (document, found) in [
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
            assert_eq!(rounded_number(document), found, "{document}");
        }
    }

    proptest! {
        #[test]
        fn takes_any_text(document in any::<String>()) {
            let _ = rounded_number(&document);
        }
    }
}
