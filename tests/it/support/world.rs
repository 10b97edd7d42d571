//! A catalogue with a connector of every kind of owner, and everyone who might look at it.

use entity::{
    ConnectorSource, ConnectorStatus, ConnectorType, ConnectorVisibility, personal_connector::Model,
};
use personal_connectors::{
    domain::text::name_key,
    store::{Actor, Tx},
};

use crate::support::harness::{NOW, Server, timestamp};

/// A custom connector `pcon_ID` of an owner `USER` or `USER@ORGANIZATION`.
pub fn connector(id: &str, name: &str, owner: &str, visibility: ConnectorVisibility) -> Model {
    let (user, organization) = match owner.split_once('@') {
        Some((user, organization)) => (user, Some(organization.to_owned())),
        None => (owner, None),
    };
    Model {
        seq: 0,
        id: format!("pcon_{id}"),
        name: name.to_owned(),
        name_key: name_key(name),
        r#type: ConnectorType::Custom,
        connector_id: "custom_mcp".to_owned(),
        description: None,
        icon_url: None,
        category: None,
        version: None,
        status: ConnectorStatus::Active,
        status_message: None,
        replaced_by_id: None,
        server_url: Some("https://mcp.example.com".to_owned()),
        server_type: Some(entity::ServerType::Http),
        metadata: None,
        visibility,
        organization_id: organization,
        created_by: Some(user.to_owned()),
        created_at: timestamp(NOW),
        updated_at: timestamp(NOW),
        revision: 1,
        source: ConnectorSource::Api,
        source_hash: None,
        source_status: None,
    }
}

impl Server {
    /// A transaction of nobody's.
    pub async fn tx(&self) -> Tx {
        Tx::begin(&self.database, Actor::default(), timestamp(NOW))
            .await
            .unwrap()
    }

    /// Writes connectors past the mutations' rules, and gives them with their numbers.
    pub async fn put(&self, rows: Vec<Model>) -> Vec<Model> {
        let mut tx = self.tx().await;
        let rows = tx.insert(rows).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        rows
    }
}
