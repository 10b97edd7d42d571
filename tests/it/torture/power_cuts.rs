//! Power failures at random moments: synced bytes are kept, and a random part of the others.
//!
//! A preloaded library (`recorder.c`) records the program's writes and syncs. A power failure is a prefix of the
//! recording.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::{Crew, assert_whole, changing_tools, checking, is_ready, objects, random, rounds};
use crate::{
    operate::outage,
    support::{
        harness::{TestDatabase, rows},
        process::{Process, Serving, program_on, run},
    },
};

/// The files, in the order of `recorder.c`.
const FILES: [&str; 3] = [
    "connectors.db",
    "connectors.db-wal",
    "connectors.db-journal",
];

/// Bytes that a disk writes completely or not at all.
const SECTOR: usize = 512;

/// The number of power failures for one recording.
const CUTS: usize = 250;

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
    Create,
    Unlink,
}

impl Change {
    /// Returns whether it changes the folder. File systems write these in order, with any sync.
    fn is_of_folder(&self) -> bool {
        matches!(self, Self::Create | Self::Unlink)
    }
}

#[derive(Clone, Debug)]
enum Record {
    Change(usize, Change),
    SyncBegins(u64),
    SyncEnds(usize, u64),
}

/// The files' bytes; none for a missing file.
type Image = [Option<Vec<u8>>; 3];

fn apply(image: &mut Image, file: usize, change: &Change) {
    let bytes = &mut image[file];
    match change {
        Change::Write(at, new) => put(bytes.get_or_insert_default(), *at, new),
        Change::Truncate(size) => {
            bytes
                .get_or_insert_default()
                .resize(usize::try_from(*size).unwrap(), 0);
        }
        Change::Create => drop(bytes.get_or_insert_default()),
        Change::Unlink => *bytes = None,
    }
}

fn put(bytes: &mut Vec<u8>, at: u64, new: &[u8]) {
    let at = usize::try_from(at).unwrap();
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// The files before, and the program's operations on them.
struct Recording {
    before: Image,
    /// The operations, each with the offset of its end in the recording.
    records: Vec<(u64, Record)>,
}

impl Recording {
    fn read(path: &Path, before: Image) -> Self {
        let bytes = fs::read(path).unwrap();
        let mut records = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let (head, rest) = bytes[at..].split_at(16);
            let length = u32::from_le_bytes(head[4..8].try_into().unwrap()) as usize;
            let number = u64::from_le_bytes(head[8..16].try_into().unwrap());
            let file = usize::from(head[1]);
            at += 16 + length;
            let record = match head[0] {
                b'W' => Record::Change(file, Change::Write(number, rest[..length].to_vec())),
                b'T' => Record::Change(file, Change::Truncate(number)),
                b'C' => Record::Change(file, Change::Create),
                b'U' => Record::Change(file, Change::Unlink),
                b'B' => Record::SyncBegins(number),
                b'E' => Record::SyncEnds(file, number),
                kind => panic!("no record of kind {kind}"),
            };
            records.push((at as u64, record));
        }
        Self { before, records }
    }

    fn count(&self, is: impl Fn(&Record) -> bool) -> usize {
        self.records.iter().filter(|(_, record)| is(record)).count()
    }

    /// Calls `cut` with the files after a power failure at each of these offsets.
    fn cuts(&self, mut places: Vec<u64>, mut cut: impl FnMut(u64, Image)) {
        places.sort_unstable();
        let mut places = places.into_iter().peekable();
        let mut disk = Disk {
            synced: self.before.clone(),
            waiting: Vec::new(),
            syncs: HashMap::new(),
        };
        for (number, (end, record)) in self.records.iter().enumerate() {
            while let Some(place) = places.next_if(|place| place < end) {
                cut(place, disk.cut());
            }
            disk.follow(number, record);
        }
        places.for_each(|place| cut(place, disk.cut()));
    }
}

/// A disk with a cache.
struct Disk {
    synced: Image,
    /// Unsynced changes: number, file, change.
    waiting: Vec<(usize, usize, Change)>,
    /// The number of the record at which each sync began.
    syncs: HashMap<u64, usize>,
}

impl Disk {
    fn follow(&mut self, number: usize, record: &Record) {
        match record {
            Record::Change(file, change) => self.waiting.push((number, *file, change.clone())),
            Record::SyncBegins(sync) => drop(self.syncs.insert(*sync, number)),
            Record::SyncEnds(file, sync) => self.sync(*file, self.syncs[sync]),
        }
    }

    fn sync(&mut self, synced: usize, began: usize) {
        let waiting = std::mem::take(&mut self.waiting);
        // Earlier changes of an unlinked file do not count.
        let unlinked: Vec<_> = (0..FILES.len())
            .map(|file| {
                let last = waiting.iter().rev().find(|(number, of, change)| {
                    *number < began && *of == file && matches!(change, Change::Unlink)
                });
                last.map_or(0, |(number, ..)| *number)
            })
            .collect();
        for (number, file, change) in waiting {
            let is_synced = number < began && (file == synced || change.is_of_folder());
            if is_synced {
                apply(&mut self.synced, file, &change);
            } else if number >= unlinked[file] {
                self.waiting.push((number, file, change));
            }
        }
    }

    /// Returns the files after a power failure.
    fn cut(&self) -> Image {
        let mut image = self.synced.clone();
        let how = random(4);
        for (_, file, change) in &self.waiting {
            match (how, change) {
                (0, _) => {}
                (1, _) => apply(&mut image, *file, change),
                (2, Change::Write(at, bytes)) => {
                    for (at, sector) in sectors(*at, bytes) {
                        if random(2) == 0 {
                            put(image[*file].get_or_insert_default(), at, sector);
                        }
                    }
                }
                _ if random(2) == 0 => apply(&mut image, *file, change),
                _ => {}
            }
        }
        image
    }
}

/// Splits a write at the disk's sectors.
fn sectors(at: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let before = (SECTOR - usize::try_from(at).unwrap() % SECTOR) % SECTOR;
    let (first, rest) = bytes.split_at(before.min(bytes.len()));
    let parts = std::iter::once(first).chain(rest.chunks(SECTOR));
    let mut at = at;
    parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let begins = at;
            at += part.len() as u64;
            (begins, part)
        })
        .collect()
}

/// The library, and its recording.
struct Recorder {
    folder: TempDir,
}

impl Recorder {
    /// Builds the library. Panics if it cannot, so that no test passes without running.
    fn build() -> Self {
        let folder = TempDir::new().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/torture/recorder.c");
        let compiler = Command::new("cc").arg("--version").output();
        compiler.expect("this test needs cc, a C compiler, in the PATH");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]);
        compile.arg(folder.path().join("recorder.so")).arg(source);
        outage::run(&mut compile);
        Self { folder }
    }

    fn recording(&self) -> PathBuf {
        self.folder.path().join("recording")
    }

    /// Makes a program record its operations.
    fn on(&self, mut command: Command) -> Command {
        command
            .env("LD_PRELOAD", self.folder.path().join("recorder.so"))
            .env("RECORDING", self.recording());
        command
    }
}

fn image(storage: &TestDatabase) -> Image {
    let file = storage.url.strip_prefix("sqlite://").unwrap();
    let folder = Path::new(file).parent().unwrap();
    FILES.map(|name| fs::read(folder.join(name)).ok())
}

/// Returns a database of these files, recovered by the program.
fn database(image: &Image) -> TestDatabase {
    let storage = TestDatabase::sqlite();
    let file = storage.url.strip_prefix("sqlite://").unwrap();
    let folder = Path::new(file).parent().unwrap();
    for (name, bytes) in FILES.iter().zip(image) {
        if let Some(bytes) = bytes {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
    run(program_on(&storage, &["migrate"])).ok();
    storage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(target_os = "linux"), ignore = "needs Linux")]
async fn while_it_writes_and_imports() {
    let mut cuts = 0;
    while cuts < rounds(40) {
        let recorder = Recorder::build();
        let count = CUTS.min(rounds(40) - cuts);
        cuts += count;
        cut_while_it_writes_and_imports(&recorder, count).await;
    }
}

async fn cut_while_it_writes_and_imports(recorder: &Recorder, count: usize) {
    const OBJECTS: usize = 600;
    let storage = TestDatabase::sqlite();
    let mcp = changing_tools().await;
    let mut crew = Crew::new(&storage, &mcp);
    for recording in crew.writers.iter_mut().map(|writer| &mut writer.recording) {
        *recording = Some(recorder.recording());
    }
    crew.checker.recording = Some(recorder.recording());
    let before = image(&storage);
    assert!(before[1].is_none(), "there is a log");

    let file = recorder.folder.path().join("objects.jsonl");
    fs::write(&file, objects(OBJECTS)).unwrap();
    let arguments = ["import", "--organization", "acme", file.to_str().unwrap()];
    let start = || Serving::start(recorder.on(checking(&storage)));
    let server = start();
    let importing = async {
        let mut import = Process::spawn(&mut recorder.on(program_on(&storage, &arguments)));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        import.wait().ok();
        let imported = fs::metadata(recorder.recording()).unwrap().len();
        server.process.signal("KILL");
        imported
    };
    let imported = crew.work(&server, importing).await;
    drop(server);
    // The second process recovers the killed one's files, and closes the database.
    let server = start();
    crew.work(&server, tokio::time::sleep(Duration::from_millis(500)))
        .await;
    server.stop().ok();

    let recording = Recording::read(&recorder.recording(), before);
    let end = recording.records.last().unwrap().0;
    let acknowledged: Vec<_> = crew
        .writers
        .iter()
        .flat_map(|writer| writer.history.iter().map(|(at, _)| *at))
        .chain(crew.checker.history.iter().map(|(at, _)| *at))
        .collect();
    let place = |n| match n % 2 {
        // Right after an acknowledgement: a lost write would show here.
        0 => acknowledged[usize::try_from(random(acknowledged.len() as u64)).unwrap()],
        _ => random(end + 1),
    };
    let mut images = Vec::new();
    recording.cuts((0..count).map(place).collect(), |place, image| {
        images.push((place, image));
    });
    for (n, (place, image)) in images.into_iter().enumerate() {
        let cut = database(&image);
        assert_whole(&cut).await;
        for writer in &crew.writers {
            let stored = writer.stored(&cut).await;
            let told = writer.history.partition_point(|(at, _)| *at <= place);
            // The write in progress may be stored or not.
            let before = told.checked_sub(1).map(|last| &writer.history[last].1);
            let is_before = before.map_or(stored.is_empty(), |before| *before == stored);
            let is_next = writer
                .history
                .get(told)
                .is_some_and(|(_, next)| *next == stored);
            assert!(
                is_before || is_next,
                "at {place} of {end}: {stored:?} after {before:?}, {told} acknowledged"
            );
        }
        let told = crew.checker.history.partition_point(|(at, _)| *at <= place);
        if let Some((_, last)) = told.checked_sub(1).map(|last| &crew.checker.history[last]) {
            crew.checker.assert_kept(&cut, last).await;
        }
        let landed = "SELECT COUNT(*) AS n FROM personal_connector WHERE name LIKE 'Object %'";
        let landed: usize = rows(&cut.url, landed).await.trim().parse().unwrap();
        assert!([0, 500, OBJECTS].contains(&landed), "{landed} objects");
        assert!(place < imported || landed == OBJECTS, "{landed} objects");
        if n % 8 == 0 {
            let server = Serving::on(&cut);
            let mut writer = super::Writer::new("fay");
            assert_eq!(writer.write_one(&server).await, super::Sent::Acknowledged);
        }
    }
    let writes = recording.count(|record| matches!(record, Record::Change(0, Change::Write(..))));
    let syncs = recording.count(|record| matches!(record, Record::SyncEnds(..)));
    println!(
        "{count} power cuts in {end} bytes, {syncs} syncs and {writes} writes of checkpoints: {} acknowledged, 0 lost",
        acknowledged.len()
    );
    assert!(writes > 0 && syncs > 20, "the recording has too few writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(target_os = "linux"), ignore = "needs Linux")]
async fn while_the_schema_is_made() {
    let recorder = Recorder::build();
    let storage = TestDatabase::sqlite();
    let server = Serving::start(recorder.on(program_on(&storage, &[])));
    // The service responds, so it also handles SIGTERM.
    assert!(is_ready(&server).await);
    server.stop().ok();
    let recording = Recording::read(&recorder.recording(), Image::default());
    let end = recording.records.last().unwrap().0;
    let count = rounds(20);
    let mut images = Vec::new();
    recording.cuts((0..count).map(|_| random(end + 1)).collect(), |_, image| {
        images.push(image);
    });
    for image in images {
        let cut = database(&image);
        drop(Serving::on(&cut));
        assert_whole(&cut).await;
    }
    println!("{count} power cuts while the schema is made: it serves after each");
}
