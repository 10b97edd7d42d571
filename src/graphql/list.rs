//! Lists of a response, counted as they are resolved.
//!
//! Invariant: every list that a resolver returns is a [`List`]; a test reads the sources. Its items are resolved one
//! after another and counted with their fields. None is resolved after the response exceeded its bytes or its time.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value,
    parser::types::Field as AskedField, registry::Registry,
};
use tokio::task::consume_budget;

use super::context::{Request, failed};

/// Values that count as one step of a task, which takes 128 steps in its turn.
const VALUES: usize = 16;

/// A list of the GraphQL type `[T]`. It becomes an error after the response exceeded its bytes.
pub(in crate::graphql) struct List<T>(Vec<T>);

impl<T> List<T> {
    pub(in crate::graphql) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self(items)
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: OutputType> OutputType for List<T> {
    fn type_name() -> Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<AskedField>,
    ) -> ServerResult<Value> {
        let budget = &context.data_unchecked::<Request>().budget;
        let mut values = Vec::with_capacity(self.0.len());
        for (index, item) in self.0.iter().enumerate() {
            let context = context.with_index(index);
            let refused = |error| failed(error, &context, field);
            budget.check().map_err(refused)?;
            let value = item.resolve(&context, field).await;
            let value = value.map_err(|error| context.set_error_path(error))?;
            let count = count(&value);
            budget.write_values(count).map_err(refused)?;
            values.push(value);
            // Other tasks get their turn, and the deadline can pass.
            for _ in 0..=count / VALUES {
                consume_budget().await;
            }
        }
        Ok(Value::List(values))
    }
}

/// Returns the number of values in an item, including itself. A nested list counts its own.
fn count(item: &Value) -> usize {
    match item {
        Value::Object(fields) => 1 + fields.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Finds the lines of the schema's object types that return a list of another type.
    fn others(path: &Path, found: &mut Vec<String>) {
        if path.is_dir() {
            let entries = fs::read_dir(path).unwrap();
            entries.for_each(|entry| others(&entry.unwrap().path(), found));
            return;
        }
        let source = fs::read_to_string(path).unwrap();
        let (mut in_fields, mut in_resolvers) = (false, false);
        for line in source.lines() {
            in_fields |= line.starts_with("#[derive(") && line.contains("SimpleObject");
            in_resolvers |= line.starts_with("#[Object");
            let gives = line.split_once("-> ").map_or("", |(_, gives)| gives);
            let looked_at = if in_fields && !line.starts_with('#') {
                line
            } else if in_resolvers {
                gives
            } else {
                ""
            };
            if ["Vec<", "&[", "&'a ["]
                .iter()
                .any(|list| looked_at.contains(list))
            {
                found.push(format!("{}: {line}", path.display()));
            }
            if line.starts_with('}') {
                (in_fields, in_resolvers) = (false, false);
            }
        }
    }

    #[test]
    fn every_list_of_the_schema_is_counted() {
        let mut found = Vec::new();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/graphql");
        others(&sources, &mut found);
        assert!(found.is_empty(), "give a List instead: {found:#?}");
    }
}
