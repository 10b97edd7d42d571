//! Whether values are of the types that they are given to, found out before anything is executed.
//!
//! Invariant: once a request has passed here, no input of it fails in the middle of its execution: variables are coerced whole
//! (GraphQL, section 6.1.2), and values in the document are of correct type (section 5.6.1).
//!
//! The library looks at values while it validates, and lets through integers beyond 32 bits, times that are none, texts for
//! enums, and whatever is no object for an input object; it would find them out field by field. Whether a variable may stand where
//! it stands, `positions` finds.

use std::{collections::HashMap, fmt, sync::LazyLock};

use async_graphql::{
    Name, Positioned, ScalarType, ServerError, Variables,
    parser::{
        parse_schema,
        types::{
            BaseType, ExecutableDocument, Field, FieldDefinition, InputValueDefinition,
            OperationDefinition, OperationType, Selection, SelectionSet, Type, TypeKind,
            TypeSystemDefinition,
        },
    },
};
use async_graphql_value::{ConstValue, Value};

use crate::{
    domain::fields::RAW_JSON_MARKER,
    graphql::{DateTime, sdl},
};

pub(crate) static TYPES: LazyLock<HashMap<Name, TypeKind>> = LazyLock::new(|| {
    let definitions = parse_schema(sdl()).map_or_else(|_| Vec::new(), |schema| schema.definitions);
    let types = definitions.into_iter().filter_map(|definition| {
        let TypeSystemDefinition::Type(definition) = definition else {
            return None;
        };
        Some((definition.node.name.node, definition.node.kind))
    });
    types.collect()
});

/// Fills in the defaults of an operation's variables that were not sent, and refuses one that is not of its type.
pub fn variables(operation: &OperationDefinition, sent: &mut Variables) -> Result<(), ServerError> {
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        let name = &definition.name;
        let ty = &definition.var_type.node;
        let refuse = |message| ServerError::new(message, Some(name.pos));
        let path = Path::Variable(&name.node);
        let default = definition
            .default_value
            .as_ref()
            .map(|default| &default.node);
        if let Some(default) = default {
            check(ty, &default.clone().into_value(), &path, Form::Written).map_err(refuse)?;
        }
        match (sent.get(&name.node), default) {
            (Some(value), _) if ty.nullable || *value != ConstValue::Null => {
                check(ty, &value.clone().into_value(), &path, Form::Sent).map_err(refuse)?;
            }
            (None, Some(default)) => {
                sent.insert(name.node.clone(), default.clone());
            }
            (None, None) if ty.nullable => {}
            _ => {
                let message = format!(
                    "the variable ${} of type {ty} must be sent, and not be null",
                    name.node
                );
                return Err(refuse(message));
            }
        }
    }
    Ok(())
}

/// Refuses a document with a value that is not of its argument's type.
pub fn document(document: &ExecutableDocument) -> Result<(), ServerError> {
    for (_, operation) in document.operations.iter() {
        let root = match operation.node.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        selections(&Name::new(root), &operation.node.selection_set.node)?;
    }
    for fragment in document.fragments.values() {
        let on = &fragment.node.type_condition.node.on.node;
        selections(on, &fragment.node.selection_set.node)?;
    }
    Ok(())
}

fn selections(parent: &Name, set: &SelectionSet) -> Result<(), ServerError> {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(selected) => field(parent, &selected.node)?,
            Selection::InlineFragment(fragment) => {
                let condition = fragment.node.type_condition.as_ref();
                let on = condition.map_or(parent, |condition| &condition.node.on.node);
                selections(on, &fragment.node.selection_set.node)?;
            }
            // A fragment is looked into where it is defined.
            Selection::FragmentSpread(_) => {}
        }
    }
    Ok(())
}

/// Fields and arguments that there are none of are the validation's to refuse, and what is asked of the schema itself.
fn field(parent: &Name, field: &Field) -> Result<(), ServerError> {
    let Some(definition) = field_of(parent, &field.name.node) else {
        return Ok(());
    };
    for (name, value) in &field.arguments {
        if let Some(argument) = find(&definition.arguments, &name.node) {
            let path = Path::Argument(&name.node);
            check(&argument.ty.node, &value.node, &path, Form::Written)
                .map_err(|message| ServerError::new(message, Some(name.pos)))?;
        }
    }
    selections(
        innermost(&definition.ty.node.base),
        &field.selection_set.node,
    )
}

/// A type's field.
pub(crate) fn field_of(parent: &Name, name: &Name) -> Option<&'static FieldDefinition> {
    let fields = match TYPES.get(parent) {
        Some(TypeKind::Object(object)) => &object.fields,
        Some(TypeKind::Interface(interface)) => &interface.fields,
        _ => return None,
    };
    let mut fields = fields.iter().map(|field| &field.node);
    fields.find(|field| field.name.node == *name)
}

pub(crate) fn innermost(base: &BaseType) -> &Name {
    match base {
        BaseType::Named(name) => name,
        BaseType::List(item) => innermost(&item.base),
    }
}

pub(crate) fn find<'a>(
    definitions: &'a [Positioned<InputValueDefinition>],
    name: &Name,
) -> Option<&'a InputValueDefinition> {
    let mut definitions = definitions.iter().map(|definition| &definition.node);
    definitions.find(|definition| definition.name.node == *name)
}

/// Where a value came from: JSON has no enum values, and so has texts for them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Written,
    Sent,
}

/// Where a value stands.
enum Path<'a> {
    Variable(&'a Name),
    Argument(&'a Name),
    Field(&'a Path<'a>, &'a Name),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "${name}"),
            Self::Argument(name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn check(ty: &Type, value: &Value, path: &Path<'_>, form: Form) -> Result<(), String> {
    match (&ty.base, value) {
        (_, Value::Variable(_)) => Ok(()),
        (_, Value::Null) if ty.nullable => Ok(()),
        (_, Value::Null) => Err(format!("{path} must not be null")),
        (BaseType::List(item), Value::List(values)) => {
            let mut values = values.iter().enumerate();
            values.try_for_each(|(index, value)| check(item, value, &Path::Item(path, index), form))
        }
        // A single value stands for a list of one.
        (BaseType::List(item), value) => check(item, value, path, form),
        (BaseType::Named(name), value) => named(name, value, path, form),
    }
}

fn named(name: &Name, value: &Value, path: &Path<'_>, form: Form) -> Result<(), String> {
    let must_be = |is: bool, what: &str| {
        let message = || format!("{path} must be {what}");
        is.then_some(()).ok_or_else(message)
    };
    match TYPES.get(name) {
        Some(TypeKind::InputObject(definition)) => match value {
            // A number that was kept as text looks like an object.
            Value::Object(values) if !values.contains_key(RAW_JSON_MARKER) => {
                object(&definition.fields, values.iter(), path, form)
            }
            _ => must_be(false, &format!("an object of type {name}")),
        },
        Some(TypeKind::Enum(definition)) => {
            let names = definition.values.iter().map(|value| &value.node.value.node);
            let is_one = match value {
                Value::Enum(given) if form == Form::Written => {
                    names.clone().any(|name| name == given)
                }
                Value::String(given) if form == Form::Sent => {
                    names.clone().any(|name| name == given)
                }
                _ => false,
            };
            let names: Vec<_> = names.map(Name::as_str).collect();
            must_be(is_one, &format!("one of {}", names.join(", ")))
        }
        _ => match name.as_str() {
            "Int" => {
                let is_int = |number: i64| i32::try_from(number).is_ok();
                let is =
                    matches!(value, Value::Number(number) if number.as_i64().is_some_and(is_int));
                must_be(is, "an integer of at most 32 bits")
            }
            "ID" => {
                let is = matches!(value, Value::String(_))
                    || matches!(value, Value::Number(number) if number.is_i64());
                must_be(is, "a string or an integer")
            }
            "String" => must_be(matches!(value, Value::String(_)), "a string"),
            "Boolean" => must_be(matches!(value, Value::Boolean(_)), "true or false"),
            "DateTime" => {
                let time = value.clone().into_const().map(DateTime::parse);
                let is = time.is_some_and(|time| time.is_ok());
                must_be(is, DateTime::EXPECTED)
            }
            // JSON takes anything, and what type there is none of is the validation's to refuse.
            _ => Ok(()),
        },
    }
}

fn object<'a>(
    definitions: &[Positioned<InputValueDefinition>],
    mut values: impl Iterator<Item = (&'a Name, &'a Value)> + Clone,
    path: &Path<'_>,
    form: Form,
) -> Result<(), String> {
    let mut given = values.clone().map(|(name, _)| name);
    let missing = definitions.iter().map(|one| &one.node).find(|one| {
        let is_required = !one.ty.node.nullable && one.default_value.is_none();
        is_required && !values.clone().any(|(name, _)| *name == one.name.node)
    });
    if let Some(unknown) = given.find(|name| find(definitions, name).is_none()) {
        return Err(format!("{path} has no field {:.100}", unknown.as_str()));
    }
    if let Some(missing) = missing {
        let name = &missing.name.node;
        return Err(format!("{} is required", Path::Field(path, name)));
    }
    values.try_for_each(|(name, value)| match find(definitions, name) {
        Some(definition) => check(&definition.ty.node, value, &Path::Field(path, name), form),
        None => Ok(()),
    })
}
