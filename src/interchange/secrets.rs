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
            // A reference holds a name: no JSON, and no default.
            _ => return matches!(c, '"' | '\'' | '='),
        }
        false
    });
    is_said || depth > 0 || value.contains(":-")
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

/// The URL without user name, password, the values of parameters that are credentials, and a fragment that is no anchor of a
/// page, if it has any.
pub(super) fn redacted_url(text: &str) -> Option<String> {
    let is_anchor =
        |fragment: &str| !fragment.contains('=') && !is_known(fragment) && !is_opaque(fragment);
    without_secrets(text, |name| Some(format!("{name}={REDACTED}")), is_anchor)
}

/// The URL without user name, password, parameters that are credentials, and fragment, if it has any: it can be called.
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

/// Whether a part of the URL's path may be a secret: some services hand out such URLs.
pub(super) fn has_opaque_path(url: &str) -> bool {
    let url = Url::parse(url).ok();
    url.as_ref()
        .and_then(Url::path_segments)
        .is_some_and(|mut parts| parts.any(is_opaque))
}

/// What an argument of a command is, as the argument before it says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Kind {
    #[default]
    Plain,
    /// `NAME=value`, or a name alone.
    Variable,
    /// `Name: value`, or a name with the value in the next argument.
    Header,
    Secret,
}

impl Kind {
    /// The kind of a flag's value.
    fn of(flag: &str) -> Self {
        match flag {
            "-e" | "--env" => Self::Variable,
            "-H" | "--header" | "--headers" => Self::Header,
            _ => match flag
                .strip_prefix('-')
                .map(|flag| flag.trim_start_matches('-'))
            {
                Some(name) if name == "key" || is_credential(name) => Self::Secret,
                _ => Self::Plain,
            },
        }
    }
}

/// The arguments of a command, one after the other.
///
/// The place decides for variables and headers: only their names and references stay. Other arguments are judged by name and
/// by form.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments {
    next: Kind,
}

impl Arguments {
    /// The argument without its secret, if it has one.
    pub(super) fn redact(&mut self, text: &str) -> Option<String> {
        match std::mem::take(&mut self.next) {
            Kind::Variable if pair(text, '=').is_some() => return redacted_pair(text, '='),
            Kind::Variable | Kind::Header if text.starts_with('{') => {
                return is_literal(text).then(|| REDACTED.to_owned());
            }
            Kind::Header => {
                let mark = text.chars().find(|c| matches!(c, ':' | '='));
                let header = mark.and_then(|mark| pair(text, mark));
                if header.is_none_or(|(_, value)| value.is_empty()) {
                    self.next = Kind::Secret;
                }
                return redacted_pair(text, mark?);
            }
            Kind::Secret if !text.starts_with('-') => {
                return is_literal(text).then(|| REDACTED.to_owned());
            }
            Kind::Plain | Kind::Variable | Kind::Secret => {}
        }
        if text.starts_with('-') && !text.contains(char::is_whitespace) || is_flag_of_header(text) {
            return self.redact_flag(text);
        }
        if let Some((name, _)) = pair(text, '=')
            && (is_credential(name) || is_variable(name))
        {
            return redacted_pair(text, '=');
        }
        // `Authorization: Bearer …`, as a header is given to a command.
        if let Some((name, value)) = pair(text, ':')
            && is_credential(name)
            && !value.starts_with("//")
        {
            return redacted_pair(text, ':');
        }
        if let Some(at) = text.to_ascii_lowercase().find("bearer ")
            && is_literal(text.get(at..).unwrap_or_default())
        {
            return Some(REDACTED.to_owned());
        }
        redacted_text(text)
            .or_else(|| is_opaque(text).then(|| REDACTED.to_owned()))
            .or_else(|| redacted_line(text))
    }

    fn redact_flag(&mut self, text: &str) -> Option<String> {
        // The value may follow a short flag at once.
        if !text.starts_with("--") {
            for (flag, mark) in [("-e", '='), ("-H", ':')] {
                if let Some(value) = text.strip_prefix(flag)
                    && pair(value, mark).is_some()
                {
                    return redacted_pair(value, mark).map(|value| format!("{flag}{value}"));
                }
            }
        }
        let Some((flag, value)) = text.split_once('=') else {
            self.next = Kind::of(text);
            return None;
        };
        let mut of_value = Self {
            next: Kind::of(flag),
        };
        let value = match of_value.next {
            Kind::Secret => is_literal(value).then(|| REDACTED.to_owned()),
            _ => of_value.redact(value),
        };
        value.map(|value| format!("{flag}={value}"))
    }
}

/// Whether a text with blanks is a flag and the header that it gives.
fn is_flag_of_header(text: &str) -> bool {
    let flag = text.split(['=', ' ']).next().unwrap_or_default();
    Kind::of(flag) == Kind::Header && text.contains('=') || text.starts_with("-H") && flag != "-H"
}

/// The name and value of a variable or header.
fn pair(text: &str, mark: char) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(mark)?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let name = name.trim();
    (!name.is_empty() && name.bytes().all(legal)).then_some((name, value))
}

fn redacted_pair(text: &str, mark: char) -> Option<String> {
    let (name, value) = pair(text, mark)?;
    let blank = if mark == ':' { " " } else { "" };
    is_literal(value).then(|| format!("{name}{mark}{blank}{REDACTED}"))
}

/// Whether a name is spelled as those of environment variables are.
fn is_variable(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    name.len() > 1 && name.bytes().all(legal)
}

/// A command and its arguments in one text, without their secrets, if it has any.
pub(super) fn redacted_line(line: &str) -> Option<String> {
    let mut quote = None;
    let words = line.split(|c: char| {
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => return c.is_whitespace(),
            Some(_) => {}
        }
        false
    });
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    if words.len() < 2 {
        return None;
    }
    let (mut arguments, mut changed) = (Arguments::default(), false);
    let words: Vec<_> = words
        .into_iter()
        .map(|word| {
            let redacted = arguments.redact(word.trim_matches(['"', '\'']));
            changed |= redacted.is_some();
            redacted.unwrap_or_else(|| word.to_owned())
        })
        .collect();
    changed.then(|| words.join(" "))
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
/// Secrets are the values of headers and variables, the `value` or `default` of an object that has `isSecret` or a credential's
/// name, secrets in arguments and URLs, the value of a key with a credential's name, and a text that is known to be one. The
/// texts of all other values stay as they are.
pub(super) fn redacted(json: &str) -> Option<(String, Vec<String>)> {
    let mut found = Vec::new();
    let json = walk(json, &At::default(), &mut found)?;
    Some((json, found))
}

/// A list or map of values that may each be a secret.
#[derive(Clone, Copy, PartialEq)]
enum Values {
    Variables,
    Headers,
}

impl Values {
    fn of(key: &str) -> Option<Self> {
        match key {
            "env"
            | "environment"
            | "env_vars"
            | "envVars"
            | "environmentVariables"
            | "environment_variables" => Some(Self::Variables),
            "headers" | "http_headers" | "httpHeaders" => Some(Self::Headers),
            _ => None,
        }
    }
}

/// The place of a value, and whether its name says that it is a credential.
#[derive(Clone, Default)]
struct At {
    path: String,
    /// The key that it stands under, itself or in a list.
    key: String,
    /// The headers or variables that it is, or is in.
    values: Option<Values>,
    /// Where each literal text is a secret if its name says so.
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

    /// The text of this place without its secret, if it has one.
    fn redacted(&self, text: &str) -> Option<String> {
        if self.is_secret && is_literal(text) && (self.is_value || looks_secret(text)) {
            return Some(REDACTED.to_owned());
        }
        // A list of texts.
        let of_list = match Values::of(&self.key) {
            Some(Values::Variables) => redacted_pair(text, '='),
            Some(Values::Headers) => redacted_pair(text, ':'),
            None if self.key == "url" => callable_fragment(text),
            None if self.key == "command" => Arguments::default().redact(text),
            None => None,
        };
        of_list.or_else(|| redacted_text(text))
    }
}

/// The redacted URL without its fragment, if it has one: no server needs it.
fn callable_fragment(url: &str) -> Option<String> {
    let (url, _) = url.split_once('#')?;
    Some(redacted_url(url).unwrap_or_else(|| url.to_owned()))
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
            let redacted = at.redacted(&text)?;
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
    let is_credential_named = text("name").is_some_and(|name| is_credential(&name));
    // A map of values, not a list of objects.
    let holds_values = !at.path.ends_with(']') && Values::of(&at.key).is_some();
    let (mut json, mut changed) = (Json::default(), false);
    for (key, value) in members {
        let is_input = matches!(&**key, "value" | "default");
        let is_named = is_marked || is_credential_named || at.is_secret;
        let (is_secret, is_value) = if holds_values {
            (true, true)
        } else if is_input {
            // A variable's default is the publisher's, and most are no secrets.
            let by_place = at.values.is_some();
            let is_sure = at.values == Some(Values::Headers) || key == "value";
            (is_named || by_place, is_named || is_sure)
        } else {
            (is_credential(key), false)
        };
        let inner = At {
            path: at.inner(key),
            key: key.clone(),
            values: Values::of(key)
                .filter(|_| at.key != "properties")
                .or(at.values),
            is_value,
            is_secret,
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
    let mut arguments = is_arguments(&at.key).then(Arguments::default);
    for (index, item) in items.iter().enumerate() {
        let inner = At {
            path: format!("{}[{index}]", at.path),
            ..at.clone()
        };
        let argument = arguments
            .as_mut()
            .and_then(|arguments| redacted_argument(item.get(), arguments, &inner, found));
        let redacted = match argument {
            Some(json) => Some(walk(&json, &inner, found).unwrap_or(json)),
            None => walk(item.get(), &inner, found),
        };
        changed |= redacted.is_some();
        json.push(redacted.unwrap_or_else(|| item.get().to_owned()));
    }
    changed.then(|| format!("[{}]", json.join(",")))
}

/// Whether the list under a key is the arguments of a command.
fn is_arguments(key: &str) -> bool {
    let known = [
        "args",
        "arguments",
        "command",
        "packageArguments",
        "package_arguments",
        "runtimeArguments",
        "runtime_arguments",
    ];
    known.contains(&key)
}

/// An argument as JSON without its secret, if it has one: a text, or an object as the registry has it.
fn redacted_argument(
    json: &str,
    arguments: &mut Arguments,
    at: &At,
    found: &mut Vec<String>,
) -> Option<String> {
    if let Ok(text) = serde_json::from_str::<String>(json) {
        let redacted = arguments.redact(&text)?;
        found.push(at.path.clone());
        return serde_json::to_string(&redacted).ok();
    }
    let Members(members) = serde_json::from_str(json).ok()?;
    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
    let name = members.iter().find(|(key, _)| key == "name");
    if let Some(name) = name.and_then(|(_, name)| text(name)) {
        let dashes = match name.len() {
            _ if name.starts_with('-') => "",
            1 => "-",
            _ => "--",
        };
        arguments.redact(&format!("{dashes}{name}"));
    }
    let (before, mut json, mut changed) = (arguments.clone(), Json::default(), false);
    for (key, value) in &members {
        let is_input = matches!(&**key, "value" | "default");
        let input = text(value).filter(|_| is_input).and_then(|text| {
            *arguments = before.clone();
            arguments.redact(&text)
        });
        match input.and_then(|redacted| serde_json::to_string(&redacted).ok()) {
            Some(redacted) => {
                found.push(at.inner(key));
                changed = true;
                json.raw(key, &redacted);
            }
            None => json.raw(key, value.get()),
        }
    }
    changed.then(|| json.finish())
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
