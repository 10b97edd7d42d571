//! The SQLite file as a whole: opened read-only, checked, and copied while others write it.
//!
//! Invariant: nothing here writes the database. A backup gets its name only when it is complete, checked and on the
//! disk.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, ErrorCode,
    backup::{Backup, StepResult},
};
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;

use crate::{
    config::{DatabaseLocation, DatabaseSettings},
    store::database::{
        connect::Database,
        open_error::{OpenError, folder},
        sqlite_file::{self, contents, refuse_foreign_file, texts},
    },
};

/// The most findings of one kind that are reported.
pub(in crate::store) const FINDINGS: usize = 10;

/// Steps of SQLite's virtual machine between two looks at whether a check was cancelled.
const STEPS: i32 = 1000;

/// The reason that there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is PostgreSQL, which has backup tools of its own.
    #[error(
        "the database {0} is PostgreSQL's: make a backup of it with pg_dump --format=custom --file=FILE"
    )]
    Postgres(DatabaseLocation),
    /// The file exists, and is not changed.
    #[error("the file {} exists already. Choose another name, or remove it first", .0.display())]
    Exists(PathBuf),
    /// The name is one that SQLite uses beside the database: `-wal`, `-shm` or `-journal`.
    #[error("SQLite takes {} for a part of the database. Choose another name", .0.display())]
    Reserved(PathBuf),
    /// The copy failed SQLite's `integrity_check`, and was removed.
    #[error(
        "the database {location} is damaged, and no backup was made: {finding}. Restore an earlier backup"
    )]
    Damaged {
        /// The database that was copied.
        location: DatabaseLocation,
        /// The first finding, in SQLite's words.
        finding: String,
    },
    #[error("cannot write the backup {}: {cause}. Choose a folder with space that you may write to", file.display())]
    /// The copy cannot be written, or cannot be synced to the disk.
    Unwritten {
        /// The file that was to be made.
        file: PathBuf,
        /// The error of the system or of SQLite, as text.
        cause: String,
    },
    /// The database cannot be opened or read.
    #[error(transparent)]
    Source(#[from] OpenError),
}

/// A completed backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// The number of connectors, of any type and visibility.
    pub connectors: i64,
    /// The number of the last change.
    pub state: i64,
}

/// Copies the SQLite database to a new file, in the state of one moment after the call. Readers and writers continue
/// meanwhile.
pub fn backup(settings: &DatabaseSettings, file: &Path) -> Result<BackupReport, BackupError> {
    let location = settings.location().map_err(OpenError::from)?;
    let DatabaseLocation::File(source) = &location else {
        return Err(BackupError::Postgres(location));
    };
    let failed =
        |error: rusqlite::Error| OpenError::new("back up", &location, settings.wait, &error);
    let unwritten = |error: &dyn std::error::Error| BackupError::Unwritten {
        file: file.to_owned(),
        cause: error.to_string(),
    };
    if ["-wal", "-shm", "-journal"]
        .iter()
        .any(|suffix| is_beside(source, file, suffix))
    {
        return Err(BackupError::Reserved(file.to_owned()));
    }
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    refuse_foreign_file(&location, source, settings.wait)?;
    let source = open(source, settings.wait)
        .map_err(|error| OpenError::new("back up", &location, settings.wait, &*error))?;
    let contents = contents(&source).map_err(failed)?;
    contents.of_catalogue(&location)?;

    let temporary = temporary(file).map_err(|error| unwritten(&error))?;
    let mut copy = Connection::open(temporary.path()).map_err(|error| unwritten(&error))?;
    // The whole file is synced at the end, before it gets its name.
    copy.pragma_update(None, "synchronous", "OFF")
        .map_err(|error| unwritten(&error))?;
    // A failed copy is removed.
    copy.pragma_update(None, "journal_mode", "OFF")
        .map_err(|error| unwritten(&error))?;
    copy_pages(&source, &mut copy, settings.wait).map_err(|error| {
        match error.sqlite_error_code() {
            // Only the copy is written.
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => unwritten(&error),
            _ => failed(error).into(),
        }
    })?;
    drop(source);
    // The copy would otherwise need a write-ahead log too.
    copy.pragma_update(None, "journal_mode", "DELETE")
        .map_err(|error| unwritten(&error))?;
    if let Some(finding) = damage(&copy, "integrity_check").into_iter().next() {
        return Err(BackupError::Damaged { location, finding });
    }
    let counts = "SELECT state, (SELECT COUNT(*) FROM personal_connector) FROM catalog_state";
    let (state, connectors) = copy
        .query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed)?;
    drop(copy);

    let persist = || -> io::Result<u64> {
        temporary.as_file().sync_all()?;
        let bytes = temporary.as_file().metadata()?.len();
        temporary
            .persist_noclobber(file)
            .map_err(|error| error.error)?;
        let synced = File::open(folder(file)).and_then(|folder| folder.sync_all());
        if synced.is_err() {
            // A power failure might otherwise lose the name.
            fs::remove_file(file)?;
        }
        synced.map(|()| bytes)
    };
    match persist() {
        Ok(bytes) => Ok(BackupReport {
            bytes,
            connectors,
            state,
        }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(BackupError::Exists(file.to_owned()))
        }
        Err(error) => Err(unwritten(&error)),
    }
}

/// Returns whether a file is the one with this suffix that SQLite uses beside a database.
fn is_beside(database: &Path, file: &Path, suffix: &str) -> bool {
    let real = |path: &Path| {
        let folder = fs::canonicalize(folder(path)).ok()?;
        Some(folder.join(path.file_name()?))
    };
    let database = fs::canonicalize(database).ok();
    let beside = database.map(|path| {
        let mut path = path.into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    });
    beside.is_some() && beside == real(file)
}

/// Creates a hidden file beside the target.
fn temporary(file: &Path) -> io::Result<NamedTempFile> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".part")
        .tempfile_in(folder(file))
}

/// Copies all pages in one step, within one read transaction. Writers neither wait for it nor make it start over.
fn copy_pages(source: &Connection, copy: &mut Connection, wait: Duration) -> rusqlite::Result<()> {
    let until = Instant::now() + wait;
    let backup = Backup::new(source, copy)?;
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            // Only a file without a write-ahead log is ever locked for readers.
            _ if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            _ => {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None));
            }
        }
    }
}

type Failure = Box<dyn std::error::Error>;

/// Opens an existing file to read it.
pub(in crate::store) fn open(file: &Path, wait: Duration) -> Result<Connection, Failure> {
    if fs::metadata(file)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    let (connection, _) = sqlite_file::open(file, wait)?;
    Ok(connection)
}

/// Returns the damage that `integrity_check` or `quick_check` finds in a file's pages, indexes and full-text indexes.
/// Neither writes; a full-text index's own check command would.
pub(in crate::store) fn damage(connection: &Connection, check: &str) -> Vec<String> {
    match texts(connection, &format!("PRAGMA {check}({FINDINGS})")) {
        Ok(lines) => lines
            .into_iter()
            .filter(|line| line != "ok")
            .map(|line| line.replace('\n', " "))
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// A background check of the SQLite file, cancelled on drop.
#[derive(Debug)]
pub struct DamageCheck {
    over: Arc<AtomicBool>,
    checking: Option<JoinHandle<()>>,
}

impl DamageCheck {
    /// Checks the file's pages on a thread of its own. Damage is logged, and kept for [`Database::damage`]. PostgreSQL
    /// is not checked.
    pub(crate) fn start(database: &Database) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let DatabaseLocation::File(file) = database.location() else {
            return Self {
                over,
                checking: None,
            };
        };
        let (file, database, ended) = (file.clone(), database.clone(), over.clone());
        let check = move || {
            let found = check_quickly(&file, ended.clone());
            if let Some(finding) = found.filter(|_| !ended.load(Ordering::Relaxed)) {
                let file = file.display();
                tracing::error!(
                    finding,
                    "the database {file} is damaged: run check-database, and restore a backup"
                );
                database.report_damage(finding);
            }
        };
        Self {
            over,
            checking: Some(tokio::task::spawn_blocking(check)),
        }
    }

    /// Cancels the check, so that its connection ends before the database's.
    pub(crate) async fn stop(mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(checking) = self.checking.take() {
            let _ = checking.await;
        }
    }
}

impl Drop for DamageCheck {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn check_quickly(file: &Path, over: Arc<AtomicBool>) -> Option<String> {
    // The service itself reports that it cannot be opened.
    let connection = open(file, Duration::ZERO).ok()?;
    let is_over = move || over.load(Ordering::Relaxed);
    connection.progress_handler(STEPS, Some(is_over)).ok()?;
    damage(&connection, "quick_check").into_iter().next()
}
