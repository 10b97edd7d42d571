//! The command line program.

use std::{
    error::Error,
    fmt::{Display, Write as _},
    io::{self, Write},
    iter,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use entity::ConnectorVisibility;
use mimalloc::MiMalloc;
use personal_connectors::{
    app::{self, App, Inputs},
    clock::Clock,
    config::{
        self, Backup, Call, Check, Command, Config, Database, DatabaseSettings, Export, Given,
        Import, KeySource, ListenAddress, LogFormat, Migrate, Scopes, Serve, Settings, Token,
        WrongSetting, shell_word,
    },
    domain::viewer::{Profile, User},
    error::chain,
    graphql,
    http::{
        auth::mint,
        connections::{
            descriptors,
            listener::{Listener, Reachable},
            socket,
        },
        serve::{Bounds, CONNECTIONS, serve},
        stopping::Stopping,
    },
    interchange::{
        categories::{Categories, Rules},
        export::export,
        import::{self, import},
        published::Assumed,
    },
    monitor::check_command::check_all,
    observability::telemetry::log,
    store::{self, BackupReport},
    terminal::Printable,
};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    task,
    time::Instant,
};

/// A response consists of many small texts, for which the system's allocator takes a third of the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// SIGXFSZ, on Linux and macOS: a file would exceed the process's size limit. By default it ends the process.
const FILE_SIZE_LIMIT: i32 = 25;

/// A setting is wrong, on the command line or elsewhere.
const WRONG_SETTING: u8 = 2;

/// Some entries of an import were rejected while others were loaded, or some checked connectors do not work.
const PARTLY: u8 = 3;

/// The longest time to finish a response with metrics, after everything else.
const LAST_METRICS: Duration = Duration::from_secs(1);

/// The most connections of the metrics listener.
const METRICS_CONNECTIONS: usize = 100;

fn main() -> ExitCode {
    let descriptors = match descriptors::raise() {
        Ok(descriptors) => descriptors,
        Err(error) => return failed(&error),
    };
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(run(descriptors));
    // A thread that hangs in a system call, such as a name lookup, is not waited for.
    runtime.shutdown_background();
    code
}

/// Runs a command in a process that may open this many files; `None` is no limit.
async fn run(descriptors: Option<u64>) -> ExitCode {
    let Call {
        cli,
        warnings,
        settings,
        given,
    } = config::read().unwrap_or_else(|error| error.exit());
    let is_serving = matches!(cli.command, None | Some(Command::Serve(_)));
    if !is_serving {
        for warning in &warnings {
            // A failure to write to standard error cannot be reported anywhere.
            let _ = writeln!(io::stderr(), "warning: {}", Printable(warning));
        }
    }
    // With a handler, the write fails instead, like on a full disk.
    let _handled = signal(SignalKind::from_raw(FILE_SIZE_LIMIT));
    let done = match cli.command {
        _ if !Clock::system().is_usable() => Err(anyhow!(
            "the system's clock is before 1970 or after 9999: set it, and start again"
        )),
        None => run_serve(cli.serve, &warnings, &given, descriptors).await,
        Some(Command::Serve(serve)) => run_serve(*serve, &warnings, &given, descriptors).await,
        Some(Command::Migrate(database)) => run_migrate(&database).await,
        Some(Command::Backup(backup)) => run_backup(&backup),
        Some(Command::CheckDatabase(database)) => run_check_database(&database).await,
        Some(Command::Import(import)) => run_import(import).await,
        Some(Command::Export(export)) => run_export(export).await,
        Some(Command::Check(check)) => run_check(&check).await,
        Some(Command::Token(token)) => run_token(&token),
        Some(Command::Config(config)) => run_config(&config, &settings),
        Some(Command::Schema) => write_out(graphql::sdl()).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| failed(error.as_ref()))
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    let line = chain(error);
    // A failure to write to standard error cannot be reported anywhere.
    let _ = writeln!(io::stderr(), "error: {}", Printable(line));
    let mut causes = iter::successors(Some(error), |&error| error.source());
    if causes.any(<dyn Error>::is::<WrongSetting>) {
        return ExitCode::from(WRONG_SETTING);
    }
    ExitCode::FAILURE
}

/// Writes the command's result. Unlike `print!`, it does not panic if the output is closed.
fn write_out(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = write!(out, "{}", Printable(text)).and_then(|()| out.flush());
    written.context("cannot write to standard output")
}

/// Announces an address of the service, which runs on even if the output is closed.
fn announce(text: &str) {
    if let Err(error) = write_out(format_args!("{text}\n")) {
        tracing::warn!(
            cause = chain(error.as_ref()),
            text,
            "a text could not be written to standard output"
        );
    }
}

/// Prints the database of a command before it starts.
fn name_database(settings: DatabaseSettings) -> anyhow::Result<DatabaseSettings> {
    let location = settings.location()?;
    let new = if settings.makes_file()? {
        " (a new file)"
    } else {
        ""
    };
    let line = format!("database: {location}{new}");
    // The command runs even if the output is closed.
    let _ = writeln!(io::stderr(), "{}", Printable(line));
    Ok(settings)
}

async fn listen(
    flag: &str,
    addresses: &[ListenAddress],
    mode: u32,
) -> anyhow::Result<(Listener, Vec<Reachable>)> {
    let bound = Listener::bind(addresses, mode).await;
    bound.map_err(|error| anyhow!("{error} ({flag})"))
}

/// Announces the URL of something under a path at each address.
fn announce_at(name: &str, reachable: &[Reachable], path: &str) {
    for at in reachable {
        announce(&match at {
            Reachable::Tcp { authority, is_any } => {
                let others = if *is_any {
                    " (and at all addresses of this machine)"
                } else {
                    ""
                };
                format!("{name} at http://{authority}{path}{others}")
            }
            Reachable::Unix(file) => {
                let file = file.display().to_string();
                let word = shell_word(&file);
                format!("{name} at unix:{file} (curl --unix-socket {word} http://localhost{path})")
            }
        });
    }
}

/// Returns the limits of connections, for a process that may open this many files.
fn bounds(config: &Serve, descriptors: Option<u64>) -> Bounds {
    let limits = &config.limits;
    let wanted = limits
        .max_connections
        .map_or(CONNECTIONS, |most| most as usize);
    let connections = descriptors::connections(wanted, config.reserved_descriptors(), descriptors);
    if connections < wanted {
        let files = descriptors.unwrap_or(u64::MAX);
        tracing::warn!(
            files,
            connections,
            wanted,
            "the service accepts fewer connections than wanted: raise the limit of open files (ulimit -n, or \
             LimitNOFILE of systemd)"
        );
    }
    if let Some(somaxconn) = socket::short_backlog() {
        tracing::warn!(
            somaxconn,
            "the system lets few new connections wait: raise net.core.somaxconn to 4096"
        );
    }
    Bounds {
        connections,
        connections_of_address: limits.connections_of_address(connections),
        trusted: limits.trusted_proxy.clone().into(),
        ..Bounds::default()
    }
}

async fn run_serve(
    config: Serve,
    warnings: &[String],
    given: &Given,
    descriptors: Option<u64>,
) -> anyhow::Result<ExitCode> {
    log(&config.log.log, config.log.log_format);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let bounds = bounds(&config, descriptors);
    let settings = config.database();
    let database = settings.location()?;
    let new_file = settings.makes_file()?;
    tracing::info!(%database, new_file, "the service starts");
    let clock = Clock::system();
    // If the service's files cannot be read, nothing is migrated. A client that finds the port open finds a migrated
    // database.
    let inputs = Inputs::read(&config, &clock).await?;
    let app = App::start(&config, inputs, clock).await?;
    let mode = config.listen_mode;
    let (listener, reachable) = listen("--listen", &config.listen, mode).await?;
    let metrics = if config.metrics_listen.is_empty() {
        None
    } else {
        Some(listen("--metrics-listen", &config.metrics_listen, mode).await?)
    };
    // This precedes the announcement of the addresses, because a signal would otherwise end the process at once.
    let stopping = app.routers.stopping.clone();
    stopping.at_signal(config.drain_delay, config.shutdown_timeout)?;
    announce_at("GraphQL", &reachable, "/graphql");
    // Browsers cannot open Unix sockets.
    let is_tcp = |at: &Reachable| matches!(at, Reachable::Tcp { .. });
    let (pages, _): (Vec<_>, Vec<_>) = reachable.into_iter().partition(is_tcp);
    if config.has_console() {
        announce_at("Console", &pages, "/");
    }
    announce_at("GraphiQL", &pages, "/graphiql");
    if let Some(hint) = config.token_hint(given)? {
        announce(&hint);
    }
    // Metrics are served to the end, including the stop itself.
    let metrics_stopping = Stopping::default();
    let metrics = match app.routers.metrics.clone().zip(metrics) {
        Some((router, (listener, reachable))) => {
            announce_at("Metrics", &reachable, "/metrics");
            let bounds = Bounds {
                grace: Duration::ZERO,
                connections: METRICS_CONNECTIONS,
                connections_of_address: METRICS_CONNECTIONS,
                ..bounds.clone()
            };
            Some(tokio::spawn(serve(
                listener,
                router,
                metrics_stopping.clone(),
                bounds,
            )))
        }
        None => None,
    };
    let main = app.routers.main.clone();
    serve(listener, main, stopping.clone(), bounds).await;
    let now = Instant::now();
    let deadline = stopping.deadline().unwrap_or(now);
    if let Some(metrics) = metrics {
        metrics_stopping.close(deadline.min(now + LAST_METRICS));
        let _ = metrics.await;
    }
    app.stop(deadline).await?;
    Ok(ExitCode::SUCCESS)
}

fn run_config(config: &Config, settings: &Settings) -> anyhow::Result<ExitCode> {
    if config.print {
        write_out(settings)?;
        let hidden: Vec<_> = settings.hidden().collect();
        if !hidden.is_empty() {
            let names = hidden.join(", ");
            // A failure to write to standard error cannot be reported anywhere.
            let _ = writeln!(
                io::stderr(),
                "warning: this output hides the values of {names}. Where you use it, give them by files or variables"
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_migrate(config: &Migrate) -> anyhow::Result<ExitCode> {
    log("info", LogFormat::Human);
    let settings = name_database(config.database.settings())?;
    let database = store::Database::open(&settings).await?;
    let (applied, reverted) = database.migrate_to(config.to.as_deref()).await?;
    if applied + reverted > 0 {
        let database = database.location();
        tracing::info!(applied, reverted, %database, "migrated the database");
    }
    database.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn run_backup(config: &Backup) -> anyhow::Result<ExitCode> {
    let settings = config.database.settings().reading();
    let settings = name_database(settings)?;
    let BackupReport {
        bytes,
        connectors,
        state,
    } = store::backup(&settings, &config.file)?;
    let (location, file) = (settings.location()?, config.file.display());
    write_out(format_args!(
        "backed up {location} to {file}: {connectors} connectors at change {state}, {bytes} bytes\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn run_check_database(config: &Database) -> anyhow::Result<ExitCode> {
    let settings = name_database(config.settings().reading())?;
    let sound = store::check(&settings).await?;
    let mut report = String::new();
    for finding in &sound.findings {
        writeln!(report, "{finding}")?;
    }
    for what in &sound.unchecked {
        writeln!(report, "not checked: {what}")?;
    }
    let location = settings.location()?;
    if sound.is_sound() {
        writeln!(report, "the database {location} is sound")?;
    } else {
        let findings = sound.findings.len();
        writeln!(
            report,
            "the database {location} is not sound: {findings} findings. Restore a backup"
        )?;
    }
    write_out(report)?;
    Ok(if sound.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn run_import(config: Import) -> anyhow::Result<ExitCode> {
    log("warn", LogFormat::Human);
    let dry_run = config.dry_run;
    let settings = config.database.settings();
    let settings = name_database(if dry_run {
        settings.existing()
    } else {
        settings
    })?;
    // An unreadable file does not leave a new database.
    let files = config.files;
    let files = task::spawn_blocking(move || import::open(files)).await??;
    let categories = Categories {
        given: config.category,
        rules: Rules::read(config.category_rules.as_deref())?,
    };
    let database = app::open(&settings).await?;
    let asked = import::Import {
        files,
        assumed: Assumed {
            organization: config.organization,
            visibility: config.visibility,
        },
        categories,
        dry_run,
        user: None,
        shows_progress: true,
    };
    let imported = import(&database, &Clock::system(), asked, io::stderr()).await;
    let report = imported.map_err(|error| database.explain(error))?;
    database.close().await?;
    let note = if dry_run {
        " (dry run: nothing was written)"
    } else {
        ""
    };
    match report.categories() {
        Some(categories) => write_out(format_args!("{report}\n{categories}{note}\n"))?,
        None => write_out(format_args!("{report}{note}\n"))?,
    }
    Ok(if report.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PARTLY)
    })
}

async fn run_export(config: Export) -> anyhow::Result<ExitCode> {
    log("warn", LogFormat::Human);
    let settings = config.database.settings().reading();
    let settings = name_database(settings)?;
    let database = app::open(&settings).await?;
    let visibilities = if config.visibility.is_empty() {
        vec![
            ConnectorVisibility::Organization,
            ConnectorVisibility::Public,
        ]
    } else {
        config.visibility
    };
    let out = io::BufWriter::new(io::stdout().lock());
    let organization = config.organization.as_deref();
    let exported = export(&database, organization, &visibilities, config.curated, out).await;
    exported.map_err(|error| database.explain(error))?;
    database.close().await?;
    Ok(ExitCode::SUCCESS)
}

async fn run_check(config: &Check) -> anyhow::Result<ExitCode> {
    log("warn", LogFormat::Human);
    let clock = Clock::system();
    let inspector = app::checker(config, &clock)?;
    let settings = config.database.settings().existing();
    let settings = name_database(settings)?;
    let database = app::open(&settings).await?;
    let (bounds, schedule) = (config.checks.bounds(), config.checks.schedule());
    let report = check_all(&database, inspector, bounds, schedule, &clock, &config.ids).await;
    let report = report.map_err(|error| database.explain(error))?;
    database.close().await?;
    write_out(format_args!("{report}\n"))?;
    Ok(if report.is_all_alive() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PARTLY)
    })
}

fn run_token(config: &Token) -> anyhow::Result<ExitCode> {
    let mut settings = config.database.settings().reading();
    if config.tokens.is_beside_database() {
        settings = name_database(settings)?;
    }
    if config.tokens.is_beside_database() && settings.file()?.is_none() {
        bail!(WrongSetting(
            "on PostgreSQL give --jwt-secret-file or --jwt-secret, with the secret of the service"
                .into()
        ));
    }
    let rules = config.tokens.rules(&settings, true)?;
    let KeySource::Secret(secret) = &rules.keys else {
        bail!(WrongSetting(
            "with --jwks, your identity provider makes the tokens. Remove --jwks to make one with the secret".into()
        ));
    };
    let scopes = config.scope.iter().flat_map(|Scopes(scopes)| scopes);
    let user = User {
        id: config.user.clone(),
        organization: config.organization.clone(),
        scopes: scopes.cloned().collect(),
        profile: Profile {
            name: config.name.clone(),
            picture_url: None,
        },
    };
    let token = mint(secret, &rules, &user, config.expires_in, &Clock::system())?;
    write_out(format_args!("{token}\n"))?;
    Ok(ExitCode::SUCCESS)
}
