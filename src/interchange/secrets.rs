//! Detects secrets in a file's description of a server.
//!
//! Invariant: names of variables, headers and parameters are no secrets, and neither are references to values stored
//! elsewhere (`{key}`, `${KEY}`, `<key>`). This module alone decides about all other values.

mod arguments;
mod values;

use url::Url;

pub(super) use arguments::{Arguments, redacted_line};
pub(super) use values::redacted;

/// The replacement of a secret.
pub(super) const REDACTED: &str = "REDACTED";

/// Prefixes of secrets, with the least number of characters after them.
const PREFIXES: [(&str, usize); 14] = [
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("sk-", 20),
    ("sk_live_", 16),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("AKIA", 16),
    ("AIza", 30),
    ("hf_", 20),
    ("ntn_", 20),
    ("eyJ", 40),
];

/// Returns whether the name of a header, variable, parameter or argument marks a credential.
pub(super) fn is_credential(name: &str) -> bool {
    const WORDS: [&str; 16] = [
        "apikey",
        "auth",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "jwt",
        "passphrase",
        "passwd",
        "password",
        "pat",
        "pwd",
        "secret",
        "signature",
        "token",
    ];
    const KEYS: [&str; 9] = [
        "access",
        "api",
        "auth",
        "client",
        "encryption",
        "license",
        "private",
        "secret",
        "signing",
    ];
    let words = words(name);
    match &words[..] {
        [.., kind, last] if last == "key" => KEYS.contains(&kind.as_str()),
        [.., last] => WORDS.contains(&last.as_str()) || last.ends_with("apikey"),
        [] => false,
    }
}

/// Returns the words of a name in lower case, in any of the usual spellings.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars().take(200) {
        let begins = c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
        if !c.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Returns whether a value is literal, and not only a reference to a value stored elsewhere.
pub(super) fn is_literal(value: &str) -> bool {
    let value = value.trim();
    let schemes = ["bearer", "basic", "token", "apikey"];
    let value = match value.split_once(' ') {
        Some((scheme, rest)) if schemes.contains(&&*scheme.to_ascii_lowercase()) => rest.trim(),
        _ if schemes.contains(&&*value.to_ascii_lowercase()) => return false,
        _ => value,
    };
    // `your-api-key` is a placeholder.
    let is_placeholder = words(value).first().is_some_and(|word| word == "your");
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_placeholder || value == REDACTED || value.strip_prefix('$').is_some_and(is_name) {
        return false;
    }
    let mut depth = 0_usize;
    let is_said = value.chars().any(|c| {
        match c {
            '{' | '<' => depth += 1,
            '}' | '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => return c.is_alphanumeric(),
            // A reference holds a name, without JSON and without a default.
            _ => return matches!(c, '"' | '\'' | '='),
        }
        false
    });
    is_said || depth > 0 || value.contains(":-")
}

/// Returns whether a text is a secret under any name.
pub(super) fn is_known(text: &str) -> bool {
    let text = text.trim_start_matches("Bearer ").trim();
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let known = PREFIXES.iter().any(|(prefix, least)| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() >= *least && rest.bytes().all(legal))
    });
    known || text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY")
}

/// Returns whether a text is long and mixes letters and digits: a key, or a digest.
pub(super) fn is_opaque(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_-+=".contains(&b);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    text.len() >= 24 && text.bytes().all(legal) && digits >= 4 && letters >= 4
}

/// Returns the URL without its secrets, if it has any: user name, password, values of credential parameters, and a
/// fragment that is no page anchor.
pub(super) fn redacted_url(text: &str) -> Option<String> {
    let is_anchor =
        |fragment: &str| !fragment.contains('=') && !is_known(fragment) && !is_opaque(fragment);
    without_secrets(text, |name| Some(format!("{name}={REDACTED}")), is_anchor)
}

/// Returns a callable URL without its secrets, if it has any: user name, password, credential parameters and the
/// fragment.
pub(super) fn callable_url(text: &str) -> Option<String> {
    without_secrets(text, |_| None, |_| false)
}

fn without_secrets(
    text: &str,
    instead: impl Fn(&str) -> Option<String>,
    keeps_fragment: impl Fn(&str) -> bool,
) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"+.-".contains(&b);
    if !scheme.bytes().all(legal) {
        return None;
    }
    let mut changed = false;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (mut authority, rest) = rest.split_at(end);
    if let Some((user, host)) = authority.rsplit_once('@')
        && is_literal(user.rsplit_once(':').map_or(user, |(_, password)| password))
    {
        (authority, changed) = (host, true);
    }
    let end = rest.find('#').unwrap_or(rest.len());
    let (rest, mut fragment) = rest.split_at(end);
    if let Some(text) = fragment.strip_prefix('#')
        && !keeps_fragment(text)
    {
        (fragment, changed) = ("", true);
    }
    let mut url = format!("{scheme}://{authority}");
    let Some((path, query)) = rest.split_once('?') else {
        url.push_str(rest);
        url.push_str(fragment);
        return changed.then_some(url);
    };
    let mut parameters = Vec::new();
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_named = is_credential(name) || matches!(name, "key" | "sig" | "code");
        if is_known(value) || is_named && is_literal(value) {
            changed = true;
            parameters.extend(instead(name));
        } else {
            parameters.push(parameter.to_owned());
        }
    }
    url.push_str(path);
    if !parameters.is_empty() {
        url.push('?');
        url.push_str(&parameters.join("&"));
    }
    url.push_str(fragment);
    changed.then_some(url)
}

/// Returns whether a part of the URL's path may be a secret, because some services issue such URLs.
pub(super) fn has_opaque_path(url: &str) -> bool {
    let url = Url::parse(url).ok();
    url.as_ref()
        .and_then(Url::path_segments)
        .is_some_and(|mut parts| parts.any(is_opaque))
}

/// Returns a text without its secret, if it has one under any name.
fn redacted_text(text: &str) -> Option<String> {
    if is_known(text) {
        return Some(REDACTED.to_owned());
    }
    redacted_url(text)
}

#[cfg(test)]
mod tests;
