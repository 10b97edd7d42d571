//! What resolvers are given with each request.

use async_graphql::Context;

use crate::{commands, domain::viewer::Viewer, store::Catalog};

/// Who asks, the catalogue as they see it, and what commands work with.
#[derive(Debug)]
pub struct Request {
    pub viewer: Viewer,
    pub catalog: Catalog,
    pub commands: commands::Context,
}

impl Request {
    pub(super) fn of<'a>(context: &Context<'a>) -> &'a Self {
        context.data_unchecked::<Self>()
    }
}
