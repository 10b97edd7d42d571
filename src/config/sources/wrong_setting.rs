//! Settings that are valid alone but not together.

use std::borrow::Cow;

/// A setting is missing, or conflicts with another one. The program ends with exit code 2, as for an invalid flag.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongSetting(pub Cow<'static, str>);
