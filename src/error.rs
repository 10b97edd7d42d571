//! Errors, with the stable codes that clients rely on.
//!
//! Invariant: codes are made here and nowhere else, and a message never holds a database's or a library's text.

use std::{error::Error as StdError, fmt, iter};

use entity::{Timestamp, UserKey};
use serde_json::{Value, json};

/// A result whose error has a code that clients are promised.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The `extensions.code` of a top-level error. Stable: a code is never renamed or reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A token is needed, or the one sent is bad.
    Unauthenticated,
    /// The token lacks a scope.
    Forbidden,
    /// An argument of a query is not what was expected.
    BadUserInput,
    /// The request is larger than a limit allows.
    LimitExceeded,
    /// The caller asks too often.
    RateLimited,
    /// The answer, or the request's body, took longer than the request timeout, or a change waited too long for another.
    Timeout,
    /// A cursor that is broken, of another list, or of another kind.
    CursorInvalid,
    /// A cursor of changes that are no longer kept, or never were here.
    CursorExpired,
    /// Too much is asked of the service at once, there is no connection to the database, it cannot be written, or there is no key
    /// to verify the token with.
    Unavailable,
    /// The request is no well-formed GraphQL request.
    BadRequest,
    /// No document of this hash is kept: the client is to send its text too.
    PersistedQueryNotFound,
    /// No documents are kept.
    PersistedQueryNotSupported,
    /// There are trusted documents, and this is none of them.
    DocumentNotTrusted,
    /// The document is no GraphQL.
    GraphqlParseFailed,
    /// The document does not fit the schema, or a variable's value its type.
    GraphqlValidationFailed,
    /// Something of ours failed; the log has it under the request id.
    Internal,
}

impl Code {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Timeout => "TIMEOUT",
            Self::CursorInvalid => "CURSOR_INVALID",
            Self::CursorExpired => "CURSOR_EXPIRED",
            Self::Unavailable => "UNAVAILABLE",
            Self::BadRequest => "BAD_REQUEST",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::DocumentNotTrusted => "DOCUMENT_NOT_TRUSTED",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::Internal => "INTERNAL",
        }
    }

    /// The seconds after which to try again, unless an error says another number. None where trying again does not help.
    const fn retry_after(self) -> Option<u64> {
        match self {
            Self::RateLimited | Self::Unavailable => Some(1),
            _ => None,
        }
    }
}

/// The `retryAfter` of what an operator has to mend, in seconds.
pub(crate) const OPERATOR_ACTS: u64 = 60;

/// An error with its code, the message a client may read, numbers for programs, and a cause that only the log may.
///
/// Invariant: `RATE_LIMITED` and `UNAVAILABLE` have seconds, `LIMIT_EXCEEDED` has a limit, `BAD_USER_INPUT` has one where an argument
/// is beyond it, and no other code has either. The header `Retry-After` and `extensions` are written from these.
#[derive(Debug)]
pub struct Error {
    /// The `extensions.code` that a client gets.
    pub code: Code,
    pub(crate) message: String,
    retry_after: Option<u64>,
    limit: Option<Limit>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// The most that is allowed, and how much there is, where that is known.
#[derive(Clone, Copy, Debug)]
struct Limit {
    most: u64,
    current: Option<u64>,
}

impl Error {
    /// An error of any code but `LIMIT_EXCEEDED`, which [`Self::over`] makes.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        debug_assert!(code != Code::LimitExceeded, "say the limit: Error::over");
        Self {
            code,
            message: message.into(),
            retry_after: code.retry_after(),
            limit: None,
            cause: None,
        }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// `RATE_LIMITED`: the caller is to wait for so many seconds.
    pub(crate) fn rate_limited(message: impl Into<String>, seconds: u64) -> Self {
        Self::new(Code::RateLimited, message).retrying_after(seconds)
    }

    /// With other seconds after which to try again. Without effect on a code that has none.
    #[must_use]
    pub(crate) fn retrying_after(self, seconds: u64) -> Self {
        Self {
            retry_after: self.retry_after.map(|_| seconds),
            ..self
        }
    }

    /// `LIMIT_EXCEEDED`: the most that is allowed, and how much there is, where that is known.
    pub(crate) fn over(message: impl Into<String>, most: u64, current: Option<u64>) -> Self {
        Self {
            code: Code::LimitExceeded,
            message: message.into(),
            retry_after: None,
            limit: Some(Limit { most, current }),
            cause: None,
        }
    }

    /// The seconds after which to try again, of a code that has them.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// The `extensions` of the error, by their names.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = (&'static str, Value)> + use<> {
        let numbers = [
            ("retryAfter", self.retry_after),
            ("limit", self.limit.map(|limit| limit.most)),
            ("current", self.limit.and_then(|limit| limit.current)),
        ];
        let numbers = numbers.into_iter();
        let numbers = numbers.filter_map(|(name, number)| Some((name, number?.into())));
        iter::once(("code", self.code.as_str().into())).chain(numbers)
    }

    /// The error as an answer has it, without locations and path (GraphQL, section 7.1.2).
    pub(crate) fn to_json(&self) -> Value {
        let extensions = self.extensions();
        let extensions = extensions.map(|(name, value)| (name.to_owned(), value));
        let extensions: Value = extensions.collect();
        json!({ "message": self.message, "extensions": extensions })
    }

    /// With a cause, which only the log may read.
    #[must_use]
    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// `BAD_USER_INPUT` of an argument that is beyond a limit.
    pub(crate) fn beyond(message: impl Into<String>, most: u64, current: u64) -> Self {
        Self {
            limit: Some(Limit {
                most,
                current: Some(current),
            }),
            ..Self::bad_user_input(message)
        }
    }

    pub(crate) fn bad_user_input(message: impl Into<String>) -> Self {
        Self::new(Code::BadUserInput, message)
    }

    /// The causes in one line, for the log.
    pub(crate) fn cause(&self) -> Option<String> {
        self.source().map(chain)
    }

    /// An input has more than `most` of something, such as tokens.
    pub(crate) fn limit_exceeded(input: &str, most: u64, of: &str) -> Self {
        Self::over(format!("{input} must have at most {most} {of}"), most, None)
    }

    /// The request has taken the request timeout.
    pub(crate) fn took_too_long() -> Self {
        Self::new(Code::Timeout, "the answer took too long")
    }

    /// The request has taken the request timeout, and what it changes may still be made.
    pub(crate) fn change_took_too_long() -> Self {
        let message = "the answer took too long: the change may have been made or not. Read the connector before you try again";
        Self::new(Code::Timeout, message)
    }

    pub(crate) fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "Something went wrong on our side.").caused_by(cause)
    }
}

/// An error and its causes in one line, for a terminal or the log. Leaves out a cause that an outer error contains, and the
/// message of an internal error, which says less than its cause.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = String::new();
    for error in iter::successors(Some(error), |&error| error.source()) {
        let says_nothing = error
            .downcast_ref::<Error>()
            .is_some_and(|error| error.code == Code::Internal && error.cause.is_some());
        let text = error.to_string();
        if says_nothing || line.contains(&text) {
            continue;
        }
        if !line.is_empty() {
            line += ": ";
        }
        line += &text;
    }
    line
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause
            .as_deref()
            .map(|cause| -> &(dyn StdError + 'static) { cause })
    }
}

/// The code of a `userErrors` entry. Stable, and open to additions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum UserErrorCode {
    Blank,
    Invalid,
    TooLong,
    Taken,
    NotFound,
    Forbidden,
    Conflict,
    LimitExceeded,
    TooSoon,
}

/// Something wrong with a mutation's input that its user can mend.
///
/// Its text is a clause without the field's name, such as `must not be blank`. It is shown as a [`sentence`](Self::sentence) beside
/// the field, or with the field before it where no field is beside ([`named`](Self::named)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    pub(crate) code: UserErrorCode,
    /// The input's field, as GraphQL and the published object name it; none when the input as a whole is meant.
    pub(crate) field: Option<&'static str>,
    pub(crate) clause: String,
    /// The most that is allowed, of `TOO_LONG` and `LIMIT_EXCEEDED`.
    pub(crate) limit: Option<u64>,
    /// How much there is, of `TOO_LONG` and `LIMIT_EXCEEDED`.
    pub(crate) current: Option<u64>,
    /// The changes since the expected revision, of a `CONFLICT` about one.
    pub(crate) conflict: Option<Box<UpdateConflict>>,
}

/// The changes of a connector since a revision that a caller expected, as far as the caller sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpdateConflict {
    /// The connector's present revision.
    pub(crate) revision: i64,
    /// The user who made the last change, if the caller sees them.
    pub(crate) actor: Option<UserKey>,
    /// The time of the last change.
    pub(crate) occurred_at: Timestamp,
    /// GraphQL names of the fields that changed; none where not all of the changes are known.
    pub(crate) changed_fields: Option<Vec<&'static str>>,
}

impl UserError {
    pub(crate) fn new(
        code: UserErrorCode,
        field: impl Into<Option<&'static str>>,
        clause: impl Into<String>,
    ) -> Self {
        Self {
            code,
            field: field.into(),
            clause: clause.into(),
            limit: None,
            current: None,
            conflict: None,
        }
    }

    /// With the most that is allowed, and how much there is.
    #[must_use]
    pub(crate) fn over(self, limit: u64, current: u64) -> Self {
        Self {
            limit: Some(limit),
            current: Some(current),
            ..self
        }
    }

    /// The text as a sentence that is read beside the field.
    pub(crate) fn sentence(&self) -> String {
        let mut rest = self.clause.chars();
        let first = rest.next().into_iter().flat_map(char::to_uppercase);
        let mut sentence: String = first.chain(rest).collect();
        if !sentence.ends_with(['.', '!', '?']) {
            sentence.push('.');
        }
        sentence
    }

    /// The text with the field's name before it, for a line that has no other.
    pub(crate) fn named(&self) -> String {
        match self.field {
            None => self.clause.clone(),
            Some(field) if self.clause.starts_with("must ") => format!("{field} {}", self.clause),
            Some(field) => format!("{field}: {}", self.clause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn link(text: &'static str, source: Option<Link>) -> Link {
        let source = source.map(Box::new);
        Link { text, source }
    }

    #[test]
    fn a_chain_says_each_cause_once() {
        let inner = link("refused", None);
        let repeated = link("cannot connect: refused", Some(inner));
        let outer = link("cannot start", Some(repeated));
        assert_eq!(chain(&outer), "cannot start: cannot connect: refused");
        assert_eq!(
            chain(&Error::internal(outer)),
            "cannot start: cannot connect: refused"
        );
        assert_eq!(chain(&Error::internal("disk full")), "disk full");
        let unavailable = Error::new(Code::Unavailable, "try again").caused_by("refused");
        assert_eq!(chain(&unavailable), "try again: refused");
    }

    const CODES: [Code; 16] = [
        Code::Unauthenticated,
        Code::Forbidden,
        Code::BadUserInput,
        Code::LimitExceeded,
        Code::RateLimited,
        Code::Timeout,
        Code::CursorInvalid,
        Code::CursorExpired,
        Code::Unavailable,
        Code::BadRequest,
        Code::PersistedQueryNotFound,
        Code::PersistedQueryNotSupported,
        Code::DocumentNotTrusted,
        Code::GraphqlParseFailed,
        Code::GraphqlValidationFailed,
        Code::Internal,
    ];

    #[test]
    fn each_code_has_its_numbers() {
        for code in CODES {
            let error = match code {
                Code::LimitExceeded => Error::over("too many", 7, Some(9)),
                code => Error::new(code, "no"),
            };
            let expected = match code {
                Code::LimitExceeded => {
                    json!({ "code": "LIMIT_EXCEEDED", "limit": 7, "current": 9 })
                }
                Code::RateLimited | Code::Unavailable => {
                    json!({ "code": code.as_str(), "retryAfter": 1 })
                }
                code => json!({ "code": code.as_str() }),
            };
            assert_eq!(error.to_json()["extensions"], expected);
            let later = error.retrying_after(60);
            let has_seconds = expected.get("retryAfter").is_some();
            assert_eq!(later.retry_after(), has_seconds.then_some(60), "{code:?}");
        }
        let limit = Error::limit_exceeded("a page", 3, "items").to_json();
        let expected = json!({ "code": "LIMIT_EXCEEDED", "limit": 3 });
        assert_eq!(limit["extensions"], expected);
    }

    #[test]
    fn a_clause_is_a_sentence_beside_the_field_and_named_without_it() {
        for (clause, sentence, named) in [
            (
                "must not be blank",
                "Must not be blank.",
                "name must not be blank",
            ),
            ("is it so?", "Is it so?", "name: is it so?"),
            ("évident", "Évident.", "name: évident"),
        ] {
            let error = UserError::new(UserErrorCode::Invalid, "name", clause);
            assert_eq!((&*error.sentence(), &*error.named()), (sentence, named));
            let whole = UserError::new(UserErrorCode::Invalid, None, clause);
            assert_eq!(whole.named(), clause);
        }
    }
}
