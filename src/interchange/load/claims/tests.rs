use proptest::{collection::vec, prelude::*};

use super::*;

fn claim(name: u8) -> Claim {
    Claim::ConnectorId(name.to_string())
}

/// Entries with an id, their claim, and the claim of their connector.
fn decide(
    entries: &[(u8, u8, Option<u8>)],
    others: &[(u8, u8)],
    wait: Wait,
    expected: &[u8],
) -> Plan {
    let ids: Vec<_> = entries.iter().map(|(id, ..)| id.to_string()).collect();
    let candidates: Vec<_> = entries
        .iter()
        .zip(&ids)
        .map(|((_, wants, has), id)| Candidate {
            id,
            extent: Extent::Whole,
            wants: claim(*wants),
            has: has.map(claim),
            is_kept: false,
            rejection: None,
        })
        .collect();
    let present = entries
        .iter()
        .filter_map(|(id, _, has)| Some((claim((*has)?), id.to_string())));
    let others = others.iter().map(|(id, has)| (claim(*has), id.to_string()));
    let mut ids = Ids::default();
    for id in expected {
        ids.insert(&id.to_string());
    }
    Claims::new(ids).plan(&candidates, &present.chain(others).collect(), wait)
}

fn letters(plan: &Plan) -> String {
    let letter = |verdict: &Verdict| match verdict {
        Verdict::Taken => 'T',
        Verdict::Waits => 'W',
        Verdict::Rejected(_) => 'R',
    };
    plan.verdicts.iter().map(letter).collect()
}

#[test]
fn names_within_a_batch() {
    for (entries, others, expected, given_up) in [
        // A new entry, and one without a change.
        (&[(1, 1, None), (2, 2, Some(2))][..], &[][..], "TT", &[][..]),
        // A swap, a ring, and a chain in both orders.
        (&[(1, 2, Some(1)), (2, 1, Some(2))], &[], "TT", &[1, 0]),
        (
            &[(1, 2, Some(1)), (2, 3, Some(2)), (3, 1, Some(3))],
            &[],
            "TTT",
            &[1, 2, 0],
        ),
        (&[(1, 2, Some(1)), (2, 3, Some(2))], &[], "TT", &[1]),
        (&[(2, 3, Some(2)), (1, 2, Some(1))], &[], "TT", &[0]),
        // Another connector has the name, and the entries that counted on it are rejected too.
        (&[(1, 2, Some(1))], &[(9, 2)], "R", &[]),
        (
            &[(3, 1, Some(3)), (1, 2, Some(1)), (4, 4, None)],
            &[(9, 2)],
            "RRT",
            &[],
        ),
        // The first of two entries wins.
        (&[(1, 5, None), (2, 5, None)], &[], "TR", &[]),
    ] {
        let plan = decide(entries, others, Wait::Over, &[]);
        assert_eq!(
            (&*letters(&plan), &*plan.given_up),
            (expected, given_up),
            "{entries:?}"
        );
    }
}

#[test]
fn names_that_come_later() {
    let wait = |entries: &[_]| letters(&decide(entries, &[(9, 2)], Wait::Allowed, &[9]));
    assert_eq!(wait(&[(1, 2, Some(1))]), "W");
    assert_eq!(
        wait(&[(3, 1, Some(3)), (1, 2, Some(1)), (4, 4, None)]),
        "WWT"
    );
    // A waiting entry keeps its id and its claim.
    let mut claims = Claims::new(Ids::default());
    claims.expected.insert("9");
    let holders = HashMap::from([(claim(2), "9".to_owned())]);
    let candidate = |id, wants| Candidate {
        id,
        extent: Extent::Whole,
        wants: claim(wants),
        has: None,
        is_kept: false,
        rejection: None,
    };
    let plan = |claims: &mut Claims, candidates: &[_], wait| {
        letters(&claims.plan(candidates, &holders, wait))
    };
    assert_eq!(plan(&mut claims, &[candidate("1", 2)], Wait::Allowed), "W");
    assert_eq!(
        plan(
            &mut claims,
            &[candidate("1", 3), candidate("5", 2)],
            Wait::Allowed
        ),
        "RW"
    );
    claims.roll_back();
    assert_eq!(plan(&mut claims, &[candidate("5", 4)], Wait::Allowed), "T");
    assert_eq!(plan(&mut claims, &[candidate("9", 9)], Wait::Allowed), "T");
    assert_eq!(plan(&mut claims, &[candidate("1", 2)], Wait::Over), "T");
}

proptest! {
    /// The same entries are accepted in any order, and no two connectors end up with the same claim.
    #[test]
    fn order_does_not_matter(wants in vec(0_u8..12, 8), known in vec(any::<bool>(), 8), turn in 0_usize..8) {
        let mut wanted = HashSet::new();
        let entries: Vec<_> = (0_u8..8)
            .zip(wants)
            .zip(known)
            .map(|((id, wants), known)| (id, wants, known.then_some(id)))
            .filter(|(_, wants, _)| wanted.insert(*wants))
            .collect();
        let others = [(100, 8), (101, 9)];
        let taken = |entries: &[(u8, u8, Option<u8>)]| {
            let plan = decide(entries, &others, Wait::Over, &[]);
            let taken = entries.iter().zip(&plan.verdicts).filter(|(_, verdict)| **verdict == Verdict::Taken);
            taken.map(|((id, ..), _)| *id).collect::<HashSet<_>>()
        };
        let first = taken(&entries);
        let mut turned = entries.clone();
        turned.rotate_left(turn % entries.len().max(1));
        prop_assert_eq!(&taken(&turned), &first);
        let end = entries.iter().filter_map(|(id, wants, has)| {
            if first.contains(id) { Some(*wants) } else { *has }
        });
        let end: Vec<_> = end.chain(others.map(|(_, has)| has)).collect();
        prop_assert_eq!(end.iter().collect::<HashSet<_>>().len(), end.len());
    }
}
