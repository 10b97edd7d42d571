//! Shortens the parser's errors to one line.
//!
//! The parser draws the document's line with an arrow below; clients have `locations` instead. The last line of the
//! drawing names the expected grammar rules.

use async_graphql::{Pos, ServerError, parser};

/// The most expected things that are named.
const NAMED: usize = 8;

/// Returns the parser's error with a one-line message, at its locations.
pub(super) fn in_one_line(document: &str, error: parser::Error) -> ServerError {
    let mut error = ServerError::from(error);
    let said = error.message.lines().last().unwrap_or_default();
    let said = said.trim_start().trim_start_matches("= ");
    // Other messages have one line already, and quote at most a name of the document.
    error.message = match (said.strip_prefix("expected "), error.locations.first()) {
        (Some(rules), Some(location)) => {
            let before = &document[..offset(document, *location)];
            // The parser stops at the last of three quotes.
            let string = &document[before.trim_end_matches('"').len()..];
            match unclosed(string) {
                Some(quotes) => format!("expected {quotes} at the end of the string"),
                None => expected(rules, last_of(before)),
            }
        }
        _ => said.to_owned(),
    };
    error
}

/// Returns the missing quotes if the text starts with an unclosed string (GraphQL, section 2.9.4).
fn unclosed(text: &str) -> Option<&'static str> {
    const BLOCK: &str = "\"\"\"";
    if let Some(block) = text.strip_prefix(BLOCK) {
        return (!block.replace("\\\"\"\"", "").contains(BLOCK)).then_some(BLOCK);
    }
    let line = text.strip_prefix('"')?.lines().next().unwrap_or_default();
    let mut escaped = false;
    let is_closed = line.chars().any(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    (!is_closed).then_some("\"")
}

/// Returns the byte offset of a location.
fn offset(document: &str, at: Pos) -> usize {
    let mut lines = document.split_inclusive('\n');
    let before: usize = lines
        .by_ref()
        .take(at.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let line = lines.next().unwrap_or_default();
    let in_line: usize = line
        .chars()
        .take(at.column.saturating_sub(1))
        .map(char::len_utf8)
        .sum();
    before + in_line
}

/// Returns the last character that is not ignored (GraphQL, section 2.1.7). In a comment, it is the comment's.
fn last_of(text: &str) -> Option<char> {
    let text = text.trim_end_matches([' ', '\t', '\r', '\n', ',']);
    text.chars().next_back()
}

/// Lists the things expected after a character, as `a`, `a or b`, or `a, b, or c`.
fn expected(rules: &str, after: Option<char>) -> String {
    let names = rules.split([',', ' ']);
    let names: Vec<_> = names
        .filter(|name| !name.is_empty() && *name != "or")
        .collect();
    let of_rules = names.iter().map(|name| thing(name));
    let mut things: Vec<&str> = Vec::new();
    for thing in of_rules.chain(closing(&names, after)) {
        if !things.contains(&thing) {
            things.push(thing);
        }
    }
    if things.len() > NAMED {
        things.truncate(NAMED);
        things.push("something else");
    }
    let last = things.pop().unwrap_or("something else");
    if things.is_empty() {
        format!("expected {last}")
    } else {
        format!("expected {} or {last}", things.join(", "))
    }
}

/// Returns the bracket that may close here too, which the grammar's rules do not name.
fn closing(rules: &[&str], after: Option<char>) -> Option<&'static str> {
    let has = |rule: &str| rules.contains(&rule);
    match after? {
        '{' | '(' | ':' | '=' | '$' | '@' => None,
        _ if has("selection") || has("object_field") || has("const_object_field") => Some("}"),
        _ if has("argument") || has("const_argument") || has("variable_definition") => Some(")"),
        _ if has("value") || has("const_value") => Some("]"),
        _ => None,
    }
}

/// Returns plain words for a grammar rule.
fn thing(rule: &str) -> &'static str {
    match rule {
        "executable_document" | "executable_definition" => "an operation or fragment",
        "operation_definition" | "named_operation_definition" => "an operation",
        "fragment_definition" => "a fragment",
        "operation_type" => "query, mutation or subscription",
        "variable_definitions" => "variables in ( )",
        "variable_definition" | "variable" => "a variable",
        "selection_set" => "fields in { }",
        "selection" | "field" | "alias" => "a field",
        "fragment_spread" | "inline_fragment" => "a fragment after ...",
        "type_condition" => "on with a type",
        "type_" => "a type",
        "arguments" | "const_arguments" => "arguments in ( )",
        "argument" | "const_argument" => "an argument",
        "directives" | "const_directives" | "directive" | "const_directive" => "a directive",
        "default_value" => "a default value after =",
        "value" | "const_value" => "a value",
        "number" | "float" | "int" | "fractional" | "exponent" => "a number",
        "string" => "a string",
        "string_content" | "string_character" => "the rest of a string",
        "block_string_content" | "block_string_character" => "the rest of a block string",
        "unicode_scalar_value_hex" => "four hexadecimal digits",
        "boolean" => "true or false",
        "null" => "null",
        "enum_value" => "an enum value",
        "list" | "const_list" => "a list",
        "object" | "const_object" => "an object",
        "object_field" | "const_object_field" => "a field of an object",
        "name" | "name_start" => "a name",
        "EOI" => "the end of the document",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn one_line_says_what_was_expected() {
        let mut lines = String::new();
        for document in [
            "",
            " ",
            "{",
            "{ }",
            "{ a",
            "{ a, # c\n # d\n",
            "{\n  é { b }\n",
            "{ a(b: 1 }",
            "{ a(b: {c: 1 }",
            "{ a(b: [1 }",
            "query($a: Int { a }",
            "{ a }}",
            "{ a(b) }",
            "{ a(b:) }",
            "{ a(b: {c}) }",
            "{ a(b: {\"c\": 1}) }",
            "{ a(b: [1) }",
            "{ a(b: \"c) }",
            "{ a(b: \"c\\\") }",
            "{ a(b: \"c\" \"d\") }",
            "{ a(b: \"\\x\") }",
            "{ a(b: \"\\uD800\") }",
            "{ a(b: \"\"\"c) }",
            "{ a(b: 1.) }",
            "{ a(b: 1x) }",
            "{ a(b: $) }",
            "{ a() }",
            "{ a @ }",
            "{ a: }",
            "{ ... }",
            "{ ...on A }",
            "{ a { } }",
            "querry { a }",
            "query { a } mutation",
            "query A B { a }",
            "query($a) { a }",
            "query($a:) { a }",
            "query($a: [Int) { a }",
            "query($a: Int = ) { a }",
            "query($a: Int = $b) { a }",
            "fragment on A { a }",
            "fragment A { a }",
            "{ a } { b }",
            "query A { a } query A { b }",
            "fragment A on B { a } fragment A on B { b } { a }",
            "fragment A on B { a }",
            "type A { a: Int }",
            "\u{1F600}",
            &format!("{{ a {} }}", "(".repeat(1000)),
            &format!("{{ a }}{}}}", " ".repeat(1000)),
        ] {
            let error = in_one_line(document, parse_query(document).unwrap_err());
            let message = &error.message;
            assert!(!message.contains('\n') && message.len() < 300, "{message}");
            assert!(!message.contains('_'), "{message}");
            let at = error.locations.first();
            let at = at.map_or_else(String::new, |at| format!("{}:{}", at.line, at.column));
            lines += &[&format!("{document:.50}"), &*at, message].join(" | ");
            lines.push('\n');
        }
        insta::assert_snapshot!(lines);
    }
}
