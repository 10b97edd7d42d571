//! The root types: each is made of the root fields of the nouns.

use async_graphql::{MergedObject, MergedSubscription};

use super::{
    changes::{ChangesQuery, ChangesSubscription},
    connector::{BulkMutation, ConnectorMutation, ConnectorQuery},
    inspection::InspectionMutation,
    node::NodeQuery,
    viewer::ViewerQuery,
};

/// Everything that can be asked.
#[derive(Debug, Default, MergedObject)]
pub struct Query(NodeQuery, ViewerQuery, ConnectorQuery, ChangesQuery);

/// Everything that can be changed. What is wrong with an input is in the payload's `userErrors`.
#[derive(Debug, Default, MergedObject)]
pub struct Mutation(ConnectorMutation, BulkMutation, InspectionMutation);

/// Events as they happen, over a `WebSocket` as `graphql-transport-ws` or as server-sent events.
#[derive(Debug, Default, MergedSubscription)]
pub struct Subscription(ChangesSubscription);
