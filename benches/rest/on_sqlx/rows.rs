//! The columns of responses, as structs that sqlx fills and serde writes.

use std::convert::identity;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

/// Microseconds since 1970, written as RFC 3339.
pub(super) struct Time(i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or_default();
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

/// Makes sqlx fill a struct: each field from the next column of the row, through a function. A constant has no column.
macro_rules! from_row {
    ($name:ident { $($field:ident: $make:ident),+ $(,)? } $($constant:ident: $value:expr)?) => {
        impl<'r, R: Row> FromRow<'r, R> for $name
        where
            usize: ColumnIndex<R>,
            String: Decode<'r, R::Database> + Type<R::Database>,
            i64: Decode<'r, R::Database> + Type<R::Database>,
        {
            fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
                let mut columns = 0_usize..;
                Ok(Self {
                    $($field: $make(row.try_get(columns.next().unwrap_or_default()))?,)+
                    $($constant: $value,)?
                })
            }
        }
    };
}

/// A connector in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    pub(super) id: String,
    name: String,
    r#type: String,
    connector_id: String,
    description: Option<String>,
    category: Option<String>,
    version: Option<String>,
    status: String,
    server_url: Option<String>,
    metadata: Option<Box<RawValue>>,
    updated_at: Time,
    #[serde(skip)]
    pub(super) created_at: i64,
}

pub(super) const LISTED: &str = "id, name, type, connector_id, description, category, version, status, server_url, \
                                 metadata, updated_at, created_at";

from_row!(Listed {
    id: identity,
    name: identity,
    r#type: identity,
    connector_id: identity,
    description: identity,
    category: identity,
    version: identity,
    status: identity,
    server_url: identity,
    metadata: raw,
    updated_at: time,
    created_at: identity,
});

/// A connector with all fields that an anonymous viewer sees.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Whole {
    id: String,
    object: &'static str,
    name: String,
    r#type: String,
    connector_id: String,
    description: Option<String>,
    icon_url: Option<String>,
    category: Option<String>,
    version: Option<String>,
    status: String,
    server_url: Option<String>,
    server_type: Option<String>,
    metadata: Option<Box<RawValue>>,
    created_at: Time,
    updated_at: Time,
}

pub(super) const WHOLE: &str = "id, name, type, connector_id, description, icon_url, category, version, status, \
                                server_url, server_type, metadata, created_at, updated_at";

from_row!(Whole {
    id: identity,
    name: identity,
    r#type: identity,
    connector_id: identity,
    description: identity,
    icon_url: identity,
    category: identity,
    version: identity,
    status: identity,
    server_url: identity,
    server_type: identity,
    metadata: raw,
    created_at: time,
    updated_at: time,
} object: "personal_connector");

fn time(micros: Result<i64, sqlx::Error>) -> Result<Time, sqlx::Error> {
    micros.map(Time)
}

fn raw(text: Result<Option<String>, sqlx::Error>) -> Result<Option<Box<RawValue>>, sqlx::Error> {
    text?
        .map(RawValue::from_string)
        .transpose()
        .map_err(|error| sqlx::Error::Decode(error.into()))
}
