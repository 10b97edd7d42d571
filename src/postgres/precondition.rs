//! The conditions that a database must meet at start.

use std::fmt;

use sqlx::{Executor, PgConnection, Row};

/// The oldest supported version, as `server_version_num`.
const LEAST_VERSION: u32 = 130_000;

/// A condition that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unmet {
    Encoding(String),
    Version(u32),
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding(encoding) => write!(
                f,
                "its encoding is {encoding}, which cannot hold every text: UTF8 is needed"
            ),
            Self::Version(version) => {
                write!(
                    f,
                    "it is PostgreSQL {}, and 13 or later is needed",
                    version / 10_000
                )
            }
        }
    }
}

impl std::error::Error for Unmet {}

impl Unmet {
    /// Returns advice for the operator.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Encoding(_) => {
                "Create another one: createdb --encoding=UTF8 --template=template0"
            }
            Self::Version(_) => "Upgrade the server, or use another one",
        }
    }
}

/// Fails if the database cannot be used.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let ask =
        "SELECT current_setting('server_encoding'), current_setting('server_version_num')::integer";
    let row = connection.fetch_one(ask).await?;
    let (encoding, version): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
    let version = u32::try_from(version).unwrap_or_default();
    let unmet = if encoding != "UTF8" {
        Unmet::Encoding(encoding)
    } else if version < LEAST_VERSION {
        Unmet::Version(version)
    } else {
        return Ok(());
    };
    Err(sqlx::Error::AnyDriverError(Box::new(unmet)))
}

pub(crate) async fn is_standby(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = connection.fetch_one("SELECT pg_is_in_recovery()").await?;
    row.try_get(0)
}
