//! The secret that signs tokens, and the file of the one that the first start creates.

use std::{
    fmt, fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{anyhow, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    database::{DatabaseSettings, advice},
    file::TextFile,
    sources::WrongSetting,
};

/// A key of HS256 is at least as long as its hash (RFC 7518 §3.2).
const SECRET_BYTES: usize = 32;

/// A secret shared with the issuer. It has no `Display`, and `Debug` hides it.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret must be at least {SECRET_BYTES} bytes long (RFC 7518 §3.2)")]
pub(crate) struct SecretTooShort;

impl Secret {
    pub(crate) fn new(secret: impl Into<Vec<u8>>) -> Result<Self, SecretTooShort> {
        let secret = secret.into();
        if secret.len() < SECRET_BYTES {
            return Err(SecretTooShort);
        }
        Ok(Self(secret))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Parses a secret. Errors do not quote it.
pub(super) fn parse(text: &str) -> Result<Secret, SecretTooShort> {
    Secret::new(text)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Reads the secret beside an SQLite database. Creates it if it is missing and the database may be created. PostgreSQL
/// has none, because each replica would create its own.
pub(super) fn beside(database: &DatabaseSettings) -> anyhow::Result<Secret> {
    let Some(file) = database.file()? else {
        bail!(WrongSetting(
            "on PostgreSQL give --jwt-secret-file, --jwt-secret or --jwks: replicas must share what tokens are checked \
             with".into()
        ));
    };
    let mut path = file.into_os_string();
    path.push(".jwt-secret");
    let path = PathBuf::from(path);
    let TextFile { text, mode } = match TextFile::read(&path) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::NotFound && !database.migrates => bail!(
            "there is no token secret {}: the service makes it when it starts on that database without --jwks, and may \
             write. Start it first, name the service's database with --database-url, or give --jwt-secret",
            path.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => make(&path)
            .and_then(|()| TextFile::read(&path))
            .inspect(|_| tracing::info!(path = %path.display(), "made a secret for tokens"))
            .map_err(|error| failed("make", &path, &error))?,
        Err(error) => {
            return Err(failed("read", &path, &error));
        }
    };
    // Neither the group nor others have access.
    ensure!(
        mode.trailing_zeros() >= 6,
        "the token secret {0} can be read by others than its owner. Run chmod 600 {0}",
        path.display()
    );
    Secret::new(text.trim().as_bytes().to_vec()).map_err(|error| {
        anyhow!(
            "the token secret {} cannot be used: {error}. Remove it, and the next start makes another; tokens signed \
             with the old one become invalid",
            path.display()
        )
    })
}

fn failed(task: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => "Run as the user who owns it and its folder",
        ErrorKind::IsADirectory => "Remove the folder",
        ErrorKind::TimedOut => "Remove it if it is a pipe, or repair its file system if that hangs",
        _ => advice(error),
    };
    // Only the system's own text is shown; the rest names a temporary file.
    let cause = match error.get_ref() {
        None => error.to_string(),
        Some(_) => error.kind().to_string(),
    };
    anyhow!(
        "cannot {task} the token secret {}: {cause}. {advice}, or give --jwt-secret",
        path.display()
    )
}

/// Creates the complete file, readable by its owner only. Two concurrent processes both read the first one's.
fn make(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    writeln!(file, "{}", URL_SAFE_NO_PAD.encode(bytes))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}
