//! The command line.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Parser;
use entity::ConnectorVisibility;
use personal_connectors::{
    app::{self, App},
    clock::Clock,
    config::{Cli, Command, Database, Export, Import, Serve, Token},
    domain::viewer::User,
    graphql,
    http::{
        auth::{KeySource, mint},
        serve::serve,
    },
    interchange::{
        export::export,
        import::{self, import},
        published::Assumed,
    },
};
use tokio::net::TcpListener;

/// Some entries of an import were rejected; the others landed.
const REJECTED: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => run_serve(cli.serve).await,
        Some(Command::Serve(serve)) => run_serve(serve).await,
        Some(Command::Migrate(database)) => run_migrate(&database).await,
        Some(Command::Import(import)) => run_import(import).await,
        Some(Command::Export(export)) => run_export(export).await,
        Some(Command::Token(token)) => run_token(&token),
        Some(Command::Schema) => {
            print!("{}", graphql::sdl());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run_serve(config: Serve) -> anyhow::Result<ExitCode> {
    log(&config.log.log);
    let app = App::start(&config, Clock::system()).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    println!("GraphQL at http://{}/graphql", listener.local_addr()?);
    println!("GraphiQL at http://{}/graphiql", listener.local_addr()?);
    if let Some(command) = config.token_command() {
        println!("For a token: {command}");
    }
    serve(listener, app.router.clone()).await?;
    app.stop().await?;
    Ok(ExitCode::SUCCESS)
}

async fn run_migrate(config: &Database) -> anyhow::Result<ExitCode> {
    log("info");
    app::open(&config.settings()?).await?.close().await?;
    Ok(ExitCode::SUCCESS)
}

async fn run_import(config: Import) -> anyhow::Result<ExitCode> {
    log("warn");
    let database = app::open(&config.database.settings()?).await?;
    let dry_run = config.dry_run;
    let asked = import::Import {
        files: config.files,
        assumed: Assumed {
            organization: config.organization,
            visibility: config.visibility,
        },
        dry_run,
    };
    let report = import(&database, &Clock::system(), asked, io::stderr()).await?;
    database.close().await?;
    println!(
        "{report}{}",
        if dry_run {
            " (dry run: nothing was written)"
        } else {
            ""
        }
    );
    Ok(if report.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(REJECTED)
    })
}

async fn run_export(config: Export) -> anyhow::Result<ExitCode> {
    log("warn");
    let database = app::open(&config.database.settings()?).await?;
    let visibilities = if config.visibility.is_empty() {
        vec![
            ConnectorVisibility::Organization,
            ConnectorVisibility::Public,
        ]
    } else {
        config.visibility
    };
    let out = io::BufWriter::new(io::stdout().lock());
    export(
        &database,
        config.organization.as_deref(),
        &visibilities,
        out,
    )
    .await?;
    database.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn run_token(config: &Token) -> anyhow::Result<ExitCode> {
    let rules = config.tokens.rules(&config.database.settings()?, true)?;
    let KeySource::Secret(secret) = &rules.keys else {
        bail!("with --jwks tokens are made by whoever has the private keys");
    };
    let scopes = config
        .scope
        .iter()
        .flat_map(|scopes| scopes.split_whitespace());
    let user = User {
        id: config.user.clone(),
        organization: config.organization.clone(),
        scopes: scopes.map(ToOwned::to_owned).collect(),
    };
    let token = mint(secret, &rules, &user, config.expires_in, &Clock::system())?;
    println!("{token}");
    Ok(ExitCode::SUCCESS)
}

/// Logs to standard error; standard output is for what was asked for.
fn log(filter: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}
