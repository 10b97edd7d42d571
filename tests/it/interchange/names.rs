//! Names that move between connectors in one import.

use fixtures::published::{self, served as custom};
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{
        harness::{TestDatabase, rows},
        mutations::with,
        process::{Done, program_on, run, run_with},
    },
};

const NAMES: &str = "SELECT id, name, connector_id FROM personal_connector WHERE name NOT LIKE 'filler%' ORDER BY id";
const EVERYTHING: &str =
    "SELECT state, p.* FROM catalog_state, personal_connector AS p ORDER BY id";

fn official(id: &str, connector_id: &str) -> Value {
    with(
        published::official(id, id),
        json!({ "connectorId": connector_id }),
    )
}

fn import(storage: &TestDatabase, flags: &[&str], objects: &[Value]) -> Done {
    let lines: Vec<_> = objects.iter().map(Value::to_string).collect();
    let mut command = program_on(storage, &["import", "--organization", "acme"]);
    command.args(flags);
    run_with(command, &lines.join("\n"))
}

/// Imports as a dry run, for real, and once more. All report the same, and the last one changes nothing.
async fn import_all_ways(storage: &TestDatabase, objects: &[Value]) -> Done {
    run(program_on(storage, &["migrate"])).ok();
    let dry = import(storage, &["--dry-run"], objects);
    let done = import(storage, &[], objects);
    assert_eq!(
        dry.out,
        format!("{} (dry run: nothing was written)\n", done.out.trim()),
        "{}",
        dry.err
    );
    assert_eq!((&dry.err, dry.code), (&done.err, done.code));
    let before = rows(&storage.url, EVERYTHING).await;
    let again = import(storage, &[], objects);
    assert!(
        again.out.contains(" 0 created, 0 updated, "),
        "{}",
        again.out
    );
    assert_eq!(again.err, done.err);
    assert_eq!(rows(&storage.url, EVERYTHING).await, before);
    done
}

on_both_databases! {
    async fn a_swap_a_ring_and_a_chain_do_not_depend_on_the_order(storage: TestDatabase) {
        run(program_on(&storage, &["migrate"])).ok();
        let before = [
            custom("a", "A"),
            custom("b", "B"),
            custom("c", "C"),
            custom("d", "D"),
            custom("e", "E"),
            official("x", "x"),
            official("y", "y"),
            official("z", "z"),
        ];
        import(&storage, &[], &before).ok();
        let mut after = vec![
            // A swap, and a chain whose last one takes a free name.
            custom("a", "B"),
            custom("b", "A"),
            custom("c", "D"),
            custom("d", "E"),
            custom("e", "F"),
            official("x", "y"),
            official("y", "z"),
            official("z", "x"),
            // A new connector with a released name.
            custom("n", "C"),
        ];
        let done = import_all_ways(&storage, &after).await;
        assert_eq!((done.err.as_str(), done.code), ("", Some(0)));
        assert!(
            done.out.starts_with("9 objects: 1 created, 8 updated, "),
            "{}",
            done.out
        );
        let expected = "pcon_a|B|custom_mcp\npcon_b|A|custom_mcp\npcon_c|D|custom_mcp\npcon_d|E|custom_mcp\n\
                        pcon_e|F|custom_mcp\npcon_n|C|custom_mcp\npcon_x|x|y\npcon_y|y|z\npcon_z|z|x\n";
        assert_eq!(rows(&storage.url, NAMES).await, expected);
        // The reverse and back, with batches in between.
        let filler = (0..1100).map(|i| custom(&format!("filler{i}"), &format!("filler{i}")));
        let filler: Vec<_> = filler.collect();
        import(
            &storage,
            &[],
            &[&before[1..], &filler, &before[..1], &[custom("n", "N")]].concat(),
        )
        .ok();
        after.reverse();
        let (first, last) = after.split_at(4);
        let done = import_all_ways(&storage, &[first, &filler, last].concat()).await;
        assert_eq!((done.err.as_str(), done.code), ("", Some(0)));
        assert!(
            done.out
                .starts_with("1109 objects: 0 created, 9 updated, 1100 unchanged, "),
            "{}",
            done.out
        );
        assert_eq!(rows(&storage.url, NAMES).await, expected);
        // Each change is one event, without intermediate states.
        let events = "SELECT COUNT(*) FROM connector_event WHERE personal_connector_id IN ('pcon_a', 'pcon_x') AND \
                      kind = 'updated'";
        assert_eq!(rows(&storage.url, events).await, "6\n");
        let found =
            "SELECT COUNT(*) FROM personal_connector WHERE name_key < ' ' OR connector_id < ' '";
        assert_eq!(rows(&storage.url, found).await, "0\n");
    }

    async fn what_is_rejected_keeps_its_name_and_stops_no_other(storage: TestDatabase) {
        run(program_on(&storage, &["migrate"])).ok();
        let before = [
            custom("a", "A"),
            custom("b", "B"),
            custom("c", "C"),
            custom("stays", "Stays"),
        ];
        import(&storage, &[], &before).ok();
        let filler: Vec<_> = (0..600)
            .map(|i| custom(&format!("filler{i}"), &format!("filler{i}")))
            .collect();
        let input = [
            // B, and A that C takes, would be free if this one could be renamed.
            custom("b", "A"),
            custom("c", "B"),
            custom("new", "New"),
        ];
        let end = [
            custom("a", "Stays"),
            with(custom("d", "D"), json!({ "version": "one" })),
        ];
        let done = import_all_ways(&storage, &[&input[..], &filler, &end].concat()).await;
        assert_eq!(
            done.err,
            "rejected: standard input:604: entry 604 (Stays): name: the name is taken by pcon_stays: rename the entry, \
             or delete that connector\nrejected: standard input:605: entry 605 (D): version must be a semantic \
             version, such as 1.0.0\nrejected: standard input:1: entry 1 (A): name: the name is taken by pcon_a: \
             rename the entry, or delete that connector\nrejected: standard input:2: entry 2 (B): name: the name is \
             taken by pcon_b: rename the entry, or delete that connector\n"
        );
        assert_eq!(done.code, Some(3));
        assert_eq!(
            rows(&storage.url, NAMES).await,
            "pcon_a|A|custom_mcp\npcon_b|B|custom_mcp\npcon_c|C|custom_mcp\n\
             pcon_new|New|custom_mcp\npcon_stays|Stays|custom_mcp\n"
        );
    }
}
