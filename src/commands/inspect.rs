//! Inspects a server, and suggests a connector to it.

use entity::ServerType;

use crate::{
    domain::{
        fields,
        inspection::Inspection,
        viewer::{Action, Viewer},
    },
    error::{Result, UserError},
    mcp::inspections::Slot,
};

use super::{context::Context, refusals::allowed};

/// A server to look at.
#[derive(Clone, Debug)]
pub struct Inspect {
    pub server_url: String,
    pub server_type: ServerType,
}

/// Values for a connector to a server, each as the rules accept it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestion {
    pub name: Option<String>,
    pub description: Option<String>,
    pub version: Option<String>,
    pub icon_url: Option<String>,
}

/// A place to inspect a server from, for whoever may create connectors.
pub async fn inspection(context: &Context, viewer: &Viewer) -> Result<Slot> {
    let user = allowed(viewer, Action::Create)?;
    let organization = user.organization.as_deref();
    context.inspections.enter(organization, &user.id).await
}

/// Looks at a server, and suggests a connector to it. Only the form of the input makes errors: what is wrong with the server is
/// what the inspection came to.
pub async fn inspect(
    slot: &Slot,
    input: Inspect,
) -> Result<std::result::Result<(Inspection, Suggestion), Vec<UserError>>> {
    let url = match input.server_type {
        ServerType::Stdio => None,
        other => match fields::server_url(&input.server_url, Some(other)) {
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

/// Takes from a server's own description the values that the rules accept.
fn suggestion(found: &Inspection) -> Suggestion {
    let Some(server) = &found.server_info else {
        return Suggestion::default();
    };
    let names = server.title.iter().chain([&server.name]);
    let prose = server.description.iter().chain(&found.instructions);
    Suggestion {
        name: names
            .flat_map(|name| fields::name(name))
            .map(|name| name.text)
            .next(),
        description: prose.flat_map(|text| fields::description(text)).next(),
        version: fields::version(&server.version).ok(),
        icon_url: server
            .icons
            .iter()
            .flat_map(|url| fields::icon_url(url))
            .next(),
    }
}
