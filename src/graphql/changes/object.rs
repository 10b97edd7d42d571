//! A change of a connector.
//!
//! Invariant: a value is shown only to viewers who saw it in the change and still see the connector. Another
//! connector's id is shown only to viewers of that connector.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use async_graphql::{Context, Enum, ID, Object, OutputType};
use entity::personal_connector::Model;
use tokio::sync::OnceCell;

use crate::{
    domain::{
        changes::{self, Change, Kind, Value},
        cursor,
        field::{self, ChangedField},
    },
    error::Result,
    graphql::{
        Request,
        inspection::InspectionOutcome,
        list::List,
        scalars::{DateTime, Json},
        text::Text,
        user::{UserObject, Users},
    },
    store::Catalog,
};

use super::field::PersonalConnectorField;

/// The kind of a change, as you see it. Open to additions.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "crate::domain::changes::Kind")]
pub(in crate::graphql) enum PersonalConnectorChangeKind {
    /// You did not see the connector before, and see it now: it is new, or became visible to you.
    Created,
    /// You saw the connector before, and still do.
    Updated,
    /// You saw the connector before, and no longer do: it was deleted, or became hidden from you.
    Deleted,
}

/// The type of a connector's object. It is generic here, because its own file imports this one.
pub(in crate::graphql) trait Connector: OutputType + Sized {
    /// Creates the objects of one list.
    fn list(models: Vec<Model>) -> Vec<Self>;
}

pub(in crate::graphql) struct PersonalConnectorChange<C> {
    pub(super) change: Change,
    present: Arc<Present<C>>,
    named: Arc<Named>,
}

/// Changes whose connectors are loaded together: the largest page, whose connectors fit in the bytes of a response.
const TOGETHER: usize = 100;

/// The present connectors of several changes, which the first request for one loads together.
struct Present<C> {
    ids: Vec<String>,
    connectors: OnceCell<HashMap<String, C>>,
}

impl<C: Connector> Present<C> {
    async fn get(&self, catalog: &Catalog, id: &str) -> Result<Option<&C>> {
        let load = || async {
            let models = catalog.get(&self.ids).await?;
            let ids: Vec<_> = models.keys().cloned().collect();
            let connectors = C::list(models.into_values().collect());
            Ok(ids.into_iter().zip(connectors).collect())
        };
        let connectors = self.connectors.get_or_try_init(load).await?;
        Ok(connectors.get(id))
    }
}

/// The users and replacements in several changes. Each kind is loaded together, for replacements to learn which ones
/// are visible.
#[derive(Debug, Default)]
pub(in crate::graphql) struct Named {
    authors: Arc<Users>,
    ids: Vec<String>,
    seen: OnceCell<HashSet<String>>,
}

impl Named {
    pub(in crate::graphql) fn of<'a>(
        changes: impl IntoIterator<Item = &'a Change> + Clone,
    ) -> Arc<Self> {
        let actors = changes.clone().into_iter();
        let authors = Users::of(actors.filter_map(|change| change.actor.clone()));
        let fields = changes.into_iter().flat_map(|change| &change.fields);
        let named = fields.filter(|change| change.field.kind() == field::Kind::Connector);
        let values = named.flat_map(|change| [&change.before, &change.after]);
        let ids: BTreeSet<_> = values.flatten().map(Value::text).collect();
        Arc::new(Self {
            authors,
            ids: ids.into_iter().map(ToOwned::to_owned).collect(),
            seen: OnceCell::new(),
        })
    }

    async fn is_seen(&self, catalog: &Catalog, id: &str) -> Result<bool> {
        let load = || async { Ok(catalog.get(&self.ids).await?.into_keys().collect()) };
        let seen: &HashSet<String> = self.seen.get_or_try_init(load).await?;
        Ok(seen.contains(id))
    }
}

impl<C: Connector> PersonalConnectorChange<C> {
    /// Creates the changes of one page, or those since the last event of a subscription.
    pub(in crate::graphql) fn list(changes: Vec<Change>) -> Vec<Self> {
        let mut all = Vec::with_capacity(changes.len());
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let together: Vec<_> = changes.by_ref().take(TOGETHER).collect();
            let shown = together
                .iter()
                .filter(|change| change.kind != Kind::Deleted);
            let ids: BTreeSet<_> = shown
                .map(|change| change.personal_connector_id.clone())
                .collect();
            let present = Arc::new(Present {
                ids: ids.into_iter().collect(),
                connectors: OnceCell::new(),
            });
            let named = Named::of(&together);
            all.extend(together.into_iter().map(|change| Self {
                change,
                present: present.clone(),
                named: named.clone(),
            }));
        }
        all
    }

    /// Returns its cursor.
    pub(super) fn id(&self) -> String {
        cursor::of_changes(self.change.position)
    }

    /// Creates the changes of a visible connector. `named` covers these changes, and possibly others.
    pub(in crate::graphql) fn of_connector(
        changes: &[Change],
        id: String,
        connector: C,
        named: &Arc<Named>,
    ) -> Vec<Self> {
        let present = Arc::new(Present {
            ids: Vec::new(),
            connectors: OnceCell::new_with(Some(HashMap::from([(id, connector)]))),
        });
        let one = |change: &Change| Self {
            change: change.clone(),
            present: present.clone(),
            named: named.clone(),
        };
        changes.iter().map(one).collect()
    }
}

/// A change of a connector, as you may see it. It has no id, and its cursor identifies it.
#[Object(name = "PersonalConnectorChange")]
impl<C: Connector> PersonalConnectorChange<C> {
    /// The change's position. Opaque; it is valid with any filter. In `personalConnectorChanges`, the changes `after`
    /// it are those that happened since.
    async fn cursor(&self) -> String {
        self.id()
    }

    /// The kind of the change, as you see it.
    async fn kind(&self) -> PersonalConnectorChangeKind {
        self.change.kind.into()
    }

    /// The id of the connector that changed.
    async fn personal_connector_id(&self) -> ID {
        self.change.personal_connector_id.clone().into()
    }

    /// The connector as it is now, possibly after further changes; null for DELETED, and if you no longer see it.
    async fn personal_connector(&self, context: &Context<'_>) -> Result<Option<&C>> {
        if self.change.kind == Kind::Deleted {
            return Ok(None);
        }
        let catalog = &Request::of(context).catalog;
        let id = &self.change.personal_connector_id;
        self.present.get(catalog, id).await
    }

    /// The changed fields, as far as you see them; empty unless the change is UPDATED. `REVISION` is never listed:
    /// every change raises it, except of `health` and `tools` alone. `UPDATED_AT` is listed only if a file set it.
    async fn changed_fields(&self) -> List<PersonalConnectorField> {
        let fields = self.change.fields.iter();
        fields
            .map(|change| PersonalConnectorField::new(change.field))
            .collect()
    }

    /// The values of `changedFields` before and after the change, in the same order. The values are null if you no
    /// longer see the connector, and for changes that an earlier version of the service logged.
    async fn changes(&self, context: &Context<'_>) -> Result<List<FieldChange>> {
        let Change { fields, .. } = &self.change;
        if fields.is_empty() {
            return Ok(List::default());
        }
        let catalog = &Request::of(context).catalog;
        let id = &self.change.personal_connector_id;
        let is_seen = self.present.get(catalog, id).await?.is_some();
        let mut shown = Vec::with_capacity(fields.len());
        for changes::FieldChange {
            field,
            before,
            after,
        } in fields
        {
            let mut values = [before, after].map(|value| value.clone().filter(|_| is_seen));
            if field.kind() == field::Kind::Connector {
                for value in &mut values {
                    if let Some(id) = &value
                        && !self.named.is_seen(catalog, id.text()).await?
                    {
                        *value = None;
                    }
                }
            }
            let [before, after] = values;
            shown.push(FieldChange {
                field: *field,
                before,
                after,
            });
        }
        Ok(shown.into())
    }

    /// The connector's revision after the change; for DELETED, the last one that you saw.
    async fn revision(&self) -> i64 {
        self.change.revision
    }

    /// The id of the user who made the change. Null outside the user's organization, for DELETED, and for a change by a
    /// file or by the service itself.
    async fn actor(&self) -> Option<ID> {
        self.change.actor.clone().map(|user| user.id.into())
    }

    /// The user who made the change, if `actor` has an id.
    async fn author(&self) -> Option<UserObject> {
        let author = self.change.actor.clone();
        author.map(|key| self.named.authors.user(key))
    }

    /// The time of the change.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.change.occurred_at)
    }

    /// Whether the connector was in the list of the argument `list` before the change, as you saw it then. False if you
    /// did not see it. Null without that argument, and if the log cannot tell: tools that a search or `toolName` may
    /// find, `checkedAt`, `uptime`, descriptions beyond 1 KiB of words, and changes that an earlier version of the
    /// service logged. Query the list then.
    async fn in_list_before(&self) -> Option<bool> {
        self.change.in_list[0]
    }

    /// Whether the connector was in the list after the change. False if you no longer see the connector. Later changes
    /// may have moved it in or out again, and they follow.
    async fn in_list(&self) -> Option<bool> {
        self.change.in_list[1]
    }

    /// The outcome of the last check of its MCP server before the change; `NOT_CHECKABLE` for a connector without a
    /// server to check. Null if you did not see the connector then or do not see it now, before the first check, and
    /// for changes that an earlier version of the service logged. To detect that a server went down, compare it with
    /// the present outcome, in the `health` of `personalConnector`. The outcome right after a change of `HEALTH` is in
    /// `changes`.
    async fn outcome_before(&self, context: &Context<'_>) -> Result<Option<InspectionOutcome>> {
        let Some(outcome) = self.change.outcome_before else {
            return Ok(None);
        };
        let catalog = &Request::of(context).catalog;
        let id = &self.change.personal_connector_id;
        let is_seen = self.present.get(catalog, id).await?.is_some();
        Ok(is_seen.then(|| outcome.into()))
    }
}

struct FieldChange {
    field: ChangedField,
    before: Option<Value>,
    after: Option<Value>,
}

impl FieldChange {
    fn shown(&self, value: Option<&Value>) -> Result<Option<Text<'_, Json>>> {
        let json = value.map(|value| value.json(self.field)).transpose()?;
        Ok(json.map(Text::new))
    }
}

/// A changed field. A value has the form of the connector's field with that name: enum values and times as text,
/// `metadata` as JSON, `replacedBy` as an id if you see that connector. `HEALTH` has the outcome; `TOOLS` and
/// `CURATED_FIELDS` have no values.
#[Object]
impl FieldChange {
    /// The field.
    async fn field(&self) -> PersonalConnectorField {
        PersonalConnectorField::new(self.field)
    }

    /// The value before the change; null if there was none, or if it is unknown or hidden from you.
    #[expect(clippy::unused_async, reason = "resolvers are")]
    async fn before(&self) -> Result<Option<Text<'_, Json>>> {
        self.shown(self.before.as_ref())
    }

    /// The value after the change; null if there is none, or if it is unknown or hidden from you.
    #[expect(clippy::unused_async, reason = "resolvers are")]
    async fn after(&self) -> Result<Option<Text<'_, Json>>> {
        self.shown(self.after.as_ref())
    }

    /// Whether `before` is cut, because the log stores 1 KiB of a value. Text is cut at its end, and `metadata` is
    /// null.
    async fn is_before_cut(&self) -> bool {
        self.before.as_ref().is_some_and(Value::is_cut)
    }

    /// Whether `after` is cut, like `isBeforeCut`.
    async fn is_after_cut(&self) -> bool {
        self.after.as_ref().is_some_and(Value::is_cut)
    }
}
