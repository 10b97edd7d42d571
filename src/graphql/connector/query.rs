//! Queries of connectors.

use async_graphql::{Context, ID, Object};

use crate::{
    domain::{
        field_values,
        listing::{Arguments, Listing},
    },
    error::Result,
    graphql::Request,
};

use super::{
    connection::PersonalConnectorConnection,
    fast_path::{MaybeWritten, RowWriter},
    inputs::{PersonalConnectorFilter, PersonalConnectorOrder, orders},
    object::PersonalConnector,
};

#[derive(Debug, Default)]
pub(in crate::graphql) struct ConnectorQuery;

#[Object]
impl ConnectorQuery {
    /// The connector with an id; null if there is none, or if you do not see it.
    async fn personal_connector(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connector's id.")] id: ID,
    ) -> Result<Option<MaybeWritten<PersonalConnector>>> {
        let request = Request::of(context);
        let writer = if request.merges || !field_values::is_id(&id) {
            None
        } else {
            RowWriter::of(context.field())
        };
        let Some(writer) = writer else {
            let connector = find(context, id).await?;
            return Ok(connector.map(MaybeWritten::Resolved));
        };
        let fields = writer.fields();
        let write = writer.for_viewer(request.viewer.clone());
        let written = request.catalog.get_fields(id.0, fields, write);
        Ok(written.await?.map(MaybeWritten::written))
    }

    /// The connectors that you see, searched, filtered, ordered and in pages.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an argument of the field"
    )]
    async fn personal_connectors(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Words to find in name, connectorId, description, and the names, titles and descriptions of its \
                    tools, without regard to case and accents. All of them are found, the last one as the beginning of \
                    a word. If you see no connector that has them, words near to them that you see take their place, \
                    as `search` of the list says. A URL finds the connectors whose serverUrl it is, too. Up to 256 \
                    characters. Blank text finds everything."
        )]
        search: Option<String>,
        #[graphql(desc = "What must hold for a connector to be in the list.")] filter: Option<
            PersonalConnectorFilter,
        >,
        #[graphql(
            desc = "The list's order. The default is RELEVANCE with a search, and NAME without."
        )]
        order_by: Option<PersonalConnectorOrder>,
        #[graphql(
            desc = "The orders of connectors that tie in `orderBy`, one after the other, at most 3 and each of another \
                    field. Without it, ties go by id; in orders that say so, by name first."
        )]
        then_by: Option<Vec<PersonalConnectorOrder>>,
        #[graphql(
            desc = "How many to give from the list's beginning, or after `after`, from 0 to 100. The default is 20. \
                    Not together with `last`."
        )]
        first: Option<i32>,
        #[graphql(desc = "Give connectors after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "How many to give from the list's end, or before `before`, from 0 to 100."
        )]
        last: Option<i32>,
        #[graphql(desc = "Give connectors before this cursor.")] before: Option<String>,
    ) -> Result<PersonalConnectorConnection> {
        let listing = Listing::parse(Arguments {
            search,
            filter: filter.map(|filter| filter.of_viewer(&Request::of(context).viewer)),
            order: order_by.map(Into::into),
            then_by: orders(then_by),
            first,
            after,
            last,
            before,
        })?;
        PersonalConnectorConnection::read(context, listing).await
    }
}

/// Returns the connector with an id, if the viewer sees it.
pub(in crate::graphql) async fn find(
    context: &Context<'_>,
    id: ID,
) -> Result<Option<PersonalConnector>> {
    if !field_values::is_id(&id) {
        return Ok(None);
    }
    let mut models = Request::of(context).catalog.get(&[id.0]).await?;
    Ok(models
        .drain()
        .next()
        .map(|(_, model)| PersonalConnector::new(model)))
}
