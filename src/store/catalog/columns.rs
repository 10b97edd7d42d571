//! Some of a connector's columns, for who needs no whole connector.
//!
//! Invariant: what was not selected cannot be read: it is an error, never an empty value.

use entity::personal_connector::Column;

use crate::{
    domain::viewer::Ownership,
    error::{Error, Result},
    store::database::row::{Cell, Row},
};

/// A field of the published object that is one column of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Id,
    Name,
    Type,
    ConnectorId,
    Description,
    IconUrl,
    Category,
    Version,
    Status,
    StatusMessage,
    ServerUrl,
    ServerType,
    Metadata,
    CreatedAt,
    UpdatedAt,
    CreatedBy,
    OrganizationId,
    Visibility,
    Revision,
}

impl Field {
    /// What [`Fields::ownership`] is made of.
    pub const OWNERSHIP: [Self; 4] = [
        Self::Type,
        Self::Visibility,
        Self::OrganizationId,
        Self::CreatedBy,
    ];

    pub(in crate::store) fn column(self) -> Column {
        match self {
            Self::Id => Column::Id,
            Self::Name => Column::Name,
            Self::Type => Column::Type,
            Self::ConnectorId => Column::ConnectorId,
            Self::Description => Column::Description,
            Self::IconUrl => Column::IconUrl,
            Self::Category => Column::Category,
            Self::Version => Column::Version,
            Self::Status => Column::Status,
            Self::StatusMessage => Column::StatusMessage,
            Self::ServerUrl => Column::ServerUrl,
            Self::ServerType => Column::ServerType,
            Self::Metadata => Column::Metadata,
            Self::CreatedAt => Column::CreatedAt,
            Self::UpdatedAt => Column::UpdatedAt,
            Self::CreatedBy => Column::CreatedBy,
            Self::OrganizationId => Column::OrganizationId,
            Self::Visibility => Column::Visibility,
            Self::Revision => Column::Revision,
        }
    }
}

/// The selected fields of one connector, as they are stored.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a driver's row has none")]
pub struct Fields<'a> {
    row: Row<'a>,
    selected: &'a [Field],
    /// The place of the first of them in the row.
    from: usize,
}

impl<'a> Fields<'a> {
    pub(in crate::store) fn new(row: Row<'a>, selected: &'a [Field], from: usize) -> Self {
        Self {
            row,
            selected,
            from,
        }
    }

    /// A field that is text; an enum's value is the published one.
    pub fn text(self, field: Field) -> Result<Option<&'a str>> {
        self.row.text(self.place(field)?)
    }

    /// A number; a time is its microseconds.
    pub fn integer(self, field: Field) -> Result<Option<i64>> {
        self.row.integer(self.place(field)?)
    }

    /// Whose the connector is.
    pub fn ownership(self) -> Result<Ownership<'a>> {
        Ok(Ownership {
            r#type: self.value(Field::Type)?,
            visibility: self.value(Field::Visibility)?,
            organization: self.text(Field::OrganizationId)?,
            created_by: self.text(Field::CreatedBy)?,
        })
    }

    fn value<T: Cell>(self, field: Field) -> Result<T> {
        self.row.cells(self.place(field)?).next()
    }

    fn place(self, field: Field) -> Result<usize> {
        let place = self.selected.iter().position(|selected| *selected == field);
        place
            .map(|place| self.from + place)
            .ok_or_else(|| Error::internal(format!("{field:?} was not selected")))
    }
}
