//! Cases that clients handle differently: omitted and null fields, mapped scalars, and unknown enum values.

use chrono::{Duration, SubsecRound, Utc};
use client::{
    Check, Clear, Client, Connectors, Create, CreateOfInput, Inspect, Update, check, clear,
    connectors, create, create_of_input, inspect, older, update,
};
use serde_json::json;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let client = Client::from_env()?;
    omit_fields_and_send_null(&client).await?;
    send_null_and_the_default(&client).await?;
    map_scalars(&client).await?;
    meet_an_unknown_enum_value(&client).await
}

async fn create_connector(
    client: &Client,
    variables: create::Variables,
) -> Outcome<create::CreateCreateCustomConnectorPersonalConnector> {
    let data = client
        .ask::<Create>(variables)
        .await?
        .data
        .ok_or("no data")?;
    let payload = data.create_custom_connector.ok_or("no payload")?;
    assert_eq!(payload.user_errors, []);
    Ok(payload.personal_connector.ok_or("no connector")?)
}

/// `skip_serializing_none` omits `None`; without it, `None` is sent as null.
async fn omit_fields_and_send_null(client: &Client) -> Outcome {
    let plans = create::Variables {
        name: "Our plans".to_owned(),
        description: Some("Plans of the team".to_owned()),
        server_url: Some("https://plans.example.com/mcp".to_owned()),
        ..Default::default()
    };
    let plans = create_connector(client, plans).await?;
    assert_eq!(plans.category, Some(create::ConnectorCategory::Custom));
    assert_eq!(plans.server_type, Some(create::ServerType::Http));
    assert_eq!(plans.visibility, create::ConnectorVisibility::Private);
    assert_eq!(plans.version, None);

    let version = update::Variables {
        id: plans.id.clone(),
        version: Some("1.0.0".to_owned()),
        description: None,
    };
    let data = client.ask::<Update>(version).await?.data.ok_or("no data")?;
    let payload = data.update_custom_connector.ok_or("no payload")?;
    let updated = payload.personal_connector.ok_or("no connector")?;
    assert_eq!(updated.description, plans.description);

    let nothing = clear::Variables {
        id: plans.id,
        description: None,
    };
    let data = client.ask::<Clear>(nothing).await?.data.ok_or("no data")?;
    let payload = data.update_custom_connector.ok_or("no payload")?;
    let cleared = payload.personal_connector.ok_or("no connector")?;
    assert_eq!(cleared.description, None);
    assert_eq!(cleared.version.as_deref(), Some("1.0.0"));
    Ok(())
}

/// Null and the default mean the same as no value. A category is nullable, so null means none.
async fn send_null_and_the_default(client: &Client) -> Outcome {
    use create_of_input::{ConnectorCategory, ConnectorVisibility, ServerType};

    let server_url = "https://tracker.example.com/mcp".to_owned();
    let nulls = create_of_input::CreateCustomConnectorInput {
        name: "Our tracker".to_owned(),
        server_url: Some(server_url.clone()),
        ..Default::default()
    };
    let defaults = create_of_input::CreateCustomConnectorInput {
        name: "Our planner".to_owned(),
        server_url: Some(server_url.clone()),
        category: Some(ConnectorCategory::Custom),
        server_type: Some(ServerType::Http),
        visibility: Some(ConnectorVisibility::Private),
        verify: Some(false),
        validate_only: Some(false),
        ..Default::default()
    };
    for (input, category, server_type, hours) in [
        (nulls, None, None, None),
        (
            defaults,
            Some(ConnectorCategory::Custom),
            Some(inspect::ServerType::Http),
            Some(24),
        ),
    ] {
        let input = create_of_input::Variables { input };
        let response = client.ask::<CreateOfInput>(input).await?;
        let data = response.data.ok_or("no data")?;
        let payload = data.create_custom_connector.ok_or("no payload")?;
        let tracker = payload.personal_connector.ok_or("no connector")?;
        assert_eq!(tracker.category, category);
        assert_eq!(tracker.server_type, Some(ServerType::Http));
        assert_eq!(tracker.visibility, ConnectorVisibility::Private);

        // In the tests the service may call no server.
        let server = inspect::InspectServerInput {
            server_url: server_url.clone(),
            server_type,
        };
        let server = inspect::Variables { input: server };
        let response = client.ask::<Inspect>(server).await?;
        let payload = response.data.ok_or("no data")?.inspect_server;
        let inspection = payload.and_then(|payload| payload.inspection);
        assert_eq!(
            inspection.ok_or("no inspection")?.outcome,
            inspect::InspectionOutcome::Blocked
        );

        let hours = check::Variables {
            id: tracker.id,
            hours,
        };
        let response = client.ask::<Check>(hours).await?;
        let payload = response.data.ok_or("no data")?.check_connector;
        let connector = payload.and_then(|payload| payload.personal_connector);
        let health = connector.and_then(|connector| connector.health);
        assert_eq!(health.and_then(|health| health.uptime), Some(0.0));
    }
    Ok(())
}

/// `DateTime` is chrono's type in both directions, `JSON` is any value, and `URL` is text.
async fn map_scalars(client: &Client) -> Outcome {
    // The service accepts microseconds, and no nanoseconds.
    let began = (Utc::now() - Duration::minutes(1)).trunc_subsecs(6);
    let metadata = Some(json!({ "owner": "engineering", "floors": [1, 2] }));
    let icon_url = Some("https://pages.example.com/icon.png".to_owned());
    let pages = create::Variables {
        name: "Our pages".to_owned(),
        server_url: Some("https://pages.example.com/mcp".to_owned()),
        icon_url: icon_url.clone(),
        metadata: metadata.clone(),
        ..Default::default()
    };
    let pages = create_connector(client, pages).await?;
    assert_eq!(pages.metadata, metadata);
    assert_eq!(pages.icon_url, icon_url);
    assert!(pages.created_at > began);

    let range = connectors::DateTimeRange {
        gte: Some(began),
        lt: None,
    };
    let recent = connectors::Variables {
        filter: Some(connectors::PersonalConnectorFilter {
            created_at: Some(range),
            ..Default::default()
        }),
        after: None,
    };
    let data = client
        .ask::<Connectors>(recent)
        .await?
        .data
        .ok_or("no data")?;
    assert!(data.personal_connectors.total_count >= 1);
    Ok(())
}

/// An unknown enum value becomes the variant `Other`, with the value's name.
async fn meet_an_unknown_enum_value(client: &Client) -> Outcome {
    let all = older::connectors::Variables::default();
    let response = client.ask::<older::Connectors>(all).await?;
    let nodes = response.data.ok_or("no data")?.personal_connectors.nodes;
    let official = older::connectors::ConnectorType::Other("OFFICIAL".to_owned());
    assert!(nodes.iter().any(|one| one.type_ == official));
    Ok(())
}
