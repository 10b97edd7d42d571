//! Secrets in JSON, by their position.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Arguments, REDACTED, arguments::redacted_pair, is_credential, is_literal, redacted_text,
    redacted_url,
};
use crate::interchange::object::Json;

/// Returns JSON without its secrets, if it has any, and their paths.
///
/// Secrets are: values of headers and variables, the `value` or `default` of an object with `isSecret` or a
/// credential's name, secrets in arguments and URLs, values under a credential's key, and known secrets. All other
/// texts stay unchanged.
pub(in crate::interchange) fn redacted(json: &str) -> Option<(String, Vec<String>)> {
    let mut found = Vec::new();
    let json = redact(json, &At::default(), &mut found)?;
    Some((json, found))
}

/// A list or map whose values may each be a secret.
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

/// The path of a value, and whether its name marks a credential.
#[derive(Clone, Default)]
struct At {
    path: String,
    /// The key of the value, or of its list.
    key: String,
    /// The headers or variables that contain it.
    values: Option<Values>,
    /// Whether a literal text here is a secret if its name says so.
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

    /// Returns the text at this path without its secret, if it has one.
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

/// Returns the redacted URL without its fragment, if it has one, because no server needs it.
fn callable_fragment(url: &str) -> Option<String> {
    let (url, _) = url.split_once('#')?;
    Some(redacted_url(url).unwrap_or_else(|| url.to_owned()))
}

fn redact(json: &str, at: &At, found: &mut Vec<String>) -> Option<String> {
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

/// Returns whether the text under a key such as `token` looks like a token, and not like prose.
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
    let says = |what: &str| {
        members.iter().any(|(key, value)| {
            matches!(&**key, "isSecret" | "is_secret" | "secret")
                && value.get().trim_matches('"') == what
        })
    };
    let (is_marked, is_open) = (says("true"), says("false"));
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
            // The publisher sets a variable's default, which is rarely a secret. Some are declared not to be.
            let by_path = at.values == Some(Values::Headers) || at.values.is_some() && !is_open;
            let is_sure = at.values == Some(Values::Headers) || key == "value";
            (is_named || by_path, is_named || is_sure)
        } else {
            (is_credential(key), false)
        };
        // A JSON Schema describes values here, and contains none.
        let of_schema = at.key == "properties";
        let inner = At {
            path: at.inner(key),
            key: if of_schema {
                String::new()
            } else {
                key.clone()
            },
            values: Values::of(key).filter(|_| !of_schema).or(at.values),
            is_value,
            is_secret,
        };
        match redact(value.get(), &inner, found) {
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
            Some(json) => Some(redact(&json, &inner, found).unwrap_or(json)),
            None => redact(item.get(), &inner, found),
        };
        changed |= redacted.is_some();
        json.push(redacted.unwrap_or_else(|| item.get().to_owned()));
    }
    changed.then(|| format!("[{}]", json.join(",")))
}

/// Returns whether the list under a key holds the arguments of a command.
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

/// Returns an argument as JSON without its secret, if it has one. It is a text, or an object of the registry.
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

/// The members of an object in order, including repeated ones.
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
