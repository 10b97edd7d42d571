//! The cost of a document, computed before validation and execution.
//!
//! Invariant: a fragment is visited once, however often it is spread, and cycles are refused. The library visits each
//! spread again: three spreads in each of seventeen fragments would take minutes. An accepted document is shallow
//! enough for recursion.

use std::{
    collections::{HashMap, HashSet},
    mem::size_of,
};

use async_graphql::{
    Name, Positioned, Variables,
    parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet},
};
use async_graphql_value::{ConstValue, Value};
use serde_json::json;

use crate::{
    config::{OperationLimits, STRING_BYTES},
    domain::listing::PAGE_DEFAULT,
    error::{Code, Error, Result},
    graphql::field_traits::{Items, Visits, of_name},
};

/// The cost of a document, in which each fragment counts at every spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub depth: u64,
    pub fields: u64,
    /// The points of all fields. A field costs one, and more if its value may be long. Selections of a list cost once
    /// for each item that the list may have. A search, a count of a list and a read of the log cost the rows that they
    /// visit.
    pub complexity: u64,
    pub aliases: u64,
    pub directives: u64,
    /// The number of selections, values and directives to validate, over all operations.
    pub size: u64,
    /// The values of arguments with variables expanded, once for each item that a list may have. Each [`STRING_BYTES`]
    /// of a string count as one more.
    pub(crate) values: u64,
    /// The ids in the inputs of mutations of many connectors, repeated ones included.
    changed: u64,
    /// The levels of nested selection sets, including those of fragments.
    nesting: u64,
    /// Searches, counts and reads of the log. Each concerns the whole catalogue, for any number of items on a page.
    visits: u64,
    /// Pages of lists. Each visits its own rows, and those between them that the viewer may not see.
    pages: u64,
}

impl Cost {
    /// Fails with `LIMIT_EXCEEDED` if a cost exceeds its limit, or if there is too much to validate.
    pub(super) fn within(&self, limits: OperationLimits) -> Result<()> {
        let exceeding = self
            .against(limits)
            .into_iter()
            .find(|(_, _, cost, most)| cost > most);
        if let Some((_, what, cost, most)) = exceeding {
            let what = format!("{what}: this one has {cost}");
            let message = format!("an operation must have at most {most} {what}");
            return Err(Error::over(message, most, Some(cost)));
        }
        if self.size > limits.max_tokens {
            let written_out = "the document, with its fragments written out,";
            return Err(Error::limit_exceeded(
                written_out,
                limits.max_tokens,
                "tokens",
            ));
        }
        Ok(())
    }

    /// Returns the value of `extensions.cost`: each cost with its limit.
    pub(super) fn report(&self, limits: OperationLimits) -> serde_json::Value {
        let costs = self.against(limits).into_iter();
        costs
            .map(|(key, _, cost, most)| {
                (key.to_owned(), json!({ "requested": cost, "limit": most }))
            })
            .collect()
    }

    fn against(&self, limits: OperationLimits) -> [(&'static str, &'static str, u64, u64); 7] {
        [
            ("depth", "levels", self.depth, limits.max_depth),
            ("fields", "fields", self.fields, limits.max_fields),
            (
                "complexity",
                "points of complexity",
                self.complexity,
                limits.max_complexity,
            ),
            ("aliases", "aliases", self.aliases, limits.max_aliases),
            (
                "directives",
                "directives",
                self.directives,
                limits.max_directives,
            ),
            (
                "values",
                "values of arguments with variables and fragments written out",
                self.values,
                limits.max_values,
            ),
            (
                "changedConnectors",
                "ids in all its mutations of many connectors",
                self.changed,
                CHANGED,
            ),
        ]
    }

    /// Returns whether the operation may take so much time that it needs a slot among the expensive ones.
    pub(super) fn is_expensive(&self) -> bool {
        self.visits > CHEAP_VISITS || self.pages > CHEAP_PAGES || self.complexity > CHEAP_COMPLEXITY
    }

    fn with_visits(&self) -> u64 {
        self.complexity
            .saturating_add(self.visits.saturating_mul(VISIT))
    }

    fn beside(self, other: Self) -> Self {
        Self {
            depth: self.depth.max(other.depth),
            fields: self.fields.saturating_add(other.fields),
            complexity: self.complexity.saturating_add(other.complexity),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            size: self.size.saturating_add(other.size),
            values: self.values.saturating_add(other.values),
            changed: self.changed.saturating_add(other.changed),
            nesting: self.nesting.max(other.nesting),
            visits: self.visits.saturating_add(other.visits),
            pages: self.pages.saturating_add(other.pages),
        }
    }
}

/// The inputs of a cost besides the document: a summary of each variable, by its name.
#[derive(Debug, Default)]
pub(super) struct Sizes(Vec<(Name, Variable)>);

impl Sizes {
    pub(super) fn of(variables: &Variables) -> Self {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| (name.clone(), Variable::of(value)));
        Self(variables.collect())
    }

    /// Returns whether variables have these sizes.
    pub(super) fn are_of(&self, variables: &Variables) -> bool {
        let mut of_these = self.0.iter().zip(variables.iter());
        self.0.len() == variables.len()
            && of_these
                .all(|((name, size), (other, value))| name == other && *size == Variable::of(value))
    }

    /// Returns the heap bytes of the sizes of this many variables.
    pub(super) const fn heap_bytes(variables: usize) -> usize {
        variables * size_of::<(Name, Variable)>()
    }
}

/// Returns the cost of the most expensive operation with variables of these sizes, and the size of all operations.
pub(super) fn cost(document: &ExecutableDocument, Sizes(sizes): &Sizes) -> Result<Cost> {
    let mut visitor = CostVisitor {
        document,
        variables: sizes
            .iter()
            .map(|(name, variable)| (name, variable))
            .collect(),
        fragments: HashMap::new(),
    };
    let mut dearest = Cost::default();
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        let own = visitor
            .directives(&operation.directives)
            .beside(visitor.selections(&operation.selection_set.node, None, 1)?);
        let most = |a: u64, b: u64| a.max(b);
        dearest = Cost {
            depth: most(dearest.depth, own.depth),
            fields: most(dearest.fields, own.fields),
            complexity: most(dearest.complexity, own.with_visits()),
            aliases: most(dearest.aliases, own.aliases),
            directives: most(dearest.directives, own.directives),
            size: dearest.size.saturating_add(own.size),
            values: most(dearest.values, own.values),
            changed: most(dearest.changed, own.changed),
            nesting: most(dearest.nesting, own.nesting),
            visits: most(dearest.visits, own.visits),
            pages: most(dearest.pages, own.pages),
        };
    }
    // The library also visits fragments that no operation spreads.
    let spread: HashSet<_> = visitor.fragments.keys().copied().collect();
    for name in document.fragments.keys() {
        let own = visitor.fragment(name, 1)?;
        if !spread.contains(name) {
            dearest.size = dearest.size.saturating_add(own.size);
        }
    }
    Ok(dearest)
}

/// The properties of a variable that a use of it costs.
#[derive(Debug, PartialEq, Eq)]
struct Variable {
    values: u64,
    number: Option<u64>,
    /// The length of a list; 1 for another value.
    length: u64,
    /// The length of the list of ids in an input; 1 for another value.
    ids: u64,
    is_null: bool,
    conditions: Conditions,
}

/// The size of a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Conditions {
    /// All conditions. Each is on one field.
    all: u64,
    /// Conditions that visit all tools with a name.
    searches: u64,
}

impl Conditions {
    /// Returns the conditions of a filter's field.
    fn of_field(name: &Name, is_null: bool, below: impl FnOnce() -> Self) -> Self {
        match name.as_str() {
            _ if is_null => Self::default(),
            "and" | "or" | "not" => below(),
            name => Self {
                all: 1,
                searches: u64::from(name == "toolName"),
            },
        }
    }

    fn beside(self, other: Self) -> Self {
        Self {
            all: self.all.saturating_add(other.all),
            searches: self.searches.saturating_add(other.searches),
        }
    }

    /// Returns the number of visits of the rows that these conditions need, if each row is tested.
    fn times(self) -> u64 {
        1 + self.all.saturating_sub(self.searches).saturating_sub(1) / TOGETHER
    }
}

impl Variable {
    fn of(value: &ConstValue) -> Self {
        let length = |value: &ConstValue| match value {
            ConstValue::List(items) => items.len() as u64,
            _ => 1,
        };
        Self {
            values: const_values(value),
            number: match value {
                ConstValue::Number(number) => Some(number.as_u64().unwrap_or(1)),
                _ => None,
            },
            length: length(value),
            ids: match value {
                ConstValue::Object(fields) => fields.get(IDS).map_or(1, length),
                _ => 1,
            },
            is_null: *value == ConstValue::Null,
            conditions: conditions(value),
        }
    }
}

/// The field of an input that has the ids of connectors.
const IDS: &str = "ids";

/// The points of a search, a count of a list, or a read of the log. Each may visit all connectors or ten thousand
/// events. A page reads only some rows by an index.
const VISIT: u64 = 200;

/// The most ids in all mutations of many connectors of an operation. Each may write an event, and such a mutation takes
/// a hundred.
const CHANGED: u64 = 500;

/// The number of conditions that one visit of the rows tests.
const TOGETHER: u64 = 10;

/// The most pages of an operation that is not expensive.
const CHEAP_PAGES: u64 = 10;

/// The most searches and counts of an operation that is not expensive. A filtered search with its count and facets has
/// four.
const CHEAP_VISITS: u64 = 5;

/// The most points of an operation that is not expensive. A page of a hundred connectors with all their fields has
/// 4,200.
const CHEAP_COMPLEXITY: u64 = 8_000;

/// The most levels of nested selection sets. A thread's stack holds far more. The library refuses operations with more
/// than half as many.
const NESTING: u64 = 64;

struct CostVisitor<'a> {
    document: &'a ExecutableDocument,
    variables: HashMap<&'a Name, &'a Variable>,
    /// The cost of each visited fragment; none while it is being visited.
    fragments: HashMap<&'a Name, Option<Cost>>,
}

impl<'a> CostVisitor<'a> {
    /// Returns the cost of a selection set. `of` is the name of its field or type, if known. `level` is the number of
    /// enclosing selection sets, including this one.
    fn selections(
        &mut self,
        set: &'a SelectionSet,
        of: Option<&'a str>,
        level: u64,
    ) -> Result<Cost> {
        nests(level)?;
        let mut cost = Cost::default();
        for selection in &set.items {
            let one = match &selection.node {
                Selection::Field(field) => self.field(&field.node, of, level)?,
                Selection::InlineFragment(fragment) => {
                    let fragment = &fragment.node;
                    let on = fragment.type_condition.as_ref();
                    let of = on.map_or(of, |on| Some(&on.node.on.node));
                    let selected = self.selections(&fragment.selection_set.node, of, level + 1)?;
                    self.directives(&fragment.directives).beside(selected)
                }
                Selection::FragmentSpread(spread) => {
                    let spread = &spread.node;
                    let selected = self.fragment(&spread.fragment_name.node, level + 1)?;
                    self.directives(&spread.directives).beside(selected)
                }
            };
            let itself = Cost {
                size: 1,
                ..Cost::default()
            };
            cost = cost.beside(itself).beside(one);
        }
        cost.nesting += 1;
        Ok(cost)
    }

    fn field(&mut self, field: &'a Field, of: Option<&str>, level: u64) -> Result<Cost> {
        let name = Some(field.name.node.as_str());
        let selected = self.selections(&field.selection_set.node, name, level + 1)?;
        let traits = of_name(of, &field.name.node);
        let items = self.items(field, traits.items);
        let conditions = match traits.visits {
            Visits::OfArguments => self.filter(field),
            Visits::Always(_) => None,
        };
        let own = Cost {
            depth: selected.depth.saturating_add(1),
            fields: 1,
            changed: if traits.items == Items::Changed {
                items
            } else {
                0
            },
            complexity: 1 + traits.weight + self.search_weight(field, traits.search_weight),
            aliases: u64::from(field.alias.is_some()),
            visits: self.visits(field, traits.visits, conditions),
            pages: u64::from(traits.visits == Visits::OfArguments && items > 0),
            ..self.arguments(&field.arguments)
        };
        let below = Cost {
            complexity: selected.complexity.saturating_mul(items),
            values: selected.values.saturating_mul(items.max(1)),
            // Counts and facets test all conditions too.
            visits: selected
                .visits
                .saturating_mul(conditions.map_or(1, Conditions::times)),
            ..selected
        };
        Ok(own.beside(below).beside(self.directives(&field.directives)))
    }

    /// Returns the most items of a field's list: the page's size, the number of ids, or the limit of an inspection.
    fn items(&self, field: &Field, items: Items) -> u64 {
        let argument = |name: &str| field.get_argument(name).map(|value| &value.node);
        match items {
            Items::One | Items::Few | Items::OfConnection => 1,
            Items::Page => ["first", "last"]
                .into_iter()
                .filter_map(argument)
                .find_map(|size| self.number(size))
                .unwrap_or(PAGE_DEFAULT),
            Items::Ids => argument("ids").map_or(1, |ids| self.length(ids)),
            Items::Changed => argument("input").map_or(1, |input| self.ids(input)),
            Items::AtMost(most) => most,
        }
    }

    /// Returns the number of times that the field visits many rows of the catalogue or the log.
    fn visits(&self, field: &Field, visits: Visits, filter: Option<Conditions>) -> u64 {
        match visits {
            Visits::Always(visits) => visits,
            Visits::OfArguments => {
                // A page with a filter may visit the whole list.
                let filter = filter.map_or(0, |filter| filter.times() + filter.searches);
                u64::from(self.has_search(field))
                    + filter
                    + u64::from(self.is_given(field, "thenBy"))
            }
        }
    }

    /// Returns the size of the filter of a list, if it has one.
    fn filter(&self, field: &Field) -> Option<Conditions> {
        let filter = &field.get_argument("filter")?.node;
        (!self.is_null(filter)).then(|| self.conditions(filter))
    }

    fn search_weight(&self, field: &Field, weight: u64) -> u64 {
        if weight > 0 && self.has_search(field) {
            weight
        } else {
            0
        }
    }

    fn has_search(&self, field: &Field) -> bool {
        self.is_given(field, "search")
    }

    fn is_given(&self, field: &Field, argument: &str) -> bool {
        let argument = field.get_argument(argument);
        argument.is_some_and(|argument| !self.is_null(&argument.node))
    }

    fn conditions(&self, filter: &Value) -> Conditions {
        let none = Conditions::default();
        match filter {
            Value::Variable(name) => self
                .variables
                .get(name)
                .map_or(none, |sent| sent.conditions),
            Value::List(items) => {
                (items.iter()).fold(none, |all, item| all.beside(self.conditions(item)))
            }
            Value::Object(fields) => fields.iter().fold(none, |all, (name, value)| {
                let below = || self.conditions(value);
                all.beside(Conditions::of_field(name, self.is_null(value), below))
            }),
            _ => none,
        }
    }

    fn is_null(&self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Variable(name) => self.variables.get(name).is_none_or(|sent| sent.is_null),
            _ => false,
        }
    }

    /// Returns a number. A negative one is refused later, and counts as 1 until then.
    fn number(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Number(number) => Some(number.as_u64().unwrap_or(1)),
            Value::Variable(name) => self.variables.get(name)?.number,
            _ => None,
        }
    }

    /// Returns the number of ids in an input.
    fn ids(&self, input: &Value) -> u64 {
        match input {
            Value::Object(fields) => fields.get(IDS).map_or(1, |ids| self.length(ids)),
            Value::Variable(name) => self.variables.get(name).map_or(1, |sent| sent.ids),
            _ => 1,
        }
    }

    fn length(&self, value: &Value) -> u64 {
        match value {
            Value::List(items) => items.len() as u64,
            Value::Variable(name) => self.variables.get(name).map_or(1, |sent| sent.length),
            _ => 1,
        }
    }

    fn directives(&self, directives: &[Positioned<Directive>]) -> Cost {
        let arguments = directives
            .iter()
            .map(|directive| self.arguments(&directive.node.arguments));
        let itself = Cost {
            directives: 1,
            size: 1,
            ..Cost::default()
        };
        arguments.fold(Cost::default(), |all, one| all.beside(itself).beside(one))
    }

    /// Returns the cost of arguments: their values as written, and with variables expanded.
    fn arguments(&self, arguments: &[(Positioned<Name>, Positioned<Value>)]) -> Cost {
        let values = arguments.iter().map(|(_, value)| self.value(&value.node));
        values.fold(Cost::default(), Cost::beside)
    }

    fn value(&self, value: &Value) -> Cost {
        let itself = Cost {
            size: 1,
            values: match value {
                Value::Variable(name) => self.variables.get(name).map_or(1, |sent| sent.values),
                Value::String(text) => string_values(text),
                _ => 1,
            },
            ..Cost::default()
        };
        match value {
            Value::List(items) => {
                (items.iter()).fold(itself, |all, item| all.beside(self.value(item)))
            }
            Value::Object(fields) => (fields.values()).fold(itself, |all, field| {
                // The key of the field.
                let key = Cost {
                    values: 1,
                    ..Cost::default()
                };
                all.beside(key).beside(self.value(field))
            }),
            _ => itself,
        }
    }

    fn fragment(&mut self, name: &'a Name, level: u64) -> Result<Cost> {
        match self.fragments.get(name) {
            Some(Some(cost)) => return nests(level + cost.nesting - 1).map(|()| *cost),
            Some(None) => {
                let message = format!("the fragment {name} spreads itself");
                return Err(Error::new(Code::GraphqlValidationFailed, message));
            }
            None => {}
        }
        // Validation refuses an unknown fragment.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Cost::default());
        };
        self.fragments.insert(name, None);
        let fragment = &fragment.node;
        let on = &fragment.type_condition.node.on.node;
        let selected = self.selections(&fragment.selection_set.node, Some(on), level)?;
        let cost = self.directives(&fragment.directives).beside(selected);
        self.fragments.insert(name, Some(cost));
        Ok(cost)
    }
}

/// Fails beyond [`NESTING`], which bounds all recursion over a document.
fn nests(level: u64) -> Result<()> {
    if level > NESTING {
        return Err(Error::limit_exceeded(
            "the document",
            NESTING,
            "selection sets in each other",
        ));
    }
    Ok(())
}

/// Returns the number of values in a value.
fn const_values(value: &ConstValue) -> u64 {
    match value {
        ConstValue::String(text) => string_values(text),
        ConstValue::List(items) => 1 + items.iter().map(const_values).sum::<u64>(),
        ConstValue::Object(fields) => {
            let fields = fields.iter();
            let values = fields.map(|(key, value)| string_values(key) + const_values(value));
            1 + values.sum::<u64>()
        }
        _ => 1,
    }
}

fn conditions(filter: &ConstValue) -> Conditions {
    let none = Conditions::default();
    match filter {
        ConstValue::List(items) => items
            .iter()
            .fold(none, |all, item| all.beside(conditions(item))),
        ConstValue::Object(fields) => fields.iter().fold(none, |all, (name, value)| {
            let is_null = *value == ConstValue::Null;
            all.beside(Conditions::of_field(name, is_null, || conditions(value)))
        }),
        _ => none,
    }
}

fn string_values(text: &str) -> u64 {
    1 + text.len() as u64 / STRING_BYTES
}

#[cfg(test)]
mod tests;
