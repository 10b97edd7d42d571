//! The operations that graphql_client generates from the schema, and the code that sends them.

use graphql_client::{GraphQLQuery, Response};

type DateTime = chrono::DateTime<chrono::Utc>;
type Id = String;
type Json = serde_json::Value;
type Url = String;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "schema.graphql",
    query_path = "operations.graphql",
    normalization = "rust",
    variables_derives = "Clone, Default"
)]
pub struct Connectors;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "schema.graphql",
    query_path = "operations.graphql",
    normalization = "rust",
    variables_derives = "Default",
    response_derives = "Debug, PartialEq",
    skip_serializing_none
)]
pub struct Create;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "schema.graphql",
    query_path = "operations.graphql",
    normalization = "rust",
    variables_derives = "Default",
    skip_serializing_none
)]
pub struct Update;

/// Sends `None` as null, which clears a field.
#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "schema.graphql",
    query_path = "operations.graphql",
    normalization = "rust"
)]
pub struct Clear;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "schema.graphql",
    query_path = "operations.graphql",
    normalization = "rust",
    variables_derives = "Default",
    response_derives = "Debug, PartialEq"
)]
pub struct CreateOfInput;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "schema.graphql",
    query_path = "operations.graphql",
    normalization = "rust",
    variables_derives = "Default",
    response_derives = "Debug, PartialEq"
)]
pub struct Inspect;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "schema.graphql",
    query_path = "operations.graphql",
    normalization = "rust",
    variables_derives = "Default",
    response_derives = "Debug, PartialEq"
)]
pub struct Check;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "schema.graphql",
    query_path = "changed.graphql",
    normalization = "rust",
    variables_derives = "Default",
    response_derives = "Debug, PartialEq"
)]
pub struct Changed;

/// A client of the older schema, which lacks the ConnectorType OFFICIAL.
pub mod older {
    use super::{DateTime, GraphQLQuery, Url};

    #[derive(GraphQLQuery)]
    #[graphql(
        schema_path = "older.plain.graphql",
        query_path = "operations.graphql",
        normalization = "rust",
        variables_derives = "Default",
        response_derives = "PartialEq"
    )]
    pub struct Connectors;
}

/// A client of one server, with the caller's token.
pub struct Client {
    pub url: String,
    pub token: String,
    http: reqwest::Client,
}

impl Client {
    /// Reads the settings from the environment.
    pub fn from_env() -> Result<Self, std::env::VarError> {
        Ok(Client {
            url: std::env::var("URL")?,
            token: std::env::var("TOKEN")?,
            http: reqwest::Client::new(),
        })
    }

    pub async fn ask<Q: GraphQLQuery>(
        &self,
        variables: Q::Variables,
    ) -> reqwest::Result<Response<Q::ResponseData>> {
        let request = self.http.post(&self.url).bearer_auth(&self.token);
        let response = request.json(&Q::build_query(variables)).send().await?;
        response.json().await
    }
}
