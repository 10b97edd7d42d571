//! Settings that each can be used, and not with the others.

use std::borrow::Cow;

/// A setting is missing, or cannot be used with another one. The program ends with exit code 2, as for a wrong flag.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongSetting(pub Cow<'static, str>);
