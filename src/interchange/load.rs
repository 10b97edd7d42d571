//! Loads entries into the database in batches.
//!
//! Invariant: a batch is one transaction. A valid entry is stored and an invalid one is rejected with a reason,
//! independently of the others and of their order. Loading an entry again changes nothing.

mod claims;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use entity::{
    CategorySource, ConnectorCategory, ConnectorSource, ConnectorType, personal_connector::Model,
};

use crate::{
    domain::{
        connector::{Availability, Details, Edit, Entry, Extent, Import, REPLACEMENTS},
        field_values,
        viewer::Sight,
    },
    error::{Error, Result},
    store::{Tx, availability, draft, file_details, uncurated},
};

use super::{
    Rejection, named,
    object::{self, Json, REPLACED_BY_KEY},
};
use claims::{Candidate, Claim, Claims, Verdict};
pub(super) use claims::{Ids, Wait};

/// Ids or names in one statement, because both databases limit parameters.
const KEYS_A_STATEMENT: usize = 500;

/// The result of a valid entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Loaded(Loaded),
    /// Needs the name of a connector that comes later. Pass it to [`Loader::load`] again in the last batch.
    Waits,
}

/// The result of a loaded entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) fate: Fate,
    /// Whether its replacement could not be set. Pass it to [`Loader::link`] after all entries are loaded.
    pub(super) unlinked: bool,
    pub(super) category: Categorized,
}

/// The category of a loaded connector, and its source; none if it has no category.
pub(super) type Categorized = Option<(ConnectorCategory, CategorySource)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Created,
    Updated,
    Unchanged,
}

/// Loads the entries of one run, and remembers the earlier ones.
#[derive(Debug)]
pub(super) struct Loader {
    source: ConnectorSource,
    claims: Claims,
    /// Loaded connectors that are not committed. A dry run holds all of them, so that it gives the same result as a
    /// real run.
    links: HashMap<String, Link>,
}

/// The connectors in the database that a batch is checked against.
struct Batch {
    present: HashMap<String, Model>,
    /// The connectors that hold the claims of the batch.
    holders: HashMap<Claim, String>,
}

/// The fields of a connector that matter when replacements are followed.
#[derive(Clone, Debug)]
struct Link {
    custom: bool,
    organization: Option<String>,
    replaced_by: Option<String>,
}

impl Loader {
    /// Creates a loader. `expected` are the ids of all entries of the run: those not loaded yet may release their
    /// names.
    pub(super) fn new(source: ConnectorSource, expected: Ids) -> Self {
        Self {
            source,
            claims: Claims::new(expected),
            links: HashMap::new(),
        }
    }

    /// Discards the last batch after a rollback, before it is loaded again.
    pub(super) fn rolled_back(&mut self) {
        self.claims.roll_back();
        self.links.clear();
    }

    /// Call this after a batch of a dry run, which is not loaded again.
    pub(super) fn rehearsed(&mut self) {
        self.claims.commit();
    }

    /// Call this after a commit. From then on the database has the links.
    pub(super) fn committed(&mut self) {
        self.claims.commit();
        self.links.clear();
    }

    /// Loads a batch, and returns the result of each entry in order.
    pub(super) async fn load(
        &mut self,
        tx: &mut Tx,
        entries: &[Entry],
        wait: Wait,
    ) -> Result<Vec<Result<Outcome, Rejection>>> {
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut open: Vec<_> = entries.iter().enumerate().collect();
        while !open.is_empty() {
            // An entry counts if no earlier entry with its id is valid.
            let mut ids = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) = open
                .into_iter()
                .partition(|(_, entry)| ids.insert(&entry.id));
            let (turns, distinct): (Vec<_>, Vec<_>) = now.into_iter().unzip();
            let loaded = self.load_distinct(tx, &distinct, wait).await?;
            outcomes.extend(turns.into_iter().zip(loaded));
            let (same, later): (Vec<_>, Vec<_>) = later
                .into_iter()
                .partition(|(_, entry)| self.claims.has(&entry.id));
            outcomes.extend(
                same.into_iter()
                    .map(|(turn, entry)| (turn, Err(claims::same_id(entry.extent)))),
            );
            open = later;
        }
        outcomes.sort_by_key(|(turn, _)| *turn);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    async fn load_distinct(
        &mut self,
        tx: &mut Tx,
        entries: &[&Entry],
        wait: Wait,
    ) -> Result<Vec<Result<Outcome, Rejection>>> {
        let batch = Batch::read(tx, entries).await?;
        let merged = entries.iter().map(|entry| batch.merged(entry));
        let merged: Vec<_> = merged.collect();
        let entries: Vec<&Entry> = merged.iter().map(AsRef::as_ref).collect();
        let candidates: Vec<_> = entries
            .iter()
            .map(|entry| self.candidate(&batch, entry))
            .collect();
        let plan = self.claims.plan(&candidates, &batch.holders, wait);
        let given_up: Vec<_> = plan
            .given_up
            .iter()
            .filter_map(|turn| batch.present.get(&entries.get(*turn)?.id))
            .collect();
        tx.give_up_names(&given_up).await?;
        let mut new = Vec::new();
        let mut outcomes = Vec::with_capacity(entries.len());
        // Entries that replace others come first, so that most links are set at once.
        let mut turns: Vec<_> = entries.iter().zip(plan.verdicts).enumerate().collect();
        turns.sort_by_key(|(_, (entry, _))| entry.availability.replaced_by.is_some());
        for (turn, (entry, verdict)) in turns {
            let outcome = match verdict {
                Verdict::Rejected(rejection) => Err(rejection),
                Verdict::Waits => Ok(Outcome::Waits),
                Verdict::Taken => {
                    let taken = self.take(tx, &batch, entry, &mut new).await?;
                    taken.map(Outcome::Loaded)
                }
            };
            outcomes.push((turn, outcome));
        }
        // All constraints were checked, so a violation is a bug.
        tx.insert_imports(new)
            .await?
            .map_err(|refused| Error::internal(refused.named()))?;
        outcomes.sort_by_key(|(turn, _)| *turn);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Returns the entry with its claims, those of its connector, and its own errors.
    fn candidate<'a>(&self, batch: &'a Batch, entry: &'a Entry) -> Candidate<'a> {
        let present = batch.present.get(&entry.id);
        Candidate {
            id: &entry.id,
            extent: entry.extent,
            wants: Claim::of_entry(entry),
            has: present.map(Claim::of_row),
            is_kept: present.is_some_and(|row| self.keeps(row, entry)),
            rejection: present.and_then(|row| misplaced(row, entry)),
        }
    }

    /// Returns whether the connector stays unchanged.
    fn keeps(&self, row: &Model, entry: &Entry) -> bool {
        // The catalogue file does not change connectors of an import.
        let is_foreign =
            (self.source, row.source) == (ConnectorSource::Catalog, ConnectorSource::Import);
        is_foreign || row.source_hash.as_deref() == Some(&entry.hash)
    }

    /// Sets the replacement that was missing when the entry was loaded.
    pub(super) async fn link(
        &mut self,
        tx: &mut Tx,
        entry: &Entry,
    ) -> Result<Result<(), Rejection>> {
        let replacement = match self.replacement(tx, entry).await? {
            Ok(Some(replacement)) => replacement,
            Ok(None) => return Ok(reject(REPLACED_BY_KEY, "there is no such connector")),
            Err(rejection) => return Ok(Err(rejection)),
        };
        self.remember_link(entry, Some(replacement.clone()));
        let id = std::slice::from_ref(&entry.id);
        // A dry run left no row.
        let Some(before) = tx.get(&Sight::Everything, id).await?.pop() else {
            return Ok(Ok(()));
        };
        let linked = tx.update(&before, Edit::Link(entry.clone(), replacement));
        Ok(linked.await?.map(drop).map_err(Into::into))
    }

    async fn take(
        &mut self,
        tx: &mut Tx,
        batch: &Batch,
        entry: &Entry,
        new: &mut Vec<Import>,
    ) -> Result<Result<Loaded, Rejection>> {
        let present = batch.present.get(&entry.id);
        if let Some(row) = present.filter(|row| self.keeps(row, entry)) {
            self.remember_link(entry, row.replaced_by_id.clone());
            return Ok(Ok(Loaded {
                fate: Fate::Unchanged,
                unlinked: false,
                category: categorized(row),
            }));
        }
        // A status that an administrator set stays until the file changes its own.
        let is_said =
            |row: &Model| row.source_status.is_some() && row.source_status == entry.source_status();
        let status = present
            .filter(|row| is_said(row) || availability(row) == entry.availability)
            .map(availability);
        let (availability, unlinked) = if let Some(status) = status {
            (status, false)
        } else {
            // An invalid replacement may become valid once all entries are loaded.
            let replaced_by = self.replacement(tx, entry).await?.ok().flatten();
            let unlinked = replaced_by != entry.availability.replaced_by;
            let file = entry.availability.clone();
            (
                Availability {
                    replaced_by,
                    ..file
                },
                unlinked,
            )
        };
        let replaced_by = availability.replaced_by.clone();
        let import = Import {
            entry: entry.clone(),
            source: self.source,
            availability,
            // The entry stays partial until it is linked, so that a later run completes an interrupted one.
            is_partial: unlinked,
        };
        let (fate, category) = match present {
            None => {
                new.push(import);
                let category = entry.details.category.zip(entry.category_source);
                (Fate::Created, category)
            }
            Some(before) => match tx.update(before, Edit::Import(import)).await? {
                Ok(row) if row.revision == before.revision => (Fate::Unchanged, categorized(&row)),
                Ok(row) => (Fate::Updated, categorized(&row)),
                Err(refused) => return Ok(Err(refused.into())),
            },
        };
        self.remember_link(entry, replaced_by);
        Ok(Ok(Loaded {
            fate,
            unlinked,
            category,
        }))
    }

    fn remember_link(&mut self, entry: &Entry, replaced_by: Option<String>) {
        let link = Link {
            custom: entry.r#type == ConnectorType::Custom,
            organization: entry.organization.clone(),
            replaced_by,
        };
        self.links.insert(entry.id.clone(), link);
    }

    async fn find_link(&self, tx: &Tx, id: &str) -> Result<Option<Link>> {
        if let Some(link) = self.links.get(id) {
            return Ok(Some(link.clone()));
        }
        let row = tx.get(&Sight::Everything, &[id.to_owned()]).await?.pop();
        Ok(row.map(|row| Link {
            custom: row.r#type == ConnectorType::Custom,
            organization: row.organization_id,
            replaced_by: row.replaced_by_id,
        }))
    }

    /// Returns the entry's replacement, if it is already loaded: a catalogue entry, or a custom connector of the same
    /// organization. Following replacements from it must not lead back.
    async fn replacement(
        &self,
        tx: &Tx,
        entry: &Entry,
    ) -> Result<Result<Option<String>, Rejection>> {
        let Some(replacement) = &entry.availability.replaced_by else {
            return Ok(Ok(None));
        };
        let Some(mut link) = self.find_link(tx, replacement).await? else {
            return Ok(Ok(None));
        };
        if link.custom && link.organization != entry.organization {
            return Ok(reject(REPLACED_BY_KEY, "there is no such connector"));
        }
        let mut seen = HashSet::from([entry.id.clone(), replacement.clone()]);
        while let Some(next) = link.replaced_by.clone() {
            if !seen.insert(next.clone()) || seen.len() > REPLACEMENTS + 1 {
                let reason = format!(
                    "replacements must not lead back, nor be more than {REPLACEMENTS} in a row"
                );
                return Ok(reject(REPLACED_BY_KEY, &reason));
            }
            match self.find_link(tx, &next).await? {
                Some(following) => link = following,
                None => break,
            }
        }
        Ok(Ok(Some(replacement.clone())))
    }
}

impl Batch {
    async fn read(tx: &Tx, entries: &[&Entry]) -> Result<Self> {
        let (mut present, mut holders) = (HashMap::new(), HashMap::new());
        for entries in entries.chunks(KEYS_A_STATEMENT) {
            let ids: Vec<_> = entries.iter().map(|entry| entry.id.clone()).collect();
            let (custom, catalogue): (Vec<&Entry>, Vec<&Entry>) = entries
                .iter()
                .partition(|entry| entry.r#type == ConnectorType::Custom);
            let connector_ids = catalogue.iter().map(|entry| entry.connector_id.clone());
            let name_keys = custom.iter().map(|entry| entry.details.name.key.clone());
            let rows = tx.get(&Sight::Everything, &ids).await?;
            present.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
            let same_connector_id = tx
                .by_connector_id(&connector_ids.collect::<Vec<_>>())
                .await?;
            holders.extend(
                same_connector_id
                    .into_iter()
                    .map(|row| (Claim::ConnectorId(row.connector_id), row.id)),
            );
            let same_name = tx.claims(&name_keys.collect::<Vec<_>>()).await?;
            holders.extend(
                same_name
                    .into_iter()
                    .map(|(claim, id)| (Claim::Name(claim), id)),
            );
        }
        Ok(Self { present, holders })
    }

    /// Returns the entry merged with the values that it leaves unchanged.
    fn merged<'a>(&self, entry: &'a Entry) -> Cow<'a, Entry> {
        let Some(row) = self.present.get(&entry.id) else {
            return Cow::Borrowed(entry);
        };
        match (kept_category(row, entry), entry.extent) {
            (None, Extent::Whole) => Cow::Borrowed(entry),
            (None, Extent::Named) => Cow::Owned(merged(row, entry.clone())),
            (Some((category, category_source)), extent) => {
                let mut entry = entry.clone();
                entry.details.category = category;
                entry.category_source = Some(category_source);
                Cow::Owned(match extent {
                    Extent::Whole => entry,
                    Extent::Named => merged(row, entry),
                })
            }
        }
    }
}

/// Returns the stored category, apart from an administrator's, if its source outranks the entry's. People may have
/// chosen none.
fn kept_category(
    row: &Model,
    entry: &Entry,
) -> Option<(Option<ConnectorCategory>, CategorySource)> {
    let category = uncurated(row).category;
    // Rules gave no categories before sources were stored.
    let unknown = category.map(|_| CategorySource::File);
    let source = row.category_source.or(unknown)?;
    let is_said = entry.category_source >= Some(CategorySource::File);
    (!is_said && Some(source) > entry.category_source).then_some((category, source))
}

/// Returns the category that a connector shows.
fn categorized(row: &Model) -> Categorized {
    let source = match row.category_source {
        _ if file_details(row).category.is_some() => CategorySource::Person,
        source => source.unwrap_or(CategorySource::File),
    };
    row.category.map(|category| (category, source))
}

fn merged(row: &Model, entry: Entry) -> Entry {
    let metadata = merged_metadata(row.metadata.as_deref(), entry.details.metadata.clone());
    Entry {
        details: Details {
            metadata,
            ..entry.details.over(draft(&uncurated(row)))
        },
        availability: if entry.availability == Availability::ACTIVE {
            availability(row)
        } else {
            entry.availability
        },
        visibility: row.visibility,
        created_by: row.created_by.clone(),
        ..entry
    }
}

/// Returns the file's metadata, with the connector's members that do not come from a client.
fn merged_metadata(before: Option<&str>, file: Option<String>) -> Option<String> {
    let before = before.and_then(|json| object::parse(json).ok());
    let file_members = file.as_deref().and_then(|json| object::parse(json).ok());
    let members = file_members.unwrap_or_default();
    let others = before.into_iter().flatten();
    let others = others
        .filter(|(key, _)| !named::METADATA.contains(&key.as_str()) && !members.contains_key(key));
    let others: Vec<_> = others.collect();
    let mut json = Json::default();
    for (key, value) in members
        .iter()
        .chain(others.iter().map(|(key, value)| (key, value)))
    {
        json.raw(key, value.get());
    }
    if json.is_empty() {
        return None;
    }
    field_values::metadata(&json.finish()).ok().or(file)
}

/// Returns the reason that an entry may not change the connector with its id, if there is one.
fn misplaced(row: &Model, entry: &Entry) -> Option<Rejection> {
    let is_custom = |r#type: ConnectorType| r#type == ConnectorType::Custom;
    if is_custom(entry.r#type) != is_custom(row.r#type) {
        return Some(Rejection::new(
            "id",
            "the id belongs to a connector of another type",
        ));
    }
    (row.organization_id != entry.organization)
        .then(|| Rejection::new("id", "the id belongs to another organization"))
}

fn reject<T>(field: &str, reason: &str) -> Result<T, Rejection> {
    Err(Rejection::new(field, reason))
}
