//! Tokens of somebody else's keys, through the program.

use std::fs;

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use personal_connectors::clock::Clock;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    harness::TestDatabase,
    process::{Serving, program, run},
};

const PEM: &[u8] = include_bytes!("../keys/test-only-ec-p256.pem");
const OTHER: &[u8] = include_bytes!("../keys/test-only-ec-p256-other.pem");

fn key(pem: &[u8]) -> EncodingKey {
    EncodingKey::from_ec_der(PrivateKeyDer::from_pem_slice(pem).unwrap().secret_der())
}

fn sign(header: &Header, changes: &Value, key: &EncodingKey) -> String {
    let now = Clock::system().now().0 / 1_000_000;
    let mut claims = json!({
        "iss": "https://issuer.example", "aud": ["connectors"], "exp": now + 600,
        "sub": "ann", "org": "acme", "scope": "connectors:write",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    jsonwebtoken::encode(header, &claims, key).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_a_jwks_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jwks.json");
    let mut jwk = Jwk::from_encoding_key(&key(PEM), Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("ours".to_owned());
    let public = json!({ "keys": [jwk] }).to_string();
    fs::write(&file, &public).unwrap();
    let storage = TestDatabase::sqlite();
    let on = |flags: &[&str]| {
        let mut command = program(&["--jwks", file.to_str().unwrap()]);
        command.args(flags).env("DATABASE_URL", &storage.url);
        command
    };
    for flags in [
        &[][..],
        &["--jwt-issuer", "https://issuer.example"],
        &["--jwt-audience", "connectors"],
    ] {
        let told = run(on(flags)).failed(2);
        assert!(told.contains("required arguments"), "{told}");
    }
    let told = run(on(&["--jwt-issuer", "", "--jwt-audience", "connectors"])).failed(1);
    assert!(told.contains("need an issuer and an audience"), "{told}");

    let rules = [
        "--jwt-issuer",
        "https://issuer.example",
        "--jwt-audience",
        "connectors",
    ];
    for bad in ["{}", "[]", "no JSON", r#"{"keys":[]}"#] {
        fs::write(&file, bad).unwrap();
        let told = run(on(&rules)).failed(1);
        assert!(
            told.contains("error: --jwks ") && told.contains("jwks.json"),
            "{told}"
        );
    }
    fs::write(&file, &public).unwrap();
    let server = Serving::start(on(&rules));
    let header = Header {
        kid: Some("ours".to_owned()),
        ..Header::new(Algorithm::ES256)
    };
    let good = sign(&header, &json!({}), &key(PEM));
    let who = "{ viewer { userId organizationId scopes } }";
    assert_eq!(
        server.data(&good, who, json!({})).await["viewer"],
        json!({ "userId": "ann", "organizationId": "acme", "scopes": ["connectors:write"] })
    );
    // The public key's own text must not do as a secret.
    let hs256 = Header::new(Algorithm::HS256);
    let confused = EncodingKey::from_secret(public.as_bytes()).unwrap();
    let bad = [
        ("HS256", sign(&hs256, &json!({}), &confused)),
        ("another key", sign(&header, &json!({}), &key(OTHER))),
        (
            "another issuer",
            sign(
                &header,
                &json!({ "iss": "https://other.example" }),
                &key(PEM),
            ),
        ),
        (
            "another audience",
            sign(&header, &json!({ "aud": "others" }), &key(PEM)),
        ),
        ("expired", sign(&header, &json!({ "exp": 1 }), &key(PEM))),
    ];
    for (what, token) in bad {
        let answer = server.ask(&token, who, json!({})).await.unwrap();
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED",
            "{what}"
        );
    }
    // Only who has the private key makes tokens, and nobody is told to make some here.
    let told = server.stop().ok();
    assert!(told.lines().all(|line| line.starts_with("Graph")), "{told}");
    let mut token = program(&["token", "--user=ann", "--jwks=keys.json"]);
    token.args(rules).env("DATABASE_URL", &storage.url);
    let told = run(token).failed(1);
    assert!(
        told.contains("made by whoever has the private keys"),
        "{told}"
    );
}
