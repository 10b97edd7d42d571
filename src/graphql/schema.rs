//! The whole schema, and its SDL.

use std::sync::Arc;

use async_graphql::{
    SDLExportOptions, SchemaBuilder, ServerError, ServerResult, ValidationMode, ValidationResult,
    Value, async_trait,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextResolve, NextValidation, ResolveInfo,
    },
};

use super::{
    connector::Facet,
    context::Request,
    roots::{Mutation, Query, Subscription},
};

/// The schema's own description. The library has its own text for introspection, and none for SDL.
const DESCRIPTION: &str = "\
A catalogue of personal connectors: ways into outside services through MCP (the Model Context Protocol). Lists that \
can be
paged are connections (Relay's Cursor Connections). The payload of a mutation has all that is wrong with its input in
`userErrors`; every other error has an `extensions.code`. An enum that is open to additions says so.";

/// The schema with this service's root types.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// The schema for documents that a [`validator`] accepted. Its own validation is limited to rules that protect it.
///
/// Without introspection, nothing reveals fields, arguments and types that the document does not name. Errors state
/// what they expect at named positions: an enum's values, and the required fields of an input.
pub fn schema(introspection: bool) -> Schema {
    build(introspection)
        .validation_mode(ValidationMode::Fast)
        .finish()
}

/// A schema that only validates: a valid document gets a response without errors. It is separate, because an extension
/// slows down every field of its schema, and validation every response.
pub fn validator(introspection: bool) -> Schema {
    build(introspection).extension(NoFurther).finish()
}

/// The schema for introspection, whose lists are limited only by bytes, which an extension counts.
pub fn introspector(introspection: bool) -> Schema {
    build(introspection)
        .validation_mode(ValidationMode::Fast)
        .extension(CountsBytes)
        .finish()
}

fn build(introspection: bool) -> SchemaBuilder<Query, Mutation, Subscription> {
    let schema = Schema::build(
        Query::default(),
        Mutation::default(),
        Subscription::default(),
    )
    // No field has the interface as its type.
    .register_output_type::<Facet>();
    if introspection {
        schema
    } else {
        schema.disable_introspection().disable_suggestions()
    }
}

/// Bytes of an introspection value besides its text: its entry in its object, and their paths.
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
        if info.parent_type == "__Schema" && info.name == "description" {
            return Ok(Some(Value::from(DESCRIPTION)));
        }
        let value = next.run(context, info).await?;
        // Other texts are counted when they are written.
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

/// Returns the SDL of `schema.graphql`: the schema's description and root types, and [`type_definitions`].
pub fn sdl() -> String {
    let roots = "schema {\n  query: Query\n  mutation: Mutation\n  subscription: Subscription\n}";
    let definitions = type_definitions();
    format!("\"\"\"\n{DESCRIPTION}\n\"\"\"\n{roots}\n\n{definitions}")
}

/// Returns the types as SDL that the library can parse, which does not support a schema description. They are sorted,
/// so that the text is stable, and lack the built-in directives (GraphQL, section 3.13).
pub fn type_definitions() -> String {
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
