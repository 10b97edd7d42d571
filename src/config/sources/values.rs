//! Values as text, before clap reads them.

use std::{
    borrow::Cow,
    ffi::{OsStr, OsString},
};

/// The similarity above which a name counts as a misspelling of another. 1 is equality.
const SIMILAR: f64 = 0.8;

/// Returns the items of a list, without blanks around them and without empty ones.
pub(super) fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// Returns a list without blanks around its commas.
pub(super) fn without_blanks(list: &str) -> String {
    let items: Vec<_> = list.split(',').map(str::trim).collect();
    items.join(",")
}

/// Returns `--flag=value`.
pub(super) fn joined(flag: &str, value: &OsStr) -> OsString {
    let mut joined = OsString::from(flag);
    joined.push("=");
    joined.push(value);
    joined
}

/// Returns the most similar name, if one is similar enough.
pub(in crate::config) fn nearest<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = name.to_lowercase().replace('_', "-");
    let likeness = |known: &str| {
        let known = known.to_lowercase().replace('_', "-");
        strsim::jaro_winkler(&name, &known)
    };
    known
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

/// Returns ` Did you mean NAME?`, or nothing without a name.
pub(in crate::config) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(". Did you mean {name}?"))
}

/// The parameters of a database URL that hold no secret.
const PUBLIC_PARAMETERS: [&str; 12] = [
    "application_name",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "mode",
    "port",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "user",
    "vfs",
];

pub(super) const HIDDEN: &str = "***";

/// Replaces the user, the password and parameters that may be secret by asterisks. PostgreSQL's user is no secret. A
/// text without a scheme is hidden completely.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let url = text.split_once(':').filter(|(scheme, rest)| {
        *scheme == "sqlite" || (is_scheme(scheme) && rest.starts_with("//"))
    });
    let Some((scheme, rest)) = url else {
        return HIDDEN.into();
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    // A path of SQLite may contain an @, and has no password.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) if scheme != "sqlite" => (Some(user), rest),
        _ => (None, rest),
    };
    let user = user.map(|user| match user.split_once(':') {
        _ if !scheme.starts_with("postgres") => format!("//{HIDDEN}@"),
        Some((name, _)) => format!("{name}:{HIDDEN}@"),
        None => format!("{user}@"),
    });
    let query = query.map(|query| {
        let parameters: Vec<_> = query.split('&').map(parameter).collect();
        format!("?{}", parameters.join("&"))
    });
    let (user, query) = (user.unwrap_or_default(), query.unwrap_or_default());
    let written = format!("{scheme}:{user}{rest}{query}");
    if written == text {
        text.into()
    } else {
        written.into()
    }
}

fn is_scheme(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphabetic()) && !text.is_empty()
}

fn parameter(text: &str) -> Cow<'_, str> {
    match text.split_once('=') {
        Some((name, _)) if PUBLIC_PARAMETERS.contains(&name) => text.into(),
        Some((name, _)) => format!("{name}={HIDDEN}").into(),
        None => HIDDEN.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (text, expected) in [
            ("a secret of some length", "***"),
            ("prod:a secret of some length", "***"),
            ("http:a secret of some length", "***"),
            ("http://ann:p@ss@proxy:3128", "http://***@proxy:3128"),
            ("http://token@proxy:3128", "http://***@proxy:3128"),
            (
                "sqlite://data/a@b:c.db?mode=rwc",
                "sqlite://data/a@b:c.db?mode=rwc",
            ),
            (
                "postgres://ann@host/db?sslmode=require",
                "postgres://ann@host/db?sslmode=require",
            ),
            (
                "postgres://ann:p@ss:w@h1,h2:7/db",
                "postgres://ann:***@h1,h2:7/db",
            ),
            (
                "postgres://host/db?user=ann&password=x",
                "postgres://host/db?user=ann&password=***",
            ),
            (
                "https://issuer.example/keys?x",
                "https://issuer.example/keys?***",
            ),
            ("https://issuer.example/keys", "https://issuer.example/keys"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn a_name_with_a_slip_is_found() {
        let known = ["listen", "metrics-listen", "database-url", "jwt-secret"];
        for (name, expected) in [
            ("LISTEN_ADDR", Some("listen")),
            ("database_ulr", Some("database-url")),
            ("jwtsecret", Some("jwt-secret")),
            ("colour", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        }
    }

    #[test]
    fn lists_take_blanks() {
        let items: Vec<_> = items(" a , b,,c ,").collect();
        assert_eq!(items, ["a", "b", "c"]);
        assert_eq!(without_blanks("a, b ,"), "a,b,");
    }
}
