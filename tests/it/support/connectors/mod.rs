//! Connectors written directly to the tables, in the service's form.

pub mod secret;

use entity::{
    ConnectorSource, ConnectorType, ConnectorVisibility, ServerType, personal_connector::Model,
};
use personal_connectors::{
    domain::{
        connector::{Availability, Details, Draft, Edit, Entry, Errors, Extent, Import},
        field_values::Name,
        text,
    },
    error::UserError,
    store::{Actor, Tx, availability, draft, imported},
};

use crate::support::harness::{NOW, Server, timestamp};

/// Returns a public connector with only an id and a name.
pub(crate) fn official(id: &str, name: &str) -> Model {
    let draft = Draft {
        name: "name".to_owned(),
        ..Draft::default()
    };
    let (details, _) = draft.parse(ConnectorType::Official, &mut Errors::default());
    let entry = Entry {
        id: format!("pcon_{id}"),
        r#type: ConnectorType::Official,
        connector_id: id.to_owned(),
        details: Details {
            name: Name {
                text: name.to_owned(),
                key: text::name_key(name),
            },
            ..details.unwrap()
        },
        category_source: None,
        availability: Availability::ACTIVE,
        visibility: ConnectorVisibility::Public,
        organization: None,
        created_by: None,
        created_at: None,
        updated_at: None,
        hash: String::new(),
        extent: Extent::Whole,
    };
    let import = Import {
        entry,
        source: ConnectorSource::Import,
        availability: Availability::ACTIVE,
        is_partial: true,
    };
    imported(None, import, timestamp(NOW))
}

/// Returns an import that makes this row, even if the rules forbid it.
pub(crate) fn import(row: &Model) -> Import {
    let Draft {
        name: text,
        description,
        icon_url,
        category,
        version,
        server_url,
        server_type,
        metadata,
    } = draft(row);
    let key = row.name_key.clone();
    Import {
        entry: Entry {
            id: row.id.clone(),
            r#type: row.r#type,
            connector_id: row.connector_id.clone(),
            details: Details {
                name: Name { text, key },
                description,
                icon_url,
                category,
                version,
                server_url,
                server_type,
                metadata,
            },
            category_source: row.category_source,
            availability: availability(row),
            visibility: row.visibility,
            organization: row.organization_id.clone(),
            created_by: row.created_by.clone(),
            created_at: Some(row.created_at),
            updated_at: Some(row.updated_at),
            hash: row.source_hash.clone().unwrap_or_default(),
            extent: Extent::Whole,
        },
        source: row.source,
        availability: availability(row),
        is_partial: row.source_hash.is_none(),
    }
}

/// Returns imports that make these rows as new connectors.
pub(crate) fn imports(rows: &[Model]) -> Vec<Import> {
    rows.iter().map(import).collect()
}

/// Returns the edit that makes this row of an existing connector, at the time of the change.
pub(crate) fn edit(row: &Model) -> Edit {
    let mut import = import(row);
    import.entry.updated_at = None;
    Edit::Import(import)
}

/// Returns a custom connector of `USER@ORGANIZATION`, or of `USER`.
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

    /// Inserts rows, which must meet all constraints.
    pub(crate) async fn insert(&self, rows: Vec<Model>) -> Vec<Model> {
        self.try_insert(rows).await.unwrap()
    }

    /// Inserts rows, all or none.
    pub(crate) async fn try_insert(&self, rows: Vec<Model>) -> Result<Vec<Model>, UserError> {
        let mut tx = self.begin().await;
        let inserted = tx.insert_imports(imports(&rows)).await.unwrap();
        match inserted {
            Ok(_) => drop(tx.commit().await.unwrap()),
            Err(_) => tx.rollback().await,
        }
        inserted
    }

    /// Makes searches treat each word as frequent from now on. Deletes every connector.
    pub(crate) async fn make_words_frequent(&self) {
        let be_many: &[&str] = if self.storage.url.starts_with("sqlite") {
            &["CREATE TRIGGER be_many AFTER INSERT ON search_word BEGIN
                UPDATE search_word SET connectors = connectors + 1000000 WHERE word = NEW.word; END"]
        } else {
            &[
                "CREATE FUNCTION be_many() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN NEW.connectors := NEW.connectors + 1000000; RETURN NEW; END'",
                "CREATE TRIGGER be_many BEFORE INSERT ON search_word FOR EACH ROW EXECUTE FUNCTION be_many()",
            ]
        };
        for sql in be_many {
            self.rows(sql).await;
        }
        self.rows("UPDATE catalog_state SET state = state + 1000000")
            .await;
        self.clear().await;
    }

    /// Deletes every connector, including the built-in ones.
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
        self.rows("DELETE FROM search_word").await;
        // The log has no event of the new state.
        self.rows("DELETE FROM connector_event").await;
        self.rows("UPDATE catalog_state SET state = state + 1, forgotten = state + 1")
            .await;
        // The service notices direct writes to the database within a second, and its own changes at once.
        let mut tx = self.begin().await;
        let gone = tx
            .insert_imports(vec![import(&official("gone", "Gone"))])
            .await
            .unwrap();
        tx.delete(&gone.unwrap()[0]).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Returns a custom connector with a server.
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

/// Returns the ids of a list's nodes, without their common prefix.
pub(crate) fn ids(connection: &serde_json::Value) -> Vec<&str> {
    let nodes = connection["nodes"].as_array().unwrap();
    nodes
        .iter()
        .map(|node| node["id"].as_str().unwrap().strip_prefix("pcon_").unwrap())
        .collect()
}
