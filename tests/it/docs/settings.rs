//! The tables on the page about settings equal those made from the program's flags.

use std::fmt::Write as _;

use personal_connectors::config;

use super::{Page, root};

const PAGE: &str = "docs/reference/settings.md";
const BEGIN: &str = "<!-- made by the program: begin -->\n";
const END: &str = "<!-- made by the program: end -->\n";
/// If this variable is set, the test writes the page instead of comparing it.
const UPDATE: &str = "UPDATE_PAGES";

/// Returns the tables of all flags: those of `serve` by subject, then those that only another command has.
fn tables() -> String {
    let cli = config::command();
    let mut text = String::new();
    let serve = cli.find_subcommand("serve").unwrap();
    let mut headings: Vec<&str> = Vec::new();
    for flag in serve.get_arguments() {
        let heading = flag.get_help_heading().unwrap_or("All commands");
        if is_setting(flag) && !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let flags = serve.get_arguments().filter(|flag| {
            is_setting(flag) && flag.get_help_heading().unwrap_or("All commands") == heading
        });
        table(&mut text, heading, flags);
    }
    let of_serve = |flag: &clap::Arg| {
        serve
            .get_arguments()
            .any(|other| other.get_long() == flag.get_long())
    };
    for command in cli
        .get_subcommands()
        .filter(|command| command.get_name() != "serve")
    {
        let own = command
            .get_arguments()
            .filter(|flag| is_setting(flag) && !of_serve(flag));
        table(&mut text, &format!("Command `{}`", command.get_name()), own);
    }
    text
}

fn is_setting(flag: &clap::Arg) -> bool {
    flag.get_long()
        .is_some_and(|long| !["help", "version"].contains(&long))
}

fn table<'a>(text: &mut String, heading: &str, flags: impl Iterator<Item = &'a clap::Arg>) {
    let mut flags = flags.peekable();
    if flags.peek().is_none() {
        return;
    }
    let head = "| flag | environment | default | |\n|---|---|---|---|";
    writeln!(text, "\n## {heading}\n\n{head}").unwrap();
    for flag in flags {
        let code = |text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("`{text}`")
            }
        };
        let long = flag.get_long().unwrap();
        let env = flag
            .get_env()
            .map(|env| env.to_str().unwrap())
            .unwrap_or_default();
        let defaults: Vec<_> = flag
            .get_default_values()
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        let help = flag
            .get_long_help()
            .or(flag.get_help())
            .unwrap()
            .to_string();
        // A bar would end the table's column.
        let help = help
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace('|', "\\|");
        let default = code(&defaults.join(","));
        writeln!(text, "| `--{long}` | {} | {default} | {help} |", code(env)).unwrap();
    }
}

#[test]
fn the_tables_are_the_programs() {
    let page = Page::read(PAGE).text;
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let tables = tables() + "\n";
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests have no other configuration"
    )]
    let updates = std::env::var_os(UPDATE).is_some();
    if updates {
        std::fs::write(
            root().join(PAGE),
            [before, BEGIN, &tables, END, after].concat(),
        )
        .unwrap();
        return;
    }
    assert!(
        written == tables,
        "{PAGE} is stale: {UPDATE}=1 cargo test --test it the_tables_are_the_programs writes it"
    );
}
