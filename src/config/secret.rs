//! The secret that a first start makes.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{http::auth::Secret, store};

/// The secret kept beside an SQLite database, made if there is none; never on PostgreSQL, where replicas would each have
/// their own.
pub(super) fn beside(database: &store::Settings) -> anyhow::Result<Secret> {
    let Some(file) = database.file()? else {
        bail!(
            "on PostgreSQL give --jwt-secret or --jwks: replicas must share what tokens are checked with"
        );
    };
    let mut path = file.into_os_string();
    path.push(".jwt-secret");
    let path = PathBuf::from(path);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => make(&path)?,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    // Nothing for the group and for others.
    let mode = fs::metadata(&path)?.permissions().mode();
    ensure!(
        mode.trailing_zeros() >= 6,
        "{} must be its owner's alone (chmod 600): it is the secret of tokens",
        path.display()
    );
    Secret::new(text.trim().as_bytes().to_vec()).with_context(|| path.display().to_string())
}

/// Makes the file whole and readable by its owner only; of two processes that do so at once, both read the first's.
fn make(path: &Path) -> anyhow::Result<String> {
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the system has no randomness")?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{}", URL_SAFE_NO_PAD.encode(bytes))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => {
            Err(error.error).with_context(|| format!("cannot write {}", path.display()))
        }
        _ => Ok(fs::read_to_string(path)?),
    }
}
