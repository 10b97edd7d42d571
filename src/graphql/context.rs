//! What resolvers are given with each request.

use std::sync::Arc;

use async_graphql::Context;
use tokio_util::sync::CancellationToken;

use crate::{
    commands,
    domain::viewer::Viewer,
    store::{Catalog, Tail},
};

/// Who asks, the catalogue as they see it, and what commands work with.
#[derive(Debug)]
pub struct Request {
    pub viewer: Arc<Viewer>,
    pub catalog: Catalog,
    /// Whether the document has selections that are merged, for which each has to be a value of its own.
    pub merges: bool,
    pub commands: commands::Context,
    pub tail: Arc<Tail>,
    /// Ends a subscription between two of its events.
    pub unsubscribed: CancellationToken,
}

impl Request {
    pub(super) fn of<'a>(context: &Context<'a>) -> &'a Self {
        context.data_unchecked::<Self>()
    }
}
