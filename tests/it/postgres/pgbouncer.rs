//! A real `PgBouncer` on a port of its own, in front of the tests' PostgreSQL.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use url::Url;

use crate::{
    operate::outage::{is_root, run},
    support::{harness::TestDatabase, waiting::within},
};

/// The configuration file for operators.
const CONFIGURATION: &str = include_str!("../../../deploy/pgbouncer.ini");

/// The folders of Debian and of Homebrew.
const PROGRAMS: [&str; 3] = [
    "/usr/sbin/pgbouncer",
    "/opt/homebrew/bin/pgbouncer",
    "/usr/local/bin/pgbouncer",
];

pub struct PgBouncer {
    /// The configuration, users and log.
    folder: TempDir,
    process: Child,
    url: Url,
}

impl PgBouncer {
    /// Starts it in front of a database's server, with a number of sessions for each database and additional
    /// configuration. Panics if it is not installed, so that no test passes without running.
    pub async fn start(storage: &TestDatabase, mode: &str, sessions: usize, lines: &str) -> Self {
        let server = Url::parse(&storage.url).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = TempDir::new().unwrap();
        let path = folder.path().display();
        let password = server.password().unwrap_or_default();
        let users = format!("\"{}\" \"{password}\"\n", server.username());
        fs::write(folder.path().join("users.txt"), users).unwrap();
        let host = server.host_str().unwrap();
        let database = format!("* = host={host} port={}", server.port().unwrap_or(5432));
        let mut configuration = CONFIGURATION.to_owned();
        for (from, to) in [
            ("connectors = host=db.example.com port=5432", &*database),
            ("listen_port = 6432", &format!("listen_port = {port}")),
            ("auth_type = scram-sha-256", "auth_type = trust"),
            ("/etc/pgbouncer/userlist.txt", &format!("{path}/users.txt")),
            ("pool_mode = transaction", &format!("pool_mode = {mode}")),
            (
                "default_pool_size = 20",
                &format!("default_pool_size = {sessions}"),
            ),
        ] {
            assert!(configuration.contains(from), "{from}");
            configuration = configuration.replace(from, to);
        }
        let added = format!("unix_socket_dir =\nlogfile = {path}/log\n{lines}\n");
        fs::write(
            folder.path().join("pgbouncer.ini"),
            configuration + added.as_str(),
        )
        .unwrap();
        if is_root() {
            let mut chown = Command::new("chown");
            run(chown.args(["-R", "postgres"]).arg(folder.path()));
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let mut url = server.clone();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        let process = spawn(folder.path());
        let this = Self {
            folder,
            process,
            url,
        };
        this.until_up().await;
        this
    }

    /// Returns the same database, through the pooler.
    pub fn database(&self) -> TestDatabase {
        TestDatabase::at(self.url.to_string())
    }

    /// Kills it, with all its connections.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub async fn go_on(&mut self) {
        self.process = spawn(self.folder.path());
        self.until_up().await;
    }

    async fn until_up(&self) {
        within(Duration::from_secs(10), "PgBouncer answers", async || {
            PgConnection::connect(self.url.as_str()).await.is_ok() || self.refuses_parameters()
        })
        .await;
    }

    /// Returns whether it refuses a setting of sqlx, as by default.
    fn refuses_parameters(&self) -> bool {
        let log = fs::read_to_string(self.folder.path().join("log"));
        log.unwrap_or_default()
            .contains("unsupported startup parameter")
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts it. As root, it runs under another user, because it refuses root.
fn spawn(folder: &Path) -> Child {
    let program = PROGRAMS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists());
    let program = program.expect("this test needs PgBouncer: install it (Debian: pgbouncer)");
    let mut command = Command::new(program);
    command.arg("-q").arg(folder.join("pgbouncer.ini"));
    if is_root() {
        // No other program starts it, because that one would be killed instead.
        command.args(["-u", "postgres"]);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
