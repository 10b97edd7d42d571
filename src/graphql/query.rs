//! Queries.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, ID, Object};

use crate::{
    domain::{
        changes::Feed,
        fields,
        listing::{Arguments, Listing, PAGE_MAX},
    },
    error::{Error, Result},
};

use super::{
    Request,
    types::{
        Answer, Node, PersonalConnector, PersonalConnectorChangeConnection,
        PersonalConnectorChangeFilter, PersonalConnectorConnection, PersonalConnectorFilter,
        PersonalConnectorOrder, Plan, ViewerObject,
    },
};

#[derive(Debug)]
pub struct Query;

/// Everything that can be asked.
#[Object]
impl Query {
    /// The object of an id; null when there is none, or none that you see. Only connectors have ids.
    async fn node(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The object's id.")] id: ID,
    ) -> Result<Option<Node>> {
        let connector = find(context, id).await?;
        Ok(connector.map(Node::PersonalConnector))
    }

    /// The objects of several ids, in their order; null for each id of which there is none, or none that you see.
    async fn nodes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The objects' ids, 100 at most.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() as u64 > PAGE_MAX {
            return Err(Error::bad_user_input(format!(
                "ids must be at most {PAGE_MAX}"
            )));
        }
        let wanted: Vec<String> = ids
            .iter()
            .filter(|id| fields::is_id(id))
            .map(|id| id.0.clone())
            .collect();
        let models = Request::of(context).catalog.get(&wanted).await?;
        let models: HashMap<_, _> = models
            .into_iter()
            .map(|(id, model)| (id, Arc::new(model)))
            .collect();
        let models: Vec<_> = ids.iter().map(|id| models.get(id.as_str())).collect();
        let found = models.iter().copied().flatten().cloned().collect();
        let mut found = PersonalConnector::shared(found).into_iter();
        Ok(models
            .into_iter()
            .map(|model| {
                model
                    .and_then(|_| found.next())
                    .map(Node::PersonalConnector)
            })
            .collect())
    }

    /// Who asks.
    async fn viewer<'a>(&self, context: &Context<'a>) -> ViewerObject<'a> {
        ViewerObject(&Request::of(context).viewer)
    }

    /// The connector of an id; null when there is none, or none that you see.
    async fn personal_connector(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The connector's id.")] id: ID,
    ) -> Result<Option<Answer<PersonalConnector>>> {
        let request = Request::of(context);
        let plan = if request.merges || !fields::is_id(&id) {
            None
        } else {
            Plan::of(context.field())
        };
        let Some(plan) = plan else {
            let connector = find(context, id).await?;
            return Ok(connector.map(Answer::Resolved));
        };
        let fields = plan.fields();
        let write = plan.writer(request.viewer.clone());
        let written = request.catalog.get_fields(id.0, fields, write);
        Ok(written.await?.map(Answer::written))
    }

    /// The connectors that you see, searched, filtered, ordered, and a page at a time.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an argument of the field"
    )]
    async fn personal_connectors(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Words to find in name, connectorId, description, and the names, titles and descriptions of its tools, \
                          without regard to case and accents: all of them, the last one as the beginning of a word. Up to \
                          256 characters; blank finds everything."
        )]
        search: Option<String>,
        #[graphql(desc = "What must hold for a connector to be in the list.")] filter: Option<
            PersonalConnectorFilter,
        >,
        #[graphql(
            desc = "The list's order; by default RELEVANCE with a search, and NAME without."
        )]
        order_by: Option<PersonalConnectorOrder>,
        #[graphql(
            desc = "How many to give from the list's beginning, or after `after`: 0 to 100, by default 20. Not \
                          together with `last`."
        )]
        first: Option<i32>,
        #[graphql(desc = "Give connectors after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to give from the list's end, or before `before`: 0 to 100.")]
        last: Option<i32>,
        #[graphql(desc = "Give connectors before this cursor.")] before: Option<String>,
    ) -> Result<PersonalConnectorConnection> {
        let listing = Listing::parse(Arguments {
            search,
            filter: filter.map(Into::into),
            order: order_by.map(Into::into),
            first,
            after,
            last,
            before,
        })?;
        PersonalConnectorConnection::read(context, listing).await
    }

    /// What happened to the connectors that you see, or saw: from the oldest change that is kept, or from a cursor on. That your
    /// own token comes to see more or less is no change. A cursor older than what is kept, or of a change that is no longer in
    /// the catalogue's history, as after a restored backup, is an error with the code `CURSOR_EXPIRED`: start over.
    async fn personal_connector_changes(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Give changes after this cursor: a list's `changesCursor`, or one of this field's."
        )]
        after: Option<String>,
        #[graphql(desc = "How many to give at most: 0 to 100, by default 20.")] first: Option<i32>,
        #[graphql(desc = "Of which connectors to tell.")] filter: Option<
            PersonalConnectorChangeFilter,
        >,
    ) -> Result<PersonalConnectorChangeConnection> {
        let filter = filter.unwrap_or_default().into();
        let feed = Feed::parse(after.as_deref(), first, filter)?;
        let page = Request::of(context).catalog.changes(&feed).await?;
        Ok(PersonalConnectorChangeConnection::new(&feed, page))
    }
}

async fn find(context: &Context<'_>, id: ID) -> Result<Option<PersonalConnector>> {
    if !fields::is_id(&id) {
        return Ok(None);
    }
    let mut models = Request::of(context).catalog.get(&[id.0]).await?;
    Ok(models
        .drain()
        .next()
        .map(|(_, model)| PersonalConnector::new(model)))
}
