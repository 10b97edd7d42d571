//! A parsed document, with cached results of its analysis.

use std::sync::{Arc, Mutex, OnceLock};

use async_graphql::{
    Request, ServerError, Variables,
    parser::{
        parse_query,
        types::{ExecutableDocument, Selection},
    },
};
use async_graphql_value::Value as Literal;
use sha2::{Digest, Sha256};

use crate::{
    config::OperationLimits,
    error::{Code, Error},
    graphql::{
        DirectQuery, Schema,
        field_traits::{is_of_checks, of_type},
    },
};

use crate::pipeline::{
    cost::{self, Cost, Sizes},
    lexical_limits::scan,
    refused::Refused,
    rules::{
        correct_values::correct_values, overlapping_fields::overlapping_fields,
        unknown_names::unknown_names, variable_positions::variable_positions,
    },
};

use super::{
    direct,
    heap_bytes::HeapBytes,
    parse_error,
    selections::{directives, selections},
};

/// The SHA-256 of a document's text, in lowercase hexadecimal digits.
pub(in crate::pipeline) type Hash = String;

pub(in crate::pipeline) fn sha256(text: &str) -> Hash {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(text);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// Returns an identifier (GraphQL over HTTP, appendix A) without its SHA-256 prefix.
pub(in crate::pipeline) fn without_prefix(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// A document that was within the limits before parsing.
#[derive(Debug)]
pub(in crate::pipeline) struct Document {
    pub(in crate::pipeline) parsed: ExecutableDocument,
    pub(super) heap_bytes: usize,
    /// The direct query, if the document is one. It is used once the document is validated.
    pub(in crate::pipeline) direct: Option<Arc<DirectQuery>>,
    /// The last cost, with the variable sizes that it was computed for. Most requests of a document have the same
    /// sizes.
    cost: Mutex<Option<(Sizes, Cost)>>,
    checked: OnceLock<Result<Traits, ServerError>>,
    /// Set after the document passed validation.
    fits: OnceLock<()>,
}

/// Properties of a document that do not depend on variables.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the properties are independent"
)]
pub(in crate::pipeline) struct Traits {
    /// Whether one statement answers it. Otherwise its statements share a snapshot.
    pub(in crate::pipeline) one_read: bool,
    /// Whether fields with the same key have selections to merge.
    pub(in crate::pipeline) merges: bool,
    /// Whether it reads data that changes without a new catalogue state: the log, whose old events are pruned, health
    /// beyond the outcome, or whether the database is writable.
    pub(in crate::pipeline) changes_without_the_catalogue: bool,
    /// Whether it introspects.
    pub(in crate::pipeline) introspects: bool,
    /// Whether selections may be skipped.
    pub(in crate::pipeline) skips: bool,
}

impl Document {
    pub(in crate::pipeline) fn parse(text: &str, limits: OperationLimits) -> Result<Self, Refused> {
        scan(text, limits)?;
        let parsed = parse_query(text).map_err(|error| {
            Refused::new(
                parse_error::in_one_line(text, error),
                Code::GraphqlParseFailed,
            )
        })?;
        let variables = parsed.operations.iter();
        let variables = variables.map(|(_, operation)| operation.node.variable_definitions.len());
        let sizes = Sizes::heap_bytes(variables.max().unwrap_or_default());
        let direct = direct::query(&parsed).map(Arc::new);
        let direct_bytes = direct.as_ref();
        let direct_bytes = direct_bytes.map_or(0, |query| {
            query.heap_bytes() + query.arguments().heap_bytes()
        });
        Ok(Self {
            heap_bytes: parsed.heap_bytes() + sizes + direct_bytes,
            parsed,
            direct,
            cost: Mutex::default(),
            checked: OnceLock::new(),
            fits: OnceLock::new(),
        })
    }

    /// Returns the cost with coerced variables. It is computed again only if their sizes differ from the last ones.
    pub(in crate::pipeline) fn cost(&self, variables: &Variables) -> Result<Cost, Error> {
        if let Ok(last) = self.cost.try_lock()
            && let Some((sizes, cost)) = &*last
            && sizes.are_of(variables)
        {
            return Ok(*cost);
        }
        let sizes = Sizes::of(variables);
        let cost = cost::cost(&self.parsed, &sizes)?;
        if let Ok(mut last) = self.cost.try_lock() {
            *last = Some((sizes, cost));
        }
        Ok(cost)
    }

    /// Applies the rules that the library lacks, or would apply only while executing. The result is cached.
    pub(in crate::pipeline) fn checked(&self) -> Result<Traits, ServerError> {
        let check = || {
            unknown_names(&self.parsed)?;
            let merges = overlapping_fields(&self.parsed)?;
            correct_values(&self.parsed)?;
            variable_positions(&self.parsed)?;
            Ok(Traits::of(&self.parsed, merges))
        };
        self.checked.get_or_init(check).clone()
    }

    /// Validates the document as it was sent. Success is cached.
    ///
    /// The library's validation would also check variable values, which `coerce` has done. Without them, its result
    /// depends only on the document.
    pub(in crate::pipeline) async fn validated(
        &self,
        validator: &Schema,
    ) -> Result<(), Vec<ServerError>> {
        if self.fits.get().is_some() {
            return Ok(());
        }
        let mut request = Request::new(String::new());
        request.set_parsed_query(self.parsed.clone());
        let errors = validator.execute(request).await.errors;
        if !errors.is_empty() {
            return Err(errors);
        }
        let _ = self.fits.set(());
        Ok(())
    }
}

impl Traits {
    fn of(document: &ExecutableDocument, merges: bool) -> Self {
        let mut traits = Self {
            one_read: document.operations.iter().all(|(_, operation)| {
                let items = &operation.node.selection_set.node.items;
                items.len() == 1 && matches!(items[0].node, Selection::Field(_))
            }),
            merges,
            changes_without_the_catalogue: false,
            introspects: false,
            skips: false,
        };
        for (parent, selection) in selections(document) {
            traits.skips |= !directives(selection).is_empty();
            let Selection::Field(field) = selection else {
                continue;
            };
            let name = field.node.name.node.as_str();
            traits.introspects |= matches!(name, "__schema" | "__type");
            let mut arguments = field.node.arguments.iter();
            traits.changes_without_the_catalogue |=
                arguments.any(|(_, value)| of_checks(&value.node));
            // Nothing is read below an unknown field.
            if let Some(parent) = parent {
                let of_field = of_type(parent, name);
                traits.one_read &= !of_field.reads;
                traits.changes_without_the_catalogue |= of_field.changes_alone;
            }
        }
        traits
    }
}

/// Returns whether an argument makes a list depend on checks. Variables are examined separately.
fn of_checks(value: &Literal) -> bool {
    match value {
        Literal::Enum(name) => is_of_checks(name),
        Literal::List(values) => values.iter().any(of_checks),
        Literal::Object(fields) => {
            let mut fields = fields.iter();
            fields.any(|(name, value)| is_of_checks(name) || of_checks(value))
        }
        _ => false,
    }
}
