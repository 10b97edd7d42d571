//! Disks that a test fills and empties: a limit on the size of files, and small file systems.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{noise, random};
use crate::{
    operate::outage::{is_root, run},
    support::process::Serving,
};

/// The disk of a database's files.
#[derive(Debug)]
pub(super) enum Disk {
    /// A limit on the size of the process's files, which needs no root.
    Limit { wal: PathBuf },
    /// A file system of some MiB.
    Small(Small),
}

impl Disk {
    /// Leaves a random amount of space, or none.
    pub(super) fn fill(&self, server: &Serving, to_the_brim: bool) {
        match self {
            Self::Limit { wal } => {
                let size = fs::metadata(wal).map_or(0, |wal| wal.len());
                let limit = if to_the_brim {
                    1
                } else {
                    1 + random(size + 256 * 1024)
                };
                limit_files(server, &limit.to_string());
            }
            Self::Small(disk) => disk.fill(if to_the_brim { 0 } else { random(256 * 1024) }),
        }
    }

    pub(super) fn empty(&self, server: &Serving) {
        match self {
            Self::Limit { .. } => limit_files(server, "unlimited"),
            Self::Small(disk) => disk.empty(),
        }
    }

    /// Returns whether every write fails without space. On a file system, SQLite's log may have unused blocks.
    pub(super) fn refuses_all(&self) -> bool {
        matches!(self, Self::Limit { .. })
    }
}

fn limit_files(server: &Serving, size: &str) {
    let mut prlimit = Command::new("prlimit");
    prlimit.arg(format!("--pid={}", server.process.id()));
    run(prlimit.arg(format!("--fsize={size}:")));
}

/// Returns the command with SIGXFSZ ignored, so that a write beyond the limit is only an error.
pub(super) fn without_signal(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .env_clear()
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    let variables = command.get_envs();
    shell.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// A tmpfs of a few MiB in a temporary folder, unmounted on drop.
#[derive(Debug)]
pub(super) struct Small {
    folder: TempDir,
}

impl Small {
    /// Mounts it. Panics if it cannot, so that no test passes without running.
    pub(super) fn mount(mebibytes: u32, owner: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let options = format!("size={mebibytes}m,mode=0700,uid={owner}");
        let mounted = cfg!(target_os = "linux")
            && is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
                .arg(folder.path())
                .status()
                .is_ok_and(|status| status.success());
        assert!(
            mounted,
            "this test needs to mount a file system: run it as root on Linux"
        );
        Self { folder }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Fills it, except for this many bytes.
    pub(super) fn fill(&self, but: u64) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.filler())
            .unwrap();
        let page = noise(4096).into_bytes();
        let full = loop {
            if let Err(error) = file.write_all(&page) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(but)).unwrap();
    }

    pub(super) fn empty(&self) {
        let _ = fs::remove_file(self.filler());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // The unmount is lazy, because the process of a failed test may still use it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
