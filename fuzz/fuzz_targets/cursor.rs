//! Parses any text as a cursor, and cursors that contain any text. An accepted cursor equals the one that the list
//! would make, byte for byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use personal_connectors::domain::{
    cursor::{Cursor, Digest},
    order::{OrderField, Position, SortKey},
};

fuzz_target!(|text: &str| {
    let digest = Digest::of(&());
    let (name, id) = text.split_once(' ').unwrap_or((text, ""));
    let number = (text.bytes()).fold(0, |number, byte| number << 8 | i64::from(byte));
    let by_name = || (OrderField::Name, SortKey::Name(name.to_owned()));
    let positions = [
        vec![by_name()],
        vec![(OrderField::CreatedAt, SortKey::Number(number))],
        vec![
            (OrderField::Relevance, SortKey::Tier(number as i32)),
            by_name(),
        ],
        vec![
            (OrderField::Latency, SortKey::Maybe(None)),
            (OrderField::Uptime, SortKey::Maybe(Some(number))),
            by_name(),
        ],
    ];
    let given = positions.map(|keys| {
        let (fields, keys): (Vec<_>, _) = keys.into_iter().unzip();
        let id = id.to_owned();
        (fields, Cursor::new(Position { keys, id }, digest))
    });
    let parse = |text: &str, fields: &[_]| Cursor::parse("after", text.to_owned(), digest, fields);
    for (fields, cursor) in &given {
        let fits = cursor.text.len() <= 1024 && !text.contains('\0');
        match parse(&cursor.text, fields) {
            Ok(parsed) => assert_eq!(parsed, *cursor),
            Err(error) => assert!(!fits, "{error}: {cursor:?}"),
        }
    }
    // All orders have the same digest here, so a cursor of one order differs from another's only in its shape.
    let texts = given.iter().map(|(_, cursor)| cursor.text.as_str());
    for text in texts.chain([text]) {
        for (fields, _) in &given {
            if let Ok(cursor) = parse(text, fields) {
                assert_eq!(cursor, Cursor::new(cursor.position.clone(), digest));
            }
        }
    }
});
