//! Coercion of variables, and checks of values against their types, before execution.
//!
//! Invariant: after this and the [rule of values](super::rules::correct_values), no input of a request fails during
//! execution. Variables are coerced as a whole (GraphQL, section 6.1.2).
//!
//! The library's validation accepts integers beyond 32 bits, malformed times, texts for enums, and non-objects for
//! input objects. It would only find them field by field.

use std::fmt;

use async_graphql::{
    Name, Positioned, ScalarType, ServerError, Variables,
    parser::types::{BaseType, InputValueDefinition, OperationDefinition, Type, TypeKind},
};
use async_graphql_value::{ConstValue, Number, Value};

use crate::{domain::field_values::RAW_JSON_MARKER, graphql::DateTime};

use super::schema_types::{input_of, type_of};

/// Keeps the variables that an operation declares. Fills in defaults for those not sent, and refuses a value of the
/// wrong type.
pub(super) fn variables(
    operation: &OperationDefinition,
    sent: &mut Variables,
) -> Result<(), ServerError> {
    let mut declared = Variables::default();
    for definition in &operation.variable_definitions {
        let name = &definition.node.name.node;
        if let Some(value) = sent.remove(name) {
            declared.insert(name.clone(), value);
        }
    }
    *sent = declared;
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
        if let Some(value) = sent.get_mut(&name.node) {
            read_floats(ty, value);
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

/// Reads the numbers that are stored as text, to keep their form, if their type is `Float`.
fn read_floats(ty: &Type, value: &mut ConstValue) {
    match (&ty.base, &mut *value) {
        (BaseType::List(item), ConstValue::List(values)) => {
            for value in values {
                read_floats(item, value);
            }
        }
        (BaseType::List(item), value) => read_floats(item, value),
        (BaseType::Named(name), ConstValue::Object(fields)) => {
            if let Some(TypeKind::InputObject(definition)) = type_of(name) {
                for (name, value) in fields {
                    if let Some(definition) = input_of(&definition.fields, name) {
                        read_floats(&definition.ty.node, value);
                    }
                }
            } else if name == "Float"
                && let Some(ConstValue::String(text)) = fields.get(RAW_JSON_MARKER)
                && let Some(number) = text.parse().ok().and_then(Number::from_f64)
            {
                *value = ConstValue::Number(number);
            }
        }
        (BaseType::Named(_), _) => {}
    }
}

/// The source of a value: the document or the JSON variables. JSON has no enum values, so it writes them as strings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Written,
    Sent,
}

/// The path of a value in the operation's input.
pub(super) enum Path<'a> {
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

/// Checks a value against a type. The message names the value's path.
pub(super) fn check(ty: &Type, value: &Value, path: &Path<'_>, form: Form) -> Result<(), String> {
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
    match type_of(name) {
        Some(TypeKind::InputObject(definition)) => match value {
            // A number stored as text looks like an object.
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
            "Float" => must_be(matches!(value, Value::Number(_)), "a number of 64 bits"),
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
            // JSON accepts any value, and validation refuses an unknown type.
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
    if let Some(unknown) = given.find(|name| input_of(definitions, name).is_none()) {
        return Err(format!("{path} has no field {:.100}", unknown.as_str()));
    }
    if let Some(missing) = missing {
        let name = &missing.name.node;
        return Err(format!("{} is required", Path::Field(path, name)));
    }
    values.try_for_each(|(name, value)| match input_of(definitions, name) {
        Some(definition) => check(&definition.ty.node, value, &Path::Field(path, name), form),
        None => Ok(()),
    })
}
