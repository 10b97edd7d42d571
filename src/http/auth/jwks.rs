//! Reads a JWKS (RFC 7517 §5) from its file or URL.
//!
//! Invariant: each read ends within [`JWKS_TIMEOUT`], whatever the file system, the resolver or the server does.

use std::{
    fs::File,
    io::Read,
    net::ToSocketAddrs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use jsonwebtoken::jwk::Jwk;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Mutex, oneshot},
    time::timeout,
};
use url::Url;

use super::errors::{JWKS_BYTES, JWKS_TIMEOUT, StartError, Unread};

const JWKS_REDIRECTS: usize = 3;

/// The source of a JWKS.
pub(super) enum Jwks {
    File {
        path: PathBuf,
        /// Whether a thread is still reading. A file system that hangs holds one thread, not one for each read.
        reading: Arc<AtomicBool>,
    },
    Url {
        url: Url,
        client: reqwest::Client,
    },
}

impl Jwks {
    pub(super) fn file(path: PathBuf) -> Self {
        let reading = Arc::default();
        Self::File { path, reading }
    }

    pub(super) fn url(url: Url) -> Result<Self, StartError> {
        let client = client(&url)?;
        Ok(Self::Url { url, client })
    }

    pub(super) async fn read(&self) -> Result<Vec<Jwk>, Unread> {
        match self {
            Self::File { path, reading } => parse(&read(path.clone(), reading).await?),
            Self::Url { url, client } => parse(&fetch(client, url).await?),
        }
    }
}

/// Reads a file on a thread of its own, which the end of the process does not wait for.
async fn read(path: PathBuf, reading: &Arc<AtomicBool>) -> Result<Vec<u8>, Unread> {
    if reading.swap(true, Ordering::AcqRel) {
        return Err(Unread::FileHangs);
    }
    let (done, read) = oneshot::channel();
    let ended = Arc::clone(reading);
    let started = thread::Builder::new()
        .name("jwks".to_owned())
        .spawn(move || {
            let bytes = read_whole(&path);
            ended.store(false, Ordering::Release);
            let _ = done.send(bytes);
        });
    if let Err(error) = started {
        reading.store(false, Ordering::Release);
        return Err(Unread::File(error));
    }
    match timeout(JWKS_TIMEOUT, read).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) | Err(_) => Err(Unread::FileHangs),
    }
}

fn read_whole(path: &Path) -> Result<Vec<u8>, Unread> {
    // To open a pipe waits for its writer.
    if !path.metadata().map_err(Unread::File)?.is_file() {
        return Err(Unread::NotAFile);
    }
    let file = File::open(path).map_err(Unread::File)?;
    let mut bytes = Vec::new();
    let most = JWKS_BYTES as u64 + 1;
    let read = file.take(most).read_to_end(&mut bytes);
    match read.map_err(Unread::File)? {
        length if length > JWKS_BYTES => Err(Unread::TooLarge),
        _ => Ok(bytes),
    }
}

async fn fetch(client: &reqwest::Client, url: &Url) -> Result<Vec<u8>, Unread> {
    // Without the URL, whose query may hold what is not for the log.
    let failed = |error: reqwest::Error| Unread::Fetch(error.without_url());
    let response = client.get(url.clone()).send().await.map_err(failed)?;
    let mut response = response.error_for_status().map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > JWKS_BYTES {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The JWKs of a JWK Set that can be understood; others are ignored (RFC 7517 §5).
fn parse(json: &[u8]) -> Result<Vec<Jwk>, Unread> {
    #[derive(Deserialize)]
    struct JwkSet {
        keys: Vec<Value>,
    }
    let set: JwkSet = serde_json::from_slice(json).map_err(|_| Unread::NotAJwkSet)?;
    let jwks = set.keys.into_iter().map(serde_json::from_value);
    Ok(jwks.filter_map(Result::ok).collect())
}

/// A client that keeps to https when `url` does, redirects included.
pub(super) fn client(url: &Url) -> Result<reqwest::Client, StartError> {
    let bare = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "https" | "http") || !bare {
        return Err(StartError::JwksUrl);
    }
    // The client takes its cryptography from the process and panics where there is none. An error here says only that
    // somebody has installed one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(JWKS_TIMEOUT)
        .https_only(url.scheme() == "https")
        .redirect(redirect::Policy::limited(JWKS_REDIRECTS))
        .dns_resolver(OneLookup::default())
        // The environment's proxies: what the environment says is for the configuration to read.
        .no_proxy()
        .build()
        .map_err(StartError::HttpClient)
}

/// The system's resolver, one thread at a time. Lookups that hang longer than a read would hold more threads with each read.
#[derive(Debug, Default)]
struct OneLookup(Arc<Mutex<()>>);

impl Resolve for OneLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let turn = Arc::clone(&self.0);
        Box::pin(async move {
            let turn = turn.lock_owned().await;
            let ask = move || {
                let _turn = turn;
                Ok((name.as_str(), 0).to_socket_addrs()?.collect::<Vec<_>>())
            };
            let found: std::io::Result<_> = tokio::task::spawn_blocking(ask).await?;
            Ok(Box::new(found?.into_iter()) as Addrs)
        })
    }
}
