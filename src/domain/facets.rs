//! Counts of a list by category, status, type, server type, outcome and organization.
//!
//! Invariant: the counts of a dimension ignore the filter's own top-level restriction of it and apply all others. So a
//! dashboard shows the result of choosing another value.

use entity::{ConnectorCategory, ConnectorStatus, ConnectorType, Iterable, Outcome, ServerType};

use super::{
    listing::{Filter, State},
    viewer::Sight,
};

/// The values by which connectors are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) category: Option<ConnectorCategory>,
    pub(crate) status: ConnectorStatus,
    pub(crate) r#type: ConnectorType,
    pub(crate) server_type: Option<ServerType>,
    /// The outcome; none before the first check, and if it is not requested.
    pub(crate) outcome: Option<Outcome>,
}

/// The number of connectors in each group, for a list whose filter ignores its own restrictions of the five.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) by_outcome: bool,
    pub(crate) counts: Vec<(Group, u64)>,
}

/// A count of a list that can follow the changes of its connectors.
pub(crate) trait Count: Clone {
    /// Returns the number of counted connectors. None if some are not counted, so that the count cannot follow.
    fn counted(&self) -> Option<u64>;

    /// Adds or removes one connector, as a viewer of this sight sees it. None if its state lacks the counted values, or
    /// if there is none to remove.
    fn add(&mut self, state: State<'_>, sight: &Sight, by: i64) -> Option<()>;
}

impl Count for u64 {
    fn counted(&self) -> Option<u64> {
        Some(*self)
    }

    fn add(&mut self, _: State<'_>, _: &Sight, by: i64) -> Option<()> {
        *self = self.checked_add_signed(by)?;
        Some(())
    }
}

impl Count for Organizations {
    fn counted(&self) -> Option<u64> {
        (self.left_out == 0).then(|| self.counts.iter().map(|(_, count)| count).sum())
    }

    /// A group that becomes too small to be counted separately would be unknown later.
    fn add(&mut self, state: State<'_>, sight: &Sight, by: i64) -> Option<()> {
        let ownership = state.ownership;
        let id = ownership.organization;
        let id = id.filter(|_| sight.sees_owner(ownership));
        let mut counts = self.counts.iter_mut();
        match counts.find(|(of, _)| of.as_deref() == id) {
            Some((_, count)) => count.add(state, sight, by)?,
            None => (self.counts).push((id.map(ToOwned::to_owned), u64::try_from(by).ok()?)),
        }
        self.counts.retain(|(id, count)| id.is_none() || *count > 0);
        // The connectors without a visible organization are last.
        (self.counts).sort_by(|(a, one), (b, other)| {
            let by_size = other.cmp(one).then_with(|| a.cmp(b));
            a.is_none().cmp(&b.is_none()).then(by_size)
        });
        (self.counts.len() <= ORGANIZATIONS + 1).then_some(())
    }
}

impl Count for Groups {
    fn counted(&self) -> Option<u64> {
        Some(self.counts.iter().map(|(_, count)| count).sum())
    }

    fn add(&mut self, state: State<'_>, sight: &Sight, by: i64) -> Option<()> {
        let record = state.record?;
        let group = Group {
            category: state.category,
            status: state.status,
            r#type: state.ownership.r#type,
            server_type: record.server_type,
            outcome: record.outcome.filter(|_| self.by_outcome),
        };
        let mut counts = self.counts.iter_mut();
        if let Some((_, count)) = counts.find(|(counted, _)| *counted == group) {
            return count.add(state, sight, by);
        }
        self.counts.push((group, u64::try_from(by).ok()?));
        Some(())
    }
}

/// The counts by dimension: every value in the schema's order, zeros included, and none for connectors without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facets {
    pub(crate) category: Vec<(Option<ConnectorCategory>, u64)>,
    pub(crate) status: Vec<(ConnectorStatus, u64)>,
    pub(crate) r#type: Vec<(ConnectorType, u64)>,
    pub(crate) server_type: Vec<(Option<ServerType>, u64)>,
    pub(crate) outcome: Vec<(Option<Outcome>, u64)>,
}

/// The most organizations that are counted separately: those with the most connectors.
pub(crate) const ORGANIZATIONS: usize = 100;

/// The number of connectors in each organization that the viewer reads, for a list whose filter ignores its own
/// restriction of organizations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Organizations {
    /// Up to [`ORGANIZATIONS`], with the most connectors first, then by id. The last one has the connectors whose
    /// organization the viewer does not read.
    pub(crate) counts: Vec<(Option<String>, u64)>,
    /// The number of further organizations.
    pub(crate) left_out: u64,
}

impl Organizations {
    /// Builds them from the first groups, of which the one without an organization comes first. Each group has the
    /// number of organizations.
    pub(crate) fn of(groups: Vec<((Option<String>, u64), u64)>) -> Self {
        let all = groups.first().map_or(0, |(_, all)| *all);
        let groups = groups.into_iter().map(|(group, _)| group);
        let (none, mut counts): (Vec<_>, Vec<_>) = groups.partition(|(id, _)| id.is_none());
        counts.truncate(ORGANIZATIONS);
        let left_out = all.saturating_sub(counts.len() as u64);
        counts.push((None, none.iter().map(|(_, count)| count).sum()));
        Self { counts, left_out }
    }
}

/// Returns which of the five restrictions a group meets: category, status, type, server type, outcome.
fn meets(filter: &Filter, group: Group) -> [bool; 5] {
    fn allows<T: PartialEq>(list: Option<&Vec<T>>, value: &T) -> bool {
        list.is_none_or(|list| list.contains(value))
    }
    [
        allows(filter.category.as_ref(), &group.category),
        allows(filter.status.as_ref(), &group.status),
        allows(filter.r#type.as_ref(), &group.r#type),
        allows(filter.server_type.as_ref(), &group.server_type),
        allows(filter.outcome.as_ref(), &group.outcome),
    ]
}

/// Returns the size of the list under the whole filter.
pub(crate) fn total(groups: &Groups, filter: &Filter) -> u64 {
    let counts = groups.counts.iter();
    let met = counts.filter(|(group, _)| meets(filter, *group) == [true; 5]);
    met.map(|(_, count)| count).sum()
}

impl Facets {
    pub(crate) fn of(groups: &Groups, filter: &Filter) -> Self {
        let mut facets = Self {
            category: with_none(),
            status: each(),
            r#type: each(),
            server_type: with_none(),
            outcome: with_none(),
        };
        for &(group, count) in &groups.counts {
            let met = meets(filter, group);
            let unmet = met.iter().filter(|met| !**met).count();
            // Whether all restrictions except the dimension's own are met.
            let [category, status, r#type, server_type, outcome] =
                met.map(|met| unmet == usize::from(!met));
            add(&mut facets.category, group.category, category, count);
            add(&mut facets.status, group.status, status, count);
            add(&mut facets.r#type, group.r#type, r#type, count);
            add(
                &mut facets.server_type,
                group.server_type,
                server_type,
                count,
            );
            add(&mut facets.outcome, group.outcome, outcome, count);
        }
        facets
    }
}

fn add<T: PartialEq + Copy>(counts: &mut [(T, u64)], value: T, is_counted: bool, by: u64) {
    let counted = counts.iter_mut().find(|(counted, _)| *counted == value);
    if let Some((_, count)) = counted.filter(|_| is_counted) {
        *count += by;
    }
}

/// No connectors of every value of an enum, in the schema's order.
fn each<T: Iterable>() -> Vec<(T, u64)> {
    T::iter().map(|value| (value, 0)).collect()
}

/// No connectors of every value of an enum, nor without one.
fn with_none<T: Iterable>() -> Vec<(Option<T>, u64)> {
    let values = T::iter().map(Some).chain([None]);
    values.map(|value| (value, 0)).collect()
}
