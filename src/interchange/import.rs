//! The `import` command: files into the catalogue.
//!
//! Invariant: every object of the input is accounted for; whole batches land or none of them; a second run changes nothing.
//! Files are read twice: first to number the objects and to find which version of each registry server is the latest, then
//! to load them, so that memory holds names and a batch, whatever the size.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, BufReader, Seek},
    path::PathBuf,
};

use anyhow::Context;
use entity::ConnectorSource;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    domain::connector::Entry,
    error::Result,
    store::{Actor, Again, Database, Tx},
    terminal::{self, Printable},
};

use super::{
    Rejection,
    load::{Fate, Loaded, Loader},
    object::Object,
    published::{self, Assumed},
    reader,
    registry::{self, Rank},
};

const ENTRIES_A_BATCH: usize = 500;

/// What became of the objects of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// Versions of a registry server that are not its latest.
    pub older_versions: u64,
    /// Registry servers with the status `deleted`.
    pub deleted: u64,
    pub rejected: u64,
    /// Of the entries that were loaded, those that cannot have their replacement.
    pub without_replacement: u64,
}

impl Report {
    /// Whether something of the input is missing now.
    pub fn is_complete(&self) -> bool {
        self.rejected == 0 && self.without_replacement == 0
    }

    pub fn total(&self) -> u64 {
        self.created
            + self.updated
            + self.unchanged
            + self.older_versions
            + self.deleted
            + self.rejected
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} objects: {} created, {} updated, {} unchanged, {} older versions, {} deleted in the registry, {} rejected",
            self.total(),
            self.created,
            self.updated,
            self.unchanged,
            self.older_versions,
            self.deleted,
            self.rejected
        )?;
        if self.without_replacement > 0 {
            write!(
                f,
                "; {} without their replacement",
                self.without_replacement
            )?;
        }
        Ok(())
    }
}

/// An import as it was asked for.
#[derive(Debug)]
pub struct Import {
    /// `-`, or no file at all, is standard input.
    pub files: Vec<PathBuf>,
    pub assumed: Assumed,
    pub dry_run: bool,
}

/// An object of the input, numbered through all files, with its name for people.
struct Item {
    number: u64,
    label: String,
    content: Content,
}

enum Content {
    Entry(Box<Entry>),
    OlderVersion,
    Deleted,
    Rejected(Vec<Rejection>),
}

/// What the first reading found.
#[derive(Default)]
struct Survey {
    objects: u64,
    /// Of each registry server the number of its latest version.
    latest: HashMap<String, (Rank, u64)>,
}

/// Runs an import, telling `out` of each rejected entry as it is met.
pub async fn import(
    database: &Database,
    clock: &Clock,
    import: Import,
    mut out: impl io::Write,
) -> anyhow::Result<Report> {
    let Import {
        files,
        assumed,
        dry_run,
    } = import;
    let (sender, mut batches) = mpsc::channel::<Vec<Item>>(2);
    let (counted, count) = tokio::sync::oneshot::channel();
    let reading = tokio::task::spawn_blocking(move || {
        let sources = open(files)?;
        let survey = survey(&sources)?;
        let _ = counted.send(survey.objects);
        read(&sources, &survey, &assumed, &sender)
    });
    let progress = match count.await {
        Ok(objects) => terminal::bar(objects),
        // The reading ended with an error, told below.
        Err(_) => ProgressBar::hidden(),
    };

    let mut run = Run {
        database,
        clock,
        dry_run,
        loader: Loader::new(ConnectorSource::Import),
        report: Report::default(),
        unlinked: Vec::new(),
    };
    while let Some(batch) = batches.recv().await {
        progress.inc(batch.len() as u64);
        for line in run.load(batch).await? {
            progress.suspend(|| writeln!(out, "{}", Printable(line)))?;
        }
    }
    reading.await??;
    for line in run.link().await? {
        progress.suspend(|| writeln!(out, "{}", Printable(line)))?;
    }
    progress.finish_and_clear();
    Ok(run.report)
}

/// One import as it goes.
struct Run<'a> {
    database: &'a Database,
    clock: &'a Clock,
    dry_run: bool,
    loader: Loader,
    report: Report,
    /// Entries that could not have their replacement before all were loaded.
    unlinked: Vec<Unlinked>,
}

struct Unlinked {
    number: u64,
    label: String,
    entry: Entry,
    fate: Fate,
}

impl Run<'_> {
    /// Loads a batch and counts what became of it; gives a line for each rejection.
    async fn load(&mut self, batch: Vec<Item>) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let (mut names, mut entries) = (Vec::new(), Vec::new());
        for item in batch {
            match item.content {
                Content::Entry(entry) => {
                    names.push((item.number, item.label));
                    entries.push(*entry);
                }
                Content::OlderVersion => self.report.older_versions += 1,
                Content::Deleted => self.report.deleted += 1,
                Content::Rejected(rejections) => {
                    self.report.rejected += 1;
                    for rejection in rejections {
                        let line = told("rejected", item.number, &item.label, &rejection);
                        lines.push((item.number, line));
                    }
                }
            }
        }
        let loaded = self.write(&entries).await?;
        for (((number, label), entry), loaded) in names.into_iter().zip(entries).zip(loaded) {
            match loaded {
                Ok(Loaded { fate, unlinked }) if unlinked => self.unlinked.push(Unlinked {
                    number,
                    label,
                    entry,
                    fate,
                }),
                Ok(Loaded { fate, .. }) => self.count(fate),
                Err(rejection) => {
                    self.report.rejected += 1;
                    let line = told("rejected", number, &label, &rejection);
                    lines.push((number, line));
                }
            }
        }
        lines.sort_by_key(|(number, _)| *number);
        Ok(lines.into_iter().map(|(_, line)| line).collect())
    }

    /// Loads entries in a transaction, and again where another transaction made it fail.
    async fn write(&mut self, entries: &[Entry]) -> Result<Vec<Result<Loaded, Rejection>>> {
        let mut again = Again::default();
        loop {
            match self.attempt(entries).await {
                // A dry run only reads.
                Err(error) if !self.dry_run && again.after(&error) => self.loader.rolled_back(),
                loaded => return loaded,
            }
        }
    }

    async fn attempt(&mut self, entries: &[Entry]) -> Result<Vec<Result<Loaded, Rejection>>> {
        let mut tx = self.begin().await?;
        let loaded = self.loader.load(&mut tx, entries).await?;
        self.end(tx).await?;
        Ok(loaded)
    }

    /// Gives the missing replacements; gives a line for each that cannot be.
    async fn link(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let unlinked = std::mem::take(&mut self.unlinked);
        for entries in unlinked.chunks(ENTRIES_A_BATCH) {
            let mut again = Again::default();
            let linked = loop {
                match self.attempt_link(entries).await {
                    Err(error) if !self.dry_run && again.after(&error) => self.loader.committed(),
                    linked => break linked?,
                }
            };
            for (item, linked) in entries.iter().zip(linked) {
                let fate = match linked {
                    Ok(()) if item.fate == Fate::Unchanged => Fate::Updated,
                    Ok(()) => item.fate,
                    Err(rejection) => {
                        self.report.without_replacement += 1;
                        lines.push(told("incomplete", item.number, &item.label, &rejection));
                        item.fate
                    }
                };
                self.count(fate);
            }
        }
        Ok(lines)
    }

    async fn attempt_link(&mut self, entries: &[Unlinked]) -> Result<Vec<Result<(), Rejection>>> {
        let mut tx = self.begin().await?;
        let mut linked = Vec::with_capacity(entries.len());
        for item in entries {
            linked.push(self.loader.link(&mut tx, &item.entry).await?);
        }
        self.end(tx).await?;
        Ok(linked)
    }

    fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Created => self.report.created += 1,
            Fate::Updated => self.report.updated += 1,
            Fate::Unchanged => self.report.unchanged += 1,
        }
    }

    async fn begin(&self) -> Result<Tx> {
        let now = self.clock.now();
        if self.dry_run {
            Tx::rehearse(self.database, now).await
        } else {
            Tx::begin(self.database, Actor::default(), now).await
        }
    }

    async fn end(&mut self, tx: Tx) -> Result<()> {
        if self.dry_run {
            tx.rollback().await;
            return Ok(());
        }
        tx.commit().await?;
        self.loader.committed();
        Ok(())
    }
}

/// The files. Standard input, and what else can be read only once, is kept in a temporary file.
fn open(files: Vec<PathBuf>) -> anyhow::Result<Vec<(PathBuf, File)>> {
    let files = if files.is_empty() {
        vec!["-".into()]
    } else {
        files
    };
    let open = |path: PathBuf| {
        let file = if path.as_os_str() == "-" {
            keep(&mut io::stdin().lock()).context("standard input cannot be read")?
        } else {
            let opened = File::open(&path).and_then(|mut file| {
                if file.metadata()?.is_file() {
                    Ok(file)
                } else {
                    keep(&mut file)
                }
            });
            opened.with_context(|| format!("{} cannot be read", path.display()))?
        };
        Ok((path, file))
    };
    files.into_iter().map(open).collect()
}

fn keep(input: &mut impl io::Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(input, &mut file)?;
    Ok(file)
}

/// Reads all files from their beginnings, numbering their objects through.
fn each_object(
    sources: &[(PathBuf, File)],
    mut each: impl FnMut(u64, std::result::Result<Object, Rejection>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut before = 0;
    for (path, mut file) in sources.iter().map(|(path, file)| (path, file)) {
        file.rewind()?;
        let count = reader::read(BufReader::new(file), |number, object| {
            each(before + number, object)
        });
        before += count.with_context(|| format!("{} cannot be read on", path.display()))?;
    }
    Ok(())
}

fn survey(sources: &[(PathBuf, File)]) -> anyhow::Result<Survey> {
    let mut survey = Survey::default();
    each_object(sources, |number, object| {
        survey.objects = number;
        let Ok(object) = object else { return Ok(()) };
        if registry::is_server(&object)
            && let Ok(version) = registry::identify(&object)
            && !version.deleted
        {
            let best = survey
                .latest
                .entry(version.name)
                .or_insert_with(|| (version.rank.clone(), number));
            if version.rank >= best.0 {
                *best = (version.rank, number);
            }
        }
        Ok(())
    })?;
    Ok(survey)
}

fn read(
    sources: &[(PathBuf, File)],
    survey: &Survey,
    assumed: &Assumed,
    batches: &mpsc::Sender<Vec<Item>>,
) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    each_object(sources, |number, object| {
        let (label, content) = match object {
            Ok(object) => (label(&object), content(number, &object, survey, assumed)),
            Err(rejection) => (String::new(), Content::Rejected(vec![rejection])),
        };
        batch.push(Item {
            number,
            label,
            content,
        });
        if batch.len() == ENTRIES_A_BATCH {
            batches.blocking_send(std::mem::take(&mut batch))?;
        }
        Ok(())
    })?;
    batches.blocking_send(batch)?;
    Ok(())
}

fn content(number: u64, object: &Object, survey: &Survey, assumed: &Assumed) -> Content {
    let is_latest = |name: &str| {
        survey
            .latest
            .get(name)
            .is_none_or(|(_, latest)| *latest == number)
    };
    let parsed = if registry::is_server(object) {
        match registry::identify(object) {
            Ok(version) if version.deleted => return Content::Deleted,
            Ok(version) if !is_latest(&version.name) => return Content::OlderVersion,
            Ok(_) => registry::parse(object),
            Err(rejections) => Err(rejections),
        }
    } else {
        published::parse(object, assumed)
    };
    match parsed {
        Ok(entry) => Content::Entry(Box::new(entry)),
        Err(rejections) => Content::Rejected(rejections),
    }
}

/// What people know an object by: its name.
fn label(object: &Object) -> String {
    fn text(object: &Object, key: &str) -> Option<String> {
        serde_json::from_str(object.get(key)?.get()).ok()
    }
    let server = || {
        let server: Object = serde_json::from_str(object.get("server")?.get()).ok()?;
        text(&server, "name")
    };
    let label = text(object, "name")
        .or_else(server)
        .or_else(|| text(object, "id"));
    label.unwrap_or_default().chars().take(100).collect()
}

fn told(what: &str, number: u64, label: &str, rejection: &Rejection) -> String {
    let name = if label.is_empty() {
        String::new()
    } else {
        format!(" ({label})")
    };
    format!("{what}: entry {number}{name}: {rejection}")
}
