//! Memory holds names and a batch, however many objects there are: so 200,000 of them, or as many as one likes.

use std::{fmt::Write, fs, process::Stdio, time::Duration};

use tempfile::TempDir;

use crate::support::{
    harness::TestDatabase,
    objects::objects,
    process::{program_on, run},
};

/// The peaks of a dry run of an import, and of an export of what it would bring, in KiB.
/// A real run also has the cache of its one writer, which is bounded by itself.
fn peaks(count: usize) -> [u64; 2] {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("objects.jsonl");
    // Large ones, so that it shows when they are kept.
    let mut text = String::new();
    for line in objects(count).lines() {
        let large = line.replacen(
            "{\"number\"",
            &format!("{{\"x\":\"{}\",\"number\"", "x".repeat(8000)),
            1,
        );
        writeln!(text, "{large}").unwrap();
    }
    fs::write(&file, text).unwrap();
    let storage = TestDatabase::sqlite();
    let import = ["import", "--organization", "acme", file.to_str().unwrap()];
    let dry = [&import[..], &["--dry-run"]].concat();
    run(program_on(&storage, &["migrate"])).ok();
    let dry = least(&storage, &dry);
    run(program_on(&storage, &import)).ok();
    [dry, least(&storage, &["export"])]
}

/// The least peak of two runs: how far the reader of a file is ahead is a matter of luck.
fn least(storage: &TestDatabase, arguments: &[&str]) -> u64 {
    peak(storage, arguments).min(peak(storage, arguments))
}

/// The most memory of its own that a program was seen to have in RAM until it ended; the pages of the file that SQLite reads
/// as memory are the system's cache.
fn peak(storage: &TestDatabase, arguments: &[&str]) -> u64 {
    let mut command = program_on(storage, arguments);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    loop {
        let told = fs::read_to_string(&status).unwrap_or_default();
        if let Some((_, told)) = told.split_once("RssAnon:") {
            let kib = told.split_whitespace().next();
            peak = peak.max(kib.and_then(|kib| kib.parse().ok()));
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{arguments:?}: {status}");
            return peak.expect("this test needs RssAnon in /proc/PID/status");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs Linux")]
fn memory_does_not_grow_with_the_input() {
    // Both take several batches, and the second has 16 MiB more.
    let (few, many) = (peaks(1100), peaks(3100));
    for (few, many) in few.into_iter().zip(many) {
        assert!(many < few + 6 * 1024, "{many} KiB after {few}");
    }
}
