//! Receives its own changes as they happen, over a WebSocket.

use client::{Changed, Client, Connectors, Create, Update, changed, connectors, create, update};
use futures_util::StreamExt;
use graphql_ws_client::graphql::StreamingOperation;
use serde_json::json;
use tokio_tungstenite::tungstenite::{client::IntoClientRequest, http::HeaderValue};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;

    // Starting from the list's cursor, no change is missed.
    let list = client
        .ask::<Connectors>(connectors::Variables::default())
        .await?;
    let after = list
        .data
        .ok_or("no data")?
        .personal_connectors
        .changes_cursor;

    let mut request = client.url.replacen("http", "ws", 1).into_client_request()?;
    let protocol = HeaderValue::from_static("graphql-transport-ws");
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let (socket, _) = tokio_tungstenite::connect_async(request).await?;
    let custom = changed::PersonalConnectorChangeFilter {
        type_: Some(vec![changed::ConnectorType::Custom]),
        ..Default::default()
    };
    let mut changes = graphql_ws_client::Client::build(socket)
        .payload(json!({ "Authorization": format!("Bearer {}", client.token) }))?
        .subscribe(StreamingOperation::<Changed>::new(changed::Variables {
            after: Some(after),
            filter: Some(custom),
        }))
        .await?;

    let notes = create::Variables {
        name: "Our notes".to_owned(),
        server_url: Some("https://notes.example.com/mcp".to_owned()),
        ..Default::default()
    };
    let data = client.ask::<Create>(notes).await?.data.ok_or("no data")?;
    let payload = data.create_custom_connector.ok_or("no payload")?;
    let id = payload.personal_connector.ok_or("no connector")?.id;
    let event = changes.next().await.ok_or("the stream ended")??;
    let change = event.data.ok_or("no data")?.personal_connector_changed;
    assert_eq!(change.kind, changed::PersonalConnectorChangeKind::Created);
    assert_eq!(change.personal_connector.ok_or("no connector")?.id, id);

    let description = Some("Notes of the team".to_owned());
    let described = update::Variables {
        id,
        description: description.clone(),
        version: None,
    };
    client.ask::<Update>(described).await?;
    let event = changes.next().await.ok_or("the stream ended")??;
    let change = event.data.ok_or("no data")?.personal_connector_changed;
    assert_eq!(
        change.changed_fields,
        [changed::PersonalConnectorField::Description]
    );
    assert_eq!(
        change.personal_connector.ok_or("no connector")?.description,
        description
    );
    Ok(())
}
