//! Reasons that a write cannot succeed.

use std::fmt;

/// The reason that writes cannot succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// The service was started with `--read-only`.
    Configured,
    /// The file, its file system or the session is read-only.
    ReadOnly,
    DiskFull,
    /// Reading or writing the disk failed.
    Disk,
    /// Another process holds SQLite's lock.
    Locked,
    /// Another session of PostgreSQL holds the lock that every write takes.
    Blocked,
    /// The database refuses changes to its role.
    Denied,
    /// The SQLite file at the configured path is not the opened one, or is missing.
    Moved,
    /// A commit could not be read back.
    Lost,
    /// Pages of the database are damaged.
    Damaged,
}

impl Unwritable {
    /// Returns the reason for clients.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "the service is read-only",
            Self::ReadOnly => "the database is read-only",
            Self::DiskFull => "the database's disk is full",
            Self::Disk => "the database's disk fails or is full",
            Self::Locked => "another process holds the database's lock",
            Self::Blocked => "another session of PostgreSQL holds the database's lock",
            Self::Denied => "the database's role may not write",
            Self::Moved => "the database's file was deleted, moved or replaced",
            Self::Lost => "a commit could not be read back from the database",
            Self::Damaged => "the database is damaged",
        }
    }

    /// Returns advice for the operator.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Configured => "to allow changes, start it without --read-only",
            Self::ReadOnly => {
                "make it writable, or start the service with --read-only to have it ready"
            }
            Self::DiskFull | Self::Disk => "free some space; the service goes on by itself",
            Self::Locked => {
                "end the process that holds it: fuser -v FILE lists it beside this one; the service goes on by itself"
            }
            Self::Blocked => {
                "end the session that blocks the others: SELECT pid, pg_blocking_pids(pid), query FROM \
                 pg_stat_activity; the service goes on by itself"
            }
            Self::Denied => "grant the role the right to change the tables",
            Self::Moved => "put the file back, or restart the service to open the new one",
            Self::Lost => "restart the service, and run check-database",
            Self::Damaged => "run check-database, and restore a backup",
        }
    }
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Unwritable {}
