//! Tests of the rules.

use crate::{
    domain::field_values,
    interchange::{named, object, published::Assumed, registry, shape::Form},
};
use entity::ConnectorVisibility;

use super::*;

fn server(name: &str, title: &str, description: &str) -> Entry {
    let server =
        json!({ "name": name, "title": title, "description": description, "version": "1.0.0" });
    let object = object::parse(&server.to_string()).unwrap();
    registry::parse(&object).unwrap().entry
}

fn category(rules: &str, name: &str, title: &str, description: &str) -> Option<ConnectorCategory> {
    Rules::parse(rules)
        .unwrap()
        .category_of(&server(name, title, description))
}

#[test]
fn the_first_rule_that_fits_decides() {
    use ConnectorCategory::*;
    let rules = "# A comment.\n[design]\npull  Request\nname: board\n\n[development]\n*sql\nkube*\n*graph*\n board \n[ \
                 communication ]\nacme";
    for (name, title, description, expected) in [
        ("io.github.a/kubernetes", "", "", Some(Development)),
        ("io.github.a/b", "MySQL", "", Some(Development)),
        (
            "io.github.a/b",
            "MySQL pull-requests",
            "",
            Some(Development),
        ),
        ("io.github.a/b", "", "Each PULL réquest.", Some(Design)),
        ("io.github.a/b", "Pull", "request", None),
        ("io.github.a/sqlite", "", "", None),
        ("io.github.a/b", "", "typography graphs", Some(Development)),
        // The name takes precedence over the description, even with a later rule.
        ("io.github.a/board", "", "pull request", Some(Design)),
        ("io.github.a/b", "", "a board", Some(Development)),
        // The owner comes last, and labels of the host never count.
        ("io.github.acme/b", "", "", Some(Communication)),
        ("com.acme/b", "", "", Some(Communication)),
        ("acme.github.b/b", "", "", None),
        ("io.github.acme/b", "", "a board", Some(Development)),
    ] {
        assert_eq!(
            category(rules, name, title, description),
            expected,
            "{name} {title} {description}"
        );
    }
    assert_eq!(category("", "io.github.a/board", "", ""), None);
}

#[test]
fn files_of_editors_and_names_with_punctuation() {
    use ConnectorCategory::*;
    let rules = "\u{feff}[design]\nnode.js\n.net\n\n[development]\n*.js\nc++\nnode";
    for (description, expected) in [
        ("A Node.js server", Some(Design)),
        ("for .NET", Some(Design)),
        ("for ASP.NET", None),
        ("with Vue.js", Some(Development)),
        ("in C++", Some(Development)),
        ("in C", None),
        ("a node", Some(Development)),
    ] {
        assert_eq!(
            category(rules, "io.github.a/b", "", description),
            expected,
            "{description}"
        );
    }
}

#[test]
fn rules_that_are_wrong() {
    for (rules, told) in [
        ("git", "line 1: the first rule must come after a category"),
        (
            "[design]\n\n[games]",
            "line 3: [games] is no category: expected [productivity], [development], [communication], [design], \
             [custom]",
        ),
        (
            "[design]\npull-request",
            "line 2: pull-request must be one word",
        ),
        ("[design]\n*", "line 2: * must be one word"),
        ("[design]\na*b", "line 2: a*b must be one word"),
        ("[design]\nio.github", "line 2: io.github must be one word"),
        ("[design]\nname:", "line 2: a word must follow name:"),
    ] {
        let error = Rules::parse(rules).unwrap_err();
        assert!(error.starts_with(told), "{error}");
    }
    let long = format!("[design]\n{}", "a ".repeat(MOST_WORDS + 1));
    assert_eq!(
        Rules::parse(&long).unwrap_err(),
        "line 2: a rule must have at most 10 words, and this one has 11"
    );
    let many = format!("[design]\n{}", "a\n".repeat(MOST + 1));
    assert_eq!(
        Rules::parse(&many).unwrap_err(),
        "line 5002: there must be at most 5000 rules"
    );
}

#[test]
fn the_compiled_in_rules_are_right() {
    let rules = Rules::parse(BUILT_IN).unwrap();
    assert!(rules.rules.len() > 100);
    let mut seen = Vec::new();
    for Rule {
        category,
        is_of_names,
        words,
    } in &rules.rules
    {
        let rule = (is_of_names, words);
        assert!(!seen.contains(&rule), "twice: {words:?} of {category:?}");
        seen.push(rule);
    }
}

#[test]
fn what_a_file_gives_stays_and_the_digest_tells_sources_apart() {
    let rules = Rules::parse("[design]\nboard").unwrap();
    let entry = server("io.github.a/board", "", "");
    let of_rules = Categories {
        given: None,
        rules: rules.clone(),
    };
    let given = Categories {
        given: Some(ConnectorCategory::Design),
        rules,
    };
    let (by_rule, by_flag) = (of_rules.give(entry.clone()), given.give(entry.clone()));
    assert_eq!(by_rule.category_source, Some(CategorySource::Rule));
    assert_eq!(by_flag.category_source, Some(CategorySource::Given));
    assert_eq!(by_rule.details, by_flag.details);
    assert_ne!(by_rule.hash, by_flag.hash);
    assert_ne!(by_rule.hash, entry.hash);
    assert_eq!(of_rules.give(entry.clone()), by_rule);
    let none = Categories::default().give(entry.clone());
    assert_eq!(
        (none.category_source, none.hash),
        (None, entry.hash.clone())
    );

    let mut said = entry;
    said.details.category = Some(ConnectorCategory::Custom);
    said.category_source = Some(CategorySource::File);
    assert_eq!(given.give(said.clone()), said);

    // A client's server gets a category too, but an exported custom connector only on demand.
    let assumed = Assumed {
        organization: Some("acme".to_owned()),
        visibility: ConnectorVisibility::Organization,
    };
    let client = object::parse(r#"{"command": "npx"}"#).unwrap();
    let entry = named::parse(Form::Client, Some("board"), &client, &assumed)
        .unwrap()
        .entry;
    let got = of_rules.give(entry.clone());
    assert_eq!(got.details.category, Some(ConnectorCategory::Design));
    let whole = Entry {
        extent: Extent::Whole,
        category_source: Some(CategorySource::File),
        ..entry
    };
    assert_eq!(of_rules.give(whole.clone()), whole);
    assert_eq!(
        given.give(whole).category_source,
        Some(CategorySource::Given)
    );
    assert_eq!(got.connector_id, field_values::CUSTOM_CONNECTOR_ID);
}
