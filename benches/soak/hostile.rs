//! Clients who read slowly, disconnect early, or send invalid data. Their responses are ignored.

use std::{io, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::worker::Chance;

/// The longest time of one connection.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pause between two connections of a client.
const PAUSE: Duration = Duration::from_millis(100);

/// An expensive query: a search under many aliases, with metadata.
const DEAR: &str =
    "query { a: personalConnectors(first: 100, search: \"m\") { totalCount nodes { id metadata } }
    b: personalConnectors(first: 100, search: \"t\") { totalCount nodes { id metadata } } }";

/// Opens connections one after another, for ever.
pub(crate) async fn annoy(address: String, seed: u64) {
    let mut chance = Chance(seed);
    loop {
        let annoyed = timeout(PATIENCE, once(&address, &mut chance)).await;
        // The connection was refused, cut or completed.
        drop(annoyed);
        sleep(PAUSE).await;
    }
}

async fn once(address: &str, chance: &mut Chance) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let stream = &mut stream;
    match chance.below(9) {
        0 => reads_slowly(stream, address).await,
        1 => post(stream, address, &json!({ "query": DEAR }).to_string()).await,
        2 => stops_in_the_body(stream, address).await,
        3 => sends_many_values(stream, address).await,
        4 => pings(stream, address).await,
        5 => subscribes_and_completes(stream, address).await,
        6 => breaks_off_a_message(stream, address).await,
        7 => sends_noise(stream, chance).await,
        _ => resets_streams(stream).await,
    }
}

async fn post(stream: &mut TcpStream, address: &str, body: &str) -> io::Result<()> {
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: \
         {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await
}

async fn reads_slowly(stream: &mut TcpStream, address: &str) -> io::Result<()> {
    let introspection = "{ __schema { types { name description fields { name description } } } }";
    let query = json!({ "query": introspection }).to_string();
    for _ in 0..50 {
        post(stream, address, &query).await?;
    }
    let mut byte = [0];
    while stream.read(&mut byte).await? > 0 {
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn stops_in_the_body(stream: &mut TcpStream, address: &str) -> io::Result<()> {
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b' '; 900_000]).await?;
    sleep(Duration::from_secs(3)).await;
    Ok(())
}

async fn sends_many_values(stream: &mut TcpStream, address: &str) -> io::Result<()> {
    let values = vec![0; 500_000];
    let body = json!({ "query": "query($a: [Int]) { __typename }", "variables": { "a": values } });
    post(stream, address, &body.to_string()).await?;
    stream.read_exact(&mut [0; 1024]).await?;
    Ok(())
}

/// Returns a client's frame, masked with zeros (RFC 6455, section 5.2).
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut frame = vec![opcode, MASKED | LENGTH_IN_TWO_BYTES];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(&payload[..usize::from(length)]);
    frame
}

const MASKED: u8 = 0x80;
const LENGTH_IN_TWO_BYTES: u8 = 0x7e;
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const UNFINISHED_TEXT: u8 = 0x01;
const CONTINUATION: u8 = 0x00;

async fn opens_a_socket(stream: &mut TcpStream, address: &str) -> io::Result<()> {
    let handshake = format!(
        "GET /graphql HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: \
         websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: \
         AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n"
    );
    stream.write_all(handshake.as_bytes()).await
}

async fn pings(stream: &mut TcpStream, address: &str) -> io::Result<()> {
    opens_a_socket(stream, address).await?;
    let ping = frame(PING, &[b'x'; 125]);
    let message = json!({ "type": "ping", "payload": { "a": "x".repeat(1000) } });
    let message = frame(TEXT, message.to_string().as_bytes());
    for _ in 0..10_000 {
        stream.write_all(&ping).await?;
        stream.write_all(&message).await?;
    }
    Ok(())
}

async fn subscribes_and_completes(stream: &mut TcpStream, address: &str) -> io::Result<()> {
    opens_a_socket(stream, address).await?;
    let send = |message: serde_json::Value| frame(TEXT, message.to_string().as_bytes());
    stream
        .write_all(&send(json!({ "type": "connection_init" })))
        .await?;
    for number in 0..2000 {
        let query = format!(
            "query Q{number} {{ a: personalConnectors(first: 100) {{ nodes {{ id name metadata }} }} }}"
        );
        let id = number.to_string();
        let payload = json!({ "query": query });
        let subscribe = json!({ "id": id, "type": "subscribe", "payload": payload });
        stream.write_all(&send(subscribe)).await?;
        let complete = json!({ "id": id, "type": "complete" });
        stream.write_all(&send(complete)).await?;
    }
    Ok(())
}

async fn breaks_off_a_message(stream: &mut TcpStream, address: &str) -> io::Result<()> {
    opens_a_socket(stream, address).await?;
    stream.write_all(&frame(UNFINISHED_TEXT, b"{")).await?;
    let part = frame(CONTINUATION, &vec![b' '; 60_000]);
    for _ in 0..100 {
        stream.write_all(&part).await?;
    }
    sleep(Duration::from_secs(3)).await;
    Ok(())
}

async fn sends_noise(stream: &mut TcpStream, chance: &mut Chance) -> io::Result<()> {
    for _ in 0..1000 {
        stream.write_all(&chance.next().to_ne_bytes()).await?;
    }
    stream.read_exact(&mut [0; 1024]).await?;
    Ok(())
}

/// Opens HTTP/2 streams and resets them at once (CVE-2023-44487).
async fn resets_streams(stream: &mut TcpStream) -> io::Result<()> {
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await?;
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap_or_default();
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    };
    stream.write_all(&frame(4, 0, 0, &[])).await?;
    // GET, http and / of the static table, with the authority `a` (RFC 7541, appendix A).
    let headers = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
    for number in 0..10_000 {
        let id = 2 * number + 1;
        stream.write_all(&frame(1, 0x5, id, &headers)).await?;
        stream
            .write_all(&frame(3, 0, id, &8_u32.to_be_bytes()))
            .await?;
    }
    Ok(())
}
