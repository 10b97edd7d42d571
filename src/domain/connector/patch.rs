//! The change of one field.

/// One field of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Leaves the field unchanged.
    #[default]
    Keep,
    /// Clears the field.
    Clear,
    /// Sets the field.
    Set(T),
}

impl<T: Clone> Patch<T> {
    pub(super) fn apply(&self, present: Option<&T>) -> Option<T> {
        match self {
            Self::Keep => present.cloned(),
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}
