//! What happens, as it happens.

use async_graphql::{Context, Subscription as GraphQlSubscription};
use futures_util::{Stream, StreamExt, stream};

use crate::{domain::changes::Feed, error::Result, store::ChangeStream};

use super::{
    Request, Turn,
    types::{PersonalConnectorChange, PersonalConnectorChangeFilter},
};

#[derive(Debug)]
pub struct Subscription;

/// What happens, as it happens: over a `WebSocket` as `graphql-transport-ws`, or as server-sent events.
#[GraphQlSubscription]
impl Subscription {
    /// Each change of the connectors that you see, or saw, in order and once: first those after a cursor, if one is given, then
    /// those that happen. That your own token comes to see more or less is no change. A cursor older than what is kept, or
    /// of a change that is no longer in the catalogue's history, as after a restored backup, is an error with the code
    /// `CURSOR_EXPIRED`, also while you are subscribed: start over.
    async fn personal_connector_changed(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Begin with the change after this cursor: a list's `changesCursor`, or one of a change. By default from now on."
        )]
        after: Option<String>,
        #[graphql(desc = "Of which connectors to tell.")] filter: Option<
            PersonalConnectorChangeFilter,
        >,
    ) -> Result<impl Stream<Item = Told>> {
        let Feed { after, filter, .. } =
            Feed::parse(after.as_deref(), None, filter.unwrap_or_default().into())?;
        let request = Request::of(context);
        let sight = request.catalog.sight().clone();
        let follower = request.changes.follow(sight, after, filter).await?;
        let until = request.unsubscribed.clone().cancelled_owned();
        Ok(changes(follower, request.turn.clone()).take_until(until))
    }
}

/// One event of a subscription.
type Told = async_graphql::Result<PersonalConnectorChange>;

/// Events that look up their connectors together: the connectors stay in memory until all of these are sent, which takes a slow
/// reader long.
const TOGETHER: usize = 16;

/// Ends with the first error. Each event takes its turn.
fn changes(follower: ChangeStream, turn: Turn) -> impl Stream<Item = Told> {
    let batches = stream::unfold(Some(follower), async |follower| {
        let mut follower = follower?;
        Some(match follower.next().await {
            Ok(changes) => (Ok(changes), Some(follower)),
            Err(error) => (Err(error), None),
        })
    });
    let told = batches.flat_map(|batch| {
        let (changes, error) =
            batch.map_or_else(|e| (Vec::new(), Some(e)), |changes| (changes, None));
        let error = error.map(|error| Err(error.into()));
        stream::iter(changes)
            .chunks(TOGETHER)
            .flat_map(|changes| stream::iter(PersonalConnectorChange::list(changes)).map(Ok))
            .chain(stream::iter(error))
    });
    told.then(move |told| {
        let turn = turn.clone();
        async move {
            turn.take().await;
            told
        }
    })
}
