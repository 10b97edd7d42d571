//! Prepares any text as the pipeline does. A document that passes is within the limits. Its validation ends without a
//! panic, an overflow of the stack, a long time, or more errors than a client can read.

#![no_main]

use std::sync::LazyLock;

use async_graphql::{Request, parser::parse_query};
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use personal_connectors::{
    config::OperationLimits,
    graphql::{self, Schema},
    pipeline::{
        measure,
        rules::{correct_values::correct_values, overlapping_fields::overlapping_fields},
    },
};

static VALIDATOR: LazyLock<Schema> = LazyLock::new(|| graphql::validator(true));

fuzz_target!(|text: &str| {
    let limits = OperationLimits::default();
    let Ok(cost) = measure(text, limits) else {
        return;
    };
    assert!(cost.depth <= limits.max_depth, "{cost:?}");
    assert!(cost.fields <= limits.max_fields, "{cost:?}");
    assert!(cost.complexity <= limits.max_complexity, "{cost:?}");
    assert!(cost.aliases <= limits.max_aliases, "{cost:?}");
    assert!(cost.directives <= limits.max_directives, "{cost:?}");
    assert!(cost.size <= limits.max_tokens, "{cost:?}");

    let document = parse_query(text).expect("it was parsed before");
    if overlapping_fields(&document).is_err() || correct_values(&document).is_err() {
        return;
    }
    let mut request = Request::new(String::new());
    request.set_parsed_query(document);
    let validated = VALIDATOR.execute(request).now_or_never();
    let errors = validated.expect("a validation waits for nothing").errors;
    assert!(errors.len() as u64 <= limits.max_tokens, "{}", errors.len());
});
