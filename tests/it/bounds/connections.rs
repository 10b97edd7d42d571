//! Connections that are slow, silent or hostile.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{ONE, SIXTEEN};
use crate::support::{
    harness::TestDatabase,
    process::{Serving, program_on, run},
};

const LONG: Duration = Duration::from_mins(1);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn serving(flags: &[&str]) -> (TestDatabase, Serving) {
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&storage, flags));
    (storage, serving)
}

fn address(serving: &Serving) -> &str {
    let address = serving.url.strip_prefix("http://").unwrap();
    address.strip_suffix("/graphql").unwrap()
}

async fn connect(serving: &Serving) -> TcpStream {
    TcpStream::connect(address(serving)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_under_way_share_their_memory() {
    let (_storage, serving) = serving(&[]);
    let head = format!(
        "GET /graphql HTTP/1.1\r\nhost: x\r\nx: {}",
        "x".repeat(60_000)
    );
    let (_open, grown) = serving
        .process
        .growth(async {
            let mut open = Vec::new();
            for _ in 0..3000 {
                let mut stream = connect(&serving).await;
                let _ = stream.write_all(head.as_bytes()).await;
                open.push(stream);
            }
            // All earlier data was read when a later request is answered.
            assert_eq!(serving.get("/health/live").await.0, 200);
            open
        })
        .await;
    assert!(grown <= SIXTEEN, "{grown} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_of_http2_that_do_not_end_share_their_memory() {
    let (_storage, serving) = serving(&[]);
    // GET, http and / of the static table, and a field of 30,000 bytes without its end (RFC 7541, section 6.2.2).
    let mut fields = vec![0x82, 0x86, 0x84, 0x00, 1, b'x', 0x7f, 0xb1, 0xe9, 0x01];
    fields.resize(28_000, b'x');
    let mut head = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    head.extend(frame(HEADERS, 0, 1, &fields[..16_000]));
    head.extend(frame(CONTINUATION, 0, 1, &fields[16_000..]));
    let (_open, grown) = serving
        .process
        .growth(async {
            let mut open = Vec::new();
            for _ in 0..4500 {
                let mut stream = connect(&serving).await;
                let _ = stream.write_all(&head).await;
                open.push(stream);
            }
            assert_eq!(serving.get("/health/live").await.0, 200);
            open
        })
        .await;
    println!("{grown} MiB");
    assert!(grown <= SIXTEEN, "{grown} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_takes_little() {
    let (_storage, serving) = serving(&[]);
    let request = "GET /graphiql HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let (_open, grown) = serving
        .process
        .growth(async {
            let mut open = Vec::new();
            for _ in 0..16 {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(4096).unwrap();
                let connected = socket.connect(address(&serving).parse().unwrap());
                let mut stream = connected.await.unwrap();
                let sent = stream.write_all(request.as_bytes());
                let _ = timeout(Duration::from_secs(1), sent).await;
                open.push(stream);
            }
            open
        })
        .await;
    assert!(grown <= ONE, "{grown} MiB");
}

/// Returns an HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET http://x/graphql`, by HPACK's static table and literals.
const GET: &[u8] = b"\x82\x86\x04\x08/graphql\x41\x01x";

/// Makes the next bytes to send, by the number of earlier ones.
type Make = Box<dyn Fn(u32) -> Vec<u8>>;

/// Sends the function's bytes until the service ends the connection, or up to this number of times.
async fn flood(serving: &Serving, times: u32, make: impl Fn(u32) -> Vec<u8>) -> TcpStream {
    let mut stream = connect(serving).await;
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    for number in 0..times {
        let sent = timeout(Duration::from_secs(2), stream.write_all(&make(number))).await;
        if !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_take_little() {
    let (_storage, serving) = serving(&[]);
    let begin = |number: u32| 2 * number + 1;
    let reset = move |number| {
        let mut both = frame(HEADERS, END_STREAM | END_HEADERS, begin(number), GET);
        both.extend(frame(RST_STREAM, 0, begin(number), &8_u32.to_be_bytes()));
        both
    };
    let open = move |number| frame(HEADERS, END_HEADERS, begin(number), GET);
    let ping = |_| frame(PING, 0, 0, &[0; 8]).repeat(100);
    let settings = |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(100);
    let endless = |number| match number {
        0 => frame(HEADERS, 0, 1, GET),
        _ => frame(CONTINUATION, 0, 1, &b"\x00\x01a\x7f\x81\x00".repeat(10)),
    };
    let large = move |number| {
        let mut head = GET.to_vec();
        // A literal of 16,000 bytes, which is not indexed.
        head.extend_from_slice(b"\x00\x01a\x7f\x81\x7c");
        head.extend_from_slice(&[b'x'; 16_000]);
        frame(HEADERS, END_HEADERS, begin(number), &head[..16_000])
    };
    let floods: [(&str, Make); 6] = [
        ("rapid reset", Box::new(reset)),
        ("streams that do not end", Box::new(open)),
        ("pings", Box::new(ping)),
        ("settings", Box::new(settings)),
        ("a head that does not end", Box::new(endless)),
        ("large heads", Box::new(large)),
    ];
    for (what, make) in floods {
        let flooded = serving.process.growth(flood(&serving, 20_000, make));
        let (_stream, grown) = timeout(LONG, flooded).await.unwrap();
        assert!(grown <= ONE, "{what}: {grown} MiB");
        assert_eq!(serving.get("/health/live").await.0, 200, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_refused_beyond_its_addresses_number() {
    let (_storage, serving) = serving(&["--max-connections", "100"]);
    let mut open = Vec::new();
    for _ in 0..70 {
        open.push(connect(&serving).await);
    }
    assert_eq!(serving.get("/health/ready").await.0, 200);
    assert_eq!(serving.get("/graphql?query={__typename}").await.0, 503);
    drop(open);
    let asked = async {
        while serving.get("/graphql?query={__typename}").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, asked).await.unwrap();
}

/// Returns the program with a limit on open files.
fn limited(files: &str, storage: &TestDatabase) -> std::process::Command {
    let inner = program_on(storage, &[]);
    let mut command = std::process::Command::new("sh");
    let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(inner.get_program());
    command.args(inner.get_args()).env_clear();
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env("CONNECTORS_LISTEN", "127.0.0.1:0");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_files_are_told_and_no_panic() {
    for files in ["6", "12", "24", "63"] {
        let storage = TestDatabase::sqlite();
        let told = run(limited(files, &storage)).failed(1);
        assert!(told.contains("raise the limit to 64 or more"), "{told}");
        assert!(!told.contains("panicked"), "{told}");
    }
    let storage = TestDatabase::sqlite();
    let serving = Serving::start(limited("128", &storage));
    // There are more connections than may be open, and the first ones still get responses.
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(connect(&serving).await);
    }
    open[0]
        .write_all(b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    let read = timeout(LONG, open[0].read_exact(&mut answer)).await;
    read.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(open);
    let done = serving.stop();
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(
        done.err.contains("fewer connections than wanted"),
        "{}",
        done.err
    );
    assert!(!done.err.contains("panicked"), "{}", done.err);
}
