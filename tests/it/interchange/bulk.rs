//! Memory holds names and one batch, for any number of objects, such as 200,000.

use std::{fmt::Write, fs, process::Stdio, time::Duration};

use tempfile::TempDir;

use crate::support::{
    harness::TestDatabase,
    objects::objects,
    process::{program_on, run},
};

/// Returns the peaks of an import's dry run, and of an export of the same connectors, in KiB. A real run also has the
/// cache of its one writer, which has a limit of its own.
fn peaks(count: usize) -> [u64; 2] {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("objects.jsonl");
    // The objects are large, so that storing them would show.
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

/// Returns the lower peak of two runs, because the reader's lead varies.
fn least(storage: &TestDatabase, arguments: &[&str]) -> u64 {
    peak(storage, arguments).min(peak(storage, arguments))
}

/// Returns the largest private memory of a program in RAM until it ended. The pages that SQLite maps belong to the
/// system's cache.
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
