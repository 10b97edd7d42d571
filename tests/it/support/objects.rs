//! Connectors in the published form, one a line, and their import.

use fixtures::published::{custom, numbered, with};
use serde_json::{Value, json};

use crate::support::{
    harness::TestDatabase,
    process::{program_on, run_with},
};

/// Returns the published object of a custom connector of `ann`.
pub fn object(id: &str, more: &Value) -> String {
    let object = with(custom(id, id), json!({ "createdBy": "ann" }));
    with(object, more.clone()).to_string()
}

pub fn import(storage: &TestDatabase, objects: &[String]) {
    let import = program_on(storage, &["import", "--organization", "acme"]);
    run_with(import, &objects.join("\n")).ok();
}

/// Returns published objects of this many custom connectors, one a line.
pub fn objects(count: usize) -> String {
    let lines: Vec<_> = (0..count).map(|i| numbered(i).to_string()).collect();
    lines.join("\n")
}
