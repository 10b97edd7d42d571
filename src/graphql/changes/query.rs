//! The query of changes.

use async_graphql::{Context, Object};

use crate::{
    domain::changes::{Feed, Paging},
    error::Result,
    graphql::{Request, connector::PersonalConnector},
};

use super::{
    connection::PersonalConnectorChangeConnection,
    inputs::{PersonalConnectorChangeFilter, PersonalConnectorListInput, restriction},
};

#[derive(Debug, Default)]
pub(in crate::graphql) struct ChangesQuery;

#[Object]
impl ChangesQuery {
    /// The changes of connectors that you see or saw: from the oldest stored change, after a cursor, or with `last` the
    /// latest changes. A different token may see other connectors without any change. The error `CURSOR_EXPIRED` means
    /// that changes after the cursor are pruned, or that its change is not in the catalogue's history, as after a
    /// restored backup: start over. With ids in the filter and without a list, no page is empty while there are more.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an argument of the field"
    )]
    async fn personal_connector_changes(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Give changes after this cursor, which is a list's `changesCursor` or one of this field's."
        )]
        after: Option<String>,
        #[graphql(
            desc = "How many to give from the oldest, or after `after`, from 0 to 100. The default is 20. Not together \
                    with `last`."
        )]
        first: Option<i32>,
        #[graphql(desc = "Give changes before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "How many to give from the latest, or before `before`, from 0 to 100. They are in the same order, \
                    the latest last."
        )]
        last: Option<i32>,
        #[graphql(desc = "Of which connectors to tell.")] filter: Option<
            PersonalConnectorChangeFilter,
        >,
        #[graphql(
            name = "list",
            desc = "Tell only of changes of connectors that were in this list before, or are in it after. Each change \
                    then has `inListBefore` and `inList`; one of which that cannot be told is given too. With \
                    `filter`, both must hold."
        )]
        in_list: Option<PersonalConnectorListInput>,
    ) -> Result<PersonalConnectorChangeConnection<PersonalConnector>> {
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        let viewer = &Request::of(context).viewer;
        let feed = Feed::parse(&paging, restriction(filter, in_list, viewer)?)?;
        let page = Request::of(context).catalog.changes(&feed).await?;
        Ok(PersonalConnectorChangeConnection::new(page))
    }
}
