use std::{
    convert::Infallible,
    io::{self, BufReader, Cursor, Read as _},
};

use proptest::{collection::vec, prelude::*};

use super::{tap::ELEMENT_BYTES, *};

/// Returns the events of a read: each object as its keys and values, each rejection as its field and reason.
fn read_all(input: impl BufRead) -> (Vec<String>, Option<String>) {
    let mut read_so_far = Vec::new();
    let result = read(input, |event| {
        let Event::Element(element) = event else {
            return Ok(());
        };
        read_so_far.push(match element.object {
            Ok(object) => serde_json::to_string(&object).unwrap(),
            Err(Rejection { field, reason }) => format!("{field}: {reason}"),
        });
        assert_eq!(element.number, read_so_far.len() as u64);
        Ok::<_, Infallible>(())
    });
    let error = match result {
        Ok(count) => {
            assert_eq!(count, read_so_far.len() as u64);
            None
        }
        Err(error) => Some(error.to_string()),
    };
    (read_so_far, error)
}

#[test]
fn shapes() {
    const NONE: &str = ": must be a JSON object";
    for (input, expected) in [
        ("", &[][..]),
        (" \n\t", &[]),
        (r#"{"a": 1}"#, &[r#"{"a":1}"#]),
        ("\u{feff}{}", &["{}"]),
        ("{}\n{}\r\n\n{}{}", &["{}"; 4]),
        ("[]", &[]),
        ("[{},\n {}]", &["{}"; 2]),
        (
            r#"[{"a":1}]{"b":2}[{"c":3}]"#,
            &[r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#],
        ),
        (r#"{"servers": []}"#, &[]),
        (
            r#"{"metadata":{"x":[]},"servers":[{"a":1},{"b":2}],"count":2}"#,
            &[r#"{"a":1}"#, r#"{"b":2}"#],
        ),
        (r#"{"servers":[{"a":1}],"servers":null}"#, &[r#"{"a":1}"#]),
        (r#"{"\u0073ervers":[{"a":1}]}"#, &[r#"{"a":1}"#]),
        (r#"{"servers":null}"#, &[]),
        (r#"{"servers":{"a":1,"b":{}}}"#, &[NONE, "{}"]),
        (r#"{"data":{"x":1,"servers":[{"a":1}]}}"#, &[r#"{"a":1}"#]),
        (r#"{"mcp":{"servers":{"a":{"b":1}}}}"#, &[r#"{"b":1}"#]),
        (r#"{"mcpServers":{"a":{"b":1}}}"#, &[r#"{"b":1}"#]),
        // Not a page, because it has neither a list nor a map of servers.
        (r#"{"data":{"x":1}}"#, &[r#"{"data":{"x":1}}"#]),
        (r#"{"data":null}"#, &[r#"{"data":null}"#]),
        (r#"{"servers":7,"a":1}"#, &[r#"{"servers":7,"a":1}"#]),
        // Not a page either, because it is not at the top.
        (r#"[{"servers":[{"a":1}]}]"#, &[r#"{"servers":[{"a":1}]}"#]),
        ("null", &[NONE]),
        (
            r#"[null, 1, -2.5e3, "{", true, [{}], {}]"#,
            &[NONE, NONE, NONE, NONE, NONE, NONE, "{}"],
        ),
        (r#"1 "x" {}"#, &[NONE, NONE, "{}"]),
        (r#"{"servers":[null,{}]}"#, &[NONE, "{}"]),
        (r#"[{"a":1,"b":2,"a":3},{}]"#, &["a: a stands twice", "{}"]),
        (r#"{"a":1,"\u0061":1}{}"#, &["a: a stands twice", "{}"]),
        (
            r#"{"n":1.10,"big":12345678901234567890123}"#,
            &[r#"{"n":1.10,"big":12345678901234567890123}"#],
        ),
        // Comments and trailing commas, and similar text in strings.
        (
            "// one\n{ /* two\n * three */ \"a\": \"//,]/*\\\"\", // four\n }",
            &[r#"{"a":"//,]/*\""}"#],
        ),
        ("[{}, {},\n]", &["{}"; 2]),
    ] {
        let (read, error) = read_all(input.as_bytes());
        assert_eq!(
            (read, error),
            (expected.iter().map(ToString::to_string).collect(), None),
            "{input}"
        );
    }
}

#[test]
fn tells_where_the_input_stops_being_json() {
    for (input, before, expected) in [
        ("{}\n{\n\"a\": tru\n}", 1, "line 4 column 0"),
        ("{\"a\": tru}", 0, "line 1 column 10"),
        ("{\"a\": 1,,}", 0, "line 1 column 9"),
        ("{\"a\": 1 / 2}", 0, "line 1 column 9"),
        ("[{}, {]", 1, "line 1 column 7"),
        ("[{}, {}", 2, "EOF while parsing a list at line 1 column 7"),
        ("[{} {}]", 1, "line 1 column 5"),
        ("{\n},{}", 1, "line 2 column 2"),
        (
            "{\"servers\":[{},",
            1,
            "EOF while parsing a value at line 1 column 15",
        ),
        ("[{}]]", 1, "line 1 column 5"),
        ("nul", 0, "line 1 column 3"),
        ("\u{feff}hello", 0, "expected value at line 1 column 1"),
    ] {
        let (read, error) = read_all(input.as_bytes());
        let error = error.unwrap();
        assert!(error.contains(expected), "{input}: {error}");
        assert_eq!(read.len(), before, "{input}");
    }
    let utf_16: Vec<u8> = "\u{feff}{}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(
        read_all(&utf_16[..]).1.unwrap(),
        "the input is UTF-16, and must be UTF-8"
    );
}

#[test]
fn rejects_what_is_no_unicode_and_goes_on() {
    let (read, error) = read_all(&b"[{\"a\":\"\xff\"},{\"\\ud800\":1},{}]"[..]);
    assert_eq!(error, None);
    assert_eq!(read[0], ": must be UTF-8");
    assert!(
        read[1].starts_with(": must be a JSON object: "),
        "{}",
        read[1]
    );
    assert_eq!(read[2..], ["{}"]);
    let (read, error) = read_all(&b"{\"\xff\":1}{\"\\ud800\":1}{}"[..]);
    assert_eq!((read.len(), error), (3, None));
}

#[test]
fn rejects_an_object_above_the_limit_and_goes_on() {
    let object =
        |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - r#"{"a":""}"#.len()));
    let (most, more) = (object(ELEMENT_BYTES), object(ELEMENT_BYTES + 1));
    for input in [
        format!("[{more},{most},{{}}]"),
        format!("{more}\n{most}\n{{}}"),
        format!("{{\"a\":{more},\"servers\":[{more},{most},{{}}]}}"),
    ] {
        let (read, error) = read_all(input.as_bytes());
        assert_eq!(error, None);
        assert_eq!(read, [": must be at most 1 MiB", &most, "{}"]);
    }
    let endless = Cursor::new(r#"[{"a":""#).chain(std::io::repeat(b'x').take(8 << 20));
    let (read, error) = read_all(BufReader::new(endless.chain(Cursor::new("\"},{}]"))));
    assert_eq!((read.len(), &*read[1], error), (2, "{}", None));
}

#[test]
fn stops_when_the_receiver_does() {
    let mut taken = 0;
    let result = read(&b"[{},{},{}] nonsense"[..], |_| {
        taken += 1;
        if taken == 2 { Err("full") } else { Ok(()) }
    });
    assert!(
        matches!(result, Err(ReadError::Receiver("full"))),
        "{result:?}"
    );
    assert_eq!(taken, 2);
}

#[test]
fn a_line_that_is_not_json_does_not_stop_the_others() {
    const WRONG: &str = "line 2 is not JSON: ";
    for line in [
        r#"{"a": tru}"#,
        r#"{"a": "cut"#,
        r#"{"a": {"b": 1"#,
        "oops",
        "\0",
        "]",
    ] {
        for (input, after) in [
            (format!("{{\"a\":1}}\n{line}\n{{\"c\":1}}\n"), 1),
            (
                format!("{{\"a\":1}}\r\n{line}\r\n\r\n{{\"c\":1}}\n{line}"),
                2,
            ),
            (format!("{{\"a\":1}}\n{line}"), 0),
        ] {
            let (read, error) = read_all(input.as_bytes());
            assert_eq!(error, None, "{input}");
            assert_eq!(read.len(), 2 + after, "{input}: {read:?}");
            assert_eq!(read[0], r#"{"a":1}"#);
            assert!(
                read[1].starts_with(&format!("line: {WRONG}")),
                "{}",
                read[1]
            );
            assert!(after == 0 || read[2] == r#"{"c":1}"#, "{read:?}");
        }
    }
    // The first line too.
    let (read, error) = read_all(&b"{\"a\": tru}\n{\"c\":1}\n{}"[..]);
    assert_eq!((read.len(), &*read[1], error), (3, r#"{"c":1}"#, None));
    // A line longer than an object may be, which is cut.
    let long = format!("{{}}\n{{\"a\":\"{}\n{{\"c\":1}}", "x".repeat(2 << 20));
    let (read, error) = read_all(long.as_bytes());
    assert_eq!((read.len(), error), (3, None));
    assert_eq!(read[2], r#"{"c":1}"#);
}

#[test]
fn tells_what_is_not_json() {
    for (input, expected) in [
        ("name: github\nimage: mcp/github\n", "it looks like YAML"),
        ("---\nname: github\n", "it looks like YAML"),
        ("# servers\n- name: github\n", "it looks like YAML"),
        (
            "[mcp_servers.github]\ncommand = \"npx\"\n",
            "it looks like TOML",
        ),
        ("<!DOCTYPE html><html>", "it looks like HTML or XML"),
        ("\u{1f}\u{8b}\u{8}", "line 1 column 1"),
    ] {
        let (read, error) = read_all(input.as_bytes());
        let error = error.unwrap();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        assert_eq!(read, [""; 0]);
    }
    let (_, error) = read_all(&[0x1f, 0x8b, 8][..]);
    assert!(error.unwrap().contains("it looks like a compressed file"));
}

#[test]
fn tells_of_pages_and_of_keys_beside_the_servers() {
    let events = |input: &str| {
        let mut events = Vec::new();
        read(input.as_bytes(), |event| {
            match event {
                Event::NextPage(cursor) => events.push(format!("next {cursor}")),
                Event::KeysLeftOut(keys, others) => {
                    events.push(format!("{} and {others}", keys.join(" ")));
                }
                Event::Element(Element {
                    name,
                    section,
                    line,
                    ..
                }) => {
                    events.push(format!("{line} {section:?} {}", name.unwrap_or_default()));
                }
            }
            Ok::<_, Infallible>(())
        })
        .unwrap();
        events
    };
    for (input, expected) in [
        (
            r#"{"servers":[{}],"metadata":{"count":1,"nextCursor":"a:1"}}"#,
            &["1 Open ", "next a:1"][..],
        ),
        (
            "{\"metadata\":{\"next_cursor\":\"b\"},\n\"servers\":[\n{}]}",
            &["3 Open ", "next b"],
        ),
        (r#"{"servers":[],"metadata":{"nextCursor":""}}"#, &[]),
        (
            r#"{"servers":[],"metadata":{"nextCursor":null,"x":{"nextCursor":"c"}}}"#,
            &[],
        ),
        (r#"{"servers":[],"metadata":["nextCursor"]}"#, &[]),
        // A connector's own metadata is not a page's.
        (r#"{"id":"a","metadata":{"nextCursor":"a"}}"#, &["1 Open "]),
        (
            "{\"inputs\":[1],\n\"servers\":{\"a\":{},\n\"b\":{}},\"version\":1}",
            &["2 Servers a", "3 Servers b", "inputs and 0"],
        ),
        (
            r#"{"a":1,"b":2,"mcpServers":{"x":{}},"c":3,"d":4,"e":5,"f":6,"g":7}"#,
            &["1 ClientServers x", "a b c d e and 2"],
        ),
        (
            r#"{"version":"1","data":{"servers":[{}],"groups":[{}]},"meta":{}}"#,
            &["1 Open ", "groups and 0"],
        ),
        (
            r#"{"servers":{"a":{}},"remote_servers":{"b":{}}}"#,
            &["1 Servers a", "1 RemoteServers b"],
        ),
        (
            r#"{"version":3,"registry":{"a":{}}}"#,
            &["1 DockerRegistry a"],
        ),
        (
            r#"{"a":{"name":"a","installations":{}},"servers":{"name":"s"},"c":1}"#,
            &["1 Packages a", "1 Packages servers", "1 Packages c"],
        ),
        (r#"{"a":{"name":"a"},"b":{}}"#, &["1 Open "]),
    ] {
        assert_eq!(events(input), expected, "{input}");
    }
}

/// Returns a few bytes at a time.
struct Chunks<'a>(&'a [u8], usize);

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[]{}\",:\\\\]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_shape_and_chunking_reads_the_same(
        objects in vec(vec(("[a-z]{1,3}", json()), 0..4), 0..6),
        pretty: bool,
        chunk in 1_usize..40,
        buffer in 1_usize..40,
    ) {
        let objects: Vec<_> = objects
            .into_iter()
            .map(|members| members.into_iter().collect::<serde_json::Value>())
            .collect();
        let texts: Vec<_> = objects
            .iter()
            .map(|object| if pretty { format!("{object:#}") } else { object.to_string() })
            .collect();
        for input in [
            texts.join("\n"),
            texts.concat(),
            format!("[{}]", texts.join(" , ")),
            format!(r#"{{"before":{{"servers":[{{}}]}},"servers" : [{}],"after":[1]}}"#, texts.join(",")),
            format!("\u{feff} {}", texts.join("\r\n")),
        ] {
            let chunks = BufReader::with_capacity(buffer, Chunks(input.as_bytes(), chunk));
            let (read, error) = read_all(chunks);
            prop_assert_eq!(error, None);
            let read: Vec<serde_json::Value> =
                read.iter().map(|object| serde_json::from_str(object).unwrap()).collect();
            prop_assert_eq!(&read, &objects);
        }
    }
}
