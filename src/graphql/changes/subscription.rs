//! The subscription to changes.

use async_graphql::{Context, Subscription};
use futures_util::{Stream, StreamExt, stream};

use crate::{
    domain::{
        changes::{Feed, Paging},
        cursor,
        listing::MEMBERS_BYTES,
    },
    error::{Error, Result},
    graphql::{EventIds, Request, Turn, connector::PersonalConnector},
    store::ChangeStream,
};

use super::{
    inputs::{PersonalConnectorChangeFilter, PersonalConnectorListInput, restriction},
    object::PersonalConnectorChange,
};

#[derive(Debug, Default)]
pub(in crate::graphql) struct ChangesSubscription;

#[Subscription]
impl ChangesSubscription {
    /// Each change of the connectors that you see or saw, in order and once: first those after a cursor, if one is
    /// given, then new ones. A different token may see other connectors without any change. The error `CURSOR_EXPIRED`
    /// means that changes after the cursor are pruned, or that its change is not in the catalogue's history, as after a
    /// restored backup. It may also come later: start over.
    async fn personal_connector_changed(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Begin with the change after this cursor, which is a list's `changesCursor` or a change's `cursor`. \
                    The default is to begin now."
        )]
        after: Option<String>,
        #[graphql(desc = "Of which connectors to tell.")] filter: Option<
            PersonalConnectorChangeFilter,
        >,
        #[graphql(
            desc = "Tell only of changes of connectors that were in this list before, or are in it after. Each change \
                    then has `inListBefore` and `inList`; one of which that cannot be told is given too. With \
                    `filter`, both must hold."
        )]
        list: Option<PersonalConnectorListInput>,
    ) -> Result<impl Stream<Item = Event>> {
        let request = Request::of(context);
        let filter = restriction(filter, list, &request.viewer)?;
        let bytes = filter.list.as_ref().map_or(0, |list| list.bytes());
        if bytes > MEMBERS_BYTES {
            let (most, of) = (MEMBERS_BYTES as u64, "bytes in memory: send fewer filters");
            return Err(Error::limit_exceeded("list of a subscription", most, of));
        }
        let Feed { place, filter } = Feed::parse(&Paging::after(after), filter)?;
        // A client repeats its first `after` when it continues after its last event.
        let after = match request.event_ids.last() {
            Some(id) => {
                let name = "Last-Event-ID";
                (name, Some(cursor::parse_of_changes(name, id)?))
            }
            None => ("after", place.after),
        };
        let sight = request.catalog.sight().clone();
        let follower = request.changes.follow(sight, after, filter).await?;
        request.event_ids.follow(follower.passed());
        let until = request.unsubscribed.clone().cancelled_owned();
        let events = changes(follower, request.turn.clone(), request.event_ids.clone());
        Ok(events.take_until(until))
    }
}

/// One event of a subscription.
type Event = async_graphql::Result<PersonalConnectorChange<PersonalConnector>>;

/// Events whose connectors are loaded together. The connectors stay in memory until all are sent, which takes a slow
/// client long.
const TOGETHER: usize = 16;

/// Ends with the first error. Each event waits for its turn, and sets its id.
fn changes(follower: ChangeStream, turn: Turn, ids: EventIds) -> impl Stream<Item = Event> {
    let batches = stream::unfold(Some(follower), async |follower| {
        let mut follower = follower?;
        Some(match follower.next().await {
            Ok(changes) => (Ok(changes), Some(follower)),
            Err(error) => (Err(error), None),
        })
    });
    let events = batches.flat_map(|batch| {
        let (changes, error) =
            batch.map_or_else(|e| (Vec::new(), Some(e)), |changes| (changes, None));
        let error = error.map(|error| Err(error.into()));
        stream::iter(changes)
            .chunks(TOGETHER)
            .flat_map(|changes| stream::iter(PersonalConnectorChange::list(changes)).map(Ok))
            .chain(stream::iter(error))
    });
    events.then(move |event| {
        let (turn, ids) = (turn.clone(), ids.clone());
        async move {
            turn.take().await;
            if let Ok(change) = &event {
                ids.set(change.id());
            }
            event
        }
    })
}
