//! Rows of either driver.
//!
//! Invariant: a column is read by its index in the statement, and its text is borrowed from the driver. Text for a
//! response is copied once.

use std::cell::Cell as Counter;

use entity::{
    CategorySource, ConnectorCategory, ConnectorSource, ConnectorStatus, ConnectorType,
    ConnectorVisibility, EventKind, Outcome, ServerType, Timestamp, Transport,
};
use sea_orm::ActiveEnum;
use sqlx::postgres::PgRow;

use crate::{
    error::{Error, Result},
    store::errors::{failed, of_sqlite},
};

/// A row during its reading.
#[derive(Clone, Copy)]
pub(in crate::store) struct Row<'a> {
    driver: Driver<'a>,
    /// Bytes of text read so far; a column counts each time.
    bytes: &'a Counter<usize>,
}

#[derive(Clone, Copy)]
pub(in crate::store) enum Driver<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a PgRow),
}

impl<'a> Row<'a> {
    /// Reads a row, and returns the bytes of text that were read.
    pub(in crate::store) fn read<T>(
        driver: Driver<'a>,
        read: impl FnOnce(Row<'_>) -> Result<T>,
    ) -> Result<(T, usize)> {
        let bytes = Counter::new(0);
        let bytes = &bytes;
        let value = read(Row { driver, bytes })?;
        Ok((value, bytes.get()))
    }

    pub(in crate::store) fn text(self, index: usize) -> Result<Option<&'a str>> {
        let text = match self.driver {
            Driver::Sqlite(row) => row
                .get_ref(index)
                .and_then(|value| value.as_str_or_null().map_err(Into::into))
                .map_err(of_sqlite),
            Driver::Postgres(row) => sqlx::Row::try_get(row, index).map_err(Error::internal),
        }?;
        self.bytes.set(self.bytes.get() + text.map_or(0, str::len));
        Ok(text)
    }

    pub(in crate::store) fn integer(self, index: usize) -> Result<Option<i64>> {
        match self.driver {
            Driver::Sqlite(row) => row
                .get_ref(index)
                .and_then(|value| value.as_i64_or_null().map_err(Into::into))
                .map_err(of_sqlite),
            // A number that the statement contains itself has only 32 bits.
            Driver::Postgres(row) => sqlx::Row::try_get(row, index)
                .or_else(|_| {
                    sqlx::Row::try_get(row, index).map(|small: Option<i32>| small.map(Into::into))
                })
                .map_err(Error::internal),
        }
    }

    /// Returns the columns from an index on.
    pub(in crate::store) fn cells(self, from: usize) -> Cells<'a> {
        Cells {
            row: self,
            index: from,
        }
    }
}

/// Reads the columns of a row in order.
pub(in crate::store) struct Cells<'a> {
    row: Row<'a>,
    index: usize,
}

impl Cells<'_> {
    pub(in crate::store) fn next<T: Cell>(&mut self) -> Result<T> {
        let cell = T::read(self.row, self.index)?;
        self.index += 1;
        cell.ok_or_else(|| Error::internal(format!("null in column {}", self.index)))
    }
}

/// A type that a column can be read as.
pub(in crate::store) trait Cell: Sized {
    /// Reads a column; none if it is null and the type has no null.
    fn read(row: Row<'_>, index: usize) -> Result<Option<Self>>;
}

impl<T: Cell> Cell for Option<T> {
    fn read(row: Row<'_>, index: usize) -> Result<Option<Self>> {
        T::read(row, index).map(Some)
    }
}

impl Cell for String {
    fn read(row: Row<'_>, index: usize) -> Result<Option<Self>> {
        Ok(row.text(index)?.map(ToOwned::to_owned))
    }
}

impl Cell for i64 {
    fn read(row: Row<'_>, index: usize) -> Result<Option<Self>> {
        row.integer(index)
    }
}

impl Cell for Timestamp {
    fn read(row: Row<'_>, index: usize) -> Result<Option<Self>> {
        Ok(row.integer(index)?.map(Self))
    }
}

macro_rules! enums {
    ($($name:ty),*) => {$(
        impl Cell for $name {
            fn read(row: Row<'_>, index: usize) -> Result<Option<Self>> {
                let text = row.text(index)?.map(ToOwned::to_owned);
                text.map(|text| Self::try_from_value(&text).map_err(failed)).transpose()
            }
        }
    )*};
}

enums!(
    CategorySource,
    ConnectorCategory,
    ConnectorSource,
    ConnectorStatus,
    ConnectorType,
    ConnectorVisibility,
    EventKind,
    Outcome,
    ServerType,
    Transport
);
