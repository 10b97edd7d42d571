//! Secrets in what a file says of a server.
//!
//! Invariant: names of variables, headers and parameters are no secrets, and neither are references to values kept elsewhere
//! (`{key}`, `${KEY}`, `<key>`). All else about such values is decided here only.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use url::Url;

use super::object::Json;

/// Takes the place of a secret.
pub(super) const REDACTED: &str = "REDACTED";

/// Texts that are secrets by how they begin, and the least count of characters after that.
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

/// Whether a value of this name is a credential: of a header, a variable, a parameter or an argument.
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

/// The words of a name in any of the usual spellings, in lower case.
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

/// Whether a value says something itself, and does not only refer to what is kept elsewhere.
pub(super) fn is_literal(value: &str) -> bool {
    let value = value.trim();
    let schemes = ["bearer", "basic", "token", "apikey"];
    let value = match value.split_once(' ') {
        Some((scheme, rest)) if schemes.contains(&&*scheme.to_ascii_lowercase()) => rest.trim(),
        _ if schemes.contains(&&*value.to_ascii_lowercase()) => return false,
        _ => value,
    };
    // `your-api-key` asks for one.
    let is_placeholder = words(value).first().is_some_and(|word| word == "your");
    if is_placeholder || value == REDACTED || value.starts_with('$') {
        return false;
    }
    let (mut depth, mut rest) = (0_usize, 0);
    for c in value.chars() {
        match c {
            '{' | '<' => depth += 1,
            '}' | '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => rest += 1,
            _ => {}
        }
    }
    rest > 0
}

/// Whether a text is a secret whatever its name.
pub(super) fn is_known(text: &str) -> bool {
    let text = text.trim_start_matches("Bearer ").trim();
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let known = PREFIXES.iter().any(|(prefix, least)| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() >= *least && rest.bytes().all(legal))
    });
    known || text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY")
}

/// Whether a text is long, and of letters and digits mixed: a key, but maybe a digest.
pub(super) fn is_opaque(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_-+=".contains(&b);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    text.len() >= 24 && text.bytes().all(legal) && digits >= 4 && letters >= 4
}

/// The URL without user name, password and the values of parameters that are credentials, if it has any.
pub(super) fn redacted_url(text: &str) -> Option<String> {
    without_secrets(text, |name| Some(format!("{name}={REDACTED}")))
}

/// The URL without user name, password and parameters that are credentials, if it has any: it can be called.
pub(super) fn callable_url(text: &str) -> Option<String> {
    without_secrets(text, |_| None)
}

fn without_secrets(text: &str, instead: impl Fn(&str) -> Option<String>) -> Option<String> {
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
    let (rest, fragment) = rest.split_at(end);
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

/// Whether a part of the URL's path may be a secret: some services hand out such URLs.
pub(super) fn has_opaque_path(url: &str) -> bool {
    let url = Url::parse(url).ok();
    url.as_ref()
        .and_then(Url::path_segments)
        .is_some_and(|mut parts| parts.any(is_opaque))
}

/// An argument of a command without its secret, if it has one. `before` is the argument before it.
pub(super) fn redacted_argument(before: Option<&str>, text: &str) -> Option<String> {
    if let Some((name, value)) = text.split_once('=')
        && is_credential(name.trim_start_matches('-'))
    {
        return is_literal(value).then(|| format!("{name}={REDACTED}"));
    }
    let of_flag = before.is_some_and(|before| {
        before
            .strip_prefix('-')
            .is_some_and(|flag| !before.contains('=') && is_credential(flag))
    });
    // `Authorization: Bearer …`, as a header is given to a command.
    if let Some((name, value)) = text.split_once(':')
        && is_credential(name.trim())
        && !value.starts_with("//")
    {
        return is_literal(value).then(|| format!("{name}: {REDACTED}"));
    }
    if of_flag && !text.starts_with('-') {
        return is_literal(text).then(|| REDACTED.to_owned());
    }
    if let Some(at) = text.to_ascii_lowercase().find("bearer ")
        && is_literal(text.get(at..).unwrap_or_default())
    {
        return Some(REDACTED.to_owned());
    }
    redacted_text(text).or_else(|| is_opaque(text).then(|| REDACTED.to_owned()))
}

/// A text without its secret, if it has one whatever its name.
fn redacted_text(text: &str) -> Option<String> {
    if is_known(text) {
        return Some(REDACTED.to_owned());
    }
    redacted_url(text)
}

/// JSON without the secrets in it, if it has any, and the paths at which they stood.
///
/// A secret is the `value` or `default` of an object that has `isSecret` or a credential's name, the value of a key that has
/// one, a part of a URL, or a text that is known to be one. The texts of all other values stay as they are.
pub(super) fn redacted(json: &str) -> Option<(String, Vec<String>)> {
    let mut found = Vec::new();
    let json = walk(json, &At::default(), &mut found)?;
    Some((json, found))
}

/// The place of a value, and whether its name says that it is a credential.
#[derive(Clone, Default)]
struct At {
    path: String,
    /// A member of `headers` or `env`, where each text is a value.
    is_value: bool,
    is_secret: bool,
}

impl At {
    fn inner(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

fn walk(json: &str, at: &At, found: &mut Vec<String>) -> Option<String> {
    match json.trim_start().bytes().next()? {
        b'{' => {
            let Members(members) = serde_json::from_str(json).ok()?;
            in_object(&members, at, found)
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            in_list(&items, at, found)
        }
        b'"' => {
            let text: String = serde_json::from_str(json).ok()?;
            let named = at.is_secret && is_literal(&text) && (at.is_value || looks_secret(&text));
            let redacted = if named {
                Some(REDACTED.to_owned())
            } else {
                redacted_text(&text)
            }?;
            found.push(at.path.clone());
            serde_json::to_string(&redacted).ok()
        }
        _ => None,
    }
}

/// Whether the text of a key such as `token`, anywhere, is one: prose about tokens is not.
fn looks_secret(text: &str) -> bool {
    text.len() >= 8
        && !text.contains(char::is_whitespace)
        && !text.contains("://")
        && text.bytes().any(|b| b.is_ascii_digit())
}

fn in_object(
    members: &[(String, Box<RawValue>)],
    at: &At,
    found: &mut Vec<String>,
) -> Option<String> {
    let text = |key: &str| {
        let member = members.iter().find(|(name, _)| name == key);
        member.and_then(|(_, value)| serde_json::from_str::<String>(value.get()).ok())
    };
    let is_marked = members.iter().any(|(key, value)| {
        matches!(&**key, "isSecret" | "is_secret" | "secret") && value.get() == "true"
    });
    let is_named = text("name").is_some_and(|name| is_credential(&name));
    let holds_values = at
        .path
        .rsplit('.')
        .next()
        .is_some_and(|key| matches!(key, "headers" | "env" | "environment" | "http_headers"));
    let (mut json, mut changed) = (Json::default(), false);
    for (key, value) in members {
        let is_input = matches!(&**key, "value" | "default");
        let inner = At {
            path: at.inner(key),
            is_value: holds_values || is_input,
            is_secret: if is_input {
                is_marked || is_named || at.is_secret
            } else {
                is_credential(key)
            },
        };
        match walk(value.get(), &inner, found) {
            Some(redacted) => {
                changed = true;
                json.raw(key, &redacted);
            }
            None => json.raw(key, value.get()),
        }
    }
    changed.then(|| json.finish())
}

fn in_list(items: &[&RawValue], at: &At, found: &mut Vec<String>) -> Option<String> {
    let (mut json, mut changed) = (Vec::with_capacity(items.len()), false);
    let mut before: Option<String> = None;
    for (index, item) in items.iter().enumerate() {
        let inner = At {
            path: format!("{}[{index}]", at.path),
            ..at.clone()
        };
        let text: Option<String> = serde_json::from_str(item.get()).ok();
        let argument = text.as_deref().filter(|_| is_arguments(&at.path));
        let redacted = match argument.and_then(|text| redacted_argument(before.as_deref(), text)) {
            Some(redacted) => {
                found.push(inner.path);
                serde_json::to_string(&redacted).ok()
            }
            None => walk(item.get(), &inner, found),
        };
        changed |= redacted.is_some();
        json.push(redacted.unwrap_or_else(|| item.get().to_owned()));
        before = text;
    }
    changed.then(|| format!("[{}]", json.join(",")))
}

/// Whether a list is the arguments of a command.
fn is_arguments(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or_default();
    matches!(key, "args" | "command" | "arguments")
}

/// The members of an object in their order, those that stand twice too.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        json.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests;
