//! The page about observability has exactly the metrics and the fields of the log. The alerts and the dashboard use
//! only existing metrics.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use crate::support::{
    harness::{TestDatabase, client, post},
    process::{Serving, program_on},
};

use super::{Page, root};

const PAGE: &str = "docs/operate/observe.md";

/// Returns the names in the first column of the tables between a heading and the next one.
fn names(heading: &str) -> BTreeSet<String> {
    let page = Page::read(PAGE).text;
    let section = page.split_once(&format!("\n{heading}\n")).unwrap().1;
    let section = section.split("\n#").next().unwrap();
    let cells = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = cells.flat_map(|cell| {
        cell.split('`')
            .filter(|name| !name.is_empty() && *name != ", ")
    });
    names.map(ToOwned::to_owned).collect()
}

/// Returns the names of metrics in the text for Prometheus, in the form of its queries.
fn metrics(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let named = types.map(|line| match line.split_once(' ').unwrap() {
        (name, "counter") => format!("{name}_total"),
        (name, _) => name.to_owned(),
    });
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_access_lines() {
    let database = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&database, &["--log-format", "json"]));
    let refused = post(&serving.url, "", r#"{"query":"query Q { x }"}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 200);
    let (_, text) = serving.get("/metrics").await;
    let metrics = metrics(&text);
    assert_eq!(names("## Metrics"), metrics);
    for file in ["deploy/alerts.yaml", "deploy/dashboard.json"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for name in series(&text) {
            let whole = name.strip_suffix("_bucket").unwrap_or(&name);
            assert!(metrics.contains(whole), "{file}: there is no metric {name}");
        }
    }
    let log = serving.stop().err;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let access = lines.iter().filter(|line| line["target"] == "access");
    let keys: BTreeSet<String> = access
        .flat_map(|line| line.as_object().unwrap().keys().cloned())
        .collect();
    let every = ["timestamp", "level", "target"].map(str::to_owned);
    assert_eq!(
        keys,
        names("### Access lines").into_iter().chain(every).collect()
    );
    for line in &lines {
        assert!(
            line["target"] == "access" || line["message"].is_string(),
            "{line}"
        );
    }
}

/// Returns the words of a text that look like names of the service's metrics.
fn series(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let prefixes = [
        "graphql_",
        "database_connections",
        "catalogue_state",
        "connector_check",
        "process_start",
    ];
    let is_one = |word: &&str| prefixes.iter().any(|prefix| word.starts_with(prefix));
    words.filter(is_one).map(ToOwned::to_owned).collect()
}

/// The page has exactly the fields of the log lines in the source.
#[test]
fn fields_of_the_log() {
    let mut fields = BTreeSet::new();
    gather(&root().join("src"), &mut fields);
    let documented = names("### Other fields");
    let of_access = names("### Access lines");
    let others: BTreeSet<_> = fields.difference(&of_access).cloned().collect();
    // Another line may have a field of access lines too.
    let documented: BTreeSet<_> = documented.difference(&of_access).cloned().collect();
    assert_eq!(documented, others);
}

fn gather(folder: &Path, fields: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, fields);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            for level in ["error", "warn", "info", "debug"] {
                let call = format!("tracing::{level}!(");
                fields.extend(source.split(&call).skip(1).flat_map(fields_of));
            }
        }
    }
}

/// Returns the fields of a macro's call, from the text after its opening parenthesis.
fn fields_of(call: &str) -> Vec<String> {
    let (mut depth, mut is_text, mut is_escaped) = (0, false, false);
    let mut arguments = vec![String::new()];
    for c in call.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            _ if is_text => {}
            ')' if depth == 0 => break,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => arguments.push(String::new()),
            _ if depth == 0 => arguments.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    let field = |argument: String| {
        let name = argument
            .split('=')
            .next()?
            .trim()
            .trim_start_matches(['%', '?']);
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        is_name.then(|| name.to_owned())
    };
    arguments.into_iter().filter_map(field).collect()
}

#[test]
fn fields_are_found() {
    let call = "target: \"a\", cause = f(x, y), %error, number, \"a {text}, (b)\", self.0.url); f(other = 1)";
    assert_eq!(fields_of(call), ["cause", "error", "number"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_have_the_paths_of_the_page() {
    let database = TestDatabase::sqlite();
    let serving = Serving::start(program_on(&database, &[]));
    for path in names("## Probes") {
        let url = serving.url.replace("/graphql", &path);
        assert_eq!(
            client().get(url).send().await.unwrap().status(),
            200,
            "{path}"
        );
    }
    serving.stop().ok();
    assert_eq!(
        json!(names("## Probes")),
        json!(["/health/live", "/health/ready"])
    );
}
