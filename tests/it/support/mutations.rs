//! The four mutations, as short as tests want them.

use serde_json::{Value, json};

use crate::support::harness::Server;

pub const WRITE: &[&str] = &["connectors:write"];
pub const ADMIN: &[&str] = &["connectors:admin"];
pub const CATALOG: &[&str] = &["catalog:admin"];

pub const CREATE: &str = "createCustomConnector";
pub const UPDATE: &str = "updateCustomConnector";
pub const DELETE: &str = "deleteCustomConnector";
pub const STATUS: &str = "setConnectorStatus";

/// All of a connector that a change could touch.
pub const WHOLE: &str = "id name type connectorId description iconUrl category version status statusMessage \
     replacedBy { id } serverUrl serverType metadata visibility organizationId createdBy createdAt updatedAt revision";

impl Server {
    /// The payload of a mutation without a top-level error.
    pub async fn mutate(&self, token: &str, field: &str, input: Value) -> Value {
        let variables = json!({ "input": input });
        let mut data = self.data(token, &mutation(field), variables).await;
        data[field].take()
    }

    /// What is wrong with a mutation's input, as `CODE input.field`.
    pub async fn errors(&self, token: &str, field: &str, input: Value) -> Vec<String> {
        errors(&self.mutate(token, field, input).await)
    }

    /// The connector that a mutation changed, which found nothing wrong.
    pub async fn change(&self, token: &str, field: &str, input: Value) -> Value {
        let mut payload = self.mutate(token, field, input).await;
        assert_eq!(errors(&payload), NONE, "{payload}");
        payload["personalConnector"].take()
    }

    /// Creates a connector and gives its id.
    pub async fn create(&self, token: &str, name: &str, visibility: &str) -> String {
        let input = draft(name, json!({ "visibility": visibility }));
        let connector = self.change(token, CREATE, input).await;
        connector["id"].as_str().unwrap().to_owned()
    }

    /// A connector as a viewer sees it, null if they don't.
    pub async fn see(&self, token: &str, id: &str) -> Value {
        let query = format!(
            "query($id: ID!) {{ node(id: $id) {{ ...C }} }} fragment C on PersonalConnector {{ {WHOLE} }}"
        );
        self.data(token, &query, json!({ "id": id })).await["node"].take()
    }

    /// All that changes write: rows, events, state and keys.
    pub async fn written(&self) -> String {
        let mut written = String::new();
        for sql in [
            "SELECT id, name, description, category, status, status_message, replaced_by_id, server_url, server_type, \
             metadata, visibility, updated_at, revision, source_hash FROM personal_connector ORDER BY id",
            "SELECT number, kind, personal_connector_id, changed_fields, revision FROM connector_event ORDER BY number",
            "SELECT state FROM catalog_state",
            "SELECT organization_id, created_by, key, input_hash, created_at FROM idempotency_key ORDER BY 1, 2, 3",
        ] {
            written += &self.rows(sql).await;
        }
        written
    }
}

/// The document of one mutation, whose variable is `$input`.
pub fn mutation(field: &str) -> String {
    let (first, rest) = field.split_at(1);
    let input = format!("{}{rest}Input", first.to_uppercase());
    let deleted = if field == DELETE { "deletedId" } else { "" };
    format!(
        "mutation($input: {input}!) {{ {field}(input: $input) {{
            {deleted} personalConnector {{ {WHOLE} }} userErrors {{ code field message }}
        }} }}"
    )
}

/// A payload's errors, as `CODE input.field`.
pub fn errors(payload: &Value) -> Vec<String> {
    let path = |error: &Value| {
        let path: Vec<_> = error["field"].as_array()?.iter().map(text).collect();
        Some(path.join("."))
    };
    let errors = payload["userErrors"].as_array().unwrap().iter();
    errors
        .map(|error| match path(error) {
            Some(path) => format!("{} {path}", text(&error["code"])),
            None => text(&error["code"]).to_owned(),
        })
        .collect()
}

/// No errors.
pub const NONE: [&str; 0] = [];

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The least input of a create, and more.
pub fn draft(name: &str, more: Value) -> Value {
    let least = json!({ "name": name, "serverUrl": "https://mcp.example.com" });
    with(least, more)
}

/// An object with the keys of another.
pub fn with(mut base: Value, more: Value) -> Value {
    let (Value::Object(object), Value::Object(more)) = (&mut base, more) else {
        panic!("expected objects")
    };
    object.extend(more);
    base
}
