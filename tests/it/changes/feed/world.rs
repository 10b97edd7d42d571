//! A randomly changing catalogue, and the changes that each viewer should read.

use entity::{
    ConnectorCategory, ConnectorStatus, ConnectorType, ConnectorVisibility, Timestamp,
    personal_connector::Model,
};
use fixtures::{
    model::{Viewer, holds, values},
    published::with,
};
use personal_connectors::store::{Actor, Tx};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::support::{
    connectors::{custom, edit, import, official},
    harness::Server,
    model::{fields as fields_of, id, sees},
};

/// A change of the catalogue, without the mutations' rules. Indexes wrap around the existing connectors.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Insert(Row),
    Update(usize, Row),
    Delete(usize),
}

/// The random parts of a connector.
#[derive(Clone, Debug)]
pub(super) struct Row {
    owner: Option<&'static str>,
    built: bool,
    visibility: ConnectorVisibility,
    category: Option<ConnectorCategory>,
    status: ConnectorStatus,
}

fn a_row() -> impl Strategy<Value = Row> {
    use ConnectorVisibility::{Organization, Private, Public};
    (
        option::weighted(
            0.8,
            select(vec!["ann@acme", "bob@acme", "cid@other", "ann", "dan"]),
        ),
        any::<bool>(),
        select(vec![Private, Organization, Public]),
        option::of(select(vec![
            ConnectorCategory::Design,
            ConnectorCategory::Custom,
        ])),
        select(vec![ConnectorStatus::Active, ConnectorStatus::Maintenance]),
    )
        .prop_map(|(owner, built, visibility, category, status)| Row {
            owner,
            built,
            visibility,
            category,
            status,
        })
}

pub(super) fn a_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        2 => a_row().prop_map(Write::Insert),
        4 => (any::<usize>(), a_row()).prop_map(|(at, row)| Write::Update(at, row)),
        1 => any::<usize>().prop_map(Write::Delete),
    ]
}

/// The present catalogue, and every change of it: before, after, and the author.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) rows: Vec<Model>,
    made: usize,
    log: Vec<(Option<Model>, Option<Model>, Option<&'static str>)>,
}

impl World {
    /// Makes several changes in one transaction.
    pub(super) async fn write(
        &mut self,
        server: &Server,
        writes: &[Write],
        by: Option<&'static str>,
        at: i64,
    ) {
        let split = |who: &str| match who.split_once('@') {
            Some((user, organization)) => (Some(user.to_owned()), Some(organization.to_owned())),
            None => (Some(who.to_owned()), None),
        };
        let (user, organization) = by.map_or((None, None), split);
        let actor = Actor {
            user,
            organization,
            ..Actor::default()
        };
        let mut tx = Tx::begin(&server.database, actor, Timestamp(at))
            .await
            .unwrap();
        for write in writes {
            let count = self.rows.len().max(1);
            match write {
                Write::Insert(row) => {
                    let id = id(self.made);
                    self.made += 1;
                    let name = format!("Name {}", self.made);
                    let base = match row.owner {
                        None => official(&id[5..], &name),
                        Some(owner) => custom(&id[5..], &name, owner, ConnectorVisibility::Private),
                    };
                    let row = tx
                        .insert_imports(vec![import(&row.of(base))])
                        .await
                        .unwrap()
                        .unwrap()
                        .pop()
                        .unwrap();
                    self.log.push((None, Some(row.clone()), by));
                    self.rows.push(row);
                }
                Write::Update(at, row) if !self.rows.is_empty() => {
                    let before = &mut self.rows[*at % count];
                    let after = row.of(before.clone());
                    let after = tx.update(before, edit(&after)).await.unwrap().unwrap();
                    if after.revision != before.revision {
                        self.log
                            .push((Some(before.clone()), Some(after.clone()), by));
                        *before = after;
                    }
                }
                Write::Delete(at) if !self.rows.is_empty() => {
                    let row = self.rows.swap_remove(*at % count);
                    tx.delete(&row).await.unwrap();
                    self.log.push((Some(row), None, by));
                }
                Write::Update(..) | Write::Delete(_) => {}
            }
        }
        tx.commit().await.unwrap();
    }
}

impl Row {
    /// A connector keeps its organization, or stays without one.
    fn of(&self, base: Model) -> Model {
        let everyones = base.r#type != ConnectorType::Custom;
        let visibility = match self.visibility {
            _ if everyones => ConnectorVisibility::Public,
            ConnectorVisibility::Organization if base.organization_id.is_none() => {
                ConnectorVisibility::Private
            }
            visibility => visibility,
        };
        let r#type = match (everyones, self.built) {
            (false, _) => ConnectorType::Custom,
            (true, false) => ConnectorType::Official,
            (true, true) => ConnectorType::AitronosBuilt,
        };
        let creator = self
            .owner
            .map(|owner| owner.split('@').next().unwrap().to_owned());
        Model {
            visibility,
            r#type,
            category: self.category,
            status: self.status,
            created_by: creator.or(base.created_by).filter(|_| !everyones),
            ..base
        }
    }
}
/// A filter of changes, as an input object.
pub(super) fn a_filter() -> impl Strategy<Value = Value> {
    let field = |values: Vec<String>| option::weighted(0.3, vec(select(values), 0..4));
    let names = |names: &[&str]| field(names.iter().map(|name| (*name).to_owned()).collect());
    (
        field((0..8).map(id).collect()),
        names(&values("type")),
        names(&["DESIGN", "CUSTOM"]),
        names(&["ACTIVE", "MAINTENANCE"]),
    )
        .prop_map(|(ids, types, categories, statuses)| {
            json!({ "personalConnectorId": ids, "type": types, "category": categories, "status": statuses })
        })
}

fn matches(filter: &Value, row: &Model) -> bool {
    let id = json!({ "personalConnectorId": row.id });
    holds(filter, &with(fields_of(row), id))
}

/// Returns the changed fields, with the values that a viewer should read.
fn changed(viewer: Viewer, before: &Model, after: &Model, is_present: bool) -> Vec<Value> {
    let fields = [
        ("type", "TYPE"),
        ("category", "CATEGORY"),
        ("status", "STATUS"),
        ("visibility", "VISIBILITY"),
        ("createdBy", "CREATED_BY"),
    ];
    let stored = [before, after].map(fields_of);
    let read = [before, after].map(|row| viewer.read(&fields_of(row)));
    let sees_owner = read
        .iter()
        .any(|row| !row["organizationId"].is_null() || !row["createdBy"].is_null());
    let differ = fields
        .into_iter()
        .filter(|(field, _)| stored[0][field] != stored[1][field]);
    let shown = differ.filter(|(field, _)| *field != "createdBy" || sees_owner);
    shown
        .map(|(field, name)| {
            let [before, after] = read.each_ref().map(|row| row[field].clone());
            let value = |value: Value| if is_present { value } else { Value::Null };
            json!({ "field": name, "before": value(before), "after": value(after) })
        })
        .collect()
}

/// Returns the changes that a viewer should read.
pub(super) fn expected(world: &World, viewer: Viewer, filter: &Value) -> Vec<Value> {
    let tell = |(before, after, by): &(Option<Model>, Option<Model>, Option<&'static str>)| {
        let seen = |row: &Option<Model>| row.clone().filter(|row| sees(viewer, row));
        let (before, after, row) = (
            seen(before),
            seen(after),
            after.as_ref().or(before.as_ref())?,
        );
        if ![&before, &after]
            .into_iter()
            .flatten()
            .any(|row| matches(filter, row))
        {
            return None;
        }
        let kind = match (&before, &after) {
            (None, _) => "CREATED",
            (Some(_), Some(_)) => "UPDATED",
            (Some(_), None) => "DELETED",
        };
        let present = world
            .rows
            .iter()
            .find(|now| now.id == row.id && sees(viewer, now));
        let present = present.filter(|_| kind != "DELETED");
        let changes = match (&before, &after) {
            (Some(before), Some(after)) => changed(viewer, before, after, present.is_some()),
            _ => Vec::new(),
        };
        let named: Vec<_> = changes
            .iter()
            .map(|change| change["field"].clone())
            .collect();
        let seen = after.as_ref().or(before.as_ref())?;
        let all = viewer.scopes.contains(&"catalog:admin");
        let organization = |who: &str| {
            who.split_once('@')
                .map(|(_, organization)| organization.to_owned())
        };
        let known = by.filter(|by| {
            all || *by == viewer.who
                || (organization(by).is_some() && organization(by) == organization(viewer.who))
        });
        let known = known.filter(|_| kind != "DELETED");
        Some(json!({
            "kind": kind,
            "personalConnectorId": row.id,
            "personalConnector": present.map(|now| json!({ "id": now.id, "revision": now.revision })),
            "changedFields": named,
            "changes": changes,
            "revision": seen.revision,
            "actor": known.map(|who| who.split('@').next()),
        }))
    };
    world.log.iter().filter_map(tell).collect()
}
