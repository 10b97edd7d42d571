//! The `import` command: loads files into the catalogue.
//!
//! Invariant: every object of the input is accounted for, a batch is committed as a whole or not at all, and a second
//! run changes nothing. Files are read twice: to number the objects and find the latest version of each registry
//! server, then to load them. So memory holds names and one batch, whatever the size.

mod files;
mod report;

use std::io;

use entity::ConnectorSource;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    domain::{connector::Entry, viewer::User},
    error::Result,
    store::{Actor, Again, Database, Tx},
    terminal::{self, PrintableLine},
};

use super::{
    Rejection, Warning,
    categories::Categories,
    load::{Fate, Ids, Loaded, Loader, Outcome, Wait},
    published::Assumed,
};
use files::{Content, ENTRIES_A_BATCH, Item};
pub use files::{Source, open};
pub(crate) use report::Report;
use report::{Line, Lines};

/// The inputs of an import.
#[derive(Debug)]
pub struct Import {
    /// The files, in order.
    pub files: Vec<Source>,
    /// The organization and visibility of custom connectors without one.
    pub assumed: Assumed,
    /// The categories of entries without one.
    pub categories: Categories,
    /// Whether everything is checked and nothing is written.
    pub dry_run: bool,
    /// The author of the changes; none for the command.
    pub user: Option<User>,
    /// Whether to draw a progress bar, if standard error is a terminal.
    pub shows_progress: bool,
}

/// Runs an import, and writes each rejection to `out` at once.
pub async fn import(
    database: &Database,
    clock: &Clock,
    import: Import,
    mut out: impl io::Write,
) -> anyhow::Result<Report> {
    let Import {
        files,
        assumed,
        categories,
        dry_run,
        user,
        shows_progress,
    } = import;
    let actor = user.as_ref().map(Actor::of).unwrap_or_default();
    let (sender, mut batches) = mpsc::channel::<Vec<Item>>(2);
    let (surveyed, survey) = tokio::sync::oneshot::channel();
    let reading = tokio::task::spawn_blocking(move || {
        let mut survey = files::survey(&files, &assumed)?;
        let _ = surveyed.send((survey.objects, std::mem::take(&mut survey.ids)));
        files::read(&files, &survey, &assumed, &categories, &sender)
    });
    let (progress, ids) = match survey.await {
        Ok((objects, ids)) if shows_progress => (terminal::bar(objects), ids),
        Ok((_, ids)) => (ProgressBar::hidden(), ids),
        // The second reading returns the same error below.
        Err(_) => (ProgressBar::hidden(), Ids::default()),
    };

    let mut run = Run {
        database,
        clock,
        dry_run,
        actor,
        loader: Loader::new(ConnectorSource::Import, ids),
        report: Report::default(),
        waiting: Vec::new(),
        unlinked: Vec::new(),
    };
    let mut lines = Lines::default();
    let mut write = |new: Vec<Line>| {
        new.into_iter()
            .filter_map(|line| lines.admit(line))
            .try_for_each(|line| progress.suspend(|| writeln!(out, "{}", PrintableLine(line))))
    };
    while let Some(batch) = batches.recv().await {
        progress.inc(batch.len() as u64);
        write(run.load(batch).await?)?;
    }
    reading.await??;
    write(run.load_waiting().await?)?;
    write(run.link().await?)?;
    if !dry_run {
        let changed = run.report.created + run.report.updated;
        database.gather_statistics(changed).await;
    }
    progress.finish_and_clear();
    for line in lines.rest() {
        writeln!(out, "{}", PrintableLine(line))?;
    }
    Ok(run.report)
}

/// An import in progress.
struct Run<'a> {
    database: &'a Database,
    clock: &'a Clock,
    dry_run: bool,
    actor: Actor,
    loader: Loader,
    report: Report,
    /// Entries that need the name of a connector which comes later.
    waiting: Vec<Right>,
    /// Entries whose replacement was not loaded yet.
    unlinked: Vec<Unlinked>,
}

/// A valid entry and its position in the input.
struct Right {
    at: String,
    entry: Entry,
    warnings: Vec<Warning>,
}

struct Unlinked {
    at: String,
    entry: Entry,
    fate: Fate,
}

impl Run<'_> {
    /// Loads a batch and counts the results. Returns a line for each rejection and warning.
    async fn load(&mut self, batch: Vec<Item>) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        let (mut turns, mut entries) = (Vec::new(), Vec::new());
        for (turn, Item { at, content }) in batch.into_iter().enumerate() {
            match content {
                Content::Entry(entry, warnings) => {
                    turns.push(turn);
                    entries.push(Right {
                        at,
                        entry: *entry,
                        warnings,
                    });
                }
                Content::OlderVersion => self.report.older_versions += 1,
                Content::Deleted => self.report.deleted += 1,
                Content::Disabled => {
                    self.report.disabled += 1;
                    let text = "it is skipped, as it is disabled there";
                    lines.push((turn, self.warn(&at, &[Warning::new("disabled", text)])));
                }
                Content::Rejected(rejections) => {
                    lines.push((turn, self.reject(&at, &rejections)));
                }
                Content::Warning(warning) => lines.push((turn, self.warn(&at, &[warning]))),
            }
        }
        let loaded = self.load_entries(entries, Wait::Allowed).await?;
        lines.extend(turns.into_iter().zip(loaded));
        lines.sort_by_key(|(turn, _)| *turn);
        Ok(lines.into_iter().flat_map(|(_, lines)| lines).collect())
    }

    /// Loads the entries that waited for others in one transaction, because some may exchange names.
    async fn load_waiting(&mut self) -> Result<Vec<Line>> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let lines = self.load_entries(waiting, Wait::Over).await?;
        Ok(lines.into_iter().flatten().collect())
    }

    /// Loads entries, and returns the lines of each.
    async fn load_entries(&mut self, rights: Vec<Right>, wait: Wait) -> Result<Vec<Vec<Line>>> {
        let entries: Vec<_> = rights.iter().map(|right| right.entry.clone()).collect();
        let outcomes = self.write(&entries, wait).await?;
        let mut lines = Vec::with_capacity(outcomes.len());
        for (right, outcome) in rights.into_iter().zip(outcomes) {
            lines.push(match outcome {
                Err(rejection) => self.reject(&right.at, &[rejection]),
                Ok(Outcome::Waits) => {
                    self.waiting.push(right);
                    Vec::new()
                }
                Ok(Outcome::Loaded(Loaded {
                    fate,
                    unlinked,
                    category,
                })) => {
                    self.report.categories.count(category);
                    let Right {
                        at,
                        entry,
                        warnings,
                    } = right;
                    let lines = self.warn(&at, &warnings);
                    if unlinked {
                        self.unlinked.push(Unlinked { at, entry, fate });
                    } else {
                        self.count(fate);
                    }
                    lines
                }
            });
        }
        Ok(lines)
    }

    fn reject(&mut self, at: &str, rejections: &[Rejection]) -> Vec<Line> {
        self.report.rejected += 1;
        let line = |rejection: &Rejection| {
            let Rejection { field, reason } = rejection;
            let kind = reason.strip_prefix(field).unwrap_or(reason);
            let kind = if field.is_empty() || kind.len() == reason.len() {
                rejection.to_string()
            } else {
                format!("{}{kind}", known_field(field, kind))
            };
            Line::new("rejected", at, &kind, rejection)
        };
        rejections.iter().map(line).collect()
    }

    fn warn(&mut self, at: &str, warnings: &[Warning]) -> Vec<Line> {
        self.report.warnings += warnings.len() as u64;
        let line = |warning: &Warning| Line::new("warning", at, warning.kind, &warning.text);
        warnings.iter().map(line).collect()
    }

    /// Loads entries in a transaction, and retries after a conflict with another one.
    async fn write(
        &mut self,
        entries: &[Entry],
        wait: Wait,
    ) -> Result<Vec<Result<Outcome, Rejection>>> {
        let mut again = Again::default();
        loop {
            match self.attempt(entries, wait).await {
                // A dry run only reads.
                Err(error) if !self.dry_run && again.after(&error) => self.loader.rolled_back(),
                loaded => return loaded,
            }
        }
    }

    async fn attempt(
        &mut self,
        entries: &[Entry],
        wait: Wait,
    ) -> Result<Vec<Result<Outcome, Rejection>>> {
        let mut tx = self.begin().await?;
        let loaded = self.loader.load(&mut tx, entries, wait).await?;
        self.end(tx).await?;
        Ok(loaded)
    }

    /// Sets the missing replacements. Returns a line for each that cannot be set.
    async fn link(&mut self) -> Result<Vec<Line>> {
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
                        let kind = rejection.to_string();
                        lines.push(Line::new("incomplete", &item.at, &kind, rejection));
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
            Tx::begin(self.database, self.actor.clone(), now).await
        }
    }

    async fn end(&mut self, tx: Tx) -> Result<()> {
        if self.dry_run {
            tx.rollback().await;
            self.loader.rehearsed();
            return Ok(());
        }
        let position = tx.commit().await?;
        self.report.position = position.or(self.report.position);
        self.loader.committed();
        Ok(())
    }
}

/// Returns the field for grouping rejections. An object's own keys, which may be any number, share one group.
fn known_field<'a>(field: &'a str, reason: &str) -> &'a str {
    if reason.starts_with(" is not a key") {
        "it"
    } else {
        field
    }
}
