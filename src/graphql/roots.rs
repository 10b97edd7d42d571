//! The root types, merged from the root fields of each subject.

use async_graphql::{MergedObject, MergedSubscription};

use super::{
    changes::{ChangesQuery, ChangesSubscription},
    connector::{BulkMutation, ConnectorMutation, ConnectorQuery},
    inspection::InspectionMutation,
    node::NodeQuery,
    viewer::ViewerQuery,
};

/// All queries.
#[derive(Debug, Default, MergedObject)]
pub struct Query(NodeQuery, ViewerQuery, ConnectorQuery, ChangesQuery);

/// All mutations. The payload's `userErrors` has the errors of an input.
#[derive(Debug, Default, MergedObject)]
pub struct Mutation(ConnectorMutation, BulkMutation, InspectionMutation);

/// Events as they happen, over a `WebSocket` as `graphql-transport-ws` or as server-sent events.
#[derive(Debug, Default, MergedSubscription)]
pub struct Subscription(ChangesSubscription);
