//! How much one operation may ask for.

pub use crate::config::OperationLimits as Limits;

use crate::error::{Code, Error};

pub(crate) fn exceeded(what: &str, most: u64, of: &str) -> Error {
    Error::new(
        Code::LimitExceeded,
        format!("{what} must have at most {most} {of}"),
    )
}
