//! Inspects a server and suggests the fields of a connector.

use entity::ServerType;

use crate::{
    domain::{
        field_values,
        inspection::Inspection,
        viewer::{Action, Viewer},
    },
    error::{Result, UserError},
    mcp::inspections::Slot,
};

use super::{context::Context, refusals::allowed};

/// The URL and type of a server to inspect.
#[derive(Clone, Debug)]
pub(crate) struct Inspect {
    pub(crate) server_url: String,
    pub(crate) server_type: ServerType,
}

/// Suggested values for a connector, each valid as input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Suggestion {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) icon_url: Option<String>,
}

/// Reserves a slot for an inspection, if the viewer may create connectors.
pub(crate) async fn begin(context: &Context, viewer: &Viewer) -> Result<Slot> {
    let user = allowed(viewer, Action::Create)?;
    let organization = user.organization.as_deref();
    context.inspections.enter(organization, &user.id).await
}

/// Inspects a server and suggests the fields of a connector. Only a malformed input is an error; a server's faults are
/// part of the result.
pub(crate) async fn inspect(
    slot: &Slot,
    input: Inspect,
) -> Result<std::result::Result<(Inspection, Suggestion), Vec<UserError>>> {
    let url = match input.server_type {
        ServerType::Stdio => None,
        other => match field_values::server_url(&input.server_url, Some(other)) {
            Ok(url) => Some(url),
            Err(error) => return Ok(Err(vec![error])),
        },
    };
    let found = slot
        .inspect(url.as_deref(), Some(input.server_type))
        .await?;
    let suggestion = suggestion(&found);
    Ok(Ok((found, suggestion)))
}

/// Selects the values of a server's description that are valid as input.
fn suggestion(found: &Inspection) -> Suggestion {
    let Some(server) = &found.server_info else {
        return Suggestion::default();
    };
    let names = server.title.iter().chain([&server.name]);
    let prose = server.description.iter().chain(&found.instructions);
    Suggestion {
        name: names
            .flat_map(|name| field_values::name(name))
            .map(|name| name.text)
            .next(),
        description: prose
            .flat_map(|text| field_values::description(text))
            .next(),
        version: field_values::version(&server.version).ok(),
        icon_url: server
            .icons
            .iter()
            .flat_map(|url| field_values::icon_url(url))
            .next(),
    }
}
