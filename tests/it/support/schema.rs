//! Reads the coordinates of the schema, so that no test lists them by hand.

use std::{fmt::Write, sync::LazyLock};

use async_graphql::parser::{
    parse_schema,
    types::{
        BaseType, FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind,
        TypeSystemDefinition,
    },
};

static TYPES: LazyLock<Vec<TypeDefinition>> = LazyLock::new(|| {
    let schema = parse_schema(personal_connectors::graphql::type_definitions()).unwrap();
    let definitions = schema.definitions.into_iter();
    let types = definitions.filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    types.collect()
});

fn kind(name: &str) -> Option<&'static TypeKind> {
    let found = TYPES.iter().find(|of| of.name.node == name);
    found.map(|of| &of.kind)
}

/// Returns the fields of an object; none for other types.
fn fields(object: &str) -> impl Iterator<Item = &'static FieldDefinition> {
    let fields = match kind(object) {
        Some(TypeKind::Object(object)) => object.fields.as_slice(),
        _ => &[],
    };
    fields.iter().map(|field| &field.node)
}

/// Returns the fields without arguments.
fn plain_fields(object: &str) -> impl Iterator<Item = &'static FieldDefinition> {
    fields(object).filter(|field| field.arguments.is_empty())
}

/// Returns whether a value of the type needs a selection.
fn has_fields(name: &str) -> bool {
    use TypeKind::{Interface, Object, Union};
    matches!(kind(name), Some(Object(_) | Interface(_) | Union(_)))
}

/// Returns the selection of an object's scalar fields without arguments.
pub fn leaves(object: &str) -> String {
    let leaves = plain_fields(object).filter(|field| !has_fields(named(&field.ty.node.base)));
    let names: Vec<_> = leaves.map(|field| field.name.node.as_str()).collect();
    names.join(" ")
}

/// Returns the names of an object's fields.
pub fn field_names(object: &str) -> Vec<&'static str> {
    let names = fields(object).map(|field| field.name.node.as_str());
    names.collect()
}

/// Returns a selection of all fields without arguments down to a depth, in braces; empty for a scalar or an enum.
fn selection(name: &str, levels: usize) -> String {
    if !has_fields(name) {
        return String::new();
    }
    let mut selection = " { __typename".to_owned();
    for field in plain_fields(name) {
        let below = named(&field.ty.node.base);
        if levels > 1 || !has_fields(below) {
            let below = self::selection(below, levels - 1);
            write!(selection, " {}{below}", field.name.node).unwrap();
        }
    }
    selection + " }"
}

/// Returns the fields of an input object.
pub fn inputs(input: &str) -> impl Iterator<Item = &'static InputValueDefinition> {
    let Some(TypeKind::InputObject(input)) = kind(input) else {
        panic!("{input} is no input object");
    };
    input.fields.iter().map(|field| &field.node)
}

/// Returns whether an input is optional.
pub fn may_be_unset(input: &InputValueDefinition) -> bool {
    input.ty.node.nullable || input.default_value.is_some()
}

/// Returns the names of an input object's fields.
pub fn input_fields(input: &str) -> Vec<&'static str> {
    inputs(input)
        .map(|field| field.name.node.as_str())
        .collect()
}

/// Returns the values of an enum; none for another type.
pub fn values(name: &str) -> Vec<&'static str> {
    let Some(TypeKind::Enum(of)) = kind(name) else {
        return Vec::new();
    };
    let values = of.values.iter();
    values.map(|value| value.node.value.node.as_str()).collect()
}

pub fn named(base: &BaseType) -> &str {
    match base {
        BaseType::Named(name) => name,
        BaseType::List(of) => named(&of.base),
    }
}

/// A position in a document that takes inputs: the arguments of a field, or the fields of an input object.
#[derive(Clone, Debug)]
pub struct Place {
    /// The field's coordinate, or the input object's name.
    pub name: String,
    pub is_mutation: bool,
    /// The operation's text before and after the inputs, without the outermost braces.
    before: String,
    after: String,
    pub inputs: Vec<&'static InputValueDefinition>,
    /// Whether the input object is the value of an argument.
    pub is_argument: bool,
}

impl Place {
    /// Returns the operation with these inputs, as `name: value`.
    pub fn operation(&self, declared: &str, given: &str) -> String {
        self.document(declared, &format!("{}{given}{}", self.before, self.after))
    }

    /// Returns the operation whose whole input object is a variable.
    pub fn operation_of_whole(&self, declared: &str, variable: &str) -> String {
        let (before, _) = self.before.rsplit_once('{').unwrap();
        let (_, after) = self.after.split_once('}').unwrap();
        self.document(declared, &format!("{before}{variable}{after}"))
    }

    fn document(&self, declared: &str, selection: &str) -> String {
        let operation = if self.is_mutation {
            "mutation"
        } else {
            "query"
        };
        format!("{operation}({declared}) {{ {selection} }}").replace("()", "")
    }
}

/// Returns every position that an operation reaches, by the shortest path. `known` returns the required inputs there.
pub fn places(known: impl Fn(&InputValueDefinition) -> String) -> Vec<Place> {
    let required = |inputs: &[&InputValueDefinition], but: &str| {
        let required = inputs
            .iter()
            .filter(|input| !may_be_unset(input) && input.name.node != but);
        let given: Vec<_> = required.map(|input| known(input)).collect();
        given.join(" ")
    };
    let mut places = Vec::new();
    let mut objects = vec![
        ("Query", String::new(), String::new()),
        ("Mutation", String::new(), String::new()),
    ];
    let mut next = 0;
    while let Some((object, before, after)) = objects.get(next).cloned() {
        next += 1;
        let is_mutation = object == "Mutation";
        for field in fields(object) {
            let name = &field.name.node;
            let inputs: Vec<_> = field.arguments.iter().map(|input| &input.node).collect();
            let below = named(&field.ty.node.base);
            // A query also reaches the types below a payload.
            if !is_mutation && !objects.iter().any(|(object, ..)| *object == below) {
                let given = required(&inputs, "");
                let before = format!("{before}{name}({given}) {{ ");
                objects.push((below, before, format!(" }}{after}")));
            }
            places.push(Place {
                name: format!("{object}.{name}"),
                is_mutation,
                before: format!("{before}{name}("),
                after: format!("){}{after}", selection(below, 2)),
                inputs,
                is_argument: false,
            });
        }
    }
    let mut next = 0;
    while let Some(place) = places.get(next).cloned() {
        next += 1;
        for input in &place.inputs {
            let (name, object) = (&input.name.node, named(&input.ty.node.base));
            let is_input_object = matches!(kind(object), Some(TypeKind::InputObject(_)));
            if !is_input_object || places.iter().any(|place| place.name == object) {
                continue;
            }
            places.push(Place {
                name: object.to_owned(),
                is_mutation: place.is_mutation,
                before: format!(
                    "{}{} {name}: {{",
                    place.before,
                    required(&place.inputs, name)
                ),
                after: format!("}}{}", place.after),
                inputs: inputs(object).collect(),
                is_argument: place.name.contains('.'),
            });
        }
    }
    places
}
