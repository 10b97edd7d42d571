use serde_json::{Value, json};

use super::*;

fn form(section: Section, json: &Value) -> Result<Form, String> {
    let object = object::parse(&json.to_string()).unwrap();
    recognise(section, &object).map_err(|rejection| rejection.to_string())
}

#[test]
fn each_form_is_recognised_by_its_keys() {
    use Section::*;
    for (section, json, expected) in [
        (
            Open,
            json!({"object": "personal_connector"}),
            Form::Published,
        ),
        (Open, json!({"id": "pcon_a"}), Form::Published),
        (
            Open,
            json!({"connectorId": "a", "name": "a/b c"}),
            Form::Registry,
        ),
        (Open, json!({"connectorId": "a"}), Form::Published),
        (Open, json!({"name": "io.example/a"}), Form::Registry),
        (Servers, json!({"name": "io.example/a"}), Form::Registry),
        (Open, json!({"server": {}}), Form::Registry),
        (ClientServers, json!({}), Form::Client),
        (Servers, json!({"command": "npx"}), Form::Client),
        (
            Servers,
            json!({"type": "http", "url": "https://a.example"}),
            Form::Client,
        ),
        (Open, json!({"name": "a", "command": "npx"}), Form::Client),
        (
            Servers,
            json!({"image": "a", "transport": "stdio"}),
            Form::ToolHive,
        ),
        (
            RemoteServers,
            json!({"url": "https://a.example"}),
            Form::ToolHive,
        ),
        (
            Open,
            json!({"name": "a", "image": "mcp/a", "about": {}}),
            Form::Docker,
        ),
        (
            Open,
            json!({"name": "a", "type": "remote", "remote": {}}),
            Form::Docker,
        ),
        (DockerRegistry, json!({"title": "A"}), Form::Docker),
        (
            Packages,
            json!({"name": "a", "installations": {}}),
            Form::Mcpm,
        ),
        (Open, json!({"name": "a", "installations": {}}), Form::Mcpm),
    ] {
        assert_eq!(form(section, &json), Ok(expected), "{section:?} {json}");
    }
}

#[test]
fn what_is_not_recognised_is_one_line_that_says_what_it_looks_like() {
    for (json, expected) in [
        (json!({}), "it is empty"),
        (json!({"a": 1, "b": 2}), "its keys are a, b"),
        (
            json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}),
            "its keys are a, b, c, d, e, …",
        ),
        (
            json!({"mcpServers": {}}),
            "it looks like a client's configuration in a list",
        ),
        (
            json!({"openapi": "3.1.0"}),
            "it looks like an OpenAPI document",
        ),
        (
            json!({"name": "t", "inputSchema": {}}),
            "it looks like an MCP tool",
        ),
        (
            json!({"name": "p", "dependencies": {}}),
            "it looks like a package.json",
        ),
        (
            json!({"errors": []}),
            "it looks like an answer that is an error",
        ),
        (
            json!({"jsonrpc": "2.0"}),
            "it looks like a JSON-RPC message",
        ),
    ] {
        let reason = form(Section::Open, &json).unwrap_err();
        let begin = "the entry is neither a personal connector nor an MCP server: ";
        assert!(
            reason.starts_with(&format!("{begin}{expected}")),
            "{reason}"
        );
        assert!(
            reason.contains(". Give objects that export wrote") && !reason.contains('\n'),
            "{reason}"
        );
    }
}
