//! Reads the usable parts of a tool.

use serde_json::{Map, Value};

use crate::{
    config::InspectionLimits,
    domain::inspection::{TOOL_NAME_BYTES, Tool},
};

use super::text::{clip, clipped};

/// The hints of MCP's `ToolAnnotations`, without its title.
const HINTS: [&str; 4] = [
    "readOnlyHint",
    "destructiveHint",
    "idempotentHint",
    "openWorldHint",
];

/// A tool, and whether a part of the wrong type was left out.
pub(super) struct Read {
    pub(super) tool: Tool,
    pub(super) is_cut: bool,
}

/// Reads a tool; none without a name, because it cannot be called.
pub(super) fn read(tool: &Value, limits: &InspectionLimits) -> Option<Read> {
    let name = tool.get("name")?.as_str().filter(|name| !name.is_empty())?;
    let mut name = clipped(name, TOOL_NAME_BYTES);
    name.truncate(name.floor_char_boundary(TOOL_NAME_BYTES));
    let part = |name: &str| tool.get(name).filter(|part| !part.is_null());
    let (title, description) = (part("title"), part("description"));
    let (input, output) = (part("inputSchema"), part("outputSchema"));
    let annotations = part("annotations");
    let text = |part: Option<&Value>| Some(clip(part?.as_str()?, limits));
    let json = |part: Option<&Value>| {
        let text = part?.to_string();
        (text.len() <= limits.schema_bytes).then_some(text)
    };
    let is_text = |part: Option<&Value>| part.is_none_or(Value::is_string);
    Some(Read {
        is_cut: !is_text(title)
            || !is_text(description)
            || !input.is_some_and(is_schema)
            || !output.is_none_or(is_schema)
            || !annotations.is_none_or(Value::is_object),
        tool: Tool {
            name,
            title: text(title),
            description: text(description),
            input_schema: json(input.filter(|schema| is_schema(schema))),
            output_schema: json(output.filter(|schema| is_schema(schema))),
            annotations: annotations
                .and_then(Value::as_object)
                .and_then(|annotations| json(Some(&hints(annotations)))),
        },
    })
}

/// A JSON Schema is an object or a boolean (2020-12, section 4.3).
fn is_schema(schema: &Value) -> bool {
    schema.is_object() || schema.is_boolean()
}

/// Returns the annotations that MCP defines, in its order.
fn hints(annotations: &Map<String, Value>) -> Value {
    let title = annotations.get_key_value("title");
    let title = title.filter(|(_, title)| title.is_string());
    let hints = HINTS
        .iter()
        .filter_map(|name| annotations.get_key_value(*name));
    let hints = hints.filter(|(_, hint)| hint.is_boolean());
    let known = title.into_iter().chain(hints);
    Value::Object(
        known
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tool_keeps_what_is_of_its_type() {
        let read = |tool: &Value| super::read(tool, &InspectionLimits::default());
        let good = json!({
            "name": "a", "title": null, "description": "A", "inputSchema": { "b": 1, "a": 1e2 }, "outputSchema": true,
            "more": [],
            "annotations": { "openWorldHint": false, "readOnlyHint": true, "mine": 1, "title": "T",
                "idempotentHint": null },
            "icons": [{ "src": 1, "sizes": "48x48" }],
        });
        let Read { tool, is_cut } = read(&good).unwrap();
        assert!(!is_cut);
        assert_eq!(
            (tool.title.as_deref(), tool.description.as_deref()),
            (None, Some("A"))
        );
        assert_eq!(tool.input_schema.as_deref(), Some(r#"{"b":1,"a":100.0}"#));
        assert_eq!(tool.output_schema.as_deref(), Some("true"));
        let annotations = r#"{"title":"T","readOnlyHint":true,"openWorldHint":false}"#;
        assert_eq!(tool.annotations.as_deref(), Some(annotations));
        for (name, value) in [
            ("title", json!(1)),
            ("description", json!(["A"])),
            ("inputSchema", json!(null)),
            ("inputSchema", json!("{}")),
            ("outputSchema", json!([])),
            ("annotations", json!([])),
        ] {
            let mut odd = good.clone();
            odd[name] = value;
            let Read { tool, is_cut } = read(&odd).unwrap();
            assert!(is_cut, "{odd}");
            assert_eq!(tool.name, "a");
        }
        for nameless in [
            json!({ "name": 1 }),
            json!({ "name": "" }),
            json!({}),
            json!("a"),
            json!(null),
            json!([]),
        ] {
            assert!(read(&nameless).is_none(), "{nameless}");
        }
    }
}
