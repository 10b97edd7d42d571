//! Connectors straight in the tables, as the service writes them.

use entity::{
    ConnectorSource, ConnectorStatus, ConnectorType, ConnectorVisibility, ServerType,
    personal_connector::Model,
};
use personal_connectors::{
    domain::text,
    error::UserError,
    store::{Actor, Tx},
};

use crate::support::harness::{NOW, Server, timestamp};

/// A connector of everyone's, of which nothing is known but this.
pub(crate) fn official(id: &str, name: &str) -> Model {
    Model {
        seq: 0,
        id: format!("pcon_{id}"),
        name: name.to_owned(),
        name_key: text::name_key(name),
        r#type: ConnectorType::Official,
        connector_id: id.to_owned(),
        description: None,
        icon_url: None,
        category: None,
        version: None,
        status: ConnectorStatus::Active,
        status_message: None,
        replaced_by_id: None,
        server_url: None,
        server_type: None,
        metadata: None,
        visibility: ConnectorVisibility::Public,
        organization_id: None,
        created_by: None,
        created_at: timestamp(NOW),
        updated_at: timestamp(NOW),
        revision: 1,
        source: ConnectorSource::Import,
        source_hash: None,
        source_status: None,
    }
}

/// A custom connector of `USER@ORGANIZATION`, or of `USER`.
pub(crate) fn custom(id: &str, name: &str, owner: &str, visibility: ConnectorVisibility) -> Model {
    let (user, organization) = match owner.split_once('@') {
        Some((user, organization)) => (user, Some(organization.to_owned())),
        None => (owner, None),
    };
    Model {
        r#type: ConnectorType::Custom,
        connector_id: "custom_mcp".to_owned(),
        visibility,
        organization_id: organization,
        created_by: Some(user.to_owned()),
        source: ConnectorSource::Api,
        ..official(id, name)
    }
}

impl Server {
    pub(crate) async fn begin(&self) -> Tx {
        Tx::begin(&self.database, Actor::default(), self.clock.now())
            .await
            .unwrap()
    }

    /// Inserts rows, of which no constraint refuses one.
    pub(crate) async fn insert(&self, rows: Vec<Model>) -> Vec<Model> {
        self.try_insert(rows).await.unwrap()
    }

    /// Inserts rows, all or none.
    pub(crate) async fn try_insert(&self, rows: Vec<Model>) -> Result<Vec<Model>, UserError> {
        let mut tx = self.begin().await;
        let inserted = tx.insert(rows).await.unwrap();
        match inserted {
            Ok(_) => drop(tx.commit().await.unwrap()),
            Err(_) => tx.rollback().await,
        }
        inserted
    }

    /// Forgets every connector, the built-in ones included.
    pub(crate) async fn clear(&self) {
        if self.storage.url.starts_with("sqlite") {
            for words in ["connector_search", "connector_tool_search"] {
                self.rows(&format!(
                    "INSERT INTO {words} ({words}) VALUES ('delete-all')"
                ))
                .await;
            }
            self.rows("DELETE FROM personal_connector").await;
        } else {
            self.rows("TRUNCATE personal_connector CASCADE").await;
        }
        // Another state, of which no log tells.
        self.rows("UPDATE catalog_state SET state = state + 1, forgotten = state + 1")
            .await;
        // What is done behind the service's back it learns within a second; of its own changes it knows at once.
        let mut tx = self.begin().await;
        let gone = tx.insert(vec![official("gone", "Gone")]).await.unwrap();
        tx.delete(&gone.unwrap()[0]).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// A custom connector with a server.
pub(crate) fn connector(
    id: &str,
    name: &str,
    owner: &str,
    visibility: ConnectorVisibility,
) -> Model {
    Model {
        server_url: Some("https://mcp.example.com".to_owned()),
        server_type: Some(ServerType::Http),
        ..custom(id, name, owner, visibility)
    }
}

/// The ids of a list's nodes, without what all begin with.
pub(crate) fn ids(connection: &serde_json::Value) -> Vec<&str> {
    let nodes = connection["nodes"].as_array().unwrap();
    nodes
        .iter()
        .map(|node| node["id"].as_str().unwrap().strip_prefix("pcon_").unwrap())
        .collect()
}
