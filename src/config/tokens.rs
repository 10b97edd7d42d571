//! The rules that bearer tokens are verified by.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use url::Url;

use super::{
    database::{DatabaseSettings, sqlite_url},
    secret::{self, Secret},
    sources::{Settings, Source, heading},
    values::{claim, jwks_age, leeway, principal, shell_word, whole_user},
};

/// The flag of the secret.
const SECRET: &str = "jwt-secret";
const ORGANIZATION_CLAIM: &str = "org";

#[derive(Debug, Args)]
#[command(next_help_heading = heading::TOKENS)]
pub struct Tokens {
    /// Secret of at least 32 bytes that tokens are signed with (HS256). By default one is made and kept beside the SQLite
    /// database
    #[arg(
        long,
        env = "CONNECTORS_JWT_SECRET",
        value_name = "SECRET",
        hide_env_values = true,
        conflicts_with = "jwks",
        value_parser = secret::parse
    )]
    jwt_secret: Option<Secret>,

    /// JWKS file or http(s) URL with the public keys of tokens (RS256, ES256, EdDSA); needs an issuer and an audience
    #[arg(
        long,
        env = "CONNECTORS_JWKS",
        value_name = "FILE|URL",
        hide_env_values = true,
        requires = "jwt_issuer",
        requires = "jwt_audience",
        value_parser = jwks
    )]
    pub(super) jwks: Option<KeySource>,

    /// How long the keys of a JWKS are used after the last time that it could be read
    #[arg(
        long,
        env = "CONNECTORS_JWKS_MAX_AGE",
        value_name = "TIME",
        default_value = "24h",
        value_parser = jwks_age
    )]
    jwks_max_age: Duration,

    /// How far the issuer's clock may be ahead: `nbf` and `iat` of tokens may be so far in the future
    #[arg(
        long,
        env = "CONNECTORS_JWT_LEEWAY",
        value_name = "TIME",
        default_value = "60s",
        value_parser = leeway
    )]
    jwt_leeway: Duration,

    /// Issuer (`iss`) that tokens must have
    #[arg(long, env = "CONNECTORS_JWT_ISSUER", value_name = "ISSUER")]
    jwt_issuer: Option<String>,

    /// Audience (`aud`) that tokens must have
    #[arg(long, env = "CONNECTORS_JWT_AUDIENCE", value_name = "AUDIENCE")]
    jwt_audience: Option<String>,

    /// Claim of tokens that has the user's organization
    #[arg(
        long,
        env = "CONNECTORS_JWT_ORGANIZATION_CLAIM",
        value_name = "CLAIM",
        default_value = ORGANIZATION_CLAIM,
        value_parser = claim
    )]
    jwt_organization_claim: String,

    /// Organization of tokens that name none
    #[arg(
        long,
        env = "CONNECTORS_DEFAULT_ORGANIZATION",
        value_name = "ORGANIZATION",
        value_parser = principal
    )]
    default_organization: Option<String>,
}

impl Tokens {
    /// Whether the secret is the one beside the database.
    pub fn is_beside_database(&self) -> bool {
        self.jwt_secret.is_none() && self.jwks.is_none()
    }

    /// How to make a token that these rules accept, from any folder: a command, and what else it needs. It holds no secret. With a
    /// JWKS there is none.
    pub(super) fn hint(
        &self,
        database: &DatabaseSettings,
        settings: &Settings,
    ) -> anyhow::Result<Option<String>> {
        if self.jwks.is_some() {
            return Ok(None);
        }
        let mut words = vec![program(), "token".to_owned()];
        let mut condition = String::new();
        match (settings.source(SECRET), database.file()?) {
            (Some((_, Some(file))), _) => {
                words.push(format!("--{SECRET}-file"));
                words.push(absolute(file));
            }
            (Some((Source::File { path, .. }, None)), _) => {
                words.push("--config".to_owned());
                words.push(absolute(path));
            }
            (Some((source, None)), _) => condition = format!(", with the same {source}"),
            // The secret is beside the file.
            (None, Some(file)) => {
                words.push("--database-url".to_owned());
                words.push(sqlite_url(&file));
            }
            (None, None) => {}
        }
        if let Some(issuer) = &self.jwt_issuer {
            words.extend(["--jwt-issuer".to_owned(), issuer.clone()]);
        }
        if let Some(audience) = &self.jwt_audience {
            words.extend(["--jwt-audience".to_owned(), audience.clone()]);
        }
        if self.jwt_organization_claim != ORGANIZATION_CLAIM {
            let claim = self.jwt_organization_claim.clone();
            words.extend(["--jwt-organization-claim".to_owned(), claim]);
        }
        let user = "--user you --organization yours --scope connectors:write";
        let words: Vec<_> = words.iter().map(|word| shell_word(word)).collect();
        let command = words.join(" ");
        Ok(Some(format!("For a token{condition}: {command} {user}")))
    }

    /// The rules that tokens are read by. Where no key is configured, the secret beside the SQLite database counts; it is made if
    /// the database may be.
    pub fn rules(
        &self,
        database: &DatabaseSettings,
        anonymous_read: bool,
    ) -> anyhow::Result<TokenRules> {
        let keys = match (&self.jwt_secret, &self.jwks) {
            (Some(secret), _) => KeySource::Secret(secret.clone()),
            (None, Some(jwks)) => jwks.clone(),
            (None, None) => KeySource::Secret(secret::beside(database)?),
        };
        Ok(TokenRules {
            keys,
            jwks_max_age: self.jwks_max_age,
            leeway: self.jwt_leeway,
            issuer: self.jwt_issuer.clone(),
            audience: self.jwt_audience.clone(),
            organization_claim: self.jwt_organization_claim.clone(),
            default_organization: self.default_organization.clone(),
            anonymous_read,
        })
    }
}

/// This program as it can be called from any folder.
fn program() -> String {
    let called = env::args().next().unwrap_or_default();
    if called.is_empty() {
        return env!("CARGO_PKG_NAME").to_owned();
    }
    if !called.contains('/') {
        // The shell found it on its path.
        return called;
    }
    absolute(Path::new(&called))
}

fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    absolute.as_deref().unwrap_or(path).display().to_string()
}

/// Reads the file or URL of a JWKS. The error has no part of it: it may hold a password.
fn jwks(text: &str) -> Result<KeySource, String> {
    if !text.contains("://") {
        return Ok(KeySource::JwksFile(text.into()));
    }
    whole_user(text)?;
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
    });
    url.map(KeySource::JwksUrl).ok_or_else(|| {
        "expected a file, or a URL that begins with https:// or http:// and has no user name or password"
            .to_owned()
    })
}

/// The source of the keys that verify tokens.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// HS256 with this secret.
    Secret(Secret),
    /// RS256, ES256 and `EdDSA` with the keys of a JWK Set (RFC 7517 §5).
    JwksFile(PathBuf),
    JwksUrl(Url),
}

/// Which tokens are believed, and what is made of them.
#[derive(Clone, Debug)]
pub struct TokenRules {
    pub keys: KeySource,
    /// How long the keys of a JWKS are used after the last time that it could be read.
    pub jwks_max_age: Duration,
    /// How far `nbf` and `iat` may be in the future. `exp` has no leeway.
    pub leeway: Duration,
    /// The `iss` a token must have. Required with a JWKS: its keys may sign for others too.
    pub issuer: Option<String>,
    /// The audience that a token's `aud` must name. Required with a JWKS, as the issuer is.
    pub audience: Option<String>,
    /// The claim that holds the user's organization.
    pub organization_claim: String,
    /// The organization of users whose token names none.
    pub default_organization: Option<String>,
    /// Whether a request without a token is let through, as an anonymous one.
    pub anonymous_read: bool,
}
