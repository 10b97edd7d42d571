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

use super::{Rejection, published::REPLACED_BY};

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Created,
    Updated,
    Unchanged,
    /// Loaded but for its replacement, which may come later: give it to [`Loader::link`] then.
    Unlinked {
        new: bool,
    },
    /// Not the catalogue file's to change: an import brought it.
    Left,
}

/// Loads the entries of one run, and knows those it had before.
#[derive(Debug)]
pub(super) struct Loader {
    source: ConnectorSource,
    ids: HashSet<String>,
    connector_ids: HashSet<String>,
    claims: HashSet<NameClaim>,
}

/// What a batch needs to know of the database, and of its own entries as they are taken.
#[derive(Default)]
struct Batch {
    present: HashMap<String, Model>,
    connector_ids: HashMap<String, String>,
    claims: HashMap<NameClaim, String>,
    taken: HashMap<String, Link>,
}

/// What following replacements needs to know of a connector.
#[derive(Clone)]
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
        }
    }

    /// Whether this run had an entry of this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Loads a batch, and says of each entry in turn what became of it.
    pub(super) async fn load(
        &mut self,
        tx: &mut Tx,
        entries: &[Entry],
    ) -> Result<Vec<Result<Fate, Rejection>>> {
        let mut batch = Batch::read(tx, entries).await?;
        let mut new = Vec::new();
        let mut fates = Vec::with_capacity(entries.len());
        // What replaces others comes first, so that most are linked at once.
        let mut turns: Vec<_> = (0..entries.len()).collect();
        turns.sort_by_key(|turn| entries[*turn].availability.replaced_by.is_some());
        for turn in turns {
            let fate = self.take(tx, &mut batch, &entries[turn], &mut new).await?;
            fates.push((turn, fate));
        }
        // All constraints were checked, so that a refusal is a mistake of ours.
        tx.insert(new)
            .await?
            .map_err(|refused| Error::internal(refused.message))?;
        fates.sort_by_key(|(turn, _)| *turn);
        Ok(fates.into_iter().map(|(_, fate)| fate).collect())
    }

    /// Gives an entry its replacement, which was not there yet when the entry was loaded.
    pub(super) async fn link(tx: &mut Tx, entry: &Entry) -> Result<Result<(), Rejection>> {
        let batch = Batch::read(tx, std::slice::from_ref(entry)).await?;
        let replacement = match replacement(tx, &batch, entry).await? {
            Ok(replacement) => replacement,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let (Some(before), Some(replacement)) = (batch.present.get(&entry.id), replacement) else {
            return Ok(reject(REPLACED_BY, "there is no such connector"));
        };
        let after = Model {
            replaced_by_id: Some(replacement),
            source_hash: Some(entry.hash.clone()),
            ..before.clone()
        };
        let linked = tx.update(before, after, UpdatedAt::Given).await?;
        Ok(linked.map(drop).map_err(Into::into))
    }

    async fn take(
        &mut self,
        tx: &mut Tx,
        batch: &mut Batch,
        entry: &Entry,
        new: &mut Vec<Model>,
    ) -> Result<Result<Fate, Rejection>> {
        if let Err(rejection) = self.check(batch, entry) {
            return Ok(Err(rejection));
        }
        let replacement = match replacement(tx, batch, entry).await? {
            Ok(replacement) => replacement,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let unlinked = replacement != entry.availability.replaced_by;
        self.remember(batch, entry);
        let Some(before) = batch.present.get(&entry.id) else {
            new.push(row(None, entry, replacement, self.source, tx.now()));
            return Ok(Ok(if unlinked {
                Fate::Unlinked { new: true }
            } else {
                Fate::Created
            }));
        };
        if self.source == ConnectorSource::Catalog && before.source != ConnectorSource::Catalog {
            return Ok(Ok(Fate::Left));
        }
        if before.source_hash.as_deref() == Some(&entry.hash) {
            return Ok(Ok(Fate::Unchanged));
        }
        let after = row(Some(before), entry, replacement, self.source, tx.now());
        let updated_at = match entry.updated_at {
            Some(_) => UpdatedAt::Given,
            None => UpdatedAt::Now,
        };
        let row = match tx.update(before, after, updated_at).await? {
            Ok(row) => row,
            Err(refused) => return Ok(Err(refused.into())),
        };
        Ok(Ok(if unlinked {
            Fate::Unlinked { new: false }
        } else if row.revision == before.revision {
            Fate::Unchanged
        } else {
            Fate::Updated
        }))
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
        let others = |id: Option<&String>| id.is_some_and(|id| *id != entry.id);
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

    fn remember(&mut self, batch: &mut Batch, entry: &Entry) {
        self.ids.insert(entry.id.clone());
        let custom = entry.r#type == ConnectorType::Custom;
        if custom {
            self.claims.insert(claim(entry));
            // Its former name is free from here on.
            batch.claims.retain(|_, id| *id != entry.id);
        } else {
            self.connector_ids.insert(entry.connector_id.clone());
            batch.connector_ids.retain(|_, id| *id != entry.id);
        }
        let link = Link {
            custom,
            organization: entry.organization.clone(),
            replaced_by: entry.availability.replaced_by.clone(),
        };
        batch.taken.insert(entry.id.clone(), link);
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
            taken: HashMap::new(),
        })
    }

    async fn link(&self, tx: &Tx, id: &str) -> Result<Option<Link>> {
        if let Some(link) = self.taken.get(id) {
            return Ok(Some(link.clone()));
        }
        let row = tx.get(&Sight::Everything, &[id.to_owned()]).await?.pop();
        Ok(row.map(|row| Link {
            custom: row.r#type == ConnectorType::Custom,
            organization: row.organization_id,
            replaced_by: row.replaced_by_id,
        }))
    }
}

/// The entry's replacement if it is there already: a catalogue entry, or a custom connector of the same organization, from
/// which no replacement leads back.
async fn replacement(
    tx: &Tx,
    batch: &Batch,
    entry: &Entry,
) -> Result<Result<Option<String>, Rejection>> {
    let Some(replacement) = &entry.availability.replaced_by else {
        return Ok(Ok(None));
    };
    let Some(mut link) = batch.link(tx, replacement).await? else {
        return Ok(Ok(None));
    };
    if link.custom && link.organization != entry.organization {
        return Ok(reject(REPLACED_BY, "there is no such connector"));
    }
    let mut seen = HashSet::from([entry.id.clone(), replacement.clone()]);
    while let Some(next) = link.replaced_by.clone() {
        if !seen.insert(next.clone()) || seen.len() > REPLACEMENTS + 1 {
            let reason = format!(
                "replacements must not lead back, nor be more than {REPLACEMENTS} in a row"
            );
            return Ok(reject(REPLACED_BY, &reason));
        }
        match batch.link(tx, &next).await? {
            Some(following) => link = following,
            None => break,
        }
    }
    Ok(Ok(Some(replacement.clone())))
}

/// The row that an entry makes: a new one, or of the one there is.
fn row(
    before: Option<&Model>,
    entry: &Entry,
    replacement: Option<String>,
    source: ConnectorSource,
    now: Timestamp,
) -> Model {
    let loaded = serde_json::json!(entry.availability).to_string();
    let linked = replacement == entry.availability.replaced_by;
    let file = Availability {
        replaced_by: replacement,
        ..entry.availability.clone()
    };
    let availability = match before {
        // What an administrator made of the status stays until the file says something new about it.
        Some(before) if before.source_status.as_deref() == Some(&loaded) => availability(before),
        _ => file,
    };
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
        status: availability.status,
        status_message: availability.message,
        replaced_by_id: availability.replaced_by,
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
        // Until it is linked it is not what the file brings: a run that ends before is made good by the next.
        source_hash: linked.then(|| entry.hash.clone()),
        source_status: (linked && entry.r#type != ConnectorType::Custom).then_some(loaded),
    }
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
