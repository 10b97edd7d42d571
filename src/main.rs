//! The command line.

use std::{future, io, process::ExitCode};

use anyhow::{Context, bail};
use clap::Parser;
use entity::ConnectorVisibility;
use mimalloc::MiMalloc;
use personal_connectors::{
    app::{self, App},
    clock::Clock,
    config::{Check, Cli, Command, Database, Export, Import, LogFormat, Serve, Token},
    domain::viewer::User,
    graphql,
    http::{
        auth::{KeySource, mint},
        serve::{Bounds, serve, told_to_stop},
    },
    interchange::{
        export::export,
        import::{self, import},
        published::Assumed,
    },
    monitor::round::round,
    telemetry::log,
};
use tokio::net::TcpListener;

/// An answer is made of many small texts, which the system's allocator takes a third of the time for.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Some entries of an import were rejected, and the others landed; or some connectors that were checked do not work.
const PARTLY: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => run_serve(cli.serve).await,
        Some(Command::Serve(serve)) => run_serve(*serve).await,
        Some(Command::Migrate(database)) => run_migrate(&database).await,
        Some(Command::Import(import)) => run_import(import).await,
        Some(Command::Export(export)) => run_export(export).await,
        Some(Command::Check(check)) => run_check(&check).await,
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
    log(&config.log.log, config.log.log_format);
    let app = App::start(&config, Clock::system()).await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    println!("GraphQL at http://{}/graphql", listener.local_addr()?);
    println!("GraphiQL at http://{}/graphiql", listener.local_addr()?);
    if let Some(command) = config.token_command() {
        println!("For a token: {command}");
    }
    let bounds = Bounds::new(config.shutdown_timeout);
    let metrics = match (config.metrics_listen, app.routers.metrics.clone()) {
        (Some(address), Some(router)) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))?;
            println!("Metrics at http://{}/metrics", listener.local_addr()?);
            // To the end: how a service stops is of interest too.
            Some(tokio::spawn(serve(
                listener,
                router,
                future::pending(),
                bounds,
            )))
        }
        _ => None,
    };
    let stopping = app.routers.stopping.clone();
    let told = told_to_stop()?;
    let stop = async move {
        told.await;
        stopping.cancel();
    };
    let main = app.routers.main.clone();
    serve(listener, main, stop, bounds).await;
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    app.stop(config.shutdown_timeout).await?;
    Ok(ExitCode::SUCCESS)
}

async fn run_migrate(config: &Database) -> anyhow::Result<ExitCode> {
    log("info", LogFormat::Human);
    app::open(&config.settings()?).await?.close().await?;
    Ok(ExitCode::SUCCESS)
}

async fn run_import(config: Import) -> anyhow::Result<ExitCode> {
    log("warn", LogFormat::Human);
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
        ExitCode::from(PARTLY)
    })
}

async fn run_export(config: Export) -> anyhow::Result<ExitCode> {
    log("warn", LogFormat::Human);
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

async fn run_check(config: &Check) -> anyhow::Result<ExitCode> {
    log("warn", LogFormat::Human);
    let clock = Clock::system();
    let inspector = app::checker(&config.servers, &config.checks, &clock)?;
    let database = app::open(&config.database.settings()?).await?;
    let (bounds, schedule) = (config.checks.bounds(), config.checks.schedule());
    let report = round(&database, inspector, bounds, schedule, &clock, &config.ids).await?;
    database.close().await?;
    println!("{report}");
    Ok(if report.is_all_alive() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PARTLY)
    })
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
