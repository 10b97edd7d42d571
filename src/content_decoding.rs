//! Decodes the content codings of responses to this service's requests (RFC 9110, section 8.4).
//!
//! Invariant: every decoder's output is bounded, even between two codings. Bytes are decoded as they arrive, and only
//! when they are read.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, future, stream, stream::BoxStream};
use hyper::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use tokio::io::{AsyncBufReadExt, AsyncRead};
use tokio_util::io::{ReaderStream, StreamReader};

/// The value of `Accept-Encoding` with all supported codings.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, deflate, br");

/// The most characters of an unknown coding's name in a message.
const NAME_CHARACTERS: usize = 20;

/// The most codings of one response. Each decoder polls its inner one, so a long list would overflow the stack.
const CODINGS: usize = 3;

/// A supported coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Gzip (RFC 1952), with any number of members.
    Gzip,
    /// The zlib format (RFC 1950), or bare DEFLATE data (RFC 1951), which many servers send by this name.
    Deflate,
    /// Brotli (RFC 7932). Its window is up to 16 MiB.
    Brotli,
}

/// The name of an unsupported coding, cut to 20 letters, digits and punctuation marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) String);

/// Returns the codings of a response, in the order in which they were applied. Values that mean no coding are left out:
/// none, empty, `identity`, `none`, and a misplaced charset. More than [`CODINGS`] count as unknown.
pub(crate) fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Unknown> {
    let values = headers.get_all(CONTENT_ENCODING).into_iter();
    let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let unknown = |name: &str| {
        let shown = name.chars().filter(char::is_ascii_graphic);
        Unknown(shown.take(NAME_CHARACTERS).collect())
    };
    let mut codings = Vec::new();
    for text in texts {
        for name in text.split(',') {
            let name = name.trim().to_ascii_lowercase();
            codings.push(match name.as_str() {
                "" | "identity" | "none" | "utf-8" | "utf8" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                name => return Err(unknown(name)),
            });
            if codings.len() > CODINGS {
                return Err(unknown(&text));
            }
        }
    }
    Ok(codings)
}

/// Decodes the bytes of a response. `most` limits the output of each decoder; beyond it, the error is
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge). A response that ends early is an
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof). An empty response is valid in all codings.
pub(crate) fn decoded(
    codings: &[Coding],
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    most: usize,
) -> BoxStream<'static, io::Result<Bytes>> {
    codings.iter().rev().fold(bytes.boxed(), |bytes, coding| {
        bounded(decode(*coding, bytes), most)
    })
}

fn decode(
    coding: Coding,
    bytes: BoxStream<'static, io::Result<Bytes>>,
) -> BoxStream<'static, io::Result<Bytes>> {
    let has_ended = Arc::new(AtomicBool::new(false));
    let ends = has_ended.clone();
    let end = stream::poll_fn(move |_| {
        ends.store(true, Ordering::Relaxed);
        Poll::Ready(None)
    });
    let decoding = async move {
        let mut bytes = StreamReader::new(bytes.chain(end));
        let Some(first) = bytes.fill_buf().await?.first() else {
            return Ok(stream::empty().boxed());
        };
        // A zlib header begins with its method, 8. No encoder begins bare DEFLATE data like this: these bits pad a
        // stored block.
        let is_zlib = first & 0x0f == 8;
        Ok::<_, io::Error>(match coding {
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(bytes);
                decoder.multiple_members(true);
                chunks(decoder)
            }
            Coding::Deflate if is_zlib => chunks(ZlibDecoder::new(bytes)),
            Coding::Deflate => chunks(DeflateDecoder::new(bytes)),
            Coding::Brotli => chunks(BrotliDecoder::new(bytes)),
        })
    };
    // Decoders report several errors for input that ends early.
    let decoded = stream::once(decoding).try_flatten();
    let decoded = decoded.map_err(move |error| match error.kind() {
        io::ErrorKind::Other if has_ended.load(Ordering::Relaxed) => {
            io::ErrorKind::UnexpectedEof.into()
        }
        _ => error,
    });
    decoded.boxed()
}

fn chunks(decoder: impl AsyncRead + Send + 'static) -> BoxStream<'static, io::Result<Bytes>> {
    ReaderStream::new(decoder).boxed()
}

fn bounded(
    bytes: BoxStream<'static, io::Result<Bytes>>,
    most: usize,
) -> BoxStream<'static, io::Result<Bytes>> {
    let mut left = most;
    let bytes = bytes.and_then(move |chunk| {
        future::ready(match left.checked_sub(chunk.len()) {
            Some(rest) => {
                left = rest;
                Ok(chunk)
            }
            None => Err(io::ErrorKind::FileTooLarge.into()),
        })
    });
    bytes.boxed()
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{
        BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder,
    };
    use tokio::io::{AsyncBufRead, AsyncReadExt};

    use super::*;

    async fn read(mut text: impl AsyncRead + Unpin) -> Vec<u8> {
        let mut encoded = Vec::new();
        text.read_to_end(&mut encoded).await.unwrap();
        encoded
    }

    async fn whole(codings: &[Coding], encoded: Vec<u8>, most: usize) -> io::Result<Vec<u8>> {
        // The input arrives byte by byte.
        let bytes = encoded.into_iter().map(|byte| Ok(Bytes::from(vec![byte])));
        let chunks = decoded(codings, stream::iter(bytes), most);
        chunks
            .try_fold(Vec::new(), |whole, chunk| {
                future::ok([whole, chunk.to_vec()].concat())
            })
            .await
    }

    #[test]
    fn a_coding_is_judged_by_its_value() {
        use Coding::{Brotli, Deflate, Gzip};
        let of = |values: &[&'static str]| {
            let values = values
                .iter()
                .map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value)));
            let mut headers = HeaderMap::new();
            for (name, value) in values {
                headers.append(name, value);
            }
            codings(&headers)
        };
        for none in [
            &[][..],
            &[""],
            &["identity"],
            &["none"],
            &["Identity, ,"],
            &["UTF-8"],
        ] {
            assert_eq!(of(none), Ok(vec![]), "{none:?}");
        }
        assert_eq!(of(&["GZIP"]), Ok(vec![Gzip]));
        assert_eq!(of(&["x-gzip, identity,br"]), Ok(vec![Gzip, Brotli]));
        assert_eq!(of(&["deflate", "gzip"]), Ok(vec![Deflate, Gzip]));
        assert_eq!(of(&["gzip, zstd"]), Err(Unknown("zstd".to_owned())));
        assert_eq!(of(&["gzip"; CODINGS]), Ok(vec![Coding::Gzip; CODINGS]));
        assert_eq!(of(&["gzip"; 1000]), Err(Unknown("gzip".to_owned())));
        let many = of(&["br, br, gzip, deflate, gzip"]);
        assert_eq!(many, Err(Unknown("br,br,gzip,deflate,g".to_owned())));
        let long = of(&["<a b>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]);
        assert_eq!(long, Err(Unknown("<ab>aaaaaaaaaaaaaaaa".to_owned())));
    }

    #[tokio::test]
    async fn codings_are_decoded_in_order() {
        let text = b"A text, a text, a text.".repeat(100);
        let text = text.as_slice();
        let cases = [
            (vec![Coding::Gzip], read(GzipEncoder::new(text)).await),
            (vec![Coding::Deflate], read(ZlibEncoder::new(text)).await),
            (vec![Coding::Deflate], read(DeflateEncoder::new(text)).await),
            (vec![Coding::Brotli], read(BrotliEncoder::new(text)).await),
            (vec![], text.to_vec()),
        ];
        for (codings, encoded) in &cases {
            assert_eq!(
                whole(codings, encoded.clone(), text.len()).await.unwrap(),
                text,
                "{codings:?}"
            );
            let twice = read(GzipEncoder::new(encoded.as_slice())).await;
            let twice_coded = [codings.as_slice(), &[Coding::Gzip]].concat();
            assert_eq!(
                whole(&twice_coded, twice, text.len()).await.unwrap(),
                text,
                "{codings:?}"
            );
            // Without any bytes, there is no text.
            assert_eq!(
                whole(codings, Vec::new(), 0).await.unwrap(),
                b"",
                "{codings:?}"
            );
            if codings.is_empty() {
                continue;
            }
            let kind =
                async |encoded, most| whole(codings, encoded, most).await.unwrap_err().kind();
            assert_eq!(
                kind(encoded.clone(), text.len() - 1).await,
                io::ErrorKind::FileTooLarge
            );
            let cut = encoded[..encoded.len() - 1].to_vec();
            assert_eq!(
                kind(cut, text.len()).await,
                io::ErrorKind::UnexpectedEof,
                "{codings:?}"
            );
        }
        // Members of one file.
        let members = [
            read(GzipEncoder::new(text)).await,
            read(GzipEncoder::new(text)).await,
        ]
        .concat();
        assert_eq!(
            whole(&[Coding::Gzip], members, text.len() * 2)
                .await
                .unwrap(),
            text.repeat(2)
        );
        assert!(
            whole(&[Coding::Gzip], text.to_vec(), text.len())
                .await
                .is_err()
        );
    }

    /// The output between two codings is limited too, although the outer decoder produces little.
    #[tokio::test]
    async fn a_bomb_in_a_coding_in_between_ends_early() {
        let empty = read(GzipEncoder::new(&b""[..])).await;
        let nothing: &[u8] = &empty.repeat(100_000);
        let bomb = read(GzipEncoder::new(nothing)).await;
        let ended = whole(&[Coding::Gzip, Coding::Gzip], bomb, 100_000).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    /// Bytes that an encoder flushed are decoded at once.
    #[tokio::test]
    async fn bytes_are_decoded_as_they_come() {
        fn reader(bytes: &'static [u8]) -> impl AsyncBufRead + Unpin {
            // The body never ends.
            let pieces = stream::iter([Ok::<_, io::Error>(Bytes::from_static(bytes))]);
            StreamReader::new(pieces.chain(stream::pending()))
        }
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Deflate] {
            let mut encoder: Box<dyn AsyncRead + Unpin + Send> = match coding {
                Coding::Gzip => Box::new(GzipEncoder::new(reader(b"an event"))),
                Coding::Brotli => Box::new(BrotliEncoder::new(reader(b"an event"))),
                Coding::Deflate => Box::new(ZlibEncoder::new(reader(b"an event"))),
            };
            // An encoder flushes when its source pauses.
            let mut coded = Vec::new();
            let pause = std::time::Duration::from_millis(300);
            while let Ok(read) = tokio::time::timeout(pause, encoder.read_buf(&mut coded)).await {
                assert!(read.unwrap() > 0);
            }
            let bytes = stream::iter([Ok(Bytes::from(coded))]).chain(stream::pending());
            let mut chunks = decoded(&[coding], bytes, 100);
            let mut text = Vec::new();
            while text != b"an event" {
                let chunk = tokio::time::timeout(pause, chunks.next()).await;
                text.extend(
                    chunk
                        .unwrap_or_else(|_| panic!("{coding:?}: {text:?}"))
                        .unwrap()
                        .unwrap(),
                );
            }
        }
    }
}
