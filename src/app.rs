//! From the configuration to what runs.

use anyhow::Context;
use axum::Router;

use crate::{
    clock::Clock,
    commands,
    config::Serve,
    graphql,
    http::{
        self, Routes,
        auth::{Authenticator, TokenRules},
        limits::Limits,
    },
    interchange,
    store::{Database, Settings},
};

/// What serves, and what that needs as long as it does.
#[derive(Debug)]
pub struct App {
    pub router: Router,
    database: Database,
}

impl App {
    /// Opens and migrates the database, and loads the catalogue.
    pub async fn start(config: &Serve, clock: Clock) -> anyhow::Result<Self> {
        // First what costs nothing to refuse.
        let rules = config.token_rules()?;
        let database = open(&config.database()?).await?;
        let router = router(config, rules, database.clone(), clock).await?;
        Ok(Self { router, database })
    }

    /// To be called when the router serves no more.
    pub async fn stop(self) -> anyhow::Result<()> {
        Ok(self.database.close().await?)
    }
}

/// Loads the catalogue into an open database, and gives the router that serves it.
pub async fn router(
    config: &Serve,
    rules: TokenRules,
    database: Database,
    clock: Clock,
) -> anyhow::Result<Router> {
    let authenticator = Authenticator::new(rules, clock.clone()).await?;
    interchange::catalog::load(&database, &clock, config.catalog.as_deref()).await?;
    Ok(http::router(Routes {
        schema: graphql::schema(),
        authenticator,
        commands: commands::Context {
            database,
            clock: clock.clone(),
            quota: config.limits.max_per_user,
        },
        clock,
        limits: Limits {
            max_tokens: config.limits.max_tokens,
            max_depth: config.limits.max_depth,
            max_fields: config.limits.max_fields,
            max_complexity: config.limits.max_complexity,
            max_aliases: config.limits.max_aliases,
            max_directives: config.limits.max_directives,
        },
        max_body_bytes: usize::try_from(config.limits.max_body_bytes)?,
        request_timeout: config.limits.request_timeout,
        cors_origins: config.cors_origin.clone(),
    }))
}

/// Opens the database and brings its schema up to date.
pub async fn open(settings: &Settings) -> anyhow::Result<Database> {
    let database = Database::open(settings)
        .await
        .context("the database cannot be opened")?;
    let applied = database
        .migrate()
        .await
        .context("the database cannot be migrated")?;
    if applied > 0 {
        tracing::info!(applied, "migrated the database");
    }
    Ok(database)
}
