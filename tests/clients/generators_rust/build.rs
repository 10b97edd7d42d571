//! Generates the client twice: with cynic-querygen alone, which sends `None` as null, and with inputs that omit `None`.

use std::{env, fs, path::Path};

const SCHEMA: &str = "../../../schema.graphql";
const OPERATIONS: &str = "../generators_typescript/operations.graphql";

fn main() {
    println!("cargo::rerun-if-changed={SCHEMA}");
    println!("cargo::rerun-if-changed={OPERATIONS}");
    let schema = cynic_codegen::register_schema("catalogue");
    schema.from_sdl_file(SCHEMA).unwrap().as_default().unwrap();

    let generator = cynic_querygen::Generator::new(fs::read_to_string(SCHEMA).unwrap()).unwrap();
    let code = generator
        .generate(fs::read_to_string(OPERATIONS).unwrap())
        .unwrap();
    let folder = env::var("OUT_DIR").unwrap();
    fs::write(Path::new(&folder).join("null.rs"), &code).unwrap();
    fs::write(Path::new(&folder).join("omitted.rs"), omitting(&code)).unwrap();
}

/// Adds the attribute to each optional field of inputs and variables, as in the guide.
fn omitting(code: &str) -> String {
    let mut is_input = false;
    let mut text = String::new();
    for line in code.lines() {
        if line.starts_with("#[derive(") {
            is_input = line.contains("InputObject") || line.contains("QueryVariables");
        }
        if is_input && line.contains(": Option<") {
            text += "#[cynic(skip_serializing_if = \"Option::is_none\")]\n";
        }
        text = text + line + "\n";
    }
    text
}
