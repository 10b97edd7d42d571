//! Tests of names in small sources, and of the rules on the real ones.

use std::collections::BTreeMap;

use crate::{
    graph::{arrows, circles, references, resolve},
    source::{Modules, parse},
};

fn parsed(files: &[(&str, &str)]) -> Modules {
    let mut modules = Modules::new();
    parse(&mut modules, "src/lib.rs", "").unwrap();
    for (file, text) in files {
        parse(&mut modules, file, text).unwrap();
    }
    modules
}

/// Returns each arrow as `a.rs → b.rs: Name`.
fn drawn(files: &[(&str, &str)]) -> Vec<String> {
    let modules = parsed(files);
    let arrows: BTreeMap<_, _> = arrows(&references(&modules), &modules);
    let short = |file: &str| file.trim_start_matches("src/").to_owned();
    let draw =
        |((from, to), names)| format!("{} → {}: {}", short(from), short(to), crate::list(names));
    arrows.into_iter().map(draw).collect()
}

#[test]
fn a_re_exported_name_leads_to_the_file_that_defines_it() {
    let store = (
        "src/store/mod.rs",
        "mod state; pub use state::State; pub fn own() {}",
    );
    let state = ("src/store/state.rs", "pub struct State;");
    let app = (
        "src/app.rs",
        "use crate::store::{self, State, own as mine};",
    );
    assert_eq!(
        drawn(&[store, state, app]),
        [
            "app.rs → store/mod.rs: own",
            "app.rs → store/state.rs: State"
        ]
    );
}

#[test]
fn a_re_export_is_an_arrow_where_the_file_uses_the_name() {
    let state = ("src/store/state.rs", "pub struct State;");
    let unused = ("src/store/mod.rs", "mod state; pub use state::State;");
    assert!(drawn(&[state, unused]).is_empty());
    let used = (
        "src/store/mod.rs",
        "mod state; pub use state::State; fn f(_: State) {}",
    );
    assert_eq!(
        drawn(&[state, used]),
        ["store/mod.rs → store/state.rs: State"]
    );
}

#[test]
fn paths_are_found_in_types_bodies_macros_and_attributes() {
    let names = (
        "src/names.rs",
        "pub const A: u8 = 0; pub struct B; pub fn c() {} pub fn d() {} pub fn e() {}",
    );
    let user = (
        "src/user.rs",
        r#"use super::names;
        fn f(_: crate::names::B) { json!({ "a": [names::A] }); self::g(super::names::c); }
        #[guard(with = names::d)] fn g() { use crate::names::e; }"#,
    );
    assert_eq!(drawn(&[names, user]), ["user.rs → names.rs: A, B, c, d, e"]);
}

#[test]
fn fields_literals_comments_and_tests_are_no_paths() {
    let names = ("src/names.rs", "pub fn c() {}");
    let user = (
        "src/user.rs",
        "/// `crate::names::c`\nfn f() { x.names(); x.c(); \"crate::names::c()\"; }
        #[cfg(test)] use crate::names::c; #[cfg(test)] mod tests { use crate::names::c; }",
    );
    let tests = ("src/user/tests/a.rs", "use crate::names::c;");
    assert!(drawn(&[names, user, tests]).is_empty());
}

#[test]
fn a_glob_leads_to_the_file_and_its_names_to_their_definitions() {
    let prelude = ("src/prelude.rs", "pub use crate::names::*;");
    let names = ("src/names.rs", "pub struct A;");
    let user = (
        "src/user.rs",
        "use crate::prelude::*; fn f(_: super::prelude::A) {}",
    );
    assert_eq!(
        drawn(&[prelude, names, user]),
        ["user.rs → names.rs: A", "user.rs → prelude.rs: *"]
    );
}

#[test]
fn inline_modules_and_other_crates_are_resolved() {
    let modules = parsed(&[
        ("entity/src/lib.rs", "pub mod row; pub use row::Row;"),
        ("entity/src/row.rs", "pub struct Row;"),
        (
            "src/code.rs",
            "mod inner { fn f() -> super::super::names::A {} } fn f(_: entity::Row) {}",
        ),
        ("src/names.rs", "pub struct A;"),
        ("src/main.rs", "use personal_connectors::names::A;"),
    ]);
    let file = |from: &str, path: &[&str]| {
        let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
        let target = resolve(&modules, from, &path, 0)?;
        target.item.map(|_| target.file)
    };
    let inner = "personal_connectors::code::inner";
    assert_eq!(
        file(inner, &["super", "super", "names", "A"]),
        Some("src/names.rs")
    );
    assert_eq!(file(inner, &["entity", "Row"]), Some("entity/src/row.rs"));
    assert_eq!(
        file("main", &["personal_connectors", "names", "A"]),
        Some("src/names.rs")
    );
    assert_eq!(file(inner, &["std", "fs"]), None);
}

#[test]
fn what_follows_tells_a_module_from_a_function_of_its_name() {
    let store = ("src/store/mod.rs", "mod check; pub use check::check;");
    let check = ("src/store/check.rs", "pub fn check() {} pub fn other() {}");
    let user = (
        "src/user.rs",
        "use crate::store::check; fn f() { crate::store::check::other(); }",
    );
    assert_eq!(
        drawn(&[store, check, user]),
        ["user.rs → store/check.rs: check, other"]
    );
}

#[test]
fn circles_are_groups_that_reach_each_other() {
    let edges = [(1, 2), (2, 3), (3, 1), (3, 4), (5, 5), (6, 7)];
    assert_eq!(circles(edges), [vec![1, 2, 3], vec![5]]);
}

#[test]
fn the_source_keeps_every_rule() {
    let report = crate::report().unwrap();
    assert!(
        report.broken.is_empty(),
        "{}\n{}",
        report.text,
        report.broken.join("\n\n")
    );
}
