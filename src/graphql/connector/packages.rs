//! A registry's metadata of a server, read from the connector's metadata.
//!
//! Invariant: nothing is stored twice. Values in another form than a registry's are omitted here, and stay in the
//! metadata.

use async_graphql::SimpleObject;
use serde_json::Value;

use crate::graphql::{list::List, text::Text};

/// The addresses of a server's pages. They are stored with a connector, because finding them means reading all its
/// metadata.
pub(super) struct Pages {
    pub(super) repository: Option<String>,
    pub(super) website: Option<String>,
}

/// A registry's metadata of a server, beyond the connector's own fields.
pub(super) struct RegistryMetadata(Value);

impl RegistryMetadata {
    pub(super) fn read(metadata: Option<&str>) -> Self {
        let read = metadata.and_then(|json| serde_json::from_str(json).ok());
        Self(read.unwrap_or_default())
    }

    pub(super) fn pages(&self) -> Pages {
        let repository = self.0.get("repository");
        let repository = repository.and_then(|of| url(of.get("url").unwrap_or(of)));
        let website = one_of(&self.0, &["websiteUrl", "website_url"]);
        Pages {
            repository,
            website: website.and_then(url),
        }
    }

    pub(super) fn packages(&self) -> List<ServerPackage> {
        let packages = list(self.0.get("packages"));
        packages.filter_map(ServerPackage::of).collect()
    }
}

/// A package that the MCP server can be run from.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ServerPackage {
    /// The kind of package registry, such as `npm`, `pypi` or `oci`.
    registry_type: Text<'static>,
    /// The package's name there, or its URL.
    identifier: Text<'static>,
    /// The version to run; null if the identifier contains it, or if none is given.
    version: Option<Text<'static>>,
    /// The environment variables that the package reads.
    environment: List<EnvironmentVariable>,
}

/// An environment variable of a package.
#[derive(SimpleObject)]
pub(in crate::graphql) struct EnvironmentVariable {
    /// Its name.
    name: Text<'static>,
    /// A description of the variable.
    description: Option<Text<'static>>,
    /// Whether the package needs it.
    is_required: bool,
    /// Whether its value is a secret, as the registry says.
    is_secret: bool,
    /// The default value, unless it looks like a secret.
    default: Option<Text<'static>>,
}

impl ServerPackage {
    fn of(package: &Value) -> Option<Self> {
        // The registries of 2025 used other names.
        let of_package = |keys: &[&str]| text(one_of(package, keys)?);
        let environment = one_of(package, &["environmentVariables", "environment_variables"]);
        Some(Self {
            registry_type: of_package(&["registryType", "registry_type", "registry_name"])?,
            identifier: of_package(&["identifier", "name"])?,
            version: package.get("version").and_then(text),
            environment: list(environment)
                .filter_map(EnvironmentVariable::of)
                .collect(),
        })
    }
}

impl EnvironmentVariable {
    fn of(variable: &Value) -> Option<Self> {
        let says = |keys: &[&str]| one_of(variable, keys).and_then(Value::as_bool) == Some(true);
        Some(Self {
            name: text(variable.get("name")?)?,
            description: variable.get("description").and_then(text),
            is_required: says(&["isRequired", "is_required"]),
            is_secret: says(&["isSecret", "is_secret"]),
            default: variable.get("default").and_then(text),
        })
    }
}

fn one_of<'a>(object: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().find_map(|key| object.get(*key))
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value) -> Option<Text<'static>> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(Text::new(text.to_owned()))
}

/// Returns a URL that a browser opens as a page, without running it as code.
fn url(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let parsed = url::Url::parse(text).ok()?;
    matches!(parsed.scheme(), "http" | "https").then(|| text.to_owned())
}
