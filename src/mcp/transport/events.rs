//! Parses server-sent events (HTML Living Standard §9.2.6) as leniently as the standard asks. Unknown fields, lines
//! without a colon and non-numeric `retry` values are ignored.

use std::{collections::VecDeque, mem};

use futures_util::{Stream, StreamExt, stream};
use sse_stream::Sse;

use crate::mcp::failure::Failure;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the events of a body. An event without data still has its id and `retry`. An event that the body's end cuts
/// is dropped.
pub(super) fn events(
    body: impl Stream<Item = Result<Vec<u8>, Failure>> + Send + 'static,
) -> impl Stream<Item = Result<Sse, Failure>> + Send {
    let state = (Box::pin(body), Parser::default());
    stream::unfold(state, |(mut body, mut parser)| async move {
        loop {
            if let Some(event) = parser.events.pop_front() {
                return Some((Ok(event), (body, parser)));
            }
            match body.next().await? {
                Ok(chunk) => parser.read(&chunk),
                Err(failure) => return Some((Err(failure), (body, parser))),
            }
        }
    })
}

#[derive(Default)]
struct Parser {
    begun: bool,
    line: Vec<u8>,
    /// Whether the last line ended with CR, so that a following LF belongs to it.
    after_cr: bool,
    event: Sse,
    events: VecDeque<Sse>,
}

impl Parser {
    fn read(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            let continues_crlf = mem::take(&mut self.after_cr) && byte == b'\n';
            match byte {
                _ if continues_crlf => {}
                b'\r' | b'\n' => {
                    self.after_cr = byte == b'\r';
                    let line = mem::take(&mut self.line);
                    self.end_line(&line);
                }
                _ => self.line.push(byte),
            }
        }
    }

    fn end_line(&mut self, mut line: &[u8]) {
        if !mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            let event = mem::take(&mut self.event);
            if event != Sse::default() {
                self.events.push_back(event);
            }
            return;
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.event = (!value.is_empty()).then(|| value.to_owned()),
            "data" => match &mut self.event.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.event.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" => self.event.retry = value.parse().ok().or(self.event.retry),
            _ => {}
        }
    }
}

/// Returns whether an event is a message: its type is this one, or absent.
pub(super) fn is_message(event: &Sse) -> bool {
    matches!(event.event.as_deref(), None | Some("message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parsed(chunks: &[&[u8]]) -> Vec<Sse> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(chunk.to_vec())).collect();
        let events = events(stream::iter(chunks));
        events.map(Result::unwrap).collect().await
    }

    #[tokio::test]
    async fn what_is_unknown_is_ignored() {
        let expected = [Sse::default()
            .event("endpoint")
            .data("/a\nb")
            .id("1")
            .retry(3000)];
        for text in [
            "id: 1\nretry: 3000\nevent: endpoint\ndata: /a\ndata: b\n\n",
            "\u{feff}id:1\r\nretry:3000\r\nevent:endpoint\r\ndata:/a\r\ndata:b\r\n\r\n",
            ": ping\rid: 1\rretry: 3000\rretry: soon\revent: endpoint\rdata: /a\rdata: b\r\r",
            "x: y\nalone\nid: 1\nid: 2\0\nretry: 3000\nevent: message\nevent: endpoint\ndata: /a\ndata: b\n\ndata: cut",
            "\n\n: a comment is no event\n\nid: 1\nretry: 3000\nevent: endpoint\ndata: /a\ndata: b\n\n",
        ] {
            assert_eq!(parsed(&[text.as_bytes()]).await, expected, "{text:?}");
            let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
            assert_eq!(parsed(&bytes).await, expected, "{text:?}");
        }
        let two = parsed(&[b"data\n\ndata: \xff\n\n"]).await;
        assert_eq!(
            two,
            [Sse::default().data(""), Sse::default().data("\u{fffd}")]
        );
        assert_eq!(
            parsed(&[b"event:\nretry: 5\n\n"]).await,
            [Sse::default().retry(5)]
        );
    }
}
