//! Reads the event log for one viewer.
//!
//! Invariant: an event is read if the connector was visible before or after it. [`Event::seen_by`] decides which side,
//! and what the viewer sees. A page reads a bounded range of numbers, whatever it contains.

use std::collections::{BTreeSet, HashMap, HashSet};

use entity::{
    catalog_state::{self, Column as State},
    connector_event::{Column, Entity, Model},
    personal_connector,
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, IntoSimpleExpr, Iterable, Order, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, Func, SimpleExpr},
};

use crate::{
    answer_budget::AnswerBudget,
    domain::{
        changes::{
            Event, Feed, Filter, History, Log, Page, PageMarks, Place, SCAN, Side, Stored, Window,
        },
        cursor::LogPosition,
        listing::Record,
        order::End,
    },
    error::{Code, Error, Result},
    store::{
        catalog::{Catalog, by_id, filter::any_of, visible},
        changes::sides::{sides_listed, sides_seen},
        database::{
            row::{Cells, Row},
            sqlite_readers::Pace,
        },
        query::Constant,
    },
};

impl Catalog {
    /// Reads a page of changes. It reads a bounded part of the log, and may be short although more changes follow. Call
    /// this in a snapshot, because two connections may lead to two histories.
    pub(crate) async fn changes(&self, feed: &Feed) -> Result<Page> {
        let (log, marks) = self.log_around(feed.place).await?;
        let window = log.window(feed, marks)?;
        let events = self.events(window, feed).await?;
        let seen = if feed.filter.list.is_some() {
            self.seen_now(&events).await?
        } else {
            HashSet::new()
        };
        Ok(Page::new(feed, self.sight(), window, events, &seen))
    }

    /// Returns the ids of the events' connectors that are visible now.
    async fn seen_now(&self, events: &[Event]) -> Result<HashSet<String>> {
        let ids: BTreeSet<_> = events
            .iter()
            .map(|event| event.personal_connector_id.clone())
            .collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let select = by_id(self.sight(), &ids)
            .select_only()
            .column(personal_connector::Column::Id)
            .into_query();
        let rows = self.rows(&select, Pace::Brief, |row| row.cells(0).next());
        Ok(rows.await?.into_iter().collect())
    }

    /// Reads a page of changes for each connector by number, latest first. Call this in a snapshot.
    pub(crate) async fn histories(
        &self,
        seqs: &[i64],
        place: Place,
    ) -> Result<HashMap<i64, History>> {
        use personal_connector::Column as Connector;

        // A position belongs to this history, or is an error.
        if place.after.or(place.before).is_some() {
            let (log, marks) = self.log_around(place).await?;
            log.verify_place(place, marks)?;
        }
        let between = || {
            let after = place.after.map(|after| Column::Number.lt(after.number));
            let before = place.before.map(|before| Column::Number.gt(before.number));
            let all = sides_seen(self.sight(), &Filter::default());
            let bounds = after.into_iter().chain(before);
            bounds.fold(Condition::all().add(all), Condition::add)
        };
        let order = match place.end {
            End::First => Order::Desc,
            End::Last => Order::Asc,
        };
        // The number of the first event beyond the page, found by the index of connectors and numbers.
        let beyond = Entity::find()
            .select_only()
            .column(Column::Number)
            .filter(
                Column::PersonalConnectorId
                    .into_expr()
                    .eq(Connector::Id.into_expr()),
            )
            .filter(between())
            .order_by(Column::Number, order.clone())
            .limit(1)
            .offset(place.limit)
            .into_query();
        let beyond = SimpleExpr::SubQuery(None, Box::new(beyond.into()));
        let number = Column::Number.into_expr();
        let on_page = match place.end {
            End::First => number.gte(Func::coalesce([beyond, Expr::value(0)])),
            End::Last => number.lte(Func::coalesce([beyond, Expr::value(i64::MAX)])),
        };
        let mut select = visible(self.sight())
            .filter(Connector::Seq.is_in(seqs.iter().copied()))
            .filter(between())
            .filter(on_page)
            .select_only()
            .column(Connector::Seq)
            .into_query();
        select
            .inner_join(
                Entity,
                Column::PersonalConnectorId
                    .into_expr()
                    .eq(Connector::Id.into_expr()),
            )
            .columns(Column::iter().map(|column| (Entity, column)))
            .order_by((Entity, Column::Number), order);
        let rows = self.rows(&select, Pace::Brief, |row| {
            Ok((row.cells(0).next()?, known_or_told_to_nobody(row, 1)?))
        });
        let mut events = HashMap::<_, Vec<_>>::new();
        for (seq, event) in rows.await? {
            events.entry(seq).or_default().push(event);
        }
        let history = |events| History::new(place, self.sight(), events);
        let histories = events.into_iter();
        Ok(histories
            .map(|(seq, events)| (seq, history(events)))
            .collect())
    }

    /// Reads the state of the event log.
    pub(crate) async fn log(&self) -> Result<Log> {
        static LOG: Constant = Constant::new(|| select_log().into_query());
        let rows = self.constant_rows(&LOG, |row| read_log(&mut row.cells(0)));
        one(rows.await?)
    }

    /// Reads the state of the event log, and the highest number of a connector: at least as many as there are.
    pub(in crate::store) async fn log_and_connectors(&self) -> Result<(Log, u64)> {
        static LOG: Constant = Constant::new(|| {
            let seqs = personal_connector::Entity::find()
                .select_only()
                .expr(Func::max(personal_connector::Column::Seq.into_expr()))
                .into_query();
            let seqs = SimpleExpr::SubQuery(None, Box::new(seqs.into()));
            select_log().expr(seqs).into_query()
        });
        let read = |row: Row<'_>| {
            let mut cells = row.cells(0);
            let log = read_log(&mut cells)?;
            let connectors = cells.next::<Option<i64>>()?.unwrap_or_default();
            Ok((log, connectors.unsigned_abs()))
        };
        one(self.constant_rows(&LOG, read).await?)
    }

    /// Reads the extent of the log and the marks of a place.
    pub(crate) async fn log_around(&self, place: Place) -> Result<(Log, PageMarks)> {
        // A number out of range, which no event has, has no end.
        let number =
            |position: LogPosition| Expr::value(Ord::min(position.number, i64::MAX - SCAN));
        let after = place
            .after
            .map_or_else(|| State::Forgotten.into_expr(), number);
        let before = place
            .before
            .map_or_else(|| State::State.into_expr().add(1), number);
        let last = before.clone().sub(1);
        let reach = match place.end {
            End::First => after.clone().add(SCAN),
            End::Last => before.clone().sub(SCAN),
        };
        let marks = [after, before, last, reach].map(mark_of);
        let select = marks.into_iter().fold(select_log(), QuerySelect::expr);
        let select = select.into_query();
        let rows = self.rows(&select, Pace::Brief, |row| {
            let mut cells = row.cells(0);
            let log = read_log(&mut cells)?;
            let marks = PageMarks {
                after: cells.next()?,
                before: cells.next()?,
                last: cells.next()?,
                reach: cells.next()?,
            };
            Ok((log, marks))
        });
        one(rows.await?)
    }

    /// Reads the first events of all connectors from a position on, which is included, up to a number.
    pub async fn all_events(&self, from: LogPosition, to: i64) -> Result<Vec<Event>> {
        let select = Entity::find()
            .filter(Column::Number.between(from.number, to))
            .order_by_asc(Column::Number)
            .into_query();
        self.rows(&select, Pace::Brief, |row| known_or_told_to_nobody(row, 0))
            .await
    }

    /// Reads the changes from a position on, which is included, with the connectors' states and without values of
    /// fields. None if the position belongs to another history, or if an event has a word that this version does not
    /// know.
    pub(in crate::store) async fn states_from(
        &self,
        since: LogPosition,
        log: Log,
    ) -> Result<Option<Vec<Event>>> {
        let columns = Column::iter().map(|column| match column {
            Column::ChangedFields => Expr::cust("'[]'"),
            Column::ChangedValues => Expr::cust("NULL"),
            column => column.into_expr(),
        });
        let select = Entity::find()
            .select_only()
            .filter(Column::Number.between(since.number, log.state.number))
            .order_by_asc(Column::Number);
        let select = columns.fold(select, QuerySelect::expr).into_query();
        // These few events belong to no response.
        let budget = AnswerBudget::unbounded();
        let read = |row: Row<'_>| event(event_row(row, 0)?);
        let events = self.rows_within(&select, Pace::Brief, &budget, read);
        let mut events = match events.await {
            // An event comes from a newer version.
            Err(error) if error.code == Code::Internal => return Ok(None),
            events => events?,
        };
        // The last pruned event is gone, but its mark is stored.
        if since == log.forgotten {
            events.insert(0, Event::told_to_nobody(since));
        }
        let is_here = events.first().map(|event| event.position) == Some(since);
        let are_all = i64::try_from(events.len()) == Ok(log.state.number - since.number + 1);
        Ok((is_here && are_all).then_some(events))
    }

    /// Reads the visible events of a window in the page's direction, with one more than the page reads.
    async fn events(&self, window: Window, feed: &Feed) -> Result<Vec<Event>> {
        let mut select = Entity::find()
            .filter(Column::Number.gt(window.above))
            .filter(Column::Number.lte(window.to))
            .filter(sides_seen(self.sight(), &feed.filter));
        if let Some(list) = &feed.filter.list {
            select = select.filter(sides_listed(self.sight(), list));
            if let Some(ids) = list.ids() {
                select = select.filter(any_of(Column::PersonalConnectorId, ids));
            }
        }
        let mut number = Column::Number.into_simple_expr();
        if let Some(ids) = &feed.filter.personal_connector_id {
            select = select.filter(any_of(Column::PersonalConnectorId, ids));
            // The index of connectors orders the events of one connector. Those of several are sorted, because a scan
            // by number would read the whole log.
            if ids.len() > 1 {
                number = number.add(0);
            }
        }
        let order = match feed.place.end {
            End::First => Order::Asc,
            End::Last => Order::Desc,
        };
        let select = select
            .order_by(number, order)
            .limit(feed.reads() + 1)
            .into_query();
        self.rows(&select, Pace::Brief, |row| known_or_told_to_nobody(row, 0))
            .await
    }
}

/// Selects the input of [`read_log`]. All events above the last pruned one are stored, so the state's mark is that of
/// its event, or of the pruned one.
pub(in crate::store) fn select_log() -> Select<catalog_state::Entity> {
    let forgotten_mark = State::ForgottenMark.into_simple_expr();
    let mark = mark_of(State::State.into_expr());
    catalog_state::Entity::find_by_id(1)
        .select_only()
        .columns([State::Forgotten, State::ForgottenMark, State::State])
        .expr(Func::coalesce([mark, forgotten_mark]))
}

pub(in crate::store) fn read_log(cells: &mut Cells<'_>) -> Result<Log> {
    let mut position = || {
        let (number, mark) = (cells.next()?, cells.next()?);
        Ok(LogPosition { number, mark })
    };
    Ok(Log {
        forgotten: position()?,
        state: position()?,
    })
}

/// Returns the only row of the state.
pub(in crate::store) fn one<T>(mut rows: Vec<T>) -> Result<T> {
    rows.pop()
        .ok_or_else(|| Error::internal("there is no state"))
}

/// The mark of the event with a number; null if it is not stored.
fn mark_of(number: Expr) -> SimpleExpr {
    let mark = Entity::find()
        .select_only()
        .column(Column::Mark)
        .filter(Column::Number.into_expr().eq(number))
        .into_query();
    SimpleExpr::SubQuery(None, Box::new(mark.into()))
}

/// Selects the last events that raised a connector above a revision, latest first. A change of `health` and `tools`
/// alone raises none.
pub(in crate::store) fn raising(id: &str, above: i64, most: u64) -> Select<Entity> {
    let raise_none: [&[&str]; 3] = [&["health"], &["tools"], &["health", "tools"]];
    let raise_none = raise_none.map(|fields| serde_json::json!(fields).to_string());
    Entity::find()
        .filter(Column::PersonalConnectorId.eq(id))
        .filter(Column::Revision.gt(above))
        .filter(Column::ChangedFields.is_not_in(raise_none))
        .order_by_desc(Column::Number)
        .limit(most)
}

pub(in crate::store) fn event(row: Model) -> Result<Event> {
    let [record_before, record_after] = row.record.as_deref().map_or([None, None], Record::read);
    let side = |r#type, visibility, created_by, category, status: Option<_>, record| {
        Some(Side {
            r#type,
            visibility: visibility?,
            created_by,
            category,
            status: status?,
            record,
        })
    };
    let (number, mark) = (row.number, row.mark);
    let fields = Stored {
        names: row.changed_fields,
        values: row.changed_values,
    };
    let fields = fields.read()?;
    Ok(Event {
        position: LogPosition { number, mark },
        personal_connector_id: row.personal_connector_id,
        organization: row.organization_id,
        before: side(
            row.type_before.unwrap_or(row.r#type),
            row.visibility_before,
            row.created_by_before,
            row.category_before,
            row.status_before,
            record_before,
        ),
        after: side(
            row.r#type,
            row.visibility_after,
            row.created_by_after,
            row.category_after,
            row.status_after,
            record_after,
        ),
        fields,
        revision: row.revision,
        actor: row.actor_id,
        actor_organization: row.actor_organization_id,
        occurred_at: row.occurred_at,
    })
}

/// Reads a whole event. A newer version may have written words that this one does not know. Such an event is hidden
/// from all viewers, and later ones are still read.
fn known_or_told_to_nobody(row: Row<'_>, from: usize) -> Result<Event> {
    match event_row(row, from).and_then(event) {
        Err(error) if error.code == Code::Internal => {
            let mut cells = Column::iter().zip(from..);
            let mark =
                cells.find_map(|(column, index)| matches!(column, Column::Mark).then_some(index));
            let position = LogPosition {
                number: row.cells(from).next()?,
                mark: row.cells(mark.unwrap_or(from)).next()?,
            };
            let (number, cause) = (position.number, error.cause());
            tracing::warn!(
                number,
                cause,
                "an event is skipped: this version cannot read it"
            );
            Ok(Event::told_to_nobody(position))
        }
        event => event,
    }
}

/// Reads a whole event from columns in the entity's order.
fn event_row(row: Row<'_>, from: usize) -> Result<Model> {
    let mut cells = row.cells(from);
    Ok(Model {
        number: cells.next()?,
        kind: cells.next()?,
        personal_connector_id: cells.next()?,
        r#type: cells.next()?,
        type_before: cells.next()?,
        organization_id: cells.next()?,
        changed_fields: cells.next()?,
        revision: cells.next()?,
        actor_id: cells.next()?,
        actor_organization_id: cells.next()?,
        occurred_at: cells.next()?,
        visibility_before: cells.next()?,
        visibility_after: cells.next()?,
        created_by_before: cells.next()?,
        created_by_after: cells.next()?,
        category_before: cells.next()?,
        category_after: cells.next()?,
        status_before: cells.next()?,
        status_after: cells.next()?,
        mark: cells.next()?,
        changed_values: cells.next()?,
        record: cells.next()?,
    })
}
