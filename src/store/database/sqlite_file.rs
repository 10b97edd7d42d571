//! The SQLite file at the configured path, as another process would find it.
//!
//! Invariant: a commit is acknowledged only if the path still leads to the written file, with its WAL and shared
//! memory, and if a read-only connection sees the commit.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statvfs};

use crate::{
    config::DatabaseLocation,
    store::{
        database::{
            open_error::{Contents, OpenError},
            write_status::Look,
        },
        unwritable::Unwritable,
    },
};

/// Free bytes of a disk below which a write may fail: twice those of a probe.
const LITTLE_SPACE: u64 = 128 << 10;

/// Device and inode of the database, its WAL and its shared memory.
type Identity = [Option<(u64, u64)>; 3];

#[derive(Debug)]
pub(in crate::store) struct SqliteFile {
    path: PathBuf,
    wait: Duration,
    /// The identity; none until a connection could write.
    identity: OnceLock<Identity>,
    /// The largest size that the file has had.
    bytes: AtomicU64,
    closed: AtomicBool,
    /// A reader that also prevents SQLite from deleting the WAL with the last connection.
    reader: Mutex<Option<Connection>>,
}

impl SqliteFile {
    pub(in crate::store) fn new(path: PathBuf, wait: Duration) -> Self {
        Self {
            path,
            wait,
            identity: OnceLock::new(),
            bytes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            reader: Mutex::new(None),
        }
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the path leads to another file than the opened one, or to none, or if the file became shorter, which
    /// SQLite never does.
    pub(in crate::store) fn check_identity(&self) -> Result<(), Unwritable> {
        let Some(opened) = self.identity.get() else {
            return Ok(());
        };
        if self.closed.load(Ordering::Relaxed) {
            // SQLite deletes the log with its last connection.
            return Ok(());
        }
        // The file is examined after this read, because other processes may extend it.
        let had = self.bytes.load(Ordering::Relaxed);
        let (found, bytes) = identify(&self.path);
        // A read-only file has no log while no process writes it.
        let mut pairs = opened.iter().zip(found);
        let is_same = pairs.all(|(opened, found)| opened.is_none() || *opened == found);
        if is_same && bytes >= had {
            self.bytes.fetch_max(bytes, Ordering::Relaxed);
            Ok(())
        } else {
            Err(Unwritable::Moved)
        }
    }

    /// Records the file of a new connection.
    pub(in crate::store) fn opened(&self) -> rusqlite::Result<()> {
        let mut reader = self.reader();
        if reader.is_none() {
            let (connection, is_immutable) = open(&self.path, self.wait)?;
            // A connection to an immutable file would never see a commit.
            *reader = Some(connection).filter(|_| !is_immutable);
        }
        self.identity.get_or_init(|| identify(&self.path).0);
        Ok(())
    }

    /// Fails if a commit is not in the file at the path, or if the catalogue there is older than `state`.
    pub(in crate::store) fn check_commit(&self, state: Option<i64>) -> Result<(), Unwritable> {
        let seen = self.opened().and_then(|()| match state {
            Some(_) => self.read_state().map(Some),
            None => Ok(None),
        });
        match seen {
            Ok(seen) if seen >= state => self.check_identity(),
            Ok(seen) => {
                tracing::error!(state, seen, "a commit is not in the database");
                Err(Unwritable::Lost)
            }
            Err(error) => {
                tracing::error!(%error, "a commit cannot be read back from the database");
                self.forget_reader();
                Err(Unwritable::Lost)
            }
        }
    }

    fn read_state(&self) -> rusqlite::Result<i64> {
        let reader = self.reader();
        let connection = reader.as_ref().ok_or(rusqlite::Error::InvalidQuery)?;
        let mut statement = connection.prepare_cached("SELECT state FROM catalog_state")?;
        statement.query_row([], |row| row.get(0))
    }

    /// Returns the reason that the file cannot be written, as far as the file system tells.
    pub(in crate::store) fn look(&self) -> Result<Look, Unwritable> {
        self.check_identity()?;
        if accessat(CWD, &self.path, Access::WRITE_OK, AtFlags::EACCESS).is_err() {
            return Err(match fs::metadata(&self.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Unwritable::Moved,
                _ => Unwritable::ReadOnly,
            });
        }
        match statvfs(&self.path) {
            Ok(disk) if disk.f_flag.contains(StatVfsMountFlags::RDONLY) => {
                Err(Unwritable::ReadOnly)
            }
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < LITTLE_SPACE => {
                Ok(Look::Doubtful)
            }
            _ => Ok(Look::Fine),
        }
    }

    pub(in crate::store) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.forget_reader();
    }

    fn forget_reader(&self) {
        *self.reader() = None;
    }

    fn reader(&self) -> MutexGuard<'_, Option<Connection>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the identity and the size of the file at a path. SQLite has WAL and shared memory beside the target of a
/// link.
fn identify(path: &Path) -> (Identity, u64) {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let files = ["", "-wal", "-shm"].map(|suffix| {
        let mut path = path.as_os_str().to_owned();
        path.push(suffix);
        fs::metadata(path).ok()
    });
    let bytes = files[0].as_ref().map_or(0, fs::Metadata::len);
    (
        files.map(|file| file.map(|file| (file.dev(), file.ino()))),
        bytes,
    )
}

/// Opens an existing file to read it. Returns whether it is treated as immutable.
///
/// A read-only or full disk allows no shared memory, which a write-ahead log needs. A file without a log is complete,
/// and has no writers.
pub(in crate::store) fn open(file: &Path, wait: Duration) -> rusqlite::Result<(Connection, bool)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connect = |path: &Path, flags| {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(wait)?;
        // This reads the first page, and the log with it.
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    let has_log = logs(file).any(|log| log.len() > 0);
    match connect(file, flags) {
        Err(error) if cannot_open(&error) && !has_log && file.is_file() => {
            Ok((open_immutable(file)?, true))
        }
        opened => Ok((opened?, false)),
    }
}

/// Opens a file without locks and shared memory.
fn open_immutable(file: &Path) -> rusqlite::Result<Connection> {
    let path = percent_encode(file.as_os_str().as_encoded_bytes(), NON_ALPHANUMERIC);
    let uri = format!("file:{path}?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri, flags)
}

/// Returns the existing logs beside a file.
fn logs(file: &Path) -> impl Iterator<Item = fs::Metadata> {
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    ["-wal", "-journal"].into_iter().filter_map(move |suffix| {
        let mut log = real.as_os_str().to_owned();
        log.push(suffix);
        fs::metadata(log).ok()
    })
}

/// Returns a row if there is a table of migrations in SeaORM's form.
pub(in crate::store) const HAS_VERSIONS: &str =
    "SELECT name FROM pragma_table_info('seaql_migrations') WHERE name = 'version'";

/// The tables and views of an SQLite file, without SQLite's own.
pub(in crate::store) const RELATIONS: &str =
    "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')
    AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";

/// Refuses another program's file, and leaves it unchanged.
pub(in crate::store) fn refuse_foreign_file(
    location: &DatabaseLocation,
    file: &Path,
    wait: Duration,
) -> Result<(), OpenError> {
    let failed =
        |error: &(dyn std::error::Error + 'static)| OpenError::new("open", location, wait, error);
    if file.is_dir() {
        return Err(failed(&io::Error::from(ErrorKind::IsADirectory)));
    }
    if !file.is_file() {
        return Ok(());
    }
    let until = Instant::now() + wait;
    let contents = loop {
        match look_inside(file, wait) {
            // SQLite refuses at once while another process switches a new file to WAL.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < until =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            read => break read.map_err(|error| failed(&error))?,
        }
    };
    contents.refuse_foreign(location)
}

/// Reads a file's contents. Unless a process has a log beside it, no file is created beside it.
fn look_inside(file: &Path, wait: Duration) -> rusqlite::Result<Contents> {
    let has_log = || logs(file).next().is_some();
    if !has_log()
        && let Ok(contents) = open_immutable(file).and_then(|connection| contents(&connection))
        && !has_log()
    {
        return Ok(contents);
    }
    contents(&open(file, wait)?.0)
}

/// Reads a file's contents in one transaction.
pub(in crate::store) fn contents(connection: &Connection) -> rusqlite::Result<Contents> {
    let read = connection.unchecked_transaction()?;
    let has_versions = !texts(&read, HAS_VERSIONS)?.is_empty();
    // Other programs may store numbers there.
    let versions = || texts(&read, "SELECT CAST(version AS TEXT) FROM seaql_migrations");
    Ok(Contents {
        applied: has_versions.then(versions).transpose()?,
        relations: texts(&read, RELATIONS)?,
    })
}

/// Returns the first column of a statement's rows.
pub(in crate::store) fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    let codes = [
        ErrorCode::CannotOpen,
        ErrorCode::ReadOnly,
        ErrorCode::DiskFull,
        ErrorCode::SystemIoFailure,
    ];
    error
        .sqlite_error_code()
        .is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_grows_while_several_look_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connectors.db");
        let made = Connection::open(&path).unwrap();
        made.execute_batch("CREATE TABLE it (id INTEGER)").unwrap();
        let file = SqliteFile::new(path.clone(), Duration::ZERO);
        file.opened().unwrap();
        let grows = AtomicBool::new(true);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while grows.load(Ordering::Relaxed) {
                        assert_eq!(file.check_identity(), Ok(()));
                    }
                });
            }
            let mut bytes = fs::OpenOptions::new().append(true).open(&path).unwrap();
            for _ in 0..20_000 {
                bytes.write_all(b"x").unwrap();
            }
            grows.store(false, Ordering::Relaxed);
        });
        fs::write(&path, b"shorter").unwrap();
        assert_eq!(file.check_identity(), Err(Unwritable::Moved));
    }
}
