//! Curation: values that an administrator sets over those of a file.
//!
//! Invariant: a curated field has an administrator's value, and [`FileDetails`] has the file's. A file changes only the
//! latter.

use entity::ConnectorCategory;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{domain::field_values, error::UserError};

use super::{Draft, Errors, Patch};

/// A change of curated fields. A cleared field gets its file's value again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curation {
    pub(crate) description: Patch<String>,
    pub(crate) icon_url: Patch<String>,
    pub(crate) category: Patch<ConnectorCategory>,
}

/// A file's value of a curated field; the inner value is none if the file has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FileValue<T>(pub(crate) Option<T>);

/// A file's values of the curated fields. Fields that are not curated are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FileDetails {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub(crate) description: Option<FileValue<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub(crate) icon_url: Option<FileValue<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub(crate) category: Option<FileValue<ConnectorCategory>>,
}

/// Reads a present field: null is the file's value, and not an absent field.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<FileValue<T>>, D::Error> {
    FileValue::deserialize(value).map(Some)
}

impl Curation {
    /// Parses all fields and records every error.
    pub(crate) fn parse(self, errors: &mut Errors) -> Self {
        type Parse = fn(&str) -> Result<String, UserError>;
        let mut text = |patch: Patch<String>, parse: Parse| match patch {
            Patch::Set(text) => errors.take(parse(&text)).map_or(Patch::Keep, Patch::Set),
            patch => patch,
        };
        Self {
            description: text(self.description, field_values::description),
            icon_url: text(self.icon_url, field_values::icon_url),
            category: self.category,
        }
    }

    /// Changes a connector's descriptive fields and the stored values of its file.
    pub(crate) fn apply(&self, draft: &mut Draft, file: &mut FileDetails) {
        set(
            &self.description,
            &mut draft.description,
            &mut file.description,
        );
        set(&self.icon_url, &mut draft.icon_url, &mut file.icon_url);
        set(&self.category, &mut draft.category, &mut file.category);
    }
}

fn set<T: Clone>(patch: &Patch<T>, value: &mut Option<T>, file: &mut Option<FileValue<T>>) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => {
            if let Some(FileValue(said)) = file.take() {
                *value = said;
            }
        }
        Patch::Set(new) => {
            let before = value.replace(new.clone());
            file.get_or_insert(FileValue(before));
        }
    }
}

impl FileDetails {
    /// Reads the stored form.
    pub(crate) fn read(stored: Option<&str>) -> Self {
        let read = stored.and_then(|json| serde_json::from_str(json).ok());
        read.unwrap_or_default()
    }

    /// Returns the stored form; none if nothing is curated.
    pub(crate) fn stored(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::json!(self).to_string())
    }

    /// Replaces a file's values of curated fields by the connector's, and stores the file's.
    pub(crate) fn cover(&mut self, brought: &mut Draft, present: &Draft) {
        cover(
            &mut self.description,
            &mut brought.description,
            present.description.as_ref(),
        );
        cover(
            &mut self.icon_url,
            &mut brought.icon_url,
            present.icon_url.as_ref(),
        );
        cover(
            &mut self.category,
            &mut brought.category,
            present.category.as_ref(),
        );
    }

    /// Returns the descriptive fields with the file's values.
    #[must_use]
    pub(crate) fn uncovered(self, present: Draft) -> Draft {
        Draft {
            description: self.description.map_or(present.description, |file| file.0),
            icon_url: self.icon_url.map_or(present.icon_url, |file| file.0),
            category: self.category.map_or(present.category, |file| file.0),
            ..present
        }
    }
}

fn cover<T: Clone>(file: &mut Option<FileValue<T>>, brought: &mut Option<T>, present: Option<&T>) {
    if let Some(FileValue(said)) = file {
        *said = std::mem::replace(brought, present.cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(description: &str) -> Draft {
        Draft {
            description: Some(description.to_owned()),
            ..Draft::default()
        }
    }

    #[test]
    fn a_file_says_what_the_connector_does_not_have() {
        let (mut present, mut file) = (draft("of the file"), FileDetails::default());
        let curation = Curation {
            description: Patch::Set("curated".to_owned()),
            category: Patch::Set(ConnectorCategory::Design),
            ..Curation::default()
        };
        for _ in 0..2 {
            curation.apply(&mut present, &mut file);
            let stored = file.stored().unwrap();
            assert_eq!(stored, r#"{"description":"of the file","category":null}"#);
            assert_eq!(FileDetails::read(Some(&stored)), file);
        }
        let mut brought = draft("another");
        file.cover(&mut brought, &present);
        assert_eq!(brought, present);
        assert_eq!(file.clone().uncovered(brought), draft("another"));
        let back = Curation {
            description: Patch::Clear,
            category: Patch::Clear,
            icon_url: Patch::Clear,
        };
        back.apply(&mut present, &mut file);
        assert_eq!((present, file.stored()), (draft("another"), None));
    }
}
