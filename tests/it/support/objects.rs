//! Connectors in the published form, and their import.

use serde_json::{Value, json};

use crate::support::{
    harness::TestDatabase,
    mutations::with,
    process::{program_on, run_with},
};

/// A published object of a custom connector.
pub fn object(id: &str, more: &Value) -> String {
    let object = json!({
        "id": format!("pcon_{id}"), "object": "personal_connector", "name": id, "type": "custom",
        "connectorId": "custom_mcp", "status": "active", "createdBy": "ann",
    });
    with(object, more.clone()).to_string()
}

pub fn import(storage: &TestDatabase, objects: &[String]) {
    let import = program_on(storage, &["import", "--organization", "acme"]);
    run_with(import, &objects.join("\n")).ok();
}

/// Published objects of so many custom connectors, one a line.
pub fn objects(count: usize) -> String {
    let object = |i| {
        json!({
            "id": format!("pcon_object{i}"), "object": "personal_connector", "name": format!("Object {i}"),
            "type": "custom", "connectorId": "custom_mcp", "status": "active", "createdBy": "importer",
            "serverUrl": format!("https://x{i}.example.com"), "metadata": { "number": i },
        })
    };
    let lines: Vec<_> = (0..count).map(|i| object(i).to_string()).collect();
    lines.join("\n")
}
