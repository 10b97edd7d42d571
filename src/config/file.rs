//! Files that are read at start.
//!
//! Invariant: a pipe without a writer, or a hanging file system, blocks nothing for longer than [`READ_IN`].

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

/// The longest time to open and read a file.
const READ_IN: Duration = Duration::from_secs(10);

/// Runs a file operation on a thread of its own and waits for it. The process can end before the thread does.
pub(super) fn bounded<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (done, result) = sync_channel(1);
    thread::Builder::new()
        .name("file".to_owned())
        .spawn(move || done.send(work()))?;
    result.recv_timeout(READ_IN).unwrap_or_else(|_| {
        let seconds = READ_IN.as_secs();
        let text = format!(
            "it cannot be read within {seconds} s: it is a pipe that nobody writes to, or its file system hangs"
        );
        Err(io::Error::new(ErrorKind::TimedOut, text))
    })
}

/// The mode bit that lets every user of the system read a file.
pub(super) const READABLE_BY_ALL: u32 = 0o004;

/// The largest settings file, in bytes.
const SETTINGS_BYTES: u64 = 1024 * 1024;

/// A small file of text, such as a secret.
#[derive(Debug)]
pub(super) struct TextFile {
    pub(crate) text: String,
    /// The permission bits.
    pub(crate) mode: u32,
}

impl TextFile {
    /// Reads at most [`SETTINGS_BYTES`].
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        bounded(move || {
            let file = File::open(path)?;
            let mode = file.metadata()?.permissions().mode();
            let mut text = String::new();
            if file.take(SETTINGS_BYTES + 1).read_to_string(&mut text)? as u64 > SETTINGS_BYTES {
                let message = format!("it is larger than {SETTINGS_BYTES} bytes");
                return Err(io::Error::new(ErrorKind::FileTooLarge, message));
            }
            Ok(Self { text, mode })
        })
    }
}

/// Reads the text of a file.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let path = path.to_owned();
    bounded(move || fs::read_to_string(path))
}
