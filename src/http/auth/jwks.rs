//! Reads a JWKS (RFC 7517 §5) from its file or URL.
//!
//! Invariant: each read ends within [`JWKS_TIMEOUT`], whatever the file system, the DNS resolver or the server does.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::oneshot, time::timeout};
use url::Url;

use crate::outbound::{Outbound, http_client::HttpClient};

use super::errors::{JWKS_BYTES, JWKS_TIMEOUT, StartError, Unread};

/// The source of a JWKS.
pub(super) enum Jwks {
    File {
        path: PathBuf,
        /// Whether a thread is still reading. A hanging file system occupies one thread, not one for each read.
        reading: Arc<AtomicBool>,
    },
    Url {
        url: Url,
        client: Box<HttpClient>,
    },
}

impl Jwks {
    pub(super) fn file(path: PathBuf) -> Self {
        let reading = Arc::default();
        Self::File { path, reading }
    }

    pub(super) fn url(url: Url, outbound: Outbound) -> Result<Self, StartError> {
        let bare = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "https" | "http") || !bare {
            return Err(StartError::JwksUrl);
        }
        let client = HttpClient::new(outbound, JWKS_TIMEOUT, JWKS_BYTES);
        let client = Box::new(client);
        Ok(Self::Url { url, client })
    }

    pub(super) async fn read(&self) -> Result<Vec<Jwk>, Unread> {
        match self {
            Self::File { path, reading } => parse(&read(path.clone(), reading).await?),
            Self::Url { url, client } => parse(&client.get(url).await.map_err(Unread::Fetch)?),
        }
    }
}

/// Reads a file on a thread of its own, which does not delay the end of the process.
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
    // Opening a pipe would wait for its writer.
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

/// Returns the supported keys of a JWK Set; others are ignored (RFC 7517 §5).
fn parse(json: &[u8]) -> Result<Vec<Jwk>, Unread> {
    #[derive(Deserialize)]
    struct JwkSet {
        keys: Vec<Value>,
    }
    let set: JwkSet = serde_json::from_slice(json).map_err(|_| Unread::NotAJwkSet)?;
    let jwks = set.keys.into_iter().map(serde_json::from_value);
    Ok(jwks.filter_map(Result::ok).collect())
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder};
    use axum::{Router, http::header, response::IntoResponse, routing::get};
    use tokio::io::{AsyncRead, AsyncReadExt};

    use crate::{config::OutboundRules, outbound::http_client::RequestError};

    use super::*;

    /// Reads a JWKS from a server that compresses it.
    async fn read(coding: &'static str, mut body: impl AsyncRead + Unpin) -> Result<usize, Unread> {
        let mut coded = Vec::new();
        body.read_to_end(&mut coded).await.unwrap();
        let answer = async move |headers: axum::http::HeaderMap| {
            assert_eq!(headers[header::ACCEPT_ENCODING], "gzip, deflate, br");
            ([(header::CONTENT_ENCODING, coding)], coded).into_response()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let router = Router::new().route("/jwks", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let outbound = Outbound::new(&OutboundRules::default()).unwrap();
        let jwks = Jwks::url(Url::parse(&url).unwrap(), outbound).unwrap();
        let jwks = jwks.read().await;
        jwks.map(|jwks| jwks.len())
    }

    #[tokio::test]
    async fn a_jwks_may_be_coded() {
        let jwks = &br#"{"keys":[{"kty":"oct","k":"AA"}]}"#[..];
        assert_eq!(read("", jwks).await.unwrap(), 1);
        assert_eq!(read("identity", jwks).await.unwrap(), 1);
        assert_eq!(read("none", jwks).await.unwrap(), 1);
        assert_eq!(read("gzip", GzipEncoder::new(jwks)).await.unwrap(), 1);
        assert_eq!(read("deflate", ZlibEncoder::new(jwks)).await.unwrap(), 1);
        assert_eq!(read("BR", BrotliEncoder::new(jwks)).await.unwrap(), 1);
        let unknown = read("zstd", jwks).await.unwrap_err();
        assert!(
            matches!(unknown, Unread::Fetch(RequestError::UnknownCoding(name)) if name == "zstd")
        );
        assert!(matches!(
            read("gzip", jwks).await,
            Err(Unread::Fetch(RequestError::NotDecoded(_)))
        ));
        let large = " ".repeat(JWKS_BYTES + 1);
        let large = GzipEncoder::new(large.as_bytes());
        assert!(matches!(
            read("gzip", large).await,
            Err(Unread::Fetch(RequestError::TooLarge(_)))
        ));
    }
}
