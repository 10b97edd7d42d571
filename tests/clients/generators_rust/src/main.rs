//! Sends each input with a default in each form, and compares the responses.

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

#[cynic::schema("catalogue")]
mod schema {}

static NAMES: AtomicUsize = AtomicUsize::new(0);

// In the tests the service may call no server.
const SERVER_URL: &str = "https://plans.example.com/mcp";

async fn ask<Data: DeserializeOwned>(operation: impl Serialize) -> Data {
    let request = reqwest::Client::new().post(env::var("URL").unwrap());
    let request = request.bearer_auth(env::var("TOKEN").unwrap());
    let response = request.json(&operation).send().await.unwrap();
    let answer: cynic::GraphQlResponse<Data> = response.json().await.unwrap();
    assert!(answer.errors.is_none(), "{:?}", answer.errors);
    answer.data.unwrap()
}

fn name() -> String {
    format!("Plans {}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// Creates a connector without a generated client, and returns its id.
async fn connector() -> cynic::Id {
    let query = "mutation($name: String!, $serverUrl: String) {
        createCustomConnector(input: {name: $name, serverUrl: $serverUrl}) { personalConnector { id } }
    }";
    let variables = json!({ "name": name(), "serverUrl": SERVER_URL });
    let data: Value = ask(json!({ "query": query, "variables": variables })).await;
    let id = &data["createCustomConnector"]["personalConnector"]["id"];
    cynic::Id::new(id.as_str().unwrap())
}

/// The requests and cases of a generated client. `$unset` is the category of a connector whose input has none.
macro_rules! client {
    ($module:ident, $file:literal, $unset:literal) => {
        mod $module {
            use self::generated::*;
            use super::{SERVER_URL, ask, connector, name};
            use cynic::{MutationBuilder, QueryBuilder};

            #[expect(dead_code, reason = "the fields of answers are compared as text")]
            mod generated {
                use super::super::schema;
                include!(concat!(env!("OUT_DIR"), "/", $file));
            }

            fn draft(name: &str) -> CreateCustomConnectorInput<'_> {
                CreateCustomConnectorInput {
                    category: None,
                    description: None,
                    icon_url: None,
                    idempotency_key: None,
                    metadata: None,
                    name,
                    server_type: None,
                    server_url: Some(SERVER_URL),
                    validate_only: None,
                    verify: None,
                    version: None,
                    visibility: None,
                }
            }

            async fn create(change: impl FnOnce(&mut CreateCustomConnectorInput)) -> String {
                let name = name();
                let mut input = draft(&name);
                change(&mut input);
                let created: Create = ask(Create::build(CreateVariables { input })).await;
                format!("{:?}", created.create_custom_connector.unwrap())
            }

            async fn inspect(server_type: Option<ServerType>) -> String {
                let input = InspectServerInput {
                    server_type,
                    server_url: SERVER_URL,
                };
                let inspected: Inspect = ask(Inspect::build(InspectVariables { input })).await;
                format!("{:?}", inspected.inspect_server.unwrap())
            }

            async fn update(validate_only: Option<bool>) -> String {
                let (id, name) = (connector().await, name());
                let input = UpdateCustomConnectorInput {
                    category: None,
                    description: None,
                    expected_revision: None,
                    icon_url: None,
                    id: &id,
                    metadata: None,
                    // The given inputs must not be null.
                    name: Some(&name),
                    server_type: Some(ServerType::Http),
                    server_url: Some(SERVER_URL),
                    validate_only,
                    version: Some("1.0.0"),
                    visibility: Some(ConnectorVisibility::Private),
                };
                let updated: Update = ask(Update::build(UpdateVariables { input })).await;
                format!("{:?}", updated.update_custom_connector.unwrap())
            }

            async fn uptime(hours: Option<i32>) -> Option<f64> {
                let id = connector().await;
                let _: Check = ask(Check::build(CheckVariables { id: &id })).await;
                let read: Uptime = ask(Uptime::build(UptimeVariables { hours, id: &id })).await;
                read.personal_connector.unwrap().health.unwrap().uptime
            }

            pub async fn compare() {
                let unset = create(|_| ()).await;
                assert!(unset.contains($unset), "{unset}");
                for (change, is_default) in [
                    (
                        (|input| input.server_type = Some(ServerType::Http))
                            as fn(&mut CreateCustomConnectorInput),
                        true,
                    ),
                    (|input| input.validate_only = Some(false), true),
                    (|input| input.verify = Some(false), true),
                    (
                        |input| input.visibility = Some(ConnectorVisibility::Private),
                        true,
                    ),
                    (
                        |input| input.server_type = Some(ServerType::Websocket),
                        false,
                    ),
                    (|input| input.validate_only = Some(true), false),
                    (|input| input.verify = Some(true), false),
                    (
                        |input| input.visibility = Some(ConnectorVisibility::Organization),
                        false,
                    ),
                    (
                        |input| input.category = Some(ConnectorCategory::Design),
                        false,
                    ),
                ] {
                    let answer = create(change).await;
                    assert_eq!(answer == unset, is_default, "{answer}");
                }
                let custom = create(|input| input.category = Some(ConnectorCategory::Custom)).await;
                assert!(custom.contains("category: Some(Custom)"), "{custom}");

                let unset = inspect(None).await;
                assert_eq!(inspect(Some(ServerType::Http)).await, unset);
                assert_ne!(inspect(Some(ServerType::Stdio)).await, unset);

                let unset = update(None).await;
                assert_eq!(update(Some(false)).await, unset);
                assert_ne!(update(Some(true)).await, unset);

                assert_eq!(uptime(None).await, Some(0.0));
                assert_eq!(uptime(Some(24)).await, Some(0.0));
            }
        }
    };
}

client!(null, "null.rs", "category: None");
client!(omitted, "omitted.rs", "category: Some(Custom)");

#[tokio::main]
async fn main() {
    null::compare().await;
    omitted::compare().await;
}
