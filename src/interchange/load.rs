//! Entries into the database, a batch at a time.
//!
//! Invariant: a batch is one transaction; an entry that is right lands and one that is not is told why, whatever became of
//! the others; what is loaded again changes nothing.

use std::collections::{HashMap, HashSet};

use entity::{ConnectorSource, ConnectorType, Timestamp, personal_connector::Model};

use crate::{
    domain::{
        connector::{Availability, Entry, NameClaim, REPLACEMENTS},
        viewer::Sight,
    },
    error::{Error, Result},
    store::{Tx, UpdatedAt, availability},
};

use super::{Rejection, object::REPLACED_BY_KEY};

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) fate: Fate,
    /// It could not be given its replacement: give it to [`Loader::link`] when all is loaded.
    pub(super) unlinked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Created,
    Updated,
    Unchanged,
}

/// Loads the entries of one run, and knows those it had before.
#[derive(Debug)]
pub(super) struct Loader {
    source: ConnectorSource,
    ids: HashSet<String>,
    connector_ids: HashSet<String>,
    claims: HashSet<NameClaim>,
    /// What was loaded and is not committed; of a dry run all, so that it comes to the same as a real one.
    links: HashMap<String, Link>,
    /// The entries of the last batch that count as had.
    last: Vec<Entry>,
}

/// What a batch needs to know of the database.
struct Batch {
    present: HashMap<String, Model>,
    connector_ids: HashMap<String, String>,
    claims: HashMap<NameClaim, String>,
}

/// What following replacements needs to know of a connector.
#[derive(Clone, Debug)]
struct Link {
    custom: bool,
    organization: Option<String>,
    replaced_by: Option<String>,
}

impl Loader {
    pub(super) fn new(source: ConnectorSource) -> Self {
        Self {
            source,
            ids: HashSet::new(),
            connector_ids: HashSet::new(),
            claims: HashSet::new(),
            links: HashMap::new(),
            last: Vec::new(),
        }
    }

    /// Forgets the last batch, which was rolled back and is to be loaded again.
    pub(super) fn rolled_back(&mut self) {
        for entry in std::mem::take(&mut self.last) {
            self.ids.remove(&entry.id);
            if entry.r#type == ConnectorType::Custom {
                self.claims.remove(&claim(&entry));
            } else {
                self.connector_ids.remove(&entry.connector_id);
            }
        }
        self.links.clear();
    }

    /// To be called after a commit: from here on the database itself knows.
    pub(super) fn committed(&mut self) {
        self.links.clear();
    }

    /// Loads a batch, and says of each entry in turn what became of it.
    pub(super) async fn load(
        &mut self,
        tx: &mut Tx,
        entries: &[Entry],
    ) -> Result<Vec<Result<Loaded, Rejection>>> {
        self.last.clear();
        let batch = Batch::read(tx, entries).await?;
        let mut new = Vec::new();
        let mut fates = Vec::with_capacity(entries.len());
        // What replaces others comes first, so that most are linked at once.
        let mut turns: Vec<_> = (0..entries.len()).collect();
        turns.sort_by_key(|turn| entries[*turn].availability.replaced_by.is_some());
        for turn in turns {
            let fate = self.take(tx, &batch, &entries[turn], &mut new).await?;
            fates.push((turn, fate));
        }
        // All constraints were checked, so that a refusal is a mistake of ours.
        tx.insert(new)
            .await?
            .map_err(|refused| Error::internal(refused.message))?;
        fates.sort_by_key(|(turn, _)| *turn);
        Ok(fates.into_iter().map(|(_, fate)| fate).collect())
    }

    /// Gives an entry the replacement that it could not have when it was loaded.
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
        let file = Availability {
            replaced_by: Some(replacement),
            ..entry.availability.clone()
        };
        let after = Model {
            source_hash: Some(entry.hash.clone()),
            source_status: source_status(entry),
            ..available(before.clone(), file)
        };
        let linked = tx.update(&before, after, UpdatedAt::Given).await?;
        Ok(linked.map(drop).map_err(Into::into))
    }

    async fn take(
        &mut self,
        tx: &mut Tx,
        batch: &Batch,
        entry: &Entry,
        new: &mut Vec<Model>,
    ) -> Result<Result<Loaded, Rejection>> {
        if let Err(rejection) = self.check(batch, entry) {
            return Ok(Err(rejection));
        }
        let present = batch.present.get(&entry.id);
        let kept = present.filter(|row| {
            // What an import brought is not the catalogue file's to change.
            let left =
                (self.source, row.source) == (ConnectorSource::Catalog, ConnectorSource::Import);
            left || row.source_hash.as_deref() == Some(&entry.hash)
        });
        if let Some(row) = kept {
            self.remember(entry, row.replaced_by_id.clone());
            return Ok(Ok(Loaded {
                fate: Fate::Unchanged,
                unlinked: false,
            }));
        }
        // What an administrator made of the status stays until the file says something new about it.
        let status = present
            .filter(|row| row.source_status.is_some() && row.source_status == source_status(entry))
            .map(availability);
        let (availability, unlinked) = if let Some(status) = status {
            (status, false)
        } else {
            // What is wrong now may be right when all is loaded.
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
        let mut after = available(row(present, entry, self.source, tx.now()), availability);
        if unlinked {
            // Until then it is not what the file brings: a run that ends before is made good by the next.
            after.source_hash = None;
            after.source_status = None;
        }
        let fate = match present {
            None => {
                new.push(after);
                Fate::Created
            }
            Some(before) => {
                let updated_at = match entry.updated_at {
                    Some(_) => UpdatedAt::Given,
                    None => UpdatedAt::Now,
                };
                match tx.update(before, after, updated_at).await? {
                    Ok(row) if row.revision == before.revision => Fate::Unchanged,
                    Ok(_) => Fate::Updated,
                    Err(refused) => return Ok(Err(refused.into())),
                }
            }
        };
        self.remember(entry, replaced_by);
        Ok(Ok(Loaded { fate, unlinked }))
    }

    /// Refuses what the database, or the run so far, has otherwise.
    fn check(&self, batch: &Batch, entry: &Entry) -> Result<(), Rejection> {
        if self.ids.contains(&entry.id) {
            return reject("id", "an earlier entry has the same id");
        }
        let custom = entry.r#type == ConnectorType::Custom;
        if let Some(present) = batch.present.get(&entry.id) {
            if custom != (present.r#type == ConnectorType::Custom) {
                return reject("id", "the id belongs to a connector of another type");
            }
            if present.organization_id != entry.organization {
                return reject("id", "the id belongs to another organization");
            }
        }
        // What this run loaded has a new name, which is among the run's own, or still has its old one.
        let others =
            |id: Option<&String>| id.is_some_and(|id| *id != entry.id && !self.ids.contains(id));
        if custom {
            let claim = claim(entry);
            if others(batch.claims.get(&claim)) || self.claims.contains(&claim) {
                return reject("name", "the name is taken by another connector");
            }
        } else if others(batch.connector_ids.get(&entry.connector_id))
            || self.connector_ids.contains(&entry.connector_id)
        {
            return reject(
                "connectorId",
                "the connectorId is taken by another connector",
            );
        }
        Ok(())
    }

    fn remember(&mut self, entry: &Entry, replaced_by: Option<String>) {
        self.ids.insert(entry.id.clone());
        if entry.r#type == ConnectorType::Custom {
            self.claims.insert(claim(entry));
        } else {
            self.connector_ids.insert(entry.connector_id.clone());
        }
        self.last.push(entry.clone());
        self.remember_link(entry, replaced_by);
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

    /// The entry's replacement if it is there already: a catalogue entry, or a custom connector of the same organization,
    /// from which no replacement leads back.
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
    async fn read(tx: &Tx, entries: &[Entry]) -> Result<Self> {
        let ids: Vec<_> = entries.iter().map(|entry| entry.id.clone()).collect();
        let (custom, catalogue): (Vec<_>, Vec<_>) = entries
            .iter()
            .partition(|entry| entry.r#type == ConnectorType::Custom);
        let connector_ids: Vec<_> = catalogue
            .iter()
            .map(|entry| entry.connector_id.clone())
            .collect();
        let name_keys: Vec<_> = custom
            .iter()
            .map(|entry| entry.details.name.key.clone())
            .collect();
        let present = tx.get(&Sight::Everything, &ids).await?;
        let same_connector_id = tx.by_connector_id(&connector_ids).await?;
        Ok(Self {
            present: present
                .into_iter()
                .map(|row| (row.id.clone(), row))
                .collect(),
            connector_ids: same_connector_id
                .into_iter()
                .map(|row| (row.connector_id, row.id))
                .collect(),
            claims: tx.claims(&name_keys).await?.into_iter().collect(),
        })
    }
}

/// The row that an entry makes: a new one, or of the one there is.
fn row(before: Option<&Model>, entry: &Entry, source: ConnectorSource, now: Timestamp) -> Model {
    let details = entry.details.clone();
    Model {
        seq: before.map_or(0, |row| row.seq),
        id: entry.id.clone(),
        name: details.name.text,
        name_key: details.name.key,
        r#type: entry.r#type,
        connector_id: entry.connector_id.clone(),
        description: details.description,
        icon_url: details.icon_url,
        category: details.category,
        version: details.version,
        status: entry.availability.status,
        status_message: entry.availability.message.clone(),
        replaced_by_id: entry.availability.replaced_by.clone(),
        server_url: details.server_url,
        server_type: details.server_type,
        metadata: details.metadata,
        visibility: entry.visibility,
        organization_id: entry.organization.clone(),
        created_by: entry.created_by.clone(),
        created_at: entry
            .created_at
            .or(before.map(|row| row.created_at))
            .unwrap_or(now),
        updated_at: entry
            .updated_at
            .or(before.map(|row| row.updated_at))
            .unwrap_or(now),
        revision: before.map_or(1, |row| row.revision),
        source,
        source_hash: Some(entry.hash.clone()),
        source_status: source_status(entry),
    }
}

fn available(row: Model, availability: Availability) -> Model {
    Model {
        status: availability.status,
        status_message: availability.message,
        replaced_by_id: availability.replaced_by,
        ..row
    }
}

/// What to remember of the file's word on the status. A custom connector's is its owners' to change, and a file's too.
fn source_status(entry: &Entry) -> Option<String> {
    (entry.r#type != ConnectorType::Custom)
        .then(|| serde_json::json!(entry.availability).to_string())
}

fn claim(entry: &Entry) -> NameClaim {
    let (organization, creator) = (entry.organization.as_deref(), entry.created_by.as_deref());
    NameClaim::new(
        entry.visibility,
        organization,
        creator,
        &entry.details.name.key,
    )
}

fn reject<T>(field: &str, reason: &str) -> Result<T, Rejection> {
    Err(Rejection {
        field: field.to_owned(),
        reason: reason.to_owned(),
    })
}
