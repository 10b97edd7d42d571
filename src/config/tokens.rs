//! The rules that verify bearer tokens.

use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use url::Url;

use crate::domain::viewer::ProfileParts;

use super::{
    database::{DatabaseSettings, sqlite_url},
    secret::{self, Secret},
    sources::{Given, Source, heading},
    values::{
        claim, jwks_age, leeway, nonempty, principal, scope_claim, shell_word, user_claim,
        whole_user,
    },
};

/// The largest `--max-token-bytes`: the token and 8 KiB of other headers fit in the head of an HTTP/2 request.
pub const MOST_TOKEN_BYTES: u32 = 24 * 1024;

/// The flag of the secret.
const SECRET: &str = "jwt-secret";

/// The flags of a token's claims.
const CLAIMS: [&str; 7] = [
    "jwt-issuer",
    "jwt-audience",
    "jwt-user-claim",
    "jwt-organization-claim",
    "jwt-scope-claim",
    "jwt-name-claim",
    "jwt-picture-claim",
];

/// The flags of tokens: the keys that verify them, and the claims to read.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::TOKENS)]
pub struct Tokens {
    /// Secret of at least 32 bytes that tokens are signed with (HS256). By default one is made and kept beside the
    /// SQLite database
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

    /// Issuer (`iss`) that tokens must have; one of these, if given several times
    #[arg(
        long,
        env = "CONNECTORS_JWT_ISSUER",
        value_name = "ISSUER",
        value_delimiter = ',',
        value_parser = nonempty
    )]
    jwt_issuer: Vec<String>,

    /// Audience (`aud`) that tokens must have; one of these, if given several times
    #[arg(
        long,
        env = "CONNECTORS_JWT_AUDIENCE",
        value_name = "AUDIENCE",
        value_delimiter = ',',
        value_parser = nonempty
    )]
    jwt_audience: Vec<String>,

    /// Claim of tokens with the user's id: its whole name, or a path with dots such as user.id
    #[arg(
        long,
        env = "CONNECTORS_JWT_USER_CLAIM",
        value_name = "CLAIM",
        default_value = "sub",
        value_parser = user_claim
    )]
    jwt_user_claim: String,

    /// Claims of tokens with the user's organization, by name or path: a text, or a list or map of one organization.
    /// The first claim that names one counts
    #[arg(
        long,
        env = "CONNECTORS_JWT_ORGANIZATION_CLAIM",
        value_name = "CLAIM",
        value_delimiter = ',',
        default_value = "org,organization,org_id",
        value_parser = claim
    )]
    jwt_organization_claim: Vec<String>,

    /// Claims of tokens with scopes, by name or path: a text with spaces, or a list. The scopes of all claims count
    #[arg(
        long,
        env = "CONNECTORS_JWT_SCOPE_CLAIM",
        value_name = "CLAIM",
        value_delimiter = ',',
        default_value = "scope,scp,permissions",
        value_parser = scope_claim
    )]
    jwt_scope_claim: Vec<String>,

    /// Claim of tokens with the user's name, by name or path, such as name. The names of users who change connectors
    /// are kept and shown; by default none are
    #[arg(
        long,
        env = "CONNECTORS_JWT_NAME_CLAIM",
        value_name = "CLAIM",
        value_parser = claim
    )]
    jwt_name_claim: Option<String>,

    /// Claim of tokens with the https address of the user's picture, by name or path, such as picture. It is kept and
    /// shown as the name is
    #[arg(
        long,
        env = "CONNECTORS_JWT_PICTURE_CLAIM",
        value_name = "CLAIM",
        value_parser = claim
    )]
    jwt_picture_claim: Option<String>,

    /// Prefix that the issuer puts before scopes, such as https://api.example.com/; scopes without it count too
    #[arg(
        long,
        env = "CONNECTORS_JWT_SCOPE_PREFIX",
        value_name = "PREFIX",
        value_parser = nonempty
    )]
    jwt_scope_prefix: Option<String>,

    /// Longest token, in bytes
    #[arg(
        long,
        env = "CONNECTORS_MAX_TOKEN_BYTES",
        value_name = "BYTES",
        default_value_t = 16 * 1024,
        value_parser = clap::value_parser!(u32).range(1024..=i64::from(MOST_TOKEN_BYTES))
    )]
    max_token_bytes: u32,

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
    /// Returns whether users' names and pictures are stored and shown.
    pub(crate) fn profile_parts(&self) -> ProfileParts {
        ProfileParts {
            name: self.jwt_name_claim.is_some(),
            picture_url: self.jwt_picture_claim.is_some(),
        }
    }

    /// Returns whether the secret is the one beside the database.
    pub fn is_beside_database(&self) -> bool {
        self.jwt_secret.is_none() && self.jwks.is_none()
    }

    /// Checks that no claim has two purposes.
    pub(super) fn check(&self) -> Result<(), String> {
        let organizations = self.jwt_organization_claim.iter();
        let scopes = self.jwt_scope_claim.iter();
        let claims = std::iter::once((&self.jwt_user_claim, "--jwt-user-claim"))
            .chain(organizations.map(|claim| (claim, "--jwt-organization-claim")))
            .chain(scopes.map(|claim| (claim, "--jwt-scope-claim")));
        let mut flags = HashMap::new();
        for (claim, flag) in claims {
            if let Some(other) = flags.insert(claim, flag)
                && other != flag
            {
                return Err(format!(
                    "{other} and {flag} both name the claim {claim}: remove it from one of them"
                ));
            }
        }
        Ok(())
    }

    /// Returns a command that makes a valid token from any folder, with the inputs that it needs. It contains no
    /// secret. With a JWKS there is none.
    pub(super) fn hint(
        &self,
        database: &DatabaseSettings,
        given: &Given,
    ) -> anyhow::Result<Option<String>> {
        if self.jwks.is_some() {
            return Ok(None);
        }
        let mut words = vec![program(), "token".to_owned()];
        let (mut condition, mut secret) = (String::new(), None);
        match (given.get(SECRET), database.file()?) {
            (Some(given), _) => match (&given.file, &given.source) {
                (Some(file), _) => {
                    words.push(format!("--{SECRET}-file"));
                    words.push(absolute(file));
                }
                (None, Source::File { path, .. }) => {
                    words.push("--config".to_owned());
                    words.push(absolute(path));
                }
                (None, source) => {
                    condition = format!(", with the same {source}");
                    secret = Some(match source {
                        Source::Variable(name) => format!(" --{SECRET} \"${name}\""),
                        _ => format!(" --{SECRET} SECRET"),
                    });
                }
            },
            // The secret is in the file beside the database.
            (None, Some(file)) => {
                words.push("--database-url".to_owned());
                words.push(sqlite_url(&file));
            }
            (None, None) => {}
        }
        for name in CLAIMS {
            if let Some(value) = given.get(name).and_then(|given| given.value.clone()) {
                words.extend([format!("--{name}"), value]);
            }
        }
        let user = "--user you --organization yours --scope connectors:write";
        let words: Vec<_> = words.iter().map(|word| shell_word(word)).collect();
        let command = words.join(" ");
        // The shell expands a variable. The operator fills in the value of a flag.
        let secret = secret.unwrap_or_default();
        Ok(Some(format!(
            "For a token{condition}: {command}{secret} {user}"
        )))
    }

    /// Returns the rules that verify tokens. Without a configured key, it uses the secret beside the SQLite database,
    /// and creates it if the database may be created.
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
            issuers: self.jwt_issuer.clone(),
            audiences: self.jwt_audience.clone(),
            user_claim: self.jwt_user_claim.clone(),
            organization_claims: self.jwt_organization_claim.clone(),
            scope_claims: self.jwt_scope_claim.clone(),
            name_claim: self.jwt_name_claim.clone(),
            picture_claim: self.jwt_picture_claim.clone(),
            scope_prefix: self.jwt_scope_prefix.clone(),
            default_organization: self.default_organization.clone(),
            max_token_bytes: self.max_token_bytes as usize,
            anonymous_read,
        })
    }
}

/// Returns this program's path, callable from any folder.
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

/// Parses the file or URL of a JWKS. Errors do not quote it, because it may hold a password.
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
    /// RS256, ES256 and `EdDSA` with a JWK Set (RFC 7517 §5) in a file.
    JwksFile(PathBuf),
    /// The same keys at an http or https URL, read repeatedly.
    JwksUrl(Url),
}

/// The rules that verify a token and read its claims.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The keys that verify signatures.
    pub keys: KeySource,
    /// The longest use of a JWKS after the last successful read.
    pub(crate) jwks_max_age: Duration,
    /// The longest time that `nbf` and `iat` may be in the future. `exp` has no leeway.
    pub(crate) leeway: Duration,
    /// The accepted values of `iss`; empty accepts any. Required with a JWKS, because its keys may sign for other
    /// issuers too.
    pub(crate) issuers: Vec<String>,
    /// The accepted values of `aud`. Required with a JWKS, like the issuers.
    pub(crate) audiences: Vec<String>,
    /// The claim with the user's id. A claim is its whole name, or a path with dots.
    pub(crate) user_claim: String,
    /// The claims with the user's organization. The first one with a value counts.
    pub(crate) organization_claims: Vec<String>,
    /// The claims with scopes. All of them count.
    pub(crate) scope_claims: Vec<String>,
    /// The claim with the user's name, if names are stored.
    pub(crate) name_claim: Option<String>,
    /// The claim with the URL of the user's picture, if pictures are stored.
    pub(crate) picture_claim: Option<String>,
    /// A prefix that is removed from scopes.
    pub(crate) scope_prefix: Option<String>,
    /// The organization of users whose token names none.
    pub(crate) default_organization: Option<String>,
    /// The longest accepted token.
    pub(crate) max_token_bytes: usize,
    /// Whether a request without a token is accepted as an anonymous one.
    pub(crate) anonymous_read: bool,
}
