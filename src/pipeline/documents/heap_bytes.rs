//! The heap memory of parsed documents and values.
//!
//! The parser's types are large and own their parts: a field with a one-letter name takes about 300 bytes.

use std::{collections::HashMap, mem::size_of};

use async_graphql::{
    Name, Positioned, Variables,
    indexmap::IndexMap,
    parser::types::{
        BaseType, Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition,
        FragmentSpread, InlineFragment, OperationDefinition, Selection, SelectionSet, Type,
        TypeCondition, VariableDefinition,
    },
};
use async_graphql_value::{ConstValue, Value};

/// A value that owns heap memory.
pub(in crate::pipeline) trait HeapBytes {
    /// Estimates the owned bytes: the capacity of its collections, and the allocator's overhead.
    fn heap_bytes(&self) -> usize;
}

/// The allocator's average overhead for each allocation, because sizes are rounded up.
const SLACK: usize = 16;

/// Returns the bytes of a hash table: each slot with its control byte, and unused slots.
const fn table(capacity: usize, entry: usize) -> usize {
    if capacity == 0 {
        0
    } else {
        SLACK + (capacity * 8 / 7) * (entry + 1)
    }
}

impl HeapBytes for Name {
    fn heap_bytes(&self) -> usize {
        // The two counters of an `Arc`.
        2 * size_of::<usize>() + self.len() + SLACK
    }
}

impl<T: HeapBytes> HeapBytes for Positioned<T> {
    fn heap_bytes(&self) -> usize {
        self.node.heap_bytes()
    }
}

impl<T: HeapBytes> HeapBytes for Option<T> {
    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or(0, T::heap_bytes)
    }
}

impl<A: HeapBytes, B: HeapBytes> HeapBytes for (A, B) {
    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes() + self.1.heap_bytes()
    }
}

impl<T: HeapBytes> HeapBytes for Vec<T> {
    fn heap_bytes(&self) -> usize {
        let own = match self.capacity() {
            0 => 0,
            capacity => SLACK + capacity * size_of::<T>(),
        };
        own + self.iter().map(T::heap_bytes).sum::<usize>()
    }
}

impl<T: HeapBytes> HeapBytes for IndexMap<Name, T> {
    fn heap_bytes(&self) -> usize {
        // An entry includes its hash, and the table its index.
        let entry = size_of::<(u64, Name, T)>();
        let own = match self.capacity() {
            0 => 0,
            capacity => SLACK + capacity * entry + table(capacity, size_of::<usize>()),
        };
        let entries = self.iter();
        own + entries
            .map(|(name, value)| name.heap_bytes() + value.heap_bytes())
            .sum::<usize>()
    }
}

impl<T: HeapBytes> HeapBytes for HashMap<Name, T> {
    fn heap_bytes(&self) -> usize {
        let entries = self.iter();
        table(self.capacity(), size_of::<(Name, T)>())
            + entries
                .map(|(name, value)| name.heap_bytes() + value.heap_bytes())
                .sum::<usize>()
    }
}

impl HeapBytes for ConstValue {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::String(text) => text.capacity() + SLACK,
            Self::Binary(bytes) => bytes.len() + SLACK,
            Self::Enum(name) => name.heap_bytes(),
            Self::List(items) => items.heap_bytes(),
            Self::Object(fields) => fields.heap_bytes(),
            Self::Null | Self::Number(_) | Self::Boolean(_) => 0,
        }
    }
}

impl HeapBytes for Value {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::String(text) => text.capacity() + SLACK,
            Self::Binary(bytes) => bytes.len() + SLACK,
            Self::Enum(name) | Self::Variable(name) => name.heap_bytes(),
            Self::List(items) => items.heap_bytes(),
            Self::Object(fields) => fields.heap_bytes(),
            Self::Null | Self::Number(_) | Self::Boolean(_) => 0,
        }
    }
}

impl HeapBytes for Variables {
    fn heap_bytes(&self) -> usize {
        let entries = self.iter();
        entries
            .map(|(name, value)| {
                SLACK
                    + size_of_val(name)
                    + size_of_val(value)
                    + name.heap_bytes()
                    + value.heap_bytes()
            })
            .sum()
    }
}

impl HeapBytes for Type {
    fn heap_bytes(&self) -> usize {
        match &self.base {
            BaseType::Named(name) => name.heap_bytes(),
            BaseType::List(item) => SLACK + size_of::<Self>() + item.heap_bytes(),
        }
    }
}

impl HeapBytes for Directive {
    fn heap_bytes(&self) -> usize {
        self.name.heap_bytes() + self.arguments.heap_bytes()
    }
}

impl HeapBytes for VariableDefinition {
    fn heap_bytes(&self) -> usize {
        self.name.heap_bytes()
            + self.var_type.heap_bytes()
            + self.directives.heap_bytes()
            + self.default_value.heap_bytes()
    }
}

impl HeapBytes for TypeCondition {
    fn heap_bytes(&self) -> usize {
        self.on.heap_bytes()
    }
}

impl HeapBytes for Field {
    fn heap_bytes(&self) -> usize {
        self.alias.heap_bytes()
            + self.name.heap_bytes()
            + self.arguments.heap_bytes()
            + self.directives.heap_bytes()
            + self.selection_set.heap_bytes()
    }
}

impl HeapBytes for FragmentSpread {
    fn heap_bytes(&self) -> usize {
        self.fragment_name.heap_bytes() + self.directives.heap_bytes()
    }
}

impl HeapBytes for InlineFragment {
    fn heap_bytes(&self) -> usize {
        self.type_condition.heap_bytes()
            + self.directives.heap_bytes()
            + self.selection_set.heap_bytes()
    }
}

impl HeapBytes for Selection {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Field(field) => field.heap_bytes(),
            Self::FragmentSpread(spread) => spread.heap_bytes(),
            Self::InlineFragment(fragment) => fragment.heap_bytes(),
        }
    }
}

impl HeapBytes for SelectionSet {
    fn heap_bytes(&self) -> usize {
        self.items.heap_bytes()
    }
}

impl HeapBytes for OperationDefinition {
    fn heap_bytes(&self) -> usize {
        self.variable_definitions.heap_bytes()
            + self.directives.heap_bytes()
            + self.selection_set.heap_bytes()
    }
}

impl HeapBytes for FragmentDefinition {
    fn heap_bytes(&self) -> usize {
        self.type_condition.heap_bytes()
            + self.directives.heap_bytes()
            + self.selection_set.heap_bytes()
    }
}

impl HeapBytes for ExecutableDocument {
    fn heap_bytes(&self) -> usize {
        let operations = match &self.operations {
            DocumentOperations::Single(operation) => operation.heap_bytes(),
            DocumentOperations::Multiple(operations) => operations.heap_bytes(),
        };
        operations + self.fragments.heap_bytes()
    }
}
