//! Reads the user from a verified token's claims, in the forms of identity providers.
//!
//! Invariant: a claim of an unexpected form counts as absent. It invalidates the token only if it is the user's id.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{
    config::TokenRules,
    domain::{
        field_values,
        viewer::{Profile, User},
    },
};

use super::refusal::Refusal;

pub(super) type Claims = Map<String, Value>;

/// Returns the user of verified claims.
pub(super) fn user(claims: &Claims, rules: &TokenRules) -> Result<User, Refusal> {
    let id = claim(claims, &rules.user_claim).and_then(principal);
    Ok(User {
        id: id.ok_or(Refusal::Subject)?,
        organization: organization(claims, rules),
        scopes: scopes(claims, rules),
        profile: profile(claims, rules),
    })
}

/// Finds a claim by its whole name, or else by its path: `realm_access.roles` is `roles` in `realm_access`. Names on a
/// path may contain dots; the longest first name counts.
fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let nested = |(dot, _)| {
        let (first, rest) = (name.get(..dot)?, name.get(dot + 1..)?);
        claim(claims.get(first)?.as_object()?, rest)
    };
    let whole = claims.get(name).filter(|value| !value.is_null());
    whole.or_else(|| name.rmatch_indices('.').find_map(nested))
}

/// Returns the user's name and picture (`OpenID` Connect Core, section 5.1), from the configured claims.
fn profile(claims: &Claims, rules: &TokenRules) -> Profile {
    let text = |name: &Option<String>| claim(claims, name.as_deref()?)?.as_str();
    let name = text(&rules.name_claim).map(str::trim);
    let picture = text(&rules.picture_claim);
    Profile {
        name: name.and_then(|name| field_values::principal("name", name).ok()),
        picture_url: picture.and_then(|url| field_values::https_url("pictureUrl", url).ok()),
    }
}

fn principal(claim: &Value) -> Option<String> {
    field_values::principal("principal", claim.as_str()?).ok()
}

/// Returns the organization of the first claim with one. The default applies only if no claim is present: an unreadable
/// claim, or one with several, must not bring a user into it.
fn organization(claims: &Claims, rules: &TokenRules) -> Option<String> {
    let mut names_none = true;
    for name in &rules.organization_claims {
        let named = claim(claims, name).map_or(Some(Vec::new()), organizations);
        match named.as_deref() {
            Some([]) => continue,
            Some([Some(one)]) => return Some(one.clone()),
            Some([_]) | None => tracing::debug!(
                claim = name,
                "the token's organization is left out: expected 1 to 255 characters, or a list or map of one \
                 organization"
            ),
            Some(_) => tracing::debug!(
                claim = name,
                "the token's organization is left out: it names several, and one is expected"
            ),
        }
        names_none = false;
    }
    rules.default_organization.clone().filter(|_| names_none)
}

/// Returns the organizations of a claim, each if it is valid. The claim is a text, a list or, from Keycloak, a map of
/// organizations by name; `None` for other forms.
fn organizations(claim: &Value) -> Option<Vec<Option<String>>> {
    match claim {
        Value::String(name) if name.is_empty() => Some(Vec::new()),
        Value::String(_) => Some(vec![principal(claim)]),
        Value::Array(names) => Some(names.iter().map(principal).collect()),
        // A map of other values may be one organization with its attributes.
        Value::Object(organizations) if organizations.values().all(Value::is_object) => {
            let name = |name: &String| field_values::principal("principal", name).ok();
            Some(organizations.keys().map(name).collect())
        }
        _ => None,
    }
}

/// Returns the scopes of all claims, without the issuer's prefix.
fn scopes(claims: &Claims, rules: &TokenRules) -> BTreeSet<String> {
    let prefix = rules.scope_prefix.as_deref().unwrap_or_default();
    let found = rules.scope_claims.iter().flat_map(|name| {
        let claim = claim(claims, name);
        let scopes = claim.and_then(listed);
        if claim.is_some() && scopes.is_none() {
            tracing::debug!(
                claim = name,
                "the token's scopes of this claim are left out: expected a text with spaces, or a list of texts"
            );
        }
        scopes.unwrap_or_default()
    });
    let bare = |scope: &str| scope.strip_prefix(prefix).unwrap_or(scope).to_owned();
    found.map(bare).collect()
}

/// Splits scopes at spaces (RFC 8693, section 4.2), or reads a list. Items that are no text are left out.
fn listed(claim: &Value) -> Option<Vec<&str>> {
    match claim {
        Value::String(scopes) => Some(scopes.split_ascii_whitespace().collect()),
        Value::Array(scopes) => Some(scopes.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(claims: &Value, name: &str) -> Value {
        let claims = claims.as_object().unwrap();
        claim(claims, name).cloned().unwrap_or_default()
    }

    #[test]
    fn a_claim_is_found_by_its_name_and_then_by_its_path() {
        let claims = json!({
            "https://example.com/org": "acme",
            "realm_access": { "roles": ["a"] },
            "realm_access.roles": "whole",
            "resource_access": { "my.client": { "roles": ["b"] }, "my": { "client": { "roles": ["c"] } } },
            "https://example.com/user": { "org.id": "d" },
            "gone": null,
            "gone.x": 1,
        });
        for (name, expected) in [
            ("https://example.com/org", json!("acme")),
            ("realm_access.roles", json!("whole")),
            ("resource_access.my.client.roles", json!(["b"])),
            ("https://example.com/user.org.id", json!("d")),
            ("realm_access", json!({ "roles": ["a"] })),
            ("gone", Value::Null),
            ("gone.x", json!(1)),
            ("https://example.com/org.x", Value::Null),
            ("resource_access..roles", Value::Null),
            ("realm_access.", Value::Null),
            (".", Value::Null),
            ("", Value::Null),
        ] {
            assert_eq!(found(&claims, name), expected, "{name}");
        }
    }
}
