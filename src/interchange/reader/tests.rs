use std::{
    convert::Infallible,
    io::{BufReader, Cursor, Read as _},
};

use proptest::{collection::vec, prelude::*};

use super::*;

/// What was handed on: an object as its keys and values, a rejection as its field and reason.
fn read_all(input: impl BufRead) -> (Vec<String>, Option<String>) {
    let mut read_so_far = Vec::new();
    let result = read(input, |number, object| {
        read_so_far.push(match object {
            Ok(object) => serde_json::to_string(&object).unwrap(),
            Err(Rejection { field, reason }) => format!("{field}: {reason}"),
        });
        assert_eq!(number, read_so_far.len() as u64);
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
        // No page: its `servers` is no list.
        (r#"{"servers":{"a":1}}"#, &[r#"{"servers":{"a":1}}"#]),
        (r#"{"servers":null}"#, &[r#"{"servers":null}"#]),
        (r#"{"servers":7,"a":1}"#, &[r#"{"servers":7,"a":1}"#]),
        // No page either: it is not at the top.
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
        ("{}\n{}\n{\"a\": tru}", 2, "line 3 column 10"),
        ("[{}, {]", 1, "line 1 column 7"),
        ("[{}, {}", 2, "EOF while parsing a list at line 1 column 7"),
        ("[{} {}]", 1, "line 1 column 5"),
        ("{},{}", 1, "line 1 column 3"),
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
    let result = read(&b"[{},{},{}] nonsense"[..], |number, _| {
        taken = number;
        if number == 2 { Err("full") } else { Ok(()) }
    });
    assert!(
        matches!(result, Err(ReadError::Receiver("full"))),
        "{result:?}"
    );
    assert_eq!(taken, 2);
}

/// Gives a few bytes at a time.
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
