//! Files that are read at the start.
//!
//! Invariant: a pipe without a writer, or a file system that hangs, holds nothing up for longer than [`READ_IN`].

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

/// The longest time to open and read a file.
const READ_IN: Duration = Duration::from_secs(10);

/// Does something with a file on a thread of its own, and waits for it. The end of the process does not wait for the thread.
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

/// Reads the text of a file.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let path = path.to_owned();
    bounded(move || fs::read_to_string(path))
}
