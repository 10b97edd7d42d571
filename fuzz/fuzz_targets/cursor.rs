//! Any text as a cursor, and any text in one: what is taken is what the list itself would give, to the byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use personal_connectors::domain::{
    cursor::{Cursor, Digest, Position, SortKey},
    order::OrderField,
};

fuzz_target!(|text: &str| {
    let digest = Digest::of(&());
    let (name, id) = text.split_once(' ').unwrap_or((text, ""));
    let number = (text.bytes()).fold(0, |number, byte| number << 8 | i64::from(byte));
    let positions = [
        (OrderField::Name, SortKey::Name(name.to_owned())),
        (OrderField::CreatedAt, SortKey::Time(number)),
        (
            OrderField::Relevance,
            SortKey::Relevance {
                tier: number as i32,
                name: name.to_owned(),
            },
        ),
    ];
    let given = positions.map(|(field, key)| {
        let id = id.to_owned();
        (field, Cursor::new(Position { key, id }, &digest))
    });
    let parse = |text: &str, field| Cursor::parse("after", text.to_owned(), &digest, field);
    for (field, cursor) in &given {
        let fits = cursor.text.len() <= 1024 && !text.contains('\0');
        match parse(&cursor.text, *field) {
            Ok(parsed) => assert_eq!(parsed, *cursor),
            Err(error) => assert!(!fits, "{error}: {cursor:?}"),
        }
    }
    // A cursor of one order has another's checksum too, and another shape.
    let texts = given.iter().map(|(_, cursor)| cursor.text.as_str());
    for text in texts.chain([text]) {
        for (field, _) in &given {
            if let Ok(cursor) = parse(text, *field) {
                assert_eq!(cursor, Cursor::new(cursor.position.clone(), &digest));
            }
        }
    }
});
