//! The schema as a whole, and as SDL.

use std::sync::Arc;

use async_graphql::{
    SDLExportOptions, SchemaBuilder, ServerError, ServerResult, ValidationMode, ValidationResult,
    Value, async_trait,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextResolve, NextValidation, ResolveInfo,
    },
};

use super::{context::Request, mutation::Mutation, query::Query, subscription::Subscription};

pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// The schema for documents that a [`validator`] found valid: of all rules it looks only at those which keep it from harm.
///
/// Without introspection neither answers nor errors tell of what was not asked for by its name.
pub fn schema(introspection: bool) -> Schema {
    build(introspection)
        .validation_mode(ValidationMode::Fast)
        .finish()
}

/// The schema for documents that are only to be validated: it executes none, and answers a valid one without errors. It is
/// another, since an extension slows down every field of its schema, and so does the validation every answer.
pub fn validator(introspection: bool) -> Schema {
    build(introspection).extension(NoFurther).finish()
}

/// The schema for documents that introspect: nothing bounds the lists of introspection but their bytes, which an extension counts.
pub fn introspector(introspection: bool) -> Schema {
    build(introspection)
        .validation_mode(ValidationMode::Fast)
        .extension(CountsBytes)
        .finish()
}

fn build(introspection: bool) -> SchemaBuilder<Query, Mutation, Subscription> {
    let schema = Schema::build(Query, Mutation, Subscription);
    if introspection {
        schema
    } else {
        schema.disable_introspection().disable_suggestions()
    }
}

/// Memory of a value of introspection besides its text, in bytes: its place among the others of its object, and their paths.
const NODE: usize = 192;

struct CountsBytes;

impl ExtensionFactory for CountsBytes {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for CountsBytes {
    async fn resolve(
        &self,
        context: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let budget = &context.data_unchecked::<Request>().budget;
        let position = info.field.name.pos;
        let failed = |error| Err(async_graphql::Error::from(error).into_server_error(position));
        if let Err(error) = budget.check() {
            return failed(error);
        }
        let is_for_introspection = info.is_for_introspection || info.parent_type.starts_with("__");
        let value = next.run(context, info).await?;
        // Other texts are counted as they are written.
        let text = match &value {
            Some(Value::String(text)) if is_for_introspection => text.len(),
            _ => 0,
        };
        match budget.write(text + NODE) {
            Ok(()) => Ok(value),
            Err(error) => failed(error),
        }
    }
}

struct NoFurther;

impl ExtensionFactory for NoFurther {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for NoFurther {
    async fn validation(
        &self,
        context: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        next.run(context).await?;
        Err(Vec::new())
    }
}

/// The schema definition language of `schema.graphql`: sorted, so that it repeats, and without the built-in directives
/// (GraphQL, section 3.13).
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by()
        .use_space_ident();
    let sdl = schema(true).sdl_with_options(options);
    let sdl: Vec<_> = sdl.lines().map(str::trim_end).collect();
    let sdl = sdl.join("\n");
    let is_directive = |block: &&str| block.lines().any(|line| line.starts_with("directive @"));
    let blocks = sdl.trim().split("\n\n").map(str::trim);
    let blocks: Vec<_> = blocks.filter(|block| !is_directive(block)).collect();
    format!("{}\n", blocks.join("\n\n"))
}
