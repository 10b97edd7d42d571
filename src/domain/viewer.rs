//! The caller of a request, the connectors they see, and the actions they may take.
//!
//! Invariant: [`Viewer::decide`] makes every decision about a viewer. Visibility is the value of [`Sight`], which the
//! store turns into the condition of every query of connectors.

use std::collections::BTreeSet;

use entity::{ConnectorType, ConnectorVisibility, UserKey};
use serde::Serialize;

/// The scope to create custom connectors, and to change one's own.
pub(crate) const WRITE: &str = "connectors:write";
/// The scope to change every custom connector of the organization, and to make them public.
pub(crate) const ADMIN: &str = "connectors:admin";
/// The scope to see everything, and to set the status of official and `aitronos_built` connectors.
pub(crate) const CATALOG_ADMIN: &str = "catalog:admin";

/// The caller, as their token describes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Viewer {
    /// A caller without a token.
    Anonymous,
    /// A caller with a token that was verified.
    User(User),
}

/// A user, as a token names them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    /// The id, of 1 to 255 characters without control characters.
    pub id: String,
    /// The user's organization, 1 to 255 characters. None if neither the token nor the configuration gives one.
    pub organization: Option<String>,
    /// The token's scopes. Only `connectors:write`, `connectors:admin` and `catalog:admin` matter.
    pub scopes: BTreeSet<String>,
    /// The name and picture; empty unless claims are configured for them.
    pub profile: Profile,
}

/// A user's name and picture, if known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The name, of 1 to 255 characters without control characters.
    pub name: Option<String>,
    /// The https URL of the picture, up to 2,048 characters.
    pub picture_url: Option<String>,
}

/// The parts of profiles that the service stores and shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileParts {
    pub(crate) name: bool,
    pub(crate) picture_url: bool,
}

impl ProfileParts {
    /// Returns these parts of a profile.
    pub(crate) fn of(self, profile: Profile) -> Profile {
        Profile {
            name: profile.name.filter(|_| self.name),
            picture_url: profile.picture_url.filter(|_| self.picture_url),
        }
    }
}

/// The part of the catalogue that a viewer sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// All connectors, for administrators of the catalogue.
    Everything,
    /// Public connectors, for callers without a token.
    Public,
    /// Public connectors, those visible to the user's whole organization, and the user's own.
    Member {
        /// The id of the user, whose own private connectors are visible.
        user: String,
        /// The organization whose connectors are visible. The user's own have the same one, or none if this is none.
        organization: Option<String>,
        /// Whether other users' private connectors of the organization are visible.
        private_of_others: bool,
    },
}

/// The owner and the visibility of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership<'a> {
    pub(crate) r#type: ConnectorType,
    pub(crate) visibility: ConnectorVisibility,
    pub(crate) organization: Option<&'a str>,
    pub(crate) created_by: Option<&'a str>,
}

/// The owner of a set of connectors. The policy calls [`Owner::owns`], and the store's `owned_by()` is the same in SQL.
///
/// Only custom connectors have a creator or an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Owner {
    /// Owns nothing.
    Nobody,
    /// Owns the connectors that this user created in this organization, or in none.
    User(UserKey),
    /// Owns all connectors of this organization.
    Organization(String),
}

/// An action that a viewer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Create a custom connector.
    Create,
    /// Create another custom connector, given the present number and the limit.
    CreateAnother {
        /// The custom connectors that the viewer created.
        present: u64,
        /// The most custom connectors of one user.
        most: u64,
    },
    /// Read a connector.
    See(Ownership<'a>),
    /// Read `createdBy` and `organizationId`.
    SeeOwner(Ownership<'a>),
    /// Change the details or the visibility of a custom connector.
    Update(Ownership<'a>),
    /// Delete a custom connector.
    Delete(Ownership<'a>),
    /// Set the status of any permitted connector.
    SetStatuses,
    /// Set the status, message and replacement of this connector.
    SetStatus(Ownership<'a>),
    /// Check the server of a connector, and store the result.
    Check(Ownership<'a>),
    /// Make a connector PUBLIC that one creates or may update. A PUBLIC connector stays so without it.
    Publish(Ownership<'a>),
    /// Change the `serverUrl` of a connector that one may update.
    MoveServer(Ownership<'a>),
    /// Import connectors of any type and organization from a file.
    Import,
    /// Set fields of official and platform-built connectors over their files' values.
    CurateAny,
    /// Set fields of this connector over its file's values.
    Curate(Ownership<'a>),
}

/// The reason that an action is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A token is needed.
    Unauthenticated,
    /// The token lacks this scope.
    Scope(&'static str),
    /// The viewer sees no such connector.
    Hidden,
    /// The connector is visible, but not the viewer's to change.
    NotYours,
    /// The connector is visible, but not custom.
    NotCustom,
    /// The connector is visible, but custom.
    IsCustom,
    /// The connector is visible, but connectors of its type need this scope.
    ScopeOfType(&'static str),
    /// A connector without an organization is PRIVATE.
    NoOrganization,
    /// The viewer has the most custom connectors allowed.
    LimitReached,
}

/// An action on one connector that the API announces as allowed or denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// [`Action::Update`].
    Update,
    /// [`Action::Delete`].
    Delete,
    /// [`Action::SetStatus`].
    SetStatus,
    /// [`Action::Check`].
    Check,
    /// [`Action::Publish`].
    Publish,
    /// [`Action::Curate`].
    Curate,
}

impl Right {
    /// All rights. A missing one does not compile.
    pub const ALL: [Self; Self::Curate as usize + 1] = [
        Self::Update,
        Self::Delete,
        Self::SetStatus,
        Self::Check,
        Self::Publish,
        Self::Curate,
    ];

    /// Returns the action on a connector.
    pub const fn on(self, target: Ownership<'_>) -> Action<'_> {
        match self {
            Self::Update => Action::Update(target),
            Self::Delete => Action::Delete(target),
            Self::SetStatus => Action::SetStatus(target),
            Self::Check => Action::Check(target),
            Self::Publish => Action::Publish(target),
            Self::Curate => Action::Curate(target),
        }
    }

    /// Returns the names of the connector's fields for the right, and for the reasons of a denial.
    pub const fn graphql_names(self) -> (&'static str, &'static str) {
        match self {
            Self::Update => ("viewerCanUpdate", "viewerCannotUpdateReasons"),
            Self::Delete => ("viewerCanDelete", "viewerCannotDeleteReasons"),
            Self::SetStatus => ("viewerCanSetStatus", "viewerCannotSetStatusReasons"),
            Self::Check => ("viewerCanCheck", "viewerCannotCheckReasons"),
            Self::Publish => ("viewerCanPublish", "viewerCannotPublishReasons"),
            Self::Curate => ("viewerCanCurate", "viewerCannotCurateReasons"),
        }
    }
}

impl Viewer {
    pub(crate) fn user(&self) -> Option<&User> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user),
        }
    }

    /// Returns the part of the catalogue that this viewer sees.
    pub fn sight(&self) -> Sight {
        match self {
            Self::Anonymous => Sight::Public,
            Self::User(user) if user.has(CATALOG_ADMIN) => Sight::Everything,
            Self::User(user) => Sight::Member {
                user: user.id.clone(),
                organization: user.organization.clone(),
                private_of_others: user.administers(user.organization.as_deref()),
            },
        }
    }

    /// Returns the owner of the connectors that this viewer created.
    pub fn own(&self) -> Owner {
        self.user()
            .map_or(Owner::Nobody, |user| Owner::User(user.key()))
    }

    /// Returns the owner of the visible connectors for which [`Action::Update`] is allowed.
    pub fn updatable(&self) -> Owner {
        self.writer().map_or(Owner::Nobody, User::changeable)
    }

    /// Decides an action. This is the whole policy.
    pub fn decide(&self, action: Action<'_>) -> Result<(), Denial> {
        match action {
            Action::See(target) => allow_if(self.sight().sees(target), Denial::Hidden),
            Action::SeeOwner(target) => allow_if(self.sight().sees_owner(target), Denial::Hidden),
            Action::Create => self.writer().map(drop),
            Action::CreateAnother { present, most } => {
                self.decide(Action::Create)?;
                allow_if(present < most, Denial::LimitReached)
            }
            Action::Update(target) | Action::Delete(target) => {
                self.writer()?.changes(target, &self.sight())
            }
            Action::SetStatuses => {
                let user = self.signed_in()?;
                allow_if(
                    user.writes() || user.has(CATALOG_ADMIN),
                    Denial::Scope(WRITE),
                )
            }
            Action::SetStatus(target) => {
                let user = self.signed_in()?;
                let is_custom = target.r#type == ConnectorType::Custom;
                let (has_scope, scope) = if is_custom {
                    (user.writes(), WRITE)
                } else {
                    (user.has(CATALOG_ADMIN), CATALOG_ADMIN)
                };
                (self.decide(Action::SetStatuses)).map_err(|_| Denial::Scope(scope))?;
                self.decide(Action::See(target))?;
                allow_if(has_scope, Denial::ScopeOfType(scope))?;
                if is_custom {
                    user.changes(target, &self.sight())
                } else {
                    Ok(())
                }
            }
            Action::Check(target) => {
                self.writer()?;
                self.decide(Action::See(target))
            }
            Action::Publish(target) => {
                let user = self.writer()?;
                user.changes(target, &self.sight())?;
                if target.visibility == ConnectorVisibility::Public {
                    return Ok(());
                }
                allow_if(target.organization.is_some(), Denial::NoOrganization)?;
                allow_if(user.administers(target.organization), Denial::NotYours)
            }
            Action::Curate(target) => {
                self.decide(Action::CurateAny)?;
                self.decide(Action::See(target))?;
                allow_if(target.r#type != ConnectorType::Custom, Denial::IsCustom)
            }
            Action::Import | Action::CurateAny => {
                let user = self.signed_in()?;
                allow_if(user.has(CATALOG_ADMIN), Denial::Scope(CATALOG_ADMIN))
            }
            Action::MoveServer(target) => {
                let user = self.writer()?;
                allow_if(
                    target.visibility != ConnectorVisibility::Public
                        || user.administers(target.organization),
                    Denial::NotYours,
                )
            }
        }
    }

    fn signed_in(&self) -> Result<&User, Denial> {
        self.user().ok_or(Denial::Unauthenticated)
    }

    fn writer(&self) -> Result<&User, Denial> {
        let user = self.signed_in()?;
        allow_if(user.writes(), Denial::Scope(WRITE)).map(|()| user)
    }
}

impl User {
    pub(crate) fn key(&self) -> UserKey {
        UserKey {
            organization: self.organization.clone(),
            id: self.id.clone(),
        }
    }

    fn has(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }

    fn writes(&self) -> bool {
        self.has(WRITE) || self.has(ADMIN)
    }

    /// Returns whether the user administers this organization. Connectors without one have no administrator.
    fn administers(&self, organization: Option<&str>) -> bool {
        self.has(ADMIN) && organization.is_some() && self.organization.as_deref() == organization
    }

    /// Returns the owner of the custom connectors that this user may change.
    fn changeable(&self) -> Owner {
        match &self.organization {
            Some(organization) if self.has(ADMIN) => Owner::Organization(organization.clone()),
            _ => Owner::User(self.key()),
        }
    }

    fn changes(&self, target: Ownership<'_>, sight: &Sight) -> Result<(), Denial> {
        allow_if(sight.sees(target), Denial::Hidden)?;
        allow_if(target.r#type == ConnectorType::Custom, Denial::NotCustom)?;
        allow_if(self.changeable().owns(target), Denial::NotYours)
    }
}

impl Owner {
    pub(crate) fn owns(&self, target: Ownership<'_>) -> bool {
        match self {
            Self::Nobody => false,
            Self::User(UserKey { organization, id }) => {
                target.created_by == Some(id) && target.organization == organization.as_deref()
            }
            Self::Organization(organization) => target.organization == Some(organization),
        }
    }
}

impl Sight {
    /// Returns whether a connector is visible. The store's `visible()` is the same in SQL.
    pub(crate) fn sees(&self, target: Ownership<'_>) -> bool {
        target.visibility == ConnectorVisibility::Public
            || match self {
                Self::Everything => true,
                Self::Public => false,
                Self::Member {
                    user,
                    organization,
                    private_of_others,
                } => {
                    target.organization == organization.as_deref()
                        && (target.visibility == ConnectorVisibility::Organization
                            || *private_of_others
                            || target.created_by == Some(user))
                }
            }
    }

    /// Returns whether a connector's creator and organization are visible: only within the organization.
    pub(crate) fn sees_owner(&self, target: Ownership<'_>) -> bool {
        self.knows(target.created_by, target.organization)
    }

    /// Returns whether a user is known: oneself, or a user of one's own organization.
    pub(crate) fn knows(&self, who: Option<&str>, of: Option<&str>) -> bool {
        match self {
            Self::Everything => true,
            Self::Public => false,
            Self::Member {
                user, organization, ..
            } => of == organization.as_deref() && (of.is_some() || who == Some(user)),
        }
    }
}

fn allow_if(allowed: bool, otherwise: Denial) -> Result<(), Denial> {
    if allowed { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn viewer(id: &str, organization: Option<&str>, scopes: &[&str]) -> Viewer {
        Viewer::User(User {
            id: id.to_owned(),
            organization: organization.map(ToOwned::to_owned),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            profile: Profile::default(),
        })
    }

    fn custom(
        visibility: ConnectorVisibility,
        organization: Option<&'static str>,
        created_by: &'static str,
    ) -> Ownership<'static> {
        Ownership {
            r#type: ConnectorType::Custom,
            visibility,
            organization,
            created_by: Some(created_by),
        }
    }

    /// Returns a decision as a word of the table.
    fn cell(decision: Result<(), Denial>) -> &'static str {
        match decision {
            Ok(()) => "yes",
            Err(Denial::Unauthenticated) => "token",
            Err(Denial::Scope(_)) => "scope",
            Err(Denial::Hidden) => "hidden",
            Err(Denial::NotYours) => "no",
            Err(Denial::NotCustom) => "type",
            Err(Denial::IsCustom) => "custom",
            Err(Denial::ScopeOfType(_)) => "scope*",
            Err(Denial::NoOrganization) => "org",
            Err(Denial::LimitReached) => "limit",
        }
    }

    /// The policy as a table for review: a row for each viewer and connector, and a column for each action.
    #[test]
    fn policy() {
        use ConnectorVisibility::{Organization, Private, Public};
        let viewers = [
            ("anonymous", Viewer::Anonymous),
            ("ann, acme", viewer("ann", Some("acme"), &[])),
            ("ann, acme, write", viewer("ann", Some("acme"), &[WRITE])),
            ("ann, acme, admin", viewer("ann", Some("acme"), &[ADMIN])),
            (
                "ann, acme, catalog",
                viewer("ann", Some("acme"), &[CATALOG_ADMIN]),
            ),
            (
                "ann, acme, write catalog",
                viewer("ann", Some("acme"), &[WRITE, CATALOG_ADMIN]),
            ),
            ("ann, none, write", viewer("ann", None, &[WRITE])),
            ("ann, none, admin", viewer("ann", None, &[ADMIN])),
        ];
        let official = Ownership {
            r#type: ConnectorType::Official,
            visibility: Public,
            organization: None,
            created_by: None,
        };
        let targets = [
            ("official", official),
            ("ann's private, acme", custom(Private, Some("acme"), "ann")),
            (
                "ann's organization, acme",
                custom(Organization, Some("acme"), "ann"),
            ),
            ("ann's public, acme", custom(Public, Some("acme"), "ann")),
            ("bob's private, acme", custom(Private, Some("acme"), "bob")),
            (
                "bob's organization, acme",
                custom(Organization, Some("acme"), "bob"),
            ),
            ("bob's public, acme", custom(Public, Some("acme"), "bob")),
            (
                "ann's private, other",
                custom(Private, Some("other"), "ann"),
            ),
            (
                "cid's organization, other",
                custom(Organization, Some("other"), "cid"),
            ),
            ("cid's public, other", custom(Public, Some("other"), "cid")),
            ("ann's private, none", custom(Private, None, "ann")),
            ("dan's private, none", custom(Private, None, "dan")),
            ("dan's public, none", custom(Public, None, "dan")),
        ];
        let mut table = String::new();
        for (who, viewer) in &viewers {
            writeln!(
                table,
                "\n{who}: create {}, beyond the limit {}, import {}",
                cell(viewer.decide(Action::Create)),
                cell(viewer.decide(Action::CreateAnother {
                    present: 3,
                    most: 3
                })),
                cell(viewer.decide(Action::Import)),
            )
            .unwrap();
            writeln!(
                table,
                "  {:<26} {:<7} {:<7} {:<7} {:<7} {:<7} {:<7} {:<7} {:<7} move server",
                "", "see", "owner", "update", "delete", "status", "check", "publish", "curate"
            )
            .unwrap();
            for (what, target) in targets {
                let cells = [
                    Action::See(target),
                    Action::SeeOwner(target),
                    Action::Update(target),
                    Action::Delete(target),
                    Action::SetStatus(target),
                    Action::Check(target),
                    Action::Publish(target),
                    Action::Curate(target),
                    Action::MoveServer(target),
                ]
                .map(|action| format!("{:<7}", cell(viewer.decide(action))));
                writeln!(table, "  {what:<26} {}", cells.join(" ").trim_end()).unwrap();
                // A list of updatable connectors has no other rules.
                let listed = viewer.updatable().owns(target);
                let seen = viewer.decide(Action::See(target)).is_ok();
                let updates = viewer.decide(Action::Update(target)).is_ok();
                assert_eq!(listed && seen, updates, "{who}: {what}");
            }
        }
        insta::assert_snapshot!(table);
    }
}
