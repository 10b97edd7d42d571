//! Runs the examples of the page about identity providers: settings, the claims of a token, and the viewer.

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use personal_connectors::clock::Clock;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::support::process::{Serving, program};

use super::{Page, free_port, localised, shell, start};

pub const PAGE: &str = "docs/operate/identity-providers.md";
const PEM: &[u8] = include_bytes!("../keys/test-only-ec-p256.pem");

#[tokio::test(flavor = "multi_thread")]
async fn examples() {
    let page = Page::read(PAGE);
    let query = page.blocks_in(&["graphql"]).remove(0).1;
    let blocks = page.blocks_in(&["toml", "json"]);
    assert_eq!(blocks.len(), 4 * 3);
    let key = PrivateKeyDer::from_pem_slice(PEM).unwrap();
    let key = EncodingKey::from_ec_der(key.secret_der());
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("one".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("jwks"), json!({ "keys": [jwk] }).to_string()).unwrap();
    for example in blocks.chunks(3) {
        let [(toml, settings), (claims, sent), (viewer, expected)] = example else {
            panic!("{example:?}")
        };
        assert_eq!([toml, claims, viewer], ["toml", "json", "json"]);
        // The test has no private key of the provider, so its own JWKS replaces the provider's.
        let lines = settings
            .lines()
            .map(|line| match line.strip_prefix("jwks = ") {
                Some(url) => {
                    assert!(url.starts_with("\"https://"), "{url}");
                    format!("jwks = \"{}\"\n", path("jwks"))
                }
                None => format!("{line}\n"),
            });
        std::fs::write(path("file.toml"), lines.collect::<String>()).unwrap();
        let mut command = program(&["--config", &path("file.toml")]);
        command.env(
            "CONNECTORS_DATABASE_URL",
            format!("sqlite://{}", path("connectors.db")),
        );
        let serving = Serving::start(command);
        let mut claims: Value = serde_json::from_str(sent).unwrap();
        claims["exp"] = json!(Clock::system().now().0 / 1_000_000 + 600);
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("one".to_owned());
        let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        let data = serving.data(&token, &query, json!({})).await;
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(data["viewer"], expected, "{settings}");
        serving.stop();
    }
}

/// Makes a key, its JWKS and a token with openssl, by the commands of the page. A service accepts the token.
#[tokio::test]
async fn without_a_provider() {
    let blocks = Page::read(PAGE).blocks_in(&["sh"]);
    let [(_, make), (_, serve), (_, send)] = &blocks[..] else {
        panic!("{blocks:?}")
    };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    assert!(shell(make, folder.path()).status().unwrap().success());
    let _server = start(serve, port, folder.path());
    let output = shell(&localised(send, port), folder.path()).output();
    let answer: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let expected =
        json!({ "userId": "ann", "organizationId": "acme", "scopes": ["connectors:write"] });
    assert_eq!(answer["data"]["viewer"], expected, "{answer}");
}
