//! Decides which entries of a batch get the names that they claim.
//!
//! Invariant: the result does not depend on the order of entries, except that the first of two with the same claim
//! wins. A connector releases its name only if its own entry is accepted.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

use entity::{ConnectorType, personal_connector::Model};

use crate::{
    domain::{
        connector::{Entry, Extent, NameClaim},
        field_values,
    },
    interchange::Rejection,
};

/// Whether entries may wait for later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::interchange) enum Wait {
    Allowed,
    /// This is the last batch.
    Over,
}

/// A value that only one connector may have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Claim {
    /// The name of a custom connector.
    Name(NameClaim),
    /// The `connectorId` of an official or platform-built connector.
    ConnectorId(String),
}

impl Claim {
    pub(super) fn of_entry(entry: &Entry) -> Self {
        if entry.r#type != ConnectorType::Custom {
            return Self::ConnectorId(entry.connector_id.clone());
        }
        Self::Name(NameClaim::new(
            entry.visibility,
            entry.organization.as_deref(),
            entry.created_by.as_deref(),
            &entry.details.name.key,
        ))
    }

    pub(super) fn of_row(row: &Model) -> Self {
        if row.r#type != ConnectorType::Custom {
            return Self::ConnectorId(row.connector_id.clone());
        }
        // The key is computed again, because an update writes a name's key only if the name differs.
        let key =
            field_values::name(&row.name).map_or_else(|_| row.name_key.clone(), |name| name.key);
        Self::Name(NameClaim::new(
            row.visibility,
            row.organization_id.as_deref(),
            row.created_by.as_deref(),
            &key,
        ))
    }

    /// Rejects an entry, because a stored connector or an earlier entry has its claim.
    fn taken(&self, holder: Option<&str>) -> Rejection {
        let (field, change) = match self {
            Self::Name(_) => ("name", "rename the entry"),
            Self::ConnectorId(_) => ("connectorId", "change it"),
        };
        let reason = match holder {
            Some(id) => format!("the {field} is taken by {id}: {change}, or delete that connector"),
            None => format!("the {field} is taken by an earlier entry: {change}"),
        };
        Rejection::new(field, &reason)
    }
}

/// Ids as 8-byte hashes. A collision only makes an entry wait.
#[derive(Debug, Default)]
pub(in crate::interchange) struct Ids {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Ids {
    pub(in crate::interchange) fn insert(&mut self, id: &str) {
        self.hashes.insert(self.hasher.hash_one(id));
    }

    fn contains(&self, id: &str) -> bool {
        self.hashes.contains(&self.hasher.hash_one(id))
    }
}

/// The claims of an entry.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a str,
    pub(super) extent: Extent,
    pub(super) wants: Claim,
    /// The claim of its connector, if one exists.
    pub(super) has: Option<Claim>,
    /// Whether the connector stays unchanged, whatever the entry claims.
    pub(super) is_kept: bool,
    pub(super) rejection: Option<Rejection>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    Waits,
    Rejected(Rejection),
}

/// The plan for a batch.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) verdicts: Vec<Verdict>,
    /// The entries whose connectors release their claims before anything is written.
    pub(super) given_up: Vec<usize>,
}

/// The claims of the run so far.
#[derive(Debug)]
pub(super) struct Claims {
    expected: Ids,
    ids: HashSet<String>,
    claims: HashSet<Claim>,
    waiting_ids: HashSet<String>,
    waiting_claims: HashSet<Claim>,
    /// Claims since the last commit.
    last: Vec<(String, Claim, Verdict)>,
}

impl Claims {
    pub(super) fn new(expected: Ids) -> Self {
        Self {
            expected,
            ids: HashSet::new(),
            claims: HashSet::new(),
            waiting_ids: HashSet::new(),
            waiting_claims: HashSet::new(),
            last: Vec::new(),
        }
    }

    /// Returns whether an entry with this id was accepted or waits.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id) || self.waiting_ids.contains(id)
    }

    /// Keeps the claims of the last batch.
    pub(super) fn commit(&mut self) {
        self.last.clear();
    }

    /// Discards the claims of the last batch.
    pub(super) fn roll_back(&mut self) {
        for (id, claim, verdict) in self.last.drain(..) {
            if verdict == Verdict::Waits {
                self.waiting_ids.remove(&id);
                self.waiting_claims.remove(&claim);
            } else {
                self.ids.remove(&id);
                self.claims.remove(&claim);
            }
        }
    }

    /// Plans a batch of distinct ids. `holders` are the stored connectors that hold the entries' claims.
    pub(super) fn plan(
        &mut self,
        candidates: &[Candidate<'_>],
        holders: &HashMap<Claim, String>,
        wait: Wait,
    ) -> Plan {
        if wait == Wait::Over {
            self.waiting_ids.clear();
            self.waiting_claims.clear();
        }
        let mut verdicts = self.first_verdicts(candidates);
        let turns = candidates.iter().enumerate();
        let turns: HashMap<_, _> = turns
            .map(|(turn, candidate)| (candidate.id, turn))
            .collect();
        // The stored holder of a claim, and the entries that claim what a connector holds.
        let holder = |turn: usize| {
            let candidate = candidates.get(turn)?;
            let holder = holders.get(&candidate.wants)?;
            // In a dry run, an earlier entry's connector still has its old name.
            let is_other = *holder != candidate.id && !self.ids.contains(holder);
            (is_other && !candidate.is_kept).then_some(holder.as_str())
        };
        let wanted_by: HashMap<_, _> = (0..candidates.len())
            .filter(|turn| verdicts.get(*turn) == Some(&Verdict::Taken))
            .filter_map(|turn| Some((holder(turn)?, turn)))
            .collect();
        let mut open: Vec<_> = (0..candidates.len()).rev().collect();
        while let Some(turn) = open.pop() {
            let (Some(candidate), Some(Verdict::Taken)) =
                (candidates.get(turn), verdicts.get(turn))
            else {
                continue;
            };
            let Some(holder) = holder(turn) else { continue };
            let verdict = match turns.get(holder) {
                Some(other) => match verdicts.get(*other) {
                    Some(Verdict::Taken) if gives_up(candidates.get(*other)) => continue,
                    Some(Verdict::Waits) if wait == Wait::Allowed => Verdict::Waits,
                    _ => Verdict::Rejected(candidate.wants.taken(Some(holder))),
                },
                None if wait == Wait::Allowed && self.expected.contains(holder) => Verdict::Waits,
                None => Verdict::Rejected(candidate.wants.taken(Some(holder))),
            };
            if let Some(last) = verdicts.get_mut(turn) {
                *last = verdict;
            }
            // The connector keeps its name after all, so the entries that counted on this name are decided again.
            open.extend(wanted_by.get(candidate.id));
        }
        let given_up = (0..candidates.len())
            .filter(|turn| verdicts.get(*turn) == Some(&Verdict::Taken))
            .filter_map(|turn| turns.get(holder(turn)?).copied())
            .collect();
        self.remember(candidates, &verdicts);
        Plan { verdicts, given_up }
    }

    /// Decides the entries that need no stored connector.
    fn first_verdicts(&self, candidates: &[Candidate<'_>]) -> Vec<Verdict> {
        let mut wanted = HashSet::new();
        let verdict = |candidate: &Candidate<'_>| {
            if self.has(candidate.id) {
                return Verdict::Rejected(same_id(candidate.extent));
            }
            if let Some(rejection) = &candidate.rejection {
                return Verdict::Rejected(rejection.clone());
            }
            if candidate.is_kept {
                return Verdict::Taken;
            }
            if self.claims.contains(&candidate.wants) || !wanted.insert(candidate.wants.clone()) {
                return Verdict::Rejected(candidate.wants.taken(None));
            }
            if self.waiting_claims.contains(&candidate.wants) {
                return Verdict::Waits;
            }
            Verdict::Taken
        };
        candidates.iter().map(verdict).collect()
    }

    fn remember(&mut self, candidates: &[Candidate<'_>], verdicts: &[Verdict]) {
        for (candidate, verdict) in candidates.iter().zip(verdicts) {
            let claim = match &candidate.has {
                Some(has) if candidate.is_kept => has,
                _ => &candidate.wants,
            };
            let (ids, claims) = match verdict {
                Verdict::Taken => (&mut self.ids, &mut self.claims),
                Verdict::Waits => (&mut self.waiting_ids, &mut self.waiting_claims),
                Verdict::Rejected(_) => continue,
            };
            ids.insert(candidate.id.to_owned());
            claims.insert(claim.clone());
            self.last
                .push((candidate.id.to_owned(), claim.clone(), verdict.clone()));
        }
    }
}

pub(super) fn same_id(extent: Extent) -> Rejection {
    match extent {
        Extent::Whole => Rejection::new("id", "an earlier entry has the same id"),
        Extent::Named => Rejection::new("name", "an earlier entry has the same name"),
    }
}

fn gives_up(candidate: Option<&Candidate<'_>>) -> bool {
    candidate.is_some_and(|candidate| {
        !candidate.is_kept && candidate.has.as_ref() != Some(&candidate.wants)
    })
}

#[cfg(test)]
mod tests;
