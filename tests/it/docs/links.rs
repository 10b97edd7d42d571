//! Checks the links of README, CHANGELOG and `docs/`, and the index of the pages.

use std::collections::BTreeSet;

use super::{Page, pages, root};

const INDEX: &str = "docs/README.md";

/// Returns the text outside code blocks and code spans.
fn prose(text: &str) -> String {
    let outside_blocks: String = text.split("```").step_by(2).collect();
    outside_blocks.split('`').step_by(2).collect()
}

/// Returns the targets of all links and images.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let after = prose.split("](").skip(1);
    after
        .map(|rest| rest.split(')').next().unwrap().to_owned())
        .collect()
}

/// Resolves a relative link to a file in the repository and a heading.
fn resolve(page: &str, target: &str) -> (String, Option<String>) {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (target, None),
    };
    let mut parts: Vec<&str> = page.split('/').collect();
    if !path.is_empty() {
        parts.pop();
        for part in path.split('/') {
            match part {
                ".." => assert!(
                    parts.pop().is_some(),
                    "{page}: {target} leaves the repository"
                ),
                "." => {}
                _ => parts.push(part),
            }
        }
    }
    (parts.join("/"), anchor)
}

/// Returns the files that a page links to, each with the linked heading.
fn linked(page: &Page) -> Vec<(String, Option<String>)> {
    let targets = targets(&page.text).into_iter();
    targets
        .filter(|target| !target.contains("://"))
        .map(|target| resolve(&page.path, &target))
        .collect()
}

/// Returns the anchors of a page's headings, in GitHub's form.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let outside_blocks: String = text.split("```").step_by(2).collect();
    for line in outside_blocks.lines().filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
        let slug = heading.chars().filter(kept).collect::<String>();
        let slug = slug.replace(' ', "-");
        let mut anchor = slug.clone();
        for number in 1.. {
            if anchors.insert(anchor) {
                break;
            }
            anchor = format!("{slug}-{number}");
        }
    }
    anchors
}

#[test]
fn links_resolve() {
    let mut broken = Vec::new();
    for page in pages().iter().chain([&Page::read("CHANGELOG.md")]) {
        for (path, anchor) in linked(page) {
            let file = root().join(&path);
            if !file.exists() {
                broken.push(format!("{}: there is no {path}", page.path));
            } else if let Some(anchor) = anchor {
                let text = std::fs::read_to_string(file).unwrap();
                if !anchors(&text).contains(&anchor) {
                    broken.push(format!("{}: {path} has no heading #{anchor}", page.path));
                }
            }
        }
        // Reference links are not checked, so there must be none.
        for line in prose(&page.text).lines() {
            if line.starts_with('[') && line.contains("]: ") {
                broken.push(format!("{}: write the link inline: {line}", page.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_is_reachable_from_readme() {
    let pages = pages();
    let mut reached = BTreeSet::new();
    let mut waiting = vec!["README.md".to_owned()];
    while let Some(path) = waiting.pop() {
        if let Some(page) = pages.iter().find(|page| page.path == path)
            && reached.insert(path)
        {
            waiting.extend(linked(page).into_iter().map(|(path, _)| path));
        }
    }
    for page in &pages {
        assert!(
            reached.contains(&page.path),
            "no chain of links leads from README.md to {}",
            page.path
        );
    }
}

#[test]
fn the_index_has_a_line_for_every_page() {
    let index = Page::read(INDEX).text;
    for page in pages() {
        let Some(path) = page.path.strip_prefix("docs/") else {
            continue;
        };
        if page.path == INDEX {
            continue;
        }
        let title = page.text.lines().next().unwrap().strip_prefix("# ");
        let title = title.unwrap_or_else(|| panic!("{} begins with no title", page.path));
        let item = format!("- [{title}]({path})");
        let lines = index.lines().filter(|line| line.starts_with(&item));
        assert_eq!(
            lines.count(),
            1,
            "add one line to {INDEX} that begins with: {item}"
        );
    }
}

#[test]
fn some_pages_are_short() {
    for (page, most) in [("README.md", 150), ("docs/develop/architecture.md", 150)] {
        let lines = Page::read(page).text.lines().count();
        assert!(
            lines <= most,
            "{page} has {lines} lines, and may have {most}: move a part of it"
        );
    }
}

#[test]
fn anchors_are_those_of_github() {
    let page =
        "# A page\n```sh\n# no heading\n```\n## `--flag` and: more, twice\n## A page\n## A page\n";
    let expected = ["a-page", "a-page-1", "a-page-2", "--flag-and-more-twice"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
}

#[test]
fn links_in_code_are_none() {
    let page = "[a](b.md) `[c](d.md)` [`e`](../f.md#g)\n```\n[h](i.md)\n```\n";
    assert_eq!(targets(page), ["b.md", "../f.md#g"]);
    let resolved = resolve("docs/guides/a.md", "../f.md#g");
    assert_eq!(resolved, ("docs/f.md".to_owned(), Some("g".to_owned())));
}
