//! What goes wrong, and the codes that clients are promised.
//!
//! Invariant: codes are made here and nowhere else, and a message never holds a database's or a library's text.

use std::{error::Error as StdError, fmt, iter};

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
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Timeout => "TIMEOUT",
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
}

/// An error with its code, the message a client may read, and a cause that only the log may.
#[derive(Debug)]
pub struct Error {
    pub code: Code,
    pub message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            cause: None,
        }
    }

    /// With a cause, which only the log may read.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub fn bad_user_input(message: impl Into<String>) -> Self {
        Self::new(Code::BadUserInput, message)
    }

    /// The causes in one line, for the log.
    pub fn cause(&self) -> Option<String> {
        self.source().map(chain)
    }

    /// An input has more than `most` of something, such as tokens.
    pub fn limit_exceeded(input: &str, most: u64, of: &str) -> Self {
        let message = format!("{input} must have at most {most} {of}");
        Self::new(Code::LimitExceeded, message)
    }

    /// The request has taken the request timeout.
    pub fn took_too_long() -> Self {
        Self::new(Code::Timeout, "the answer took too long")
    }

    /// The request has taken the request timeout, and what it changes may still be made.
    pub fn change_took_too_long() -> Self {
        let message = "the answer took too long: the change may have been made or not. Read the connector before you try again";
        Self::new(Code::Timeout, message)
    }

    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            code: Code::Internal,
            message: "Something went wrong on our side.".to_owned(),
            cause: Some(cause.into()),
        }
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
pub enum UserErrorCode {
    Blank,
    Invalid,
    TooLong,
    Taken,
    NotFound,
    Forbidden,
    Conflict,
    LimitExceeded,
}

/// Something wrong with a mutation's input that its user can mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    pub code: UserErrorCode,
    /// The input's field, as GraphQL and the published object name it; none when the input as a whole is meant.
    pub field: Option<&'static str>,
    pub message: String,
}

impl UserError {
    pub fn new(
        code: UserErrorCode,
        field: impl Into<Option<&'static str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            field: field.into(),
            message: message.into(),
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
}
