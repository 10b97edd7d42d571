//! `Node`: objects that can be refetched by id (GraphQL Global Object Identification).

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, ID, Interface, Object};

use crate::{
    domain::{field_values, listing::PAGE_MAX},
    error::{Error, Result},
};

use super::{
    Request,
    connector::{PersonalConnector, find},
    list::List,
};

/// An object that `node` finds by its id.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "Identifies it among everything that `node` finds. Opaque, but for a connector it begins with `pcon_`."
))]
pub(in crate::graphql) enum Node {
    PersonalConnector(PersonalConnector),
}

#[derive(Debug, Default)]
pub(super) struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with an id; null if there is none that you see. Only connectors have ids.
    async fn node(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The object's id.")] id: ID,
    ) -> Result<Option<Node>> {
        let connector = find(context, id).await?;
        Ok(connector.map(Node::PersonalConnector))
    }

    /// The objects with several ids, in their order; null for each id without an object that you see.
    async fn nodes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The objects' ids, 100 at most.")] ids: Vec<ID>,
    ) -> Result<List<Option<Node>>> {
        if ids.len() as u64 > PAGE_MAX {
            return Err(Error::beyond(
                format!("ids must have at most {PAGE_MAX} items"),
                PAGE_MAX,
                ids.len() as u64,
            ));
        }
        let wanted: Vec<String> = ids
            .iter()
            .filter(|id| field_values::is_id(id))
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
}
