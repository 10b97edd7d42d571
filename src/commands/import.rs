//! Imports connectors from the text of a file.

use entity::{ConnectorCategory, ConnectorVisibility};

use crate::{
    commands::{context::Context, refusals::allowed},
    domain::{
        field_values,
        viewer::{Action, Viewer},
    },
    error::{Error, Result, UserError, UserErrorCode},
    interchange::{
        categories::{Categories, Rules},
        import::{self, Report, Source},
        published::Assumed,
    },
};

/// The name of the text in the lines about its objects.
const NAME: &str = "content";

#[derive(Debug)]
pub(crate) struct Import {
    /// The text of a file, in any form that the command reads.
    pub(crate) content: String,
    /// The organization of custom connectors that give none.
    pub(crate) organization: Option<String>,
    /// The visibility of custom connectors that give none.
    pub(crate) visibility: ConnectorVisibility,
    /// The category of all connectors that give none.
    pub(crate) category: Option<ConnectorCategory>,
    /// Rules for the categories; none if the text is empty. The compiled-in rules by default.
    pub(crate) category_rules: Option<String>,
    pub(crate) dry_run: bool,
}

/// The counts of an import, and its lines about rejected objects and warnings.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) report: Report,
    pub(crate) lines: Vec<String>,
}

/// Imports as the command does: a batch is committed as a whole or not at all, and a second run changes nothing.
pub(crate) async fn import(
    context: &Context,
    viewer: &Viewer,
    input: Import,
) -> Result<Result<Imported, Vec<UserError>>> {
    let user = allowed(viewer, Action::Import)?;
    context.database.check_writes_allowed()?;
    let mut errors = Vec::new();
    if let Some(organization) = &input.organization {
        let parsed = field_values::principal("organizationId", organization);
        errors.extend(parsed.err());
    }
    let rules = match &input.category_rules {
        Some(text) => Rules::parse(text),
        None => Ok(Rules::built_in()),
    };
    let rules = rules.unwrap_or_else(|reason| {
        let clause = format!("must be rules of categories: {reason}");
        errors.push(UserError::new(
            UserErrorCode::Invalid,
            "categoryRules",
            clause,
        ));
        Rules::default()
    });
    if !errors.is_empty() {
        return Ok(Err(errors));
    }
    let asked = import::Import {
        files: vec![Source::of_text(NAME, input.content)],
        assumed: Assumed {
            organization: input.organization,
            visibility: input.visibility,
        },
        categories: Categories {
            given: input.category,
            rules,
        },
        dry_run: input.dry_run,
        user: Some(user.clone()),
        shows_progress: false,
    };
    let mut lines = Vec::new();
    let imported = import::import(&context.database, &context.clock, asked, &mut lines);
    match imported.await {
        Ok(report) => {
            let lines = String::from_utf8(lines).map_err(Error::internal)?;
            let lines = lines.lines().map(ToOwned::to_owned).collect();
            Ok(Ok(Imported { report, lines }))
        }
        // The error comes from the database or from the text.
        Err(error) => match error.downcast::<Error>() {
            Ok(error) => Err(error),
            Err(error) => {
                let clause = format!("cannot be read to its end: {}", error.root_cause());
                let error = UserError::new(UserErrorCode::Invalid, NAME, clause);
                Ok(Err(vec![error]))
            }
        },
    }
}
