//! Loads the catalogue file at each start.
//!
//! Invariant: an entry is rewritten only if its content in the file changed. A connector is deleted only if the file
//! brought it and no longer has it.

use std::path::Path;

use anyhow::{Context, bail};
use entity::{ConnectorSource, ConnectorType, ConnectorVisibility};

use crate::{
    clock::Clock,
    config::read_text,
    domain::connector::Entry,
    store::{Actor, Again, Database, Tx},
};

use super::{
    Rejection,
    load::{Fate, Ids, Loaded, Loader, Outcome, Wait},
    published::{self, Assumed},
    reader::{self, Element, Event},
    shape::{self, Form},
};

/// The most errors of a catalogue that are shown.
const SHOWN: usize = 20;

/// The built-in catalogue, in the published form.
const BUILT_IN: &str = include_str!("catalog.json");

/// The entries of a catalogue file, or of the built-in one.
#[derive(Clone, Debug)]
pub(crate) struct CatalogFile(Vec<Entry>);

impl CatalogFile {
    /// Reads a catalogue. Fails if the file cannot be read, or if an entry is invalid.
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let entries = match file {
            None => parse(BUILT_IN),
            Some(file) => read_text(file)
                .map_err(anyhow::Error::from)
                .and_then(|text| parse(&text).context("no entry was loaded"))
                .with_context(|| format!("--catalog {}", file.display())),
        };
        entries.map(Self)
    }
}

/// Loads a catalogue in one transaction.
pub(crate) async fn load(
    database: &Database,
    clock: &Clock,
    file: &CatalogFile,
) -> anyhow::Result<()> {
    let mut again = Again::default();
    loop {
        match Box::pin(write(database, clock, &file.0)).await {
            Err(error) if error.downcast_ref().is_some_and(|error| again.after(error)) => {}
            Ok(changed) => {
                database.gather_statistics(changed).await;
                return Ok(());
            }
            Err(error) => return Err(database.explain(error)),
        }
    }
}

/// Writes the entries in one transaction. Returns the number of changed connectors.
async fn write(database: &Database, clock: &Clock, entries: &[Entry]) -> anyhow::Result<u64> {
    let mut changed = 0;
    let mut tx = Tx::begin(database, Actor::default(), clock.now()).await?;
    for gone in tx.of_catalog().await? {
        if !entries.iter().any(|entry| entry.id == gone.id) {
            tracing::info!(
                id = gone.id,
                "deleted a connector that the catalogue file no longer has"
            );
            tx.delete(&gone).await?;
            changed += 1;
        }
    }
    let mut rejected = Vec::new();
    let mut run = Loader::new(ConnectorSource::Catalog, Ids::default());
    let outcomes = run.load(&mut tx, entries, Wait::Over).await?;
    for (entry, outcome) in entries.iter().zip(outcomes) {
        let loaded = match outcome {
            Ok(Outcome::Loaded(loaded)) => Ok(loaded),
            // No entry waits, because there is only one batch.
            Ok(Outcome::Waits) => continue,
            Err(rejection) => Err(rejection),
        };
        let linked = match &loaded {
            Ok(Loaded { unlinked: true, .. }) => run.link(&mut tx, entry).await?,
            _ => Ok(()),
        };
        match linked.and(loaded) {
            Ok(loaded) if loaded.fate == Fate::Unchanged => {}
            Ok(loaded) => {
                changed += 1;
                tracing::info!(id = entry.id, fate = ?loaded.fate, "loaded a connector of the catalogue");
            }
            Err(rejection) => rejected.push(format!("{}: {rejection}", entry.id)),
        }
    }
    if !rejected.is_empty() {
        bail!(
            "the catalogue does not fit the database: {}",
            bounded(&rejected)
        );
    }
    tx.commit().await?;
    Ok(changed)
}

fn parse(text: &str) -> anyhow::Result<Vec<Entry>> {
    let assumed = Assumed {
        organization: None,
        visibility: ConnectorVisibility::Public,
    };
    let mut entries = Vec::new();
    let mut wrong = Vec::new();
    reader::read(text.as_bytes(), |event| {
        let element = match event {
            Event::Element(element) => element,
            Event::NextPage(_) => {
                wrong.push("it is one page of a list: give the whole list".to_owned());
                return Ok(());
            }
            Event::KeysLeftOut(keys, _) => {
                tracing::warn!(
                    keys = keys.join(", "),
                    "the catalogue file has keys that are ignored"
                );
                return Ok(());
            }
        };
        let number = element.number;
        match entry(element, &assumed) {
            Ok(entry) if entry.r#type == ConnectorType::Custom => {
                wrong.push(format!("entry {number}: type must not be custom"));
            }
            Ok(entry) => entries.push(entry),
            Err(rejections) => wrong.extend(
                rejections
                    .iter()
                    .map(|rejection| format!("entry {number}: {rejection}")),
            ),
        }
        Ok::<_, std::convert::Infallible>(())
    })?;
    if !wrong.is_empty() {
        bail!("{}", bounded(&wrong));
    }
    Ok(entries)
}

/// Reads a published object. An object of another form is rejected, and its form is named.
fn entry(element: Element, assumed: &Assumed) -> Result<Entry, Vec<Rejection>> {
    let object = element.object.map_err(|rejection| vec![rejection])?;
    let form = shape::recognise(element.section, &object).map_err(|rejection| vec![rejection])?;
    if form != Form::Published {
        return Err(vec![Rejection {
            field: String::new(),
            reason: "is a server of another catalogue: load it with import".to_owned(),
        }]);
    }
    published::parse(&object, assumed).map(|parsed| parsed.entry)
}

fn bounded(wrong: &[String]) -> String {
    let shown = wrong.iter().take(SHOWN).map(String::as_str);
    let shown = shown.collect::<Vec<_>>().join("; ");
    match wrong.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
