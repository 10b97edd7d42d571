//! What a connector is made of, and how it changes.
//!
//! Invariant: a [`Draft`] is what somebody sent, [`Details`] what the rules let through; the store takes only the latter. A curated
//! field has the value of an administrator, and its file's is kept in [`FileDetails`]: a file changes the latter alone.

use entity::{
    CategorySource, ConnectorCategory, ConnectorSource, ConnectorStatus, ConnectorType,
    ConnectorVisibility, Iterable, ServerType, Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{UserError, UserErrorCode};

use super::{
    field::{Field, word},
    field_values::{self, Name},
};

/// A connector's descriptive fields. They are these of [`Part::Details`](super::field::Part::Details). The bounds are those of
/// [`Details`]; a [`Draft`] may have any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described<N> {
    /// The name for people: 1 to 100 characters.
    pub name: N,
    /// At most 2,000 characters, with line breaks.
    pub description: Option<String>,
    /// An https URL, at most 2,048 characters.
    pub icon_url: Option<String>,
    /// The purpose; none if it was not given.
    pub category: Option<ConnectorCategory>,
    /// A semantic version (Semantic Versioning 2.0.0), at most 100 characters.
    pub version: Option<String>,
    /// The http, https, ws or wss URL of the MCP server, at most 2,048 characters. A custom connector has one unless its server
    /// is a STDIO server, which has none.
    pub server_url: Option<String>,
    /// The protocol of the server. None if it is not known: a check then begins with the transports of the URL's scheme.
    pub server_type: Option<ServerType>,
    /// A JSON object as compact text, at most 16 KiB and 16 levels deep.
    pub metadata: Option<String>,
}

/// The descriptive fields as somebody sent them, none of them checked.
pub type Draft = Described<String>;

/// The descriptive fields, each right by its rule and right together.
pub type Details = Described<Name>;

/// A source of a draft's fields.
pub(crate) trait DraftSource {
    fn text(&mut self, field: Field) -> Option<String>;
    fn word<T: Iterable + Serialize>(&mut self, field: Field) -> Option<T>;
    fn json(&mut self, field: Field) -> Option<String>;
}

/// A new custom connector, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewConnector {
    pub(crate) id: String,
    pub(crate) details: Details,
    pub(crate) visibility: ConnectorVisibility,
    pub(crate) organization: Option<String>,
    pub(crate) created_by: String,
}

/// One field of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Clear it.
    Clear,
    /// Set it.
    Set(T),
}

/// A change of a custom connector as somebody sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: Patch<String>,
    pub(crate) description: Patch<String>,
    pub(crate) icon_url: Patch<String>,
    pub(crate) category: Patch<ConnectorCategory>,
    pub(crate) version: Patch<String>,
    pub(crate) server_url: Patch<String>,
    pub(crate) server_type: Patch<ServerType>,
    pub(crate) metadata: Patch<String>,
    pub(crate) visibility: Patch<ConnectorVisibility>,
}

/// A change of a connector's availability as somebody sent it.
#[derive(Clone, Debug)]
pub(crate) struct StatusChange {
    pub(crate) status: ConnectorStatus,
    pub(crate) message: Patch<String>,
    pub(crate) replaced_by: Patch<String>,
}

/// A connector's availability, with what its users should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    pub(crate) status: ConnectorStatus,
    pub(crate) message: Option<String>,
    pub(crate) replaced_by: Option<String>,
}

/// The fields that an entry changes of the connector that has its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All fields: an absent one is cleared.
    Whole,
    /// The server, and the other fields that the entry has. The name, the visibility and the creator stay.
    Named,
}

/// A whole connector as a file brings it, right by every rule that needs no database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `pcon_` and ASCII letters and digits, at most 64 characters in all.
    pub id: String,
    /// The type that a published object gives. Servers of a registry are official, those of a client are custom.
    pub r#type: ConnectorType,
    /// The kind of connector, such as `github`; `custom_mcp` for every custom one.
    pub connector_id: String,
    /// The name, the server and the other descriptive fields.
    pub details: Details,
    /// The source of the category. `File` without a category says that there is none. None says nothing of it: the category that
    /// is there stays.
    pub category_source: Option<CategorySource>,
    /// The status, message and replacement that the file gives.
    pub availability: Availability,
    /// Public unless the connector is custom.
    pub visibility: ConnectorVisibility,
    /// The organization of a custom connector. None for the other types, and if the file gives none.
    pub organization: Option<String>,
    /// The id of the user who created a custom connector. None for the other types, and if the file gives none.
    pub created_by: Option<String>,
    /// None: the moment it is first loaded.
    pub created_at: Option<Timestamp>,
    /// None: the moment it is loaded.
    pub updated_at: Option<Timestamp>,
    /// Digest of all of the above as the file says it.
    pub hash: String,
    /// How much the entry changes of a connector that is there already.
    pub extent: Extent,
}

/// An entry as it is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The connector as its file brings it.
    pub entry: Entry,
    /// The source that the row gets: the catalogue file, or the `import` command.
    pub source: ConnectorSource,
    /// The availability that the connector gets: an administrator's may replace the entry's.
    pub availability: Availability,
    /// The connector is not all that the entry brings, so that the next run brings it again.
    pub is_partial: bool,
}

/// A change of a stored connector, of parsed parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Written by hand.
    Details(Details, ConnectorVisibility),
    /// Written by hand.
    Availability(Availability),
    /// Set over what a file says.
    Curation(Curation),
    /// All that a file brings.
    Import(Import),
    /// The replacement that an entry could not have when it was loaded.
    Link(Entry, String),
}

/// The scope in which a custom connector's name must be unique, and the name's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NameClaim {
    pub(crate) organization: Option<String>,
    pub(crate) among: NamesOf,
    pub(crate) name_key: String,
}

/// The connectors among which a name must be unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NamesOf {
    Everybody,
    /// The creator's PRIVATE ones.
    Creator(Option<String>),
}

impl NameClaim {
    pub(crate) fn new(
        visibility: ConnectorVisibility,
        organization: Option<&str>,
        created_by: Option<&str>,
        name_key: &str,
    ) -> Self {
        Self {
            organization: organization.map(ToOwned::to_owned),
            among: match visibility {
                ConnectorVisibility::Private => NamesOf::Creator(created_by.map(ToOwned::to_owned)),
                _ => NamesOf::Everybody,
            },
            name_key: name_key.to_owned(),
        }
    }
}

/// Collects every error of an input, so that its user mends them all at once.
#[derive(Debug, Default)]
pub struct Errors(pub(crate) Vec<UserError>);

impl Errors {
    pub(crate) fn take<T>(&mut self, parsed: Result<T, UserError>) -> Option<T> {
        parsed.map_err(|error| self.0.push(error)).ok()
    }

    pub(crate) fn push(
        &mut self,
        code: UserErrorCode,
        field: &'static str,
        message: impl Into<String>,
    ) {
        self.0.push(UserError::new(code, field, message));
    }
}

impl Draft {
    pub(crate) fn read(from: &mut impl DraftSource) -> Self {
        Self {
            name: from.text(Field::Name).unwrap_or_default(),
            description: from.text(Field::Description),
            icon_url: from.text(Field::IconUrl),
            category: from.word(Field::Category),
            version: from.text(Field::Version),
            server_url: from.text(Field::ServerUrl),
            server_type: from.word(Field::ServerType),
            metadata: from.json(Field::Metadata),
        }
    }

    /// Parses every field and records every error; gives the details when there was none, and the name whenever it alone
    /// was right, so that its uniqueness can be checked beside the others' errors.
    pub fn parse(
        &self,
        r#type: ConnectorType,
        errors: &mut Errors,
    ) -> (Option<Details>, Option<Name>) {
        let before = errors.0.len();
        let name = errors.take(field_values::name(&self.name));
        let server_url = match &self.server_url {
            Some(url) => errors.take(field_values::server_url(url, self.server_type)),
            None if r#type == ConnectorType::Custom
                && self.server_type != Some(ServerType::Stdio) =>
            {
                let clause = "must be given unless the server type is STDIO";
                errors.take(Err(UserError::new(
                    UserErrorCode::Blank,
                    "serverUrl",
                    clause,
                )))
            }
            None => None,
        };
        let mut optional =
            |value: &Option<String>, parse: fn(&str) -> Result<String, UserError>| {
                value.as_deref().and_then(|value| errors.take(parse(value)))
            };
        let description = optional(&self.description, field_values::description);
        let icon_url = optional(&self.icon_url, field_values::icon_url);
        let version = optional(&self.version, field_values::version);
        let metadata = optional(&self.metadata, field_values::metadata);
        let details = (errors.0.len() == before)
            .then(|| name.clone())
            .flatten()
            .map(|name| Details {
                name,
                description,
                icon_url,
                category: self.category,
                version,
                server_url,
                server_type: self.server_type,
                metadata,
            });
        (details, name)
    }
}

impl<N: AsRef<str>> Described<N> {
    /// A descriptive field as text, and none for others: text as it is, an enum's published word, JSON.
    pub(crate) fn text(&self, field: Field) -> Option<String> {
        match field {
            Field::Name => Some(self.name.as_ref().to_owned()),
            Field::Description => self.description.clone(),
            Field::IconUrl => self.icon_url.clone(),
            Field::Category => self.category.map(word),
            Field::Version => self.version.clone(),
            Field::ServerUrl => self.server_url.clone(),
            Field::ServerType => self.server_type.map(word),
            Field::Metadata => self.metadata.clone(),
            Field::Id
            | Field::Type
            | Field::ConnectorId
            | Field::Status
            | Field::StatusMessage
            | Field::ReplacedBy
            | Field::Visibility
            | Field::OrganizationId
            | Field::CreatedBy
            | Field::CreatedAt
            | Field::UpdatedAt
            | Field::Revision => None,
        }
    }
}

impl Details {
    /// These details of a server that is known by its name: the present name stays, and each other field that they lack, but
    /// not the server's address and type.
    #[must_use]
    pub(crate) fn over(self, present: Draft) -> Self {
        Self {
            name: field_values::name(&present.name).unwrap_or(self.name),
            description: self.description.or(present.description),
            icon_url: self.icon_url.or(present.icon_url),
            category: self.category.or(present.category),
            version: self.version.or(present.version),
            server_url: self.server_url,
            server_type: self.server_type,
            metadata: self.metadata.or(present.metadata),
        }
    }
}

impl Entry {
    /// A field as text; none for those that a file does not bring. Times are RFC 3339.
    pub(crate) fn text(&self, field: Field) -> Option<String> {
        match field {
            Field::Id => Some(self.id.clone()),
            Field::Type => Some(word(self.r#type)),
            Field::ConnectorId => Some(self.connector_id.clone()),
            Field::Status => Some(word(self.availability.status)),
            Field::StatusMessage => self.availability.message.clone(),
            Field::ReplacedBy => self.availability.replaced_by.clone(),
            Field::Visibility => Some(word(self.visibility)),
            Field::OrganizationId => self.organization.clone(),
            Field::CreatedBy => self.created_by.clone(),
            Field::CreatedAt => self.created_at.map(|time| time.to_string()),
            Field::UpdatedAt => self.updated_at.map(|time| time.to_string()),
            Field::Revision => None,
            _ => self.details.text(field),
        }
    }

    /// The file's word on the availability, as it is kept. A custom connector's is its owners' to change, and a file's too.
    pub(crate) fn source_status(&self) -> Option<String> {
        (self.r#type != ConnectorType::Custom)
            .then(|| serde_json::json!(self.availability).to_string())
    }
}

impl Change {
    /// The draft that this change makes of `present`, and the visibility; records an error for each required field that it
    /// would clear.
    pub(crate) fn apply(
        &self,
        present: &Draft,
        visibility: ConnectorVisibility,
        errors: &mut Errors,
    ) -> (Draft, ConnectorVisibility) {
        let mut required = |field: &'static str, cleared: bool| {
            if cleared {
                errors.take::<()>(Err(field_values::invalid(field, "must not be null")));
            }
        };
        required("name", self.name == Patch::Clear);
        required("visibility", self.visibility == Patch::Clear);
        let draft = Draft {
            name: match &self.name {
                Patch::Set(name) => name.clone(),
                _ => present.name.clone(),
            },
            description: self.description.apply(present.description.as_ref()),
            icon_url: self.icon_url.apply(present.icon_url.as_ref()),
            category: self.category.apply(present.category.as_ref()),
            version: self.version.apply(present.version.as_ref()),
            server_url: self.server_url.apply(present.server_url.as_ref()),
            server_type: self.server_type.apply(present.server_type.as_ref()),
            metadata: self.metadata.apply(present.metadata.as_ref()),
        };
        let visibility = match self.visibility {
            Patch::Set(visibility) => visibility,
            _ => visibility,
        };
        (draft, visibility)
    }
}

impl<T: Clone> Patch<T> {
    fn apply(&self, present: Option<&T>) -> Option<T> {
        match self {
            Self::Keep => present.cloned(),
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

impl StatusChange {
    /// The availability that this change makes of the present one. A replacement goes with the status DEPRECATED.
    pub(crate) fn apply(&self, present: &Availability) -> Availability {
        let replaced_by = match &self.replaced_by {
            Patch::Keep if self.status != ConnectorStatus::Deprecated => None,
            change => change.apply(present.replaced_by.as_ref()),
        };
        Availability {
            status: self.status,
            message: self.message.apply(present.message.as_ref()),
            replaced_by,
        }
    }
}

impl Availability {
    /// The availability of a new connector: active, without message and replacement.
    pub const ACTIVE: Self = Self {
        status: ConnectorStatus::Active,
        message: None,
        replaced_by: None,
    };

    /// Checks what needs no other connector; `id` is the connector's own.
    pub(crate) fn parse(self, id: &str, errors: &mut Errors) -> Option<Self> {
        let before = errors.0.len();
        if let Some(message) = &self.message {
            errors.take(field_values::status_message(message));
        }
        if let Some(replacement) = &self.replaced_by {
            if self.status != ConnectorStatus::Deprecated {
                errors.push(
                    UserErrorCode::Invalid,
                    REPLACED_BY,
                    "must be left out unless the status is DEPRECATED",
                );
            }
            if replacement == id {
                errors.push(
                    UserErrorCode::Invalid,
                    REPLACED_BY,
                    "must be another connector",
                );
            }
        }
        (errors.0.len() == before).then_some(self)
    }
}

/// A change of what is curated. A field that is cleared has its file's value again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curation {
    pub(crate) description: Patch<String>,
    pub(crate) icon_url: Patch<String>,
    pub(crate) category: Patch<ConnectorCategory>,
}

/// The value that a file has for a field that is curated; none in it if the file has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FileValue<T>(pub(crate) Option<T>);

/// A file's values of the curated fields. A field is none if it is not curated.
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

/// Reads a field that is there: null is what the file says, and no absence.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<FileValue<T>>, D::Error> {
    FileValue::deserialize(value).map(Some)
}

impl Curation {
    /// Parses every field and records every error.
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

    /// Changes a connector's descriptive fields, and what is known of its file.
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
    /// Reads what is stored.
    pub(crate) fn read(stored: Option<&str>) -> Self {
        let read = stored.and_then(|json| serde_json::from_str(json).ok());
        read.unwrap_or_default()
    }

    /// The form that is stored; none where nothing is curated.
    pub(crate) fn stored(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::json!(self).to_string())
    }

    /// Gives curated fields of what a file brings the values that the connector has, and keeps the file's.
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

    /// The descriptive fields as the file says them.
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

/// How many replacements may follow one another.
pub(crate) const REPLACEMENTS: usize = 32;

/// The input field that names a replacement.
pub(crate) const REPLACED_BY: &str = "replacedById";

/// A connector of an organization needs one.
pub(crate) fn check_visibility(
    visibility: ConnectorVisibility,
    organization: Option<&str>,
    errors: &mut Errors,
) {
    if visibility != ConnectorVisibility::Private && organization.is_none() {
        errors.push(
            UserErrorCode::Invalid,
            "visibility",
            "must be PRIVATE where there is no organization",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::field::Part;

    /// Gives each field a value of its own.
    struct Distinct;

    impl DraftSource for Distinct {
        fn text(&mut self, field: Field) -> Option<String> {
            Some(field.graphql_name().to_owned())
        }

        fn word<T: Iterable + Serialize>(&mut self, _: Field) -> Option<T> {
            T::iter().last()
        }

        fn json(&mut self, field: Field) -> Option<String> {
            self.text(field)
        }
    }

    #[test]
    fn each_descriptive_field_is_read_and_written() {
        let draft = Draft::read(&mut Distinct);
        for field in Field::ALL.iter().copied() {
            let expected = if field.part() == Part::Details {
                let word = field.words().pop();
                word.or_else(|| Distinct.text(field))
            } else {
                None
            };
            assert_eq!(draft.text(field), expected, "{field:?}");
        }
    }

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
