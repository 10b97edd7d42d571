//! Errors, with the stable codes that clients rely on.
//!
//! Invariant: only this module creates codes. A message never contains text of a database or a library.

use std::{error::Error as StdError, fmt, iter};

use entity::{Timestamp, UserKey};
use serde_json::{Value, json};

/// A result whose error has a stable code.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The `extensions.code` of a top-level error. A code is never renamed or reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A token is required, or the given one is invalid.
    Unauthenticated,
    /// The token lacks a scope.
    Forbidden,
    /// An argument of a query is invalid.
    BadUserInput,
    /// The request exceeds a limit.
    LimitExceeded,
    /// The caller exceeds the rate limit.
    RateLimited,
    /// The response or the request's body took longer than the request timeout, or a change waited too long for
    /// another.
    Timeout,
    /// The cursor is malformed, or of another list or kind.
    CursorInvalid,
    /// The changes after the cursor are pruned, or were never part of this history.
    CursorExpired,
    /// The service is overloaded, no database connection is available, the database cannot be written, or no key can
    /// verify the token.
    Unavailable,
    /// The request is not a well-formed GraphQL request.
    BadRequest,
    /// No document with this hash is cached, so the client should send its text.
    PersistedQueryNotFound,
    /// Documents are not cached.
    PersistedQueryNotSupported,
    /// The document is not among the trusted ones.
    DocumentNotTrusted,
    /// The document is not valid GraphQL.
    GraphqlParseFailed,
    /// The document does not fit the schema, or a variable's value its type.
    GraphqlValidationFailed,
    /// The service failed. The log has the cause under the request id.
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

    /// Returns the default seconds to wait before a retry; none if a retry does not help.
    const fn retry_after(self) -> Option<u64> {
        match self {
            Self::RateLimited | Self::Unavailable => Some(1),
            _ => None,
        }
    }
}

/// The `retryAfter` of errors that an operator has to correct, in seconds.
pub(crate) const OPERATOR_ACTS: u64 = 60;

/// An error with its code, a message for clients, numbers for programs, and a cause for the log only.
///
/// Invariant: `RATE_LIMITED` and `UNAVAILABLE` have seconds. `LIMIT_EXCEEDED` has a limit, and `BAD_USER_INPUT` has one
/// if an argument exceeds it. No other code has either. The header `Retry-After` and `extensions` are derived from
/// these.
#[derive(Debug)]
pub struct Error {
    /// The `extensions.code` for clients.
    pub code: Code,
    pub(crate) message: String,
    retry_after: Option<u64>,
    limit: Option<Limit>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// The allowed maximum, and the present amount if known.
#[derive(Clone, Copy, Debug)]
struct Limit {
    most: u64,
    current: Option<u64>,
}

impl Error {
    /// Creates an error with any code except `LIMIT_EXCEEDED`, which [`Self::over`] creates.
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

    /// Creates `RATE_LIMITED`, with the seconds to wait.
    pub(crate) fn rate_limited(message: impl Into<String>, seconds: u64) -> Self {
        Self::new(Code::RateLimited, message).retrying_after(seconds)
    }

    /// Replaces the seconds to wait. Has no effect on a code without them.
    #[must_use]
    pub(crate) fn retrying_after(self, seconds: u64) -> Self {
        Self {
            retry_after: self.retry_after.map(|_| seconds),
            ..self
        }
    }

    /// Creates `LIMIT_EXCEEDED`, with the maximum, and the present amount if known.
    pub(crate) fn over(message: impl Into<String>, most: u64, current: Option<u64>) -> Self {
        Self {
            code: Code::LimitExceeded,
            message: message.into(),
            retry_after: None,
            limit: Some(Limit { most, current }),
            cause: None,
        }
    }

    /// Returns the seconds to wait before a retry, if the code has them.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Returns the `extensions` of the error by name.
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

    /// Returns the error for a response, without locations and path (GraphQL, section 7.1.2).
    pub(crate) fn to_json(&self) -> Value {
        let extensions = self.extensions();
        let extensions = extensions.map(|(name, value)| (name.to_owned(), value));
        let extensions: Value = extensions.collect();
        json!({ "message": self.message, "extensions": extensions })
    }

    /// Adds a cause, which only the log shows.
    #[must_use]
    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Creates `BAD_USER_INPUT` for an argument beyond a limit.
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

    /// Returns the causes on one line, for the log.
    pub(crate) fn cause(&self) -> Option<String> {
        self.source().map(chain)
    }

    /// Creates an error for an input with more than `most` of something, such as tokens.
    pub(crate) fn limit_exceeded(input: &str, most: u64, of: &str) -> Self {
        Self::over(format!("{input} must have at most {most} {of}"), most, None)
    }

    /// Creates the error of a request that exceeded the request timeout.
    pub(crate) fn took_too_long() -> Self {
        Self::new(
            Code::Timeout,
            "the response took too long: ask for fewer items or fields, or try again",
        )
    }

    /// Creates the error of a mutation that exceeded the request timeout, and whose change may still be made.
    pub(crate) fn change_took_too_long() -> Self {
        let message = "the response took too long: the change may have been made or not. Read the connector before you \
                       try again";
        Self::new(Code::Timeout, message)
    }

    pub(crate) fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(
            Code::Internal,
            "the service failed: give its operator the requestId",
        )
        .caused_by(cause)
    }
}

/// Joins an error and its causes on one line, for a terminal or the log. Omits a cause that an outer error contains,
/// and the message of an internal error, which says less than its cause.
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

/// An error in a mutation's input that the user can correct.
///
/// Its text is a clause without the field's name, such as `must not be blank`. It is shown as a
/// [`sentence`](Self::sentence) beside the field, or after the field's name elsewhere ([`named`](Self::named)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    pub(crate) code: UserErrorCode,
    /// The input field, as GraphQL and the published object name it; none if the error concerns the whole input.
    pub(crate) field: Option<&'static str>,
    pub(crate) clause: String,
    /// The allowed maximum of `TOO_LONG` and `LIMIT_EXCEEDED`.
    pub(crate) limit: Option<u64>,
    /// The present amount of `TOO_LONG` and `LIMIT_EXCEEDED`.
    pub(crate) current: Option<u64>,
    /// The changes since the expected revision, for a `CONFLICT` on a revision.
    pub(crate) conflict: Option<Box<UpdateConflict>>,
}

/// The changes of a connector since an expected revision, as far as the caller sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpdateConflict {
    /// The connector's present revision.
    pub(crate) revision: i64,
    /// The user who made the last change, if the caller sees them.
    pub(crate) actor: Option<UserKey>,
    /// The time of the last change.
    pub(crate) occurred_at: Timestamp,
    /// GraphQL names of the changed fields; none if some of the changes are unknown.
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

    /// Adds the allowed maximum and the present amount.
    #[must_use]
    pub(crate) fn over(self, limit: u64, current: u64) -> Self {
        Self {
            limit: Some(limit),
            current: Some(current),
            ..self
        }
    }

    /// Returns the text as a sentence beside the field.
    pub(crate) fn sentence(&self) -> String {
        let mut rest = self.clause.chars();
        let first = rest.next().into_iter().flat_map(char::to_uppercase);
        let mut sentence: String = first.chain(rest).collect();
        if !sentence.ends_with(['.', '!', '?']) {
            sentence.push('.');
        }
        sentence
    }

    /// Returns the text after the field's name, for output without a label.
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
