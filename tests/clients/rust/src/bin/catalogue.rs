//! Lists connectors page by page, creates and changes one, and handles both kinds of errors.

use client::{Client, Connectors, Create, Update, connectors, create, update};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;

    let filter = connectors::PersonalConnectorFilter {
        type_: Some(vec![
            connectors::ConnectorType::Official,
            connectors::ConnectorType::AitronosBuilt,
        ]),
        not: Box::new(Some(connectors::PersonalConnectorFilter {
            status: Some(vec![connectors::ConnectorStatus::Deprecated]),
            ..Default::default()
        })),
        ..Default::default()
    };
    let mut variables = connectors::Variables {
        filter: Some(filter),
        after: None,
    };
    let (mut built_in, mut pages) = (Vec::new(), 0);
    let total = loop {
        let response = client.ask::<Connectors>(variables.clone()).await?;
        let page = response.data.ok_or("no data")?.personal_connectors;
        built_in.extend(page.nodes);
        pages += 1;
        if !page.page_info.has_next_page {
            break page.total_count;
        }
        variables.after = page.page_info.end_cursor;
    };
    assert!(pages >= 3);
    assert_eq!(i64::try_from(built_in.len())?, total);
    assert!(
        built_in
            .iter()
            .all(|one| one.object == "personal_connector")
    );
    assert!(
        built_in
            .iter()
            .all(|one| one.created_at < chrono::Utc::now())
    );

    // The payload's user errors list the errors that another input would avoid.
    let blank = create::Variables {
        name: " ".to_owned(),
        server_url: Some("https://wiki.example.com/mcp".to_owned()),
        ..Default::default()
    };
    let data = client.ask::<Create>(blank).await?.data.ok_or("no data")?;
    let errors = data
        .create_custom_connector
        .ok_or("no payload")?
        .user_errors;
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].code, create::UserErrorCode::Blank);
    assert_eq!(
        errors[0].field,
        Some(vec!["input".to_owned(), "name".to_owned()])
    );

    let wiki = create::Variables {
        name: "Our wiki".to_owned(),
        description: Some("Pages of the wiki".to_owned()),
        server_url: Some("https://wiki.example.com/mcp".to_owned()),
        metadata: Some(json!({ "owner": "engineering" })),
        ..Default::default()
    };
    let data = client.ask::<Create>(wiki).await?.data.ok_or("no data")?;
    let payload = data.create_custom_connector.ok_or("no payload")?;
    let created = payload.personal_connector.ok_or("no connector")?;
    assert_eq!(created.metadata, Some(json!({ "owner": "engineering" })));

    // Fields that are not sent stay unchanged.
    let version = update::Variables {
        id: created.id,
        version: Some("1.0.0".to_owned()),
        description: None,
    };
    let data = client.ask::<Update>(version).await?.data.ok_or("no data")?;
    let payload = data.update_custom_connector.ok_or("no payload")?;
    let updated = payload.personal_connector.ok_or("no connector")?;
    assert_eq!(updated.version.as_deref(), Some("1.0.0"));
    assert_eq!(updated.description, created.description);

    // Every other error is one of the request, with a code.
    variables.after = Some("no cursor".to_owned());
    let errors = client
        .ask::<Connectors>(variables)
        .await?
        .errors
        .ok_or("no errors")?;
    let extensions = errors[0].extensions.as_ref().ok_or("no extensions")?;
    assert_eq!(extensions["code"], "CURSOR_INVALID");
    Ok(())
}
