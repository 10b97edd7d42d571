//! Variable positions.
//!
//! Invariant: in an accepted document, each variable is used only where its type is allowed (GraphQL, section 5.8.5).
//! The library has the rule but never runs it: `VisitorCons` of 7.2.1 does not forward `enter_input_value`.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use async_graphql::{
    Name, Pos, Positioned, ServerError, Variables,
    parser::types::{
        BaseType, Directive, ExecutableDocument, Field, OperationDefinition, Selection,
        SelectionSet, Type, TypeKind, VariableDefinition,
    },
};
use async_graphql_value::{ConstValue, Value};

use crate::pipeline::{
    documents::selections::{directives, selections_in},
    schema_types::{field_of, innermost, input_of, root_of, type_of},
};

/// The built-in scalars (GraphQL, section 3.5).
const BUILT_IN: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];

/// The type of `if` in `@skip` and `@include`.
static CONDITION: LazyLock<Type> = LazyLock::new(|| Type {
    base: BaseType::Named(Name::new("Boolean")),
    nullable: false,
});

/// Refuses a document with a variable in a position that its type does not allow.
pub(crate) fn variable_positions(document: &ExecutableDocument) -> Result<(), ServerError> {
    let fragments = used_by_fragments(document);
    let mut operations = document.operations.iter();
    operations.try_for_each(|(_, operation)| {
        let declared: HashMap<_, _> = (operation.node.variable_definitions.iter())
            .map(|definition| (&definition.node.name.node, &definition.node))
            .collect();
        each_usage(&operation.node, &fragments, |usage| usage.check(&declared))
    })
}

/// Refuses null for a nullable variable in a non-null position that is valid only because of a default (section 6.4.1).
/// This happens before anything runs.
pub(crate) fn null_positions(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Result<(), ServerError> {
    let is_null = |name: &Name| variables.get(name) == Some(&ConstValue::Null);
    let definitions = operation.variable_definitions.iter();
    let mut definitions = definitions.map(|definition| &definition.node);
    if !definitions.any(|one| one.default_value.is_some() && is_null(&one.name.node)) {
        return Ok(());
    }
    each_usage(operation, &used_by_fragments(document), |usage| {
        if usage.location.nullable || !is_null(usage.variable) {
            return Ok(());
        }
        let message = format!(
            "${} must not be null: it is given where a value of type {} is needed. Leave it out for its default",
            usage.variable, usage.location
        );
        Err(ServerError::new(message, Some(usage.pos)))
    })
}

fn used_by_fragments(document: &ExecutableDocument) -> HashMap<&Name, Used<'_>> {
    let fragments = document.fragments.iter();
    let fragments = fragments.map(|(name, fragment)| {
        let on = &fragment.node.type_condition.node.on.node;
        (name, Used::by(on, &fragment.node.selection_set.node))
    });
    fragments.collect()
}

/// Visits the variable usages of an operation, including those of the fragments that it spreads.
fn each_usage<'a>(
    operation: &'a OperationDefinition,
    fragments: &HashMap<&Name, Used<'a>>,
    visit: impl Fn(&Usage<'a>) -> Result<(), ServerError>,
) -> Result<(), ServerError> {
    let own = Used::by(root_of(operation.ty), &operation.selection_set.node);
    let mut seen = HashSet::new();
    let mut next = vec![&own];
    while let Some(used) = next.pop() {
        for usage in &used.usages {
            visit(usage)?;
        }
        let spread = used.spreads.iter().filter(|name| seen.insert(**name));
        next.extend(spread.filter_map(|name| fragments.get(*name)));
    }
    Ok(())
}

/// The variable usages in a selection, and the fragments that it spreads.
#[derive(Default)]
struct Used<'a> {
    usages: Vec<Usage<'a>>,
    spreads: Vec<&'a Name>,
}

struct Usage<'a> {
    variable: &'a Name,
    location: &'static Type,
    /// Whether the position has a default.
    has_default: bool,
    pos: Pos,
}

impl<'a> Used<'a> {
    /// Collects the usages of a set. Unknown fields and arguments are skipped, because validation refuses them.
    fn by(on: &'a Name, set: &'a SelectionSet) -> Self {
        let mut used = Self::default();
        for (parent, selection) in selections_in(on, set) {
            let Some(parent) = parent else {
                continue;
            };
            used.directives(directives(selection));
            match selection {
                Selection::Field(field) => used.arguments(parent, &field.node),
                Selection::FragmentSpread(spread) => {
                    used.spreads.push(&spread.node.fragment_name.node);
                }
                Selection::InlineFragment(_) => {}
            }
        }
        used
    }

    fn arguments(&mut self, parent: &Name, field: &'a Field) {
        let Some(definition) = field_of(parent, &field.name.node) else {
            return;
        };
        for (name, value) in &field.arguments {
            if let Some(argument) = input_of(&definition.arguments, &name.node) {
                let has_default = argument.default_value.is_some();
                self.value(&argument.ty.node, has_default, &value.node, value.pos);
            }
        }
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) {
        for directive in directives {
            for (_, value) in &directive.node.arguments {
                self.value(&CONDITION, false, &value.node, value.pos);
            }
        }
    }

    fn value(&mut self, location: &'static Type, has_default: bool, value: &'a Value, pos: Pos) {
        match (&location.base, value) {
            (_, Value::Variable(variable)) => self.usages.push(Usage {
                variable,
                location,
                has_default,
                pos,
            }),
            (BaseType::List(item), Value::List(values)) => {
                for value in values {
                    self.value(item, false, value, pos);
                }
            }
            // A single value stands for a list of one.
            (BaseType::List(item), value) => self.value(item, false, value, pos),
            (BaseType::Named(name), Value::Object(values)) => {
                let Some(TypeKind::InputObject(definition)) = type_of(name) else {
                    return;
                };
                for (name, value) in values {
                    if let Some(field) = input_of(&definition.fields, name) {
                        let has_default = field.default_value.is_some();
                        self.value(&field.ty.node, has_default, value, pos);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Usage<'_> {
    /// Implements `IsVariableUsageAllowed` of the specification. Validation refuses undeclared variables and unknown
    /// types.
    fn check(&self, declared: &HashMap<&Name, &VariableDefinition>) -> Result<(), ServerError> {
        let Some(definition) = declared.get(self.variable) else {
            return Ok(());
        };
        let ty = &definition.var_type.node;
        let name = innermost(&ty.base);
        if !BUILT_IN.contains(&name.as_str()) && type_of(name).is_none() {
            return Ok(());
        }
        let default = definition.default_value.as_ref();
        let never_null = default.is_some_and(|default| default.node != ConstValue::Null);
        let may_be_left_out = self.has_default || never_null;
        let is_allowed = if ty.nullable && !self.location.nullable {
            may_be_left_out && is_base_compatible(&ty.base, &self.location.base)
        } else {
            is_compatible(ty, self.location)
        };
        if is_allowed {
            return Ok(());
        }
        let (variable, location) = (self.variable, self.location);
        let message = format!(
            "the variable ${variable:.100} of type {ty} is used where {location} is expected"
        );
        Err(ServerError::new(message, Some(self.pos)))
    }
}

/// Implements `AreTypesCompatible` of the specification.
fn is_compatible(variable: &Type, location: &Type) -> bool {
    (location.nullable || !variable.nullable) && is_base_compatible(&variable.base, &location.base)
}

fn is_base_compatible(variable: &BaseType, location: &BaseType) -> bool {
    match (variable, location) {
        (BaseType::Named(variable), BaseType::Named(location)) => variable == location,
        (BaseType::List(variable), BaseType::List(location)) => is_compatible(variable, location),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[rustfmt::skip] // A line each.
    #[test]
    fn each_variable_stands_where_it_may() {
        let list = "personalConnectors(filter: $f) { totalCount }";
        let nodes = "nodes(ids: $ids) { id }";
        for (document, expected) in [
            (format!("query($f: PersonalConnectorFilter) {{ {list} }}"), None),
            (format!("query($f: PersonalConnectorFilter!) {{ {list} }}"), None),
            (format!("query($f: PersonalConnectorOrder) {{ {list} }}"), Some("PersonalConnectorFilter is expected")),
            (format!("query($f: [PersonalConnectorFilter!]) {{ {list} }}"), Some("PersonalConnectorFilter is \
                expected")),
            (format!("query($ids: [ID!]!) {{ {nodes} }}"), None),
            (format!("query($ids: [ID!]) {{ {nodes} }}"), Some("[ID!]! is expected")),
            (format!("query($ids: [ID!] = []) {{ {nodes} }}"), None),
            (format!("query($ids: [ID!] = null) {{ {nodes} }}"), Some("[ID!]! is expected")),
            (format!("query($ids: [ID]!) {{ {nodes} }}"), Some("[ID!]! is expected")),
            (format!("query($ids: ID!) {{ {nodes} }}"), Some("[ID!]! is expected")),
            ("query($id: ID!) { nodes(ids: [$id]) { id } node(id: $id) { id } }".to_owned(), None),
            ("query($id: ID) { nodes(ids: [$id]) { id } }".to_owned(), Some("ID! is expected")),
            ("query($id: Int!) { node(id: $id) { id } }".to_owned(), Some("the variable $id of type Int! is used where \
                ID! is expected")),
            ("query($s: [ConnectorStatus!]) { personalConnectors(filter: {status: $s}) { totalCount } \
              }".to_owned(), None),
            ("query($s: ConnectorStatus!) { personalConnectors(filter: {status: $s}) { totalCount } \
              }".to_owned(), Some("[ConnectorStatus!] is expected")),
            ("query($s: ConnectorStatus!) { personalConnectors(filter: {status: [$s]}) { totalCount } \
              }".to_owned(), None),
            ("query($s: String) { personalConnectors(filter: {not: {and: [{status: $s}]}}) { totalCount } \
              }".to_owned(), Some("[ConnectorStatus!] is expected")),
            // The input field's default allows a nullable variable.
            ("mutation($v: Boolean) { createCustomConnector(input: {name: \"a\", validateOnly: $v}) { userErrors { \
              code } } }".to_owned(), None),
            ("query($b: Boolean) { viewer @include(if: $b) { userId } }".to_owned(), Some("Boolean! is expected")),
            ("query($b: Boolean = true) { viewer { ... @skip(if: $b) { userId } } }".to_owned(), None),
            // A fragment is checked in each operation that spreads it.
            ("query A($n: Int) { ...F } query B($n: Int!) { ...F } fragment F on Query { personalConnectors(first: $n) \
              { totalCount } }".to_owned(), None),
            ("query A($n: Int) { ...F } query B($n: String) { ...G } fragment G on Query { ...F } fragment F on Query \
              { personalConnectors(first: $n) { totalCount } }".to_owned(),
                Some("the variable $n of type String is used where Int is expected")),
            ("{ ...F } fragment F on Query { personalConnectors(first: $n) { totalCount } }".to_owned(), None),
            ("query($id: Nope!) { node(id: $id) { id } }".to_owned(), None),
            ("subscription($a: Int) { personalConnectorChanged(after: $a) { kind } \
              }".to_owned(), Some("String is expected")),
        ] {
            let parsed = parse_query(&document).unwrap();
            let message = variable_positions(&parsed).err().map(|error| error.message);
            match expected {
                None => assert_eq!(message, None, "{document}"),
                Some(expected) => assert!(message.unwrap().ends_with(expected), "{document}"),
            }
        }
    }
}
