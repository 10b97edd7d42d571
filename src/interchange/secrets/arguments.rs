//! Secrets in the arguments of a command.

use super::{REDACTED, is_credential, is_literal, is_opaque, redacted_text};

/// The meaning of an argument, which the previous argument determines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Kind {
    #[default]
    Plain,
    /// `NAME=value`, or a bare name.
    Variable,
    /// `Name: value`, or a name whose value is the next argument.
    Header,
    Secret,
}

impl Kind {
    /// Returns the kind of a flag's value.
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

/// Redacts the arguments of a command in order.
///
/// Variables and headers keep only their names and references. Other arguments are judged by name and by form.
#[derive(Clone, Debug, Default)]
pub(in crate::interchange) struct Arguments {
    next: Kind,
}

impl Arguments {
    /// Returns the argument without its secret, if it has one.
    pub(in crate::interchange) fn redact(&mut self, text: &str) -> Option<String> {
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
        // `Authorization: Bearer …`, as commands take a header.
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
        // The value may follow a short flag without a blank.
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

/// Returns whether a text with blanks is a flag with a header.
fn is_flag_of_header(text: &str) -> bool {
    let flag = text.split(['=', ' ']).next().unwrap_or_default();
    Kind::of(flag) == Kind::Header && text.contains('=') || text.starts_with("-H") && flag != "-H"
}

/// Returns the name and value of a variable or header.
fn pair(text: &str, mark: char) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(mark)?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let name = name.trim();
    (!name.is_empty() && name.bytes().all(legal)).then_some((name, value))
}

pub(super) fn redacted_pair(text: &str, mark: char) -> Option<String> {
    let (name, value) = pair(text, mark)?;
    let blank = if mark == ':' { " " } else { "" };
    is_literal(value).then(|| format!("{name}{mark}{blank}{REDACTED}"))
}

/// Returns whether a name has the usual spelling of an environment variable.
fn is_variable(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    name.len() > 1 && name.bytes().all(legal)
}

/// Returns a command line without its secrets, if it has any.
pub(in crate::interchange) fn redacted_line(line: &str) -> Option<String> {
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
