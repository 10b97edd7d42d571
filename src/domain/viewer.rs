//! Who calls, what they see, and what they may do.
//!
//! Invariant: every decision about a viewer is made by [`Viewer::decide`]; what it calls visible is what [`Sight`] says, and
//! the store turns that one value into the condition that every query of connectors starts from.

use std::collections::BTreeSet;

use entity::{ConnectorType, ConnectorVisibility};

/// Create custom connectors, and change those one created.
pub const WRITE: &str = "connectors:write";
/// The same for every custom connector of the organization, and make them public.
pub const ADMIN: &str = "connectors:admin";
/// See everything, and set the status of official and `aitronos_built` connectors.
pub const CATALOG_ADMIN: &str = "catalog:admin";

/// Who calls, as the token says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Viewer {
    Anonymous,
    User(User),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    pub id: String,
    pub organization: Option<String>,
    pub scopes: BTreeSet<String>,
}

/// What a viewer sees of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    Everything,
    Public,
    Member {
        user: String,
        /// The organization whose connectors are in sight; one's own have the same one, or none if this is none.
        organization: Option<String>,
        /// Whether other users' private connectors of the organization are in sight.
        private_of_others: bool,
    },
}

/// Whose a connector is, and who it is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership<'a> {
    pub r#type: ConnectorType,
    pub visibility: ConnectorVisibility,
    pub organization: Option<&'a str>,
    pub created_by: Option<&'a str>,
}

/// What a viewer wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    Create,
    See(Ownership<'a>),
    /// Read `createdBy` and `organizationId`.
    SeeOwner(Ownership<'a>),
    Update(Ownership<'a>),
    Delete(Ownership<'a>),
    /// Set the status of whichever connectors one may.
    SetStatuses,
    SetStatus(Ownership<'a>),
    /// Make a connector PUBLIC that one creates or may update.
    Publish,
    /// Change the `serverUrl` of a connector that one may update.
    MoveServer(Ownership<'a>),
}

/// Why a viewer may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A token is needed.
    Unauthenticated,
    /// The token lacks this scope.
    Scope(&'static str),
    /// For this viewer there is no such connector.
    Hidden,
    /// The connector is visible, but not the viewer's to change.
    NotYours,
}

impl Viewer {
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user),
        }
    }

    /// What this viewer sees.
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

    /// The whole policy.
    pub fn decide(&self, action: Action<'_>) -> Result<(), Denial> {
        match action {
            Action::See(target) => allow_if(self.sight().sees(target), Denial::Hidden),
            Action::SeeOwner(target) => allow_if(self.sight().sees_owner(target), Denial::Hidden),
            Action::Create => self.writer().map(drop),
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
                self.decide(Action::SetStatuses)?;
                let user = self.signed_in()?;
                if target.r#type == ConnectorType::Custom && user.writes() {
                    user.changes(target, &self.sight())
                } else {
                    self.decide(Action::See(target))?;
                    allow_if(
                        target.r#type != ConnectorType::Custom && user.has(CATALOG_ADMIN),
                        Denial::NotYours,
                    )
                }
            }
            Action::Publish => {
                let user = self.writer()?;
                allow_if(
                    user.administers(user.organization.as_deref()),
                    Denial::NotYours,
                )
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
    fn has(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }

    fn writes(&self) -> bool {
        self.has(WRITE) || self.has(ADMIN)
    }

    /// Whether the user administers this organization. Nobody administers those that have none.
    fn administers(&self, organization: Option<&str>) -> bool {
        self.has(ADMIN) && organization.is_some() && self.organization.as_deref() == organization
    }

    fn owns(&self, target: Ownership<'_>) -> bool {
        target.created_by == Some(&self.id) && target.organization == self.organization.as_deref()
    }

    fn changes(&self, target: Ownership<'_>, sight: &Sight) -> Result<(), Denial> {
        allow_if(sight.sees(target), Denial::Hidden)?;
        allow_if(
            target.r#type == ConnectorType::Custom
                && (self.owns(target) || self.administers(target.organization)),
            Denial::NotYours,
        )
    }
}

impl Sight {
    /// Whether a connector is in sight. The store's `visible()` says the same in SQL.
    pub fn sees(&self, target: Ownership<'_>) -> bool {
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

    /// Whether a connector's creator and organization are in sight: only within the organization.
    pub fn sees_owner(&self, target: Ownership<'_>) -> bool {
        self.knows(target.created_by, target.organization)
    }

    /// Whether a user of an organization, or of none, is one to be told of: of one's own, or oneself.
    pub fn knows(&self, who: Option<&str>, of: Option<&str>) -> bool {
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

    /// The policy as one table, read in review: a row a viewer and connector, a column an action.
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
        let cell = |decision: Result<(), Denial>| match decision {
            Ok(()) => "yes",
            Err(Denial::Unauthenticated) => "token",
            Err(Denial::Scope(_)) => "scope",
            Err(Denial::Hidden) => "hidden",
            Err(Denial::NotYours) => "no",
        };
        let mut table = String::new();
        for (who, viewer) in &viewers {
            writeln!(
                table,
                "\n{who}: create {}, publish {}",
                cell(viewer.decide(Action::Create)),
                cell(viewer.decide(Action::Publish)),
            )
            .unwrap();
            writeln!(
                table,
                "  {:<26} {:<7} {:<7} {:<7} {:<7} {:<7} move server",
                "", "see", "owner", "update", "delete", "status"
            )
            .unwrap();
            for (what, target) in targets {
                let cells = [
                    Action::See(target),
                    Action::SeeOwner(target),
                    Action::Update(target),
                    Action::Delete(target),
                    Action::SetStatus(target),
                    Action::MoveServer(target),
                ]
                .map(|action| format!("{:<7}", cell(viewer.decide(action))));
                writeln!(table, "  {what:<26} {}", cells.join(" ").trim_end()).unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }
}
