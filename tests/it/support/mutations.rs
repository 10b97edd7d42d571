//! The four mutations, in a short form for tests.

use std::sync::LazyLock;

pub use fixtures::published::with;
use serde_json::{Value, json};

use crate::support::{harness::Server, schema::leaves};

pub const WRITE: &[&str] = &["connectors:write"];
pub const ADMIN: &[&str] = &["connectors:admin"];
pub const CATALOG: &[&str] = &["catalog:admin"];

pub const CREATE: &str = "createCustomConnector";
pub const UPDATE: &str = "updateCustomConnector";
pub const DELETE: &str = "deleteCustomConnector";
pub const STATUS: &str = "setConnectorStatus";

/// All fields of a user error.
pub const USER_ERROR: &str =
    "code field message limit current conflict { revision actor occurredAt changedFields }";

/// All fields of a connector that a change could affect.
pub static WHOLE: LazyLock<String> =
    LazyLock::new(|| format!("{} replacedBy {{ id }}", leaves("PersonalConnector")));

impl Server {
    /// Returns the payload of a mutation without a top-level error.
    pub async fn mutate(&self, token: &str, field: &str, input: Value) -> Value {
        let variables = json!({ "input": input });
        let mut data = self.data(token, &mutation(field), variables).await;
        data[field].take()
    }

    /// Returns the user errors of a mutation, as `CODE input.field`.
    pub async fn errors(&self, token: &str, field: &str, input: Value) -> Vec<String> {
        errors(&self.mutate(token, field, input).await)
    }

    /// Returns the connector of a successful mutation.
    pub async fn change(&self, token: &str, field: &str, input: Value) -> Value {
        let mut payload = self.mutate(token, field, input).await;
        assert_eq!(errors(&payload), NONE, "{payload}");
        payload["personalConnector"].take()
    }

    /// Creates a connector and returns its id.
    pub async fn create(&self, token: &str, name: &str, visibility: &str) -> String {
        let input = draft(name, json!({ "visibility": visibility }));
        let connector = self.change(token, CREATE, input).await;
        connector["id"].as_str().unwrap().to_owned()
    }

    /// Returns a connector as a viewer sees it; null if they do not.
    pub async fn see(&self, token: &str, id: &str) -> Value {
        let query = format!(
            "query($id: ID!) {{ node(id: $id) {{ ...C }} }} fragment C on PersonalConnector {{ {} }}",
            *WHOLE
        );
        self.data(token, &query, json!({ "id": id })).await["node"].take()
    }

    /// Returns all rows that changes write: connectors, events, state and keys.
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

/// Returns the document of one mutation, with the variable `$input`.
pub fn mutation(field: &str) -> String {
    let (first, rest) = field.split_at(1);
    let input = format!("{}{rest}Input", first.to_uppercase());
    let deleted = if field == DELETE { "deletedId" } else { "" };
    format!(
        "mutation($input: {input}!) {{ {field}(input: $input) {{
            {deleted} personalConnector {{ {} }} userErrors {{ {USER_ERROR} }}
        }} }}",
        *WHOLE
    )
}

/// Returns a payload's errors, as `CODE input.field`.
pub fn errors(payload: &Value) -> Vec<String> {
    let path = |error: &Value| {
        let path: Vec<_> = error["field"].as_array()?.iter().map(text).collect();
        Some(path.join("."))
    };
    let errors = payload["userErrors"].as_array().unwrap().iter();
    errors
        .inspect(|error| check(error))
        .map(|error| match path(error) {
            Some(path) => format!("{} {path}", text(&error["code"])),
            None => text(&error["code"]).to_owned(),
        })
        .collect()
}

/// Checks the rules for every user error, for the requested fields.
fn check(error: &Value) {
    let code = text(&error["code"]);
    let field = error["field"].get(1).map_or("", text);
    if let Some(message) = error["message"].as_str() {
        let named = message.to_lowercase().starts_with(&field.to_lowercase());
        let is_sentence = message.starts_with(char::is_uppercase) && message.ends_with('.');
        assert!(is_sentence && (field.is_empty() || !named), "{error}");
    }
    if let (Some(limit), Some(current)) = (error.get("limit"), error.get("current")) {
        let has_numbers = ["TOO_LONG", "LIMIT_EXCEEDED"].contains(&code);
        assert_eq!(
            (limit.is_i64(), current.is_i64()),
            (has_numbers, has_numbers),
            "{error}"
        );
        assert!(limit.as_i64() <= current.as_i64(), "{error}");
    }
    if let Some(conflict) = error.get("conflict") {
        let is_of_change = code == "CONFLICT" && field != "idempotencyKey";
        assert_eq!(conflict.is_object(), is_of_change, "{error}");
    }
}

/// No errors.
pub const NONE: [&str; 0] = [];

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Returns the least input of a create, with additional fields.
pub fn draft(name: &str, more: Value) -> Value {
    let least = json!({ "name": name, "serverUrl": "https://mcp.example.com" });
    with(least, more)
}
