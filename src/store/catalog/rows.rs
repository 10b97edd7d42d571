//! A connector's row: the column of each field, how a row is read, and how parsed parts become rows.
//!
//! Invariant: only this module makes rows, and only from parsed parts.

use entity::{
    CategorySource, ConnectorSource, ConnectorStatus, ConnectorType, ConnectorVisibility,
    Timestamp,
    personal_connector::{Column, Model},
};
use sea_orm::{ModelTrait, Value};

use crate::{
    domain::{
        changes::{self, FieldChange},
        connector::{Availability, Details, Draft, Edit, FileDetails, Import, NewConnector},
        field::{ChangedField, Field, Kind},
        field_values::CUSTOM_CONNECTOR_ID,
    },
    error::Result,
    store::database::row::{Cell, Row},
};

pub(in crate::store) const fn column(field: Field) -> Column {
    match field {
        Field::Id => Column::Id,
        Field::Name => Column::Name,
        Field::Type => Column::Type,
        Field::ConnectorId => Column::ConnectorId,
        Field::Description => Column::Description,
        Field::IconUrl => Column::IconUrl,
        Field::Category => Column::Category,
        Field::Version => Column::Version,
        Field::Status => Column::Status,
        Field::StatusMessage => Column::StatusMessage,
        Field::ReplacedBy => Column::ReplacedById,
        Field::ServerUrl => Column::ServerUrl,
        Field::ServerType => Column::ServerType,
        Field::Metadata => Column::Metadata,
        Field::Visibility => Column::Visibility,
        Field::OrganizationId => Column::OrganizationId,
        Field::CreatedBy => Column::CreatedBy,
        Field::CreatedAt => Column::CreatedAt,
        Field::UpdatedAt => Column::UpdatedAt,
        Field::Revision => Column::Revision,
    }
}

/// Reads a whole connector from a row. The statement selects all columns, from this index on.
///
/// Statements select the columns in the order of the enum (`Column::iter`), so the number of a column is its index.
pub(in crate::store) fn connector(row: Row<'_>, from: usize) -> Result<Model> {
    let row = RowReader { row, from };
    Ok(Model {
        seq: row.get(Column::Seq)?,
        id: row.get(Column::Id)?,
        name: row.get(Column::Name)?,
        name_key: row.get(Column::NameKey)?,
        r#type: row.get(Column::Type)?,
        connector_id: row.get(Column::ConnectorId)?,
        description: row.get(Column::Description)?,
        icon_url: row.get(Column::IconUrl)?,
        category: row.get(Column::Category)?,
        version: row.get(Column::Version)?,
        status: row.get(Column::Status)?,
        status_message: row.get(Column::StatusMessage)?,
        replaced_by_id: row.get(Column::ReplacedById)?,
        server_url: row.get(Column::ServerUrl)?,
        server_type: row.get(Column::ServerType)?,
        metadata: row.get(Column::Metadata)?,
        visibility: row.get(Column::Visibility)?,
        organization_id: row.get(Column::OrganizationId)?,
        created_by: row.get(Column::CreatedBy)?,
        created_at: row.get(Column::CreatedAt)?,
        updated_at: row.get(Column::UpdatedAt)?,
        revision: row.get(Column::Revision)?,
        source: row.get(Column::Source)?,
        source_hash: row.get(Column::SourceHash)?,
        source_status: row.get(Column::SourceStatus)?,
        file_details: row.get(Column::FileDetails)?,
        category_source: row.get(Column::CategorySource)?,
    })
}

/// A row with all columns.
#[derive(Clone, Copy)]
struct RowReader<'a> {
    row: Row<'a>,
    from: usize,
}

impl RowReader<'_> {
    fn get<T: Cell>(self, column: Column) -> Result<T> {
        self.row.cells(self.from + column as usize).next()
    }
}

/// Returns a stored field as text: text and JSON unchanged, the published word of an enum, RFC 3339 for a time, the
/// digits of a number.
pub fn field_text(model: &Model, field: Field) -> Option<String> {
    match model.get(column(field)) {
        Value::String(text) => text,
        Value::BigInt(number) => number.map(|number| match field.kind() {
            Kind::Time => Timestamp(number).to_string(),
            _ => number.to_string(),
        }),
        _ => None,
    }
}

/// Returns a stored connector's descriptive fields.
pub fn draft(model: &Model) -> Draft {
    Draft {
        name: model.name.clone(),
        description: model.description.clone(),
        icon_url: model.icon_url.clone(),
        category: model.category,
        version: model.version.clone(),
        server_url: model.server_url.clone(),
        server_type: model.server_type,
        metadata: model.metadata.clone(),
    }
}

/// Returns the file's values of a stored connector's curated fields.
pub(crate) fn file_details(model: &Model) -> FileDetails {
    FileDetails::read(model.file_details.as_deref())
}

/// Returns a stored connector with the file's values of its descriptive fields.
pub(crate) fn uncurated(model: &Model) -> Model {
    let draft = file_details(model).uncovered(draft(model));
    Model {
        description: draft.description,
        icon_url: draft.icon_url,
        category: draft.category,
        file_details: None,
        ..model.clone()
    }
}

/// Returns the fields that differ, with their values. The revision and the time of the change follow from them.
pub(in crate::store) fn changed_fields(before: &Model, after: &Model) -> Vec<FieldChange> {
    let fields = Field::ALL.into_iter();
    let fields = fields
        .filter(|field| field.is_in_events())
        .filter(|field| before.get(column(*field)) != after.get(column(*field)))
        .map(|field| changed_field(field, before, after));
    let curated = (before.file_details != after.file_details).then_some(FieldChange {
        field: ChangedField::CuratedFields,
        before: None,
        after: None,
    });
    fields.chain(curated).collect()
}

/// Returns a field with its values in two rows.
pub(in crate::store) fn changed_field(field: Field, before: &Model, after: &Model) -> FieldChange {
    let value = |row| {
        let text = field_text(row, field);
        text.map(|text| changes::Value::new(ChangedField::Of(field), text))
    };
    FieldChange {
        field: ChangedField::Of(field),
        before: value(before),
        after: value(after),
    }
}

/// Returns the row of a new connector. The insert sets its number.
pub(in crate::store) fn created(new: NewConnector, now: Timestamp) -> Model {
    let connector_id = CUSTOM_CONNECTOR_ID.to_owned();
    let row = Model {
        visibility: new.visibility,
        organization_id: new.organization,
        created_by: Some(new.created_by),
        category_source: new.details.category.map(|_| CategorySource::Person),
        ..blank(new.id, ConnectorType::Custom, connector_id, now)
    };
    described(row, new.details)
}

/// Returns the row that an entry of a file makes: a new one, or a changed one.
pub fn imported(before: Option<&Model>, import: Import, now: Timestamp) -> Model {
    let Import {
        entry,
        source,
        availability,
        is_partial,
    } = import;
    let source_status = entry.source_status();
    // Only people can choose to have none.
    let category_source = entry
        .category_source
        .filter(|source| entry.details.category.is_some() || *source == CategorySource::Person);
    let present = before.cloned();
    let present = present.unwrap_or_else(|| {
        blank(
            entry.id.clone(),
            entry.r#type,
            entry.connector_id.clone(),
            now,
        )
    });
    let row = Model {
        r#type: entry.r#type,
        connector_id: entry.connector_id,
        visibility: entry.visibility,
        organization_id: entry.organization,
        created_by: entry.created_by,
        created_at: entry.created_at.unwrap_or(present.created_at),
        updated_at: entry.updated_at.unwrap_or(present.updated_at),
        source,
        source_hash: Some(entry.hash).filter(|_| !is_partial),
        source_status: source_status.filter(|_| !is_partial),
        category_source,
        ..present
    };
    let row = described(available(row, availability), entry.details);
    match before {
        Some(before) => covered(row, before),
        None => row,
    }
}

/// Returns the row that a file makes, with the curated fields of the present row.
fn covered(row: Model, before: &Model) -> Model {
    let (mut file, mut brought) = (file_details(before), draft(&row));
    file.cover(&mut brought, &draft(before));
    with_file(row, brought, &file)
}

fn with_file(row: Model, draft: Draft, file: &FileDetails) -> Model {
    Model {
        description: draft.description,
        icon_url: draft.icon_url,
        category: draft.category,
        file_details: file.stored(),
        ..row
    }
}

/// Returns the row after a change. The update raises the revision.
pub(in crate::store) fn edited(before: &Model, edit: Edit, now: Timestamp) -> Model {
    match edit {
        Edit::Details(details, visibility) => {
            let category_source = if details.category == before.category {
                before.category_source
            } else {
                Some(CategorySource::Person)
            };
            let row = Model {
                visibility,
                category_source,
                ..before.clone()
            };
            by_hand(before, described(row, details))
        }
        Edit::Availability(availability) => {
            by_hand(before, available(before.clone(), availability))
        }
        Edit::Curation(curation) => {
            let (mut file, mut draft) = (file_details(before), draft(before));
            curation.apply(&mut draft, &mut file);
            with_file(before.clone(), draft, &file)
        }
        Edit::Import(import) => imported(Some(before), import, now),
        Edit::Link(entry, replacement) => {
            let row = Model {
                source_status: entry.source_status(),
                source_hash: Some(entry.hash),
                ..before.clone()
            };
            let availability = Availability {
                replaced_by: Some(replacement),
                ..entry.availability
            };
            available(row, availability)
        }
    }
}

/// A custom connector that was changed by hand differs from its file's entry. A repeated import of the file changes it
/// back.
fn by_hand(before: &Model, after: Model) -> Model {
    let is_custom = after.r#type == ConnectorType::Custom;
    let source_hash = after
        .source_hash
        .clone()
        .filter(|_| !is_custom || after == *before);
    Model {
        source_hash,
        ..after
    }
}

fn described(row: Model, details: Details) -> Model {
    let Details {
        name,
        description,
        icon_url,
        category,
        version,
        server_url,
        server_type,
        metadata,
    } = details;
    Model {
        name: name.text,
        name_key: name.key,
        description,
        icon_url,
        category,
        version,
        server_url,
        server_type,
        metadata,
        ..row
    }
}

fn available(row: Model, availability: Availability) -> Model {
    Model {
        status: availability.status,
        status_message: availability.message,
        replaced_by_id: availability.replaced_by,
        ..row
    }
}

fn blank(id: String, r#type: ConnectorType, connector_id: String, now: Timestamp) -> Model {
    Model {
        seq: 0,
        id,
        name: String::new(),
        name_key: String::new(),
        r#type,
        connector_id,
        description: None,
        icon_url: None,
        category: None,
        version: None,
        status: ConnectorStatus::Active,
        status_message: None,
        replaced_by_id: None,
        server_url: None,
        server_type: None,
        metadata: None,
        visibility: ConnectorVisibility::Private,
        organization_id: None,
        created_by: None,
        created_at: now,
        updated_at: now,
        revision: 1,
        source: ConnectorSource::Api,
        source_hash: None,
        source_status: None,
        file_details: None,
        category_source: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use sea_orm::Iterable;

    use super::*;

    #[test]
    fn a_column_is_at_its_number_and_of_one_field() {
        for (index, column) in Column::iter().enumerate() {
            assert_eq!(column as usize, index, "{column:?}");
        }
        let columns = Field::ALL.iter().map(|field| column(*field) as usize);
        assert_eq!(columns.collect::<HashSet<_>>().len(), Field::ALL.len());
    }
}
