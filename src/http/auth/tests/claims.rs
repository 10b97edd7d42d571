//! Tests of the user in a token, in the forms of identity providers.

use super::*;

/// The rules of the default settings.
fn by_default() -> TokenRules {
    let names = |names: &str| names.split(',').map(ToOwned::to_owned).collect();
    TokenRules {
        organization_claims: names("org,organization,org_id"),
        scope_claims: names("scope,scp,permissions"),
        ..rules(KeySource::Secret(secret()))
    }
}

/// Returns the user of a token with these additional claims, nulls included.
async fn user(rules: &TokenRules, more: &Value) -> Result<User, Refusal> {
    let authenticator = Authenticator::new(rules.clone(), direct(), clock())
        .await
        .unwrap();
    let mut claims = claims(&json!({}));
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let signer = Signer::hs256();
    ask(&authenticator, &signer.sign(&signer.header(), &claims)).await
}

#[tokio::test]
async fn scopes_come_from_every_claim_that_has_some() {
    let mut rules = by_default();
    for (claims, expected) in [
        (json!({}), &[][..]),
        (json!({"scope": ""}), &[]),
        (json!({"scope": null, "scp": null}), &[]),
        (json!({"scope": " b  a "}), &["a", "b"]),
        (json!({"scope": ["b", "a", "b"]}), &["a", "b"]),
        // Entra, and Okta.
        (
            json!({"scp": "connectors:write a"}),
            &["a", "connectors:write"],
        ),
        (
            json!({"scp": ["connectors:write", "a"]}),
            &["a", "connectors:write"],
        ),
        // Auth0.
        (
            json!({"scope": "openid profile", "permissions": ["connectors:write"]}),
            &["connectors:write", "openid", "profile"],
        ),
        // A value of another type is left out.
        (
            json!({"scope": 7, "scp": {"a": "b"}, "permissions": ["c", 7, null, ["d"]]}),
            &["c"],
        ),
        (json!({"scope": true, "permissions": false}), &[]),
        // Claims that are not configured.
        (
            json!({"roles": ["a"], "SCP": "b", "realm_access": {"roles": ["c"]}}),
            &[],
        ),
    ] {
        let user = user(&rules, &claims).await.unwrap();
        assert!(user.scopes.iter().eq(expected), "{claims}: {user:?}");
    }
    rules.scope_claims = vec![
        "realm_access.roles".to_owned(),
        "https://example.com/s".to_owned(),
    ];
    rules.scope_prefix = Some("https://api.example.com/".to_owned());
    for (claims, expected) in [
        (json!({"scope": "a"}), &[][..]),
        (
            json!({"realm_access": {"roles": ["a"]}, "https://example.com/s": "b"}),
            &["a", "b"],
        ),
        (json!({"realm_access": "a"}), &[]),
        (
            json!({"realm_access.roles": "https://api.example.com/connectors:write https://other.example/b c"}),
            &["c", "connectors:write", "https://other.example/b"],
        ),
    ] {
        let user = user(&rules, &claims).await.unwrap();
        assert!(user.scopes.iter().eq(expected), "{claims}: {user:?}");
    }
}

#[tokio::test]
async fn an_organization_is_one() {
    let mut rules = by_default();
    let (acme, home, none) = (Some("acme"), Some("home"), None);
    let (long, too_long) = ("ü".repeat(255), "ü".repeat(256));
    for (claims, expected, by_default) in [
        (json!({}), none, home),
        (json!({"org": null}), none, home),
        (json!({"org": ""}), none, home),
        (json!({"organization": []}), none, home),
        (json!({"organization": {}}), none, home),
        (json!({"org": "acme"}), acme, acme),
        (json!({"org_id": "acme"}), acme, acme),
        (
            json!({"org": long}),
            Some(long.as_str()),
            Some(long.as_str()),
        ),
        // Keycloak: a list, and a map.
        (json!({"organization": ["acme"]}), acme, acme),
        (json!({"organization": {"acme": {}}}), acme, acme),
        (
            json!({"organization": {"acme": {"id": "1", "tier": ["gold"]}}}),
            acme,
            acme,
        ),
        // The first claim with an organization.
        (json!({"org_id": "b", "org": "acme"}), acme, acme),
        (json!({"org": [], "org_id": "acme"}), acme, acme),
        (
            json!({"org": 7, "organization": ["a", "b"], "org_id": "acme"}),
            acme,
            acme,
        ),
        // An unreadable claim does not bring a user into the default organization.
        (json!({"organization": ["acme", "other"]}), none, none),
        (
            json!({"organization": {"acme": {}, "other": {}}}),
            none,
            none,
        ),
        (json!({"organization": {"id": "acme"}}), none, none),
        (
            json!({"organization": {"acme": {}, "id": "acme"}}),
            none,
            none,
        ),
        (json!({"organization": [["acme"]]}), none, none),
        (json!({"organization": [null]}), none, none),
        (json!({"org": 7}), none, none),
        (json!({"org": true}), none, none),
        (json!({"org": "a\nb"}), none, none),
        (json!({"org": too_long}), none, none),
        (json!({"org": [too_long]}), none, none),
        (json!({"organization": {"": {}}}), none, none),
    ] {
        for (default, expected) in [(none, expected), (home, by_default)] {
            rules.default_organization = default.map(ToOwned::to_owned);
            let user = user(&rules, &claims).await.unwrap();
            assert_eq!(
                user.organization.as_deref(),
                expected,
                "{claims} {default:?}"
            );
        }
    }
    rules.organization_claims = vec!["https://example.com/org".to_owned(), "org.id".to_owned()];
    for (claims, expected) in [
        (json!({"https://example.com/org": "acme"}), acme),
        (json!({"org": {"id": "acme"}}), acme),
        (json!({"org.id": "acme", "org": {"id": "other"}}), acme),
        (json!({"org": "acme"}), home),
    ] {
        let user = user(&rules, &claims).await.unwrap();
        assert_eq!(user.organization.as_deref(), expected, "{claims}");
    }
}

#[tokio::test]
async fn a_user_is_of_one_claim() {
    let mut rules = by_default();
    rules.user_claim = "https://example.com/user.id".to_owned();
    let claims = json!({"https://example.com/user": {"id": "bob"}});
    assert_eq!(user(&rules, &claims).await.unwrap().id, "bob");
    // No other claim replaces it.
    for value in [
        json!(null),
        json!("bob"),
        json!({"id": 7}),
        json!({"id": ["bob"]}),
    ] {
        let claims = json!({"https://example.com/user": value});
        assert_eq!(
            user(&rules, &claims).await,
            Err(Refusal::Subject),
            "{claims}"
        );
    }
}

#[tokio::test]
async fn one_of_several_issuers_and_audiences() {
    let mut rules = by_default();
    rules.issuers = ["https://a.example", "https://b.example"]
        .map(ToOwned::to_owned)
        .to_vec();
    rules.audiences = ["api://c", "d"].map(ToOwned::to_owned).to_vec();
    for (iss, aud, expected) in [
        ("https://a.example", json!("api://c"), Ok(())),
        ("https://b.example", json!(["e", "d"]), Ok(())),
        ("https://issuer.example", json!("d"), Err(Refusal::Issuer)),
        (
            "https://a.example",
            json!("connectors"),
            Err(Refusal::Audience),
        ),
    ] {
        let user = user(&rules, &json!({"iss": iss, "aud": aud})).await;
        assert_eq!(user.map(drop), expected, "{iss} {aud}");
    }
}

#[tokio::test]
async fn a_minted_token_is_read_by_its_own_rules() {
    let mut rules = by_default();
    rules.user_claim = "user.id".to_owned();
    rules.organization_claims = vec!["https://example.com/org".to_owned()];
    rules.scope_claims = vec!["permissions".to_owned(), "scope".to_owned()];
    rules.scope_prefix = Some("api://".to_owned());
    rules.name_claim = Some("profile.name".to_owned());
    rules.picture_claim = Some("picture".to_owned());
    let ann = User {
        id: "ann".to_owned(),
        organization: Some("acme".to_owned()),
        scopes: BTreeSet::from(["a".to_owned(), "connectors:write".to_owned()]),
        profile: Profile {
            name: Some("Ann Lee".to_owned()),
            picture_url: Some("https://example.com/ann.png".to_owned()),
        },
    };
    let token = mint(&secret(), &rules, &ann, Duration::from_mins(1), &clock()).unwrap();
    let authenticator = Authenticator::new(rules, direct(), clock()).await.unwrap();
    assert_eq!(ask(&authenticator, &token).await, Ok(ann));
}

#[tokio::test]
async fn a_profile_is_of_the_claims_that_are_configured() {
    let claims = json!({ "name": " Ann Lee ", "picture": "https://example.com/ann.png" });
    let profile = async |name: Option<&str>, picture: Option<&str>, claims: &Value| {
        let mut rules = by_default();
        rules.name_claim = name.map(ToOwned::to_owned);
        rules.picture_claim = picture.map(ToOwned::to_owned);
        let Profile { name, picture_url } = user(&rules, claims).await.unwrap().profile;
        (name.unwrap_or_default(), picture_url.unwrap_or_default())
    };
    let (name, picture) = (Some("name"), Some("picture"));
    let read = async |name, picture| profile(name, picture, &claims).await;
    let url = "https://example.com/ann.png".to_owned();
    assert_eq!(read(None, None).await, Default::default());
    assert_eq!(
        read(name, None).await,
        ("Ann Lee".to_owned(), String::new())
    );
    assert_eq!(
        read(name, picture).await,
        ("Ann Lee".to_owned(), url.clone())
    );
    // A claim that is no valid name or URL counts as absent, and invalidates no token.
    for bad in [
        json!({}),
        json!({ "name": "", "picture": "" }),
        json!({ "name": "  ", "picture": "ann.png" }),
        json!({ "name": 1, "picture": ["https://example.com"] }),
        json!({ "name": "a\u{0}b", "picture": "javascript:alert(1)" }),
        json!({ "name": "a\u{7}b", "picture": "http://example.com/ann.png" }),
        json!({ "name": "a".repeat(256), "picture": format!("https://e.co/{}", "a".repeat(2048)) }),
    ] {
        assert_eq!(
            profile(name, picture, &bad).await,
            Default::default(),
            "{bad}"
        );
    }
}
