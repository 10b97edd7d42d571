//! Errors of opening a database: the location, the cause and advice.
//!
//! Invariant: a message never contains a password or another part of the URL's query.

use std::{error::Error as StdError, fs, io, iter, path::Path, time::Duration};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use sea_orm::RuntimeErr;
use sqlx::{Executor, PgConnection, Row};

use crate::{
    config::{DatabaseLocation, DatabaseUrlError, PERMISSION_ADVICE, advice},
    error::chain,
    postgres::{
        errors,
        precondition::Unmet,
        server::{NoHost, SharedSessions, WrongServer},
    },
    store::unwritable::Unwritable,
};

/// The reason that a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Url(#[from] DatabaseUrlError),
    #[error("cannot {task} the database {location}: {cause}. {advice}")]
    Failed {
        /// The verb of the message, such as "open".
        task: &'static str,
        location: DatabaseLocation,
        cause: String,
        advice: &'static str,
    },
    #[error(
        "the database {0} has no catalogue: correct --database-url, or make one with the command migrate"
    )]
    NoCatalogue(DatabaseLocation),
    #[error(
        "the database {location} is another program's: it has {found}. Name an empty database{or_schema} with \
         --database-url"
    )]
    Foreign {
        location: DatabaseLocation,
        found: String,
        or_schema: &'static str,
    },
    #[error(
        "the schema of the database {0} is not up to date: run the command migrate where it can be written"
    )]
    Outdated(DatabaseLocation),
    #[error(
        "the database {location} has the migration {unknown}, which {} {} does not know: run the newer version, \
         or go back with the newer version's command: migrate --to {last_known}",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        location: DatabaseLocation,
        unknown: String,
        last_known: String,
    },
}

impl OpenError {
    pub(in crate::store) fn foreign(location: &DatabaseLocation, found: String) -> Self {
        Self::Foreign {
            location: location.clone(),
            found,
            or_schema: match location {
                DatabaseLocation::File(_) => "",
                DatabaseLocation::Server(_) => {
                    " or schema (CREATE SCHEMA NAME, then ?options=-csearch_path=NAME)"
                }
            },
        }
    }

    /// Describes the failure of a task by the error's innermost cause.
    pub(in crate::store) fn new(
        task: &'static str,
        location: &DatabaseLocation,
        wait: Duration,
        error: &(dyn StdError + 'static),
    ) -> Self {
        let (cause, advice) = explain(location, error, wait);
        Self::Failed {
            task,
            location: location.clone(),
            cause,
            advice,
        }
    }
}

fn explain(
    location: &DatabaseLocation,
    error: &(dyn StdError + 'static),
    wait: Duration,
) -> (String, &'static str) {
    if let Some(sqlx::Error::AnyDriverError(error)) = of_sqlx(error) {
        if let Some(reason) = error.downcast_ref::<Unwritable>() {
            return (reason.to_string(), reason.advice());
        }
        if let Some(unmet) = error.downcast_ref::<Unmet>() {
            return (unmet.to_string(), unmet.advice());
        }
    }
    match location {
        DatabaseLocation::File(file) => of_file(file, error, wait),
        DatabaseLocation::Server(_) => of_server(error, wait),
    }
}

/// Returns an error and its causes.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

fn of_sqlx<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a sqlx::Error> {
    causes(error).find_map(|error| match error.downcast_ref() {
        // SeaORM does not expose it as a source.
        Some(RuntimeErr::SqlxError(error)) => Some(&**error),
        _ => error.downcast_ref(),
    })
}

fn of_io<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    causes(error).find_map(|error| error.downcast_ref())
}

fn of_server(error: &(dyn StdError + 'static), wait: Duration) -> (String, &'static str) {
    const SERVER: &str = "Check that PostgreSQL runs there, and --database-url";
    const PASSWORD: &str = "Correct user and password in --database-url, where % is written as %25, or the server's \
                            pg_hba.conf";
    const TLS: &str =
        "Correct sslmode and sslrootcert in --database-url, or the server's certificate";
    let Some(error) = of_sqlx(error) else {
        return (chain(error), SERVER);
    };
    if errors::refuses_startup_options(error) {
        let advice = "A pooler is between: give --database-pooler transaction, and name no options in --database-url";
        return (server_message(error), advice);
    }
    if errors::refuses_transactions(error) {
        let advice = "Set pool_mode = transaction, or session, in the pooler";
        return (server_message(error), advice);
    }
    match error {
        sqlx::Error::AnyDriverError(error) if error.is::<NoHost>() => {
            let refuses_user = error.downcast_ref().is_some_and(NoHost::refuses_user);
            let advice = if refuses_user {
                PASSWORD
            } else {
                "Check the hosts in --database-url"
            };
            (error.to_string(), advice)
        }
        sqlx::Error::AnyDriverError(error) if error.is::<SharedSessions>() => {
            let advice =
                "Give --database-pooler transaction, or set pool_mode = session in the pooler";
            (error.to_string(), advice)
        }
        sqlx::Error::AnyDriverError(error) if error.is::<WrongServer>() => {
            let advice =
                "Name the other servers in --database-url too, or correct target_session_attrs";
            (error.to_string(), advice)
        }
        sqlx::Error::PoolTimedOut => no_answer(wait),
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => no_answer(wait),
        sqlx::Error::Io(error) => {
            let text = error.to_string();
            let advice = if is_unknown_host(error) {
                "Correct the host in --database-url, or repair the name service"
            } else if error.kind() == io::ErrorKind::InvalidData {
                TLS
            } else if error.kind() == io::ErrorKind::NotFound {
                "Correct the file or folder in --database-url (host, sslrootcert, sslcert, sslkey)"
            } else {
                SERVER
            };
            (text, advice)
        }
        sqlx::Error::Tls(cause) => (format!("TLS failed: {}", chain(&**cause)), TLS),
        sqlx::Error::Database(error) => {
            let advice = match error.code().as_deref() {
                Some("28000" | "28P01") => PASSWORD,
                Some("3D000") => {
                    "Create the database (createdb), or correct its name in --database-url"
                }
                Some("42501") => {
                    "Have its owner grant the role that right, or run the command migrate with the role that owns the \
                     tables"
                }
                Some("3F000") => {
                    "Make the schema that search_path in --database-url names: CREATE SCHEMA NAME"
                }
                Some("53300") => "Raise the server's max_connections, or lower what others use",
                Some("53100") => "Free space on the server's disk",
                Some("57P03") => "Wait until the server is up, or raise --database-wait",
                Some("25006") => "Use the primary server, or make the session writable",
                Some("57014" | "55P03") => {
                    "Wait until the other transaction ends, or raise --database-wait"
                }
                Some("XX001" | "XX002") => RESTORE,
                _ => "See the server's log",
            };
            (error.message().to_owned(), advice)
        }
        error => (chain(error), SERVER),
    }
}

fn no_answer(wait: Duration) -> (String, &'static str) {
    let wait = humantime::format_duration(wait);
    let advice = "Check host, port and firewall, or raise --database-wait";
    (format!("no answer within {wait}"), advice)
}

fn server_message(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| chain(error), |error| error.message().to_owned())
}

/// Returns whether a name has no known address, which the standard library has no kind for.
pub(in crate::store) fn is_unknown_host(error: &io::Error) -> bool {
    error
        .to_string()
        .starts_with("failed to lookup address information")
}

const RESTORE: &str = "Restore a backup; the command check-database says what is damaged";

fn of_file(
    file: &Path,
    error: &(dyn StdError + 'static),
    wait: Duration,
) -> (String, &'static str) {
    const LOCKED: i32 = 5;
    const READ_ONLY: i32 = 8;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    /// The shared memory cannot grow.
    const NO_ROOM: i32 = 4874;
    const NO_DATABASE: i32 = 26;
    let locked = || {
        let wait = humantime::format_duration(wait);
        (
            format!("another process has locked it for longer than {wait}"),
            "End that process (fuser FILE names it), or raise --database-wait",
        )
    };
    if matches!(of_sqlx(error), Some(sqlx::Error::PoolTimedOut)) {
        return locked();
    }
    let Some((code, text)) = sqlite_error(error) else {
        return match of_io(error) {
            Some(error) => (error.to_string(), advice(error)),
            None => (chain(error), "Check --database-url"),
        };
    };
    match code & 0xff {
        LOCKED => locked(),
        NO_DATABASE => (
            "the file is not an SQLite database".to_owned(),
            "Correct --database-url, or restore a backup",
        ),
        CORRUPT => (text, RESTORE),
        _ if code == NO_ROOM => ("the disk is full".to_owned(), "Free space on the disk"),
        FULL => (text, "Free space on the disk"),
        READ_ONLY | CANNOT_OPEN => match refused_by_system(file) {
            Err(error) => (error.to_string(), advice(&error)),
            Ok(()) if !file.exists() => (
                "there is no such file".to_owned(),
                "Correct the path in --database-url, or make the database with the command migrate",
            ),
            Ok(()) => (text, PERMISSION_ADVICE),
        },
        _ => (text, "Check the disk and the system's log"),
    }
}

/// Returns the extended result code and the text of an SQLite error.
fn sqlite_error(error: &(dyn StdError + 'static)) -> Option<(i32, String)> {
    if let Some(sqlx::Error::Database(error)) = of_sqlx(error) {
        let code = error.code().and_then(|code| code.parse().ok());
        return Some((code.unwrap_or_default(), error.message().to_owned()));
    }
    causes(error)
        .find_map(|error| error.downcast_ref())
        .and_then(|error: &rusqlite::Error| match error {
            rusqlite::Error::SqliteFailure(code, text) => {
                let text = text.clone().unwrap_or_else(|| code.to_string());
                Some((code.extended_code, text))
            }
            _ => None,
        })
}

/// Asks the system whether the file can be read and written, and others made beside it. SQLite's errors do not tell.
///
/// It does not open the file, because closing it again would release SQLite's locks on it (POSIX, `fcntl`).
fn refused_by_system(file: &Path) -> io::Result<()> {
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => accessat(
            CWD,
            file,
            Access::READ_OK | Access::WRITE_OK,
            AtFlags::EACCESS,
        )?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    tempfile::tempfile_in(folder(file)).map(drop)
}

/// Returns the folder of a file.
pub(in crate::store) fn folder(file: &Path) -> &Path {
    file.parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."))
}

/// Refuses a database that another program or a newer version has migrated.
pub(in crate::store) fn refuse_unknown(
    location: &DatabaseLocation,
    applied: &[String],
) -> Result<(), OpenError> {
    let mut known = migration::names();
    let is_own = applied.iter().any(|name| known.contains(name));
    match applied.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        // Other programs with SeaORM use a table of the same name.
        Some(unknown) if !is_own => {
            let found = format!("the migration {unknown}");
            Err(OpenError::foreign(location, found))
        }
        Some(unknown) => Err(OpenError::Newer {
            location: location.clone(),
            unknown: unknown.clone(),
            last_known: known.pop().unwrap_or_default(),
        }),
    }
}

/// The parts of a database that identify its program.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Contents {
    /// The applied migrations; none without SeaORM's table of them.
    pub(in crate::store) applied: Option<Vec<String>>,
    /// Tables and views, without those of SQLite or of PostgreSQL's extensions.
    pub(in crate::store) relations: Vec<String>,
}

impl Contents {
    /// Reads the contents of a PostgreSQL database.
    ///
    /// Relations are read first, so that a concurrent migration appears with its versions.
    pub(super) async fn of_postgres(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let relations = names(connection, RELATIONS).await?;
        let applied = if names(connection, HAS_VERSIONS).await?.is_empty() {
            None
        } else {
            Some(names(connection, VERSIONS).await?)
        };
        Ok(Self { applied, relations })
    }

    /// Refuses a database with tables or views to which no migration of this program was applied.
    pub(in crate::store) fn refuse_foreign(
        &self,
        location: &DatabaseLocation,
    ) -> Result<(), OpenError> {
        const SHOWN: usize = 3;
        let applied = self.applied.as_deref().unwrap_or_default();
        refuse_unknown(location, applied)?;
        // SeaORM's table belongs to no program while it is empty.
        let is_other = |name: &&String| self.applied.is_none() || *name != "seaql_migrations";
        let mut others = self.relations.iter().filter(is_other);
        if !applied.is_empty() || others.clone().next().is_none() {
            return Ok(());
        }
        let shown: Vec<_> = others.by_ref().take(SHOWN).map(String::as_str).collect();
        let noun = match shown.len() {
            1 => "table or view",
            _ => "tables or views",
        };
        let shown = shown.join(", ");
        let found = match others.count() {
            0 => format!("the {noun} {shown}"),
            more => format!("the {noun} {shown} and {more} more"),
        };
        Err(OpenError::foreign(location, found))
    }

    /// Also refuses a database without a catalogue. Returns the applied migrations.
    pub(in crate::store) fn of_catalogue(
        self,
        location: &DatabaseLocation,
    ) -> Result<Vec<String>, OpenError> {
        self.refuse_foreign(location)?;
        let applied = self.applied.filter(|applied| !applied.is_empty());
        applied.ok_or_else(|| OpenError::NoCatalogue(location.clone()))
    }
}

/// Returns a row if there is a table of migrations in SeaORM's form.
pub(super) const HAS_VERSIONS: &str =
    "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = to_regclass('seaql_migrations')
        AND attname = 'version' AND atttypid IN ('text'::regtype, 'varchar'::regtype)";

pub(super) const VERSIONS: &str = "SELECT version AS name FROM seaql_migrations";

/// The tables and views of the schema for new ones, without those of extensions.
pub(super) const RELATIONS: &str = "SELECT relname::text AS name FROM pg_class AS c
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'f', 'v', 'm')
    AND NOT EXISTS (SELECT 1 FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY relname";

/// Runs a statement by the simple protocol, which prepares nothing in a pooler's session.
async fn names(connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<Vec<String>> {
    let rows = connection.fetch_all(sql).await?;
    rows.iter().map(|row| row.try_get("name")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_database_or_an_own_one_is_taken() {
        let location = DatabaseLocation::Server("db:5432/shop".to_owned());
        let own = migration::names();
        let mut newer = own.clone();
        newer.push("m20990101_000001_more".to_owned());
        let refuse = |applied: Option<&[String]>, relations: &[&str]| {
            let contents = Contents {
                applied: applied.map(<[_]>::to_vec),
                relations: relations.iter().map(ToString::to_string).collect(),
            };
            let refused = contents.refuse_foreign(&location);
            refused.map_err(|error| error.to_string())
        };
        let check = |applied: &[String], relations: &[&str]| refuse(Some(applied), relations);
        assert_eq!(refuse(None, &[]), Ok(()));
        let refused = refuse(None, &["seaql_migrations"]).unwrap_err();
        assert!(
            refused.contains("the table or view seaql_migrations. "),
            "{refused}"
        );
        for (applied, tables) in [
            (&[][..], &[][..]),
            (&[], &["seaql_migrations"]),
            (&own, &["seaql_migrations", "personal_connector", "users"]),
            (&own[..1], &["seaql_migrations"]),
        ] {
            assert_eq!(check(applied, tables), Ok(()), "{applied:?} {tables:?}");
        }
        let theirs = ["m20220101_000001_users".to_owned()];
        for (applied, tables, found) in [
            (&[][..], &["users"][..], "it has the table or view users. "),
            (
                &[],
                &["a", "b", "c"],
                "it has the tables or views a, b, c. ",
            ),
            (
                &[],
                &["a", "b", "c", "d", "seaql_migrations"],
                "a, b, c and 1 more. ",
            ),
            (&theirs, &["users"], "the migration m20220101_000001_users"),
        ] {
            let refused = check(applied, tables).unwrap_err();
            assert!(refused.contains(found), "{refused}");
            assert!(refused.contains("another program's"), "{refused}");
            assert!(refused.contains("search_path"), "{refused}");
        }
        let refused = check(&newer, &[]).unwrap_err();
        assert!(refused.contains("run the newer version"), "{refused}");
    }
}
