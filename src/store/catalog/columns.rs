//! Some columns of a connector, for callers that need no whole connector.
//!
//! Invariant: reading a column that was not selected is an error, never an empty value.

use crate::{
    domain::{field::Field, viewer::Ownership},
    error::{Error, Result},
    store::database::row::{Cell, Row},
};

/// The selected fields of one connector, as stored.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    row: Row<'a>,
    selected: &'a [Field],
    /// The index of the first selected field in the row.
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

    /// Returns a text field, or an enum's published value.
    pub(crate) fn text(self, field: Field) -> Result<Option<&'a str>> {
        self.row.text(self.index(field)?)
    }

    /// Returns a number, or a time in microseconds.
    pub(crate) fn integer(self, field: Field) -> Result<Option<i64>> {
        self.row.integer(self.index(field)?)
    }

    /// Returns the columns that say who owns the connector.
    pub(crate) fn ownership(self) -> Result<Ownership<'a>> {
        Ok(Ownership {
            r#type: self.value(Field::Type)?,
            visibility: self.value(Field::Visibility)?,
            organization: self.text(Field::OrganizationId)?,
            created_by: self.text(Field::CreatedBy)?,
        })
    }

    fn value<T: Cell>(self, field: Field) -> Result<T> {
        self.row.cells(self.index(field)?).next()
    }

    fn index(self, field: Field) -> Result<usize> {
        let index = self.selected.iter().position(|selected| *selected == field);
        index
            .map(|index| self.from + index)
            .ok_or_else(|| Error::internal(format!("{field:?} was not selected")))
    }
}
