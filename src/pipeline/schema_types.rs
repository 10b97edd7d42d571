//! The types of the schema for the rules of documents and values, parsed once from the SDL.

use std::{collections::HashMap, mem::take, sync::LazyLock};

use async_graphql::{
    Name, Positioned,
    parser::{
        parse_schema,
        types::{
            BaseType, FieldDefinition, InputValueDefinition, OperationType, TypeKind,
            TypeSystemDefinition,
        },
    },
};

use crate::graphql::type_definitions;

struct SchemaTypes {
    /// All types; objects and interfaces without their fields.
    types: HashMap<Name, TypeKind>,
    /// The fields of objects and interfaces.
    fields: HashMap<Name, HashMap<Name, FieldDefinition>>,
    query: Name,
    mutation: Name,
    subscription: Name,
}

static SCHEMA: LazyLock<SchemaTypes> = LazyLock::new(|| {
    let mut schema = SchemaTypes {
        types: HashMap::new(),
        fields: HashMap::new(),
        query: Name::new("Query"),
        mutation: Name::new("Mutation"),
        subscription: Name::new("Subscription"),
    };
    let definitions =
        parse_schema(type_definitions()).map_or_else(|_| Vec::new(), |schema| schema.definitions);
    for definition in definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let (name, mut kind) = (definition.node.name.node, definition.node.kind);
        let fields = match &mut kind {
            TypeKind::Object(object) => take(&mut object.fields),
            TypeKind::Interface(interface) => take(&mut interface.fields),
            _ => Vec::new(),
        };
        let fields = fields.into_iter().map(|field| field.node);
        let fields = fields.map(|field| (field.name.node.clone(), field));
        schema.fields.insert(name.clone(), fields.collect());
        schema.types.insert(name, kind);
    }
    schema
});

/// Returns a type by name; objects and interfaces without their fields.
pub(super) fn type_of(name: &Name) -> Option<&'static TypeKind> {
    SCHEMA.types.get(name)
}

/// Returns a field of an object or interface.
pub(super) fn field_of(parent: &Name, name: &Name) -> Option<&'static FieldDefinition> {
    SCHEMA.fields.get(parent)?.get(name)
}

/// Returns the root type of an operation.
pub(super) fn root_of(operation: OperationType) -> &'static Name {
    match operation {
        OperationType::Query => &SCHEMA.query,
        OperationType::Mutation => &SCHEMA.mutation,
        OperationType::Subscription => &SCHEMA.subscription,
    }
}

/// Returns the name of the type inside all lists.
pub(super) fn innermost(base: &BaseType) -> &Name {
    match base {
        BaseType::Named(name) => name,
        BaseType::List(item) => innermost(&item.base),
    }
}

/// Returns an argument or input field by name.
pub(super) fn input_of<'a>(
    definitions: &'a [Positioned<InputValueDefinition>],
    name: &Name,
) -> Option<&'a InputValueDefinition> {
    let mut definitions = definitions.iter().map(|definition| &definition.node);
    definitions.find(|definition| definition.name.node == *name)
}
