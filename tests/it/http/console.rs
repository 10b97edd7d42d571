//! The page of the console as served. `tests/browser` drives it.

use std::{collections::BTreeMap, fs};

use reqwest::Response;
use serde_json::{Value, json};

use crate::support::harness::{Server, client};

async fn get(server: &Server, path: &str) -> Response {
    let request = client().get(format!("{}{path}", server.url));
    request.send().await.unwrap()
}

/// Returns the settings for the script.
fn settings(page: &str) -> Value {
    let (_, rest) = page
        .split_once("<meta name=\"settings\" content=\"")
        .unwrap();
    let (json, _) = rest.split_once('"').unwrap();
    serde_json::from_str(&json.replace("&quot;", "\"").replace("&amp;", "&")).unwrap()
}

#[tokio::test]
async fn every_view_is_the_page_with_its_own_base() {
    let server = Server::on_sqlite(&[]).await;
    for (path, base) in [
        ("/", "./"),
        ("/?q=a&status=ACTIVE", "./"),
        ("/import", "./"),
        ("/signed-in?code=a&state=b", "./"),
        ("/connectors/new", "../"),
        ("/connectors/pcon_github", "../"),
        ("/connectors/pcon_github/edit", "../../"),
    ] {
        let page = get(&server, path).await;
        assert_eq!(page.status(), 200, "{path}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(page.headers()["cache-control"], "no-cache");
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; \
             base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
        );
        let page = page.text().await.unwrap();
        assert!(page.contains(&format!("<base href=\"{base}\">")), "{page}");
        assert!(!page.contains("://"), "{page}");
        assert_eq!(settings(&page), json!({ "icons": false, "signIn": null }));
        // Every URL in the page is relative to its base, and serves an asset.
        for (_, rest) in page
            .match_indices("=\"./")
            .map(|(at, _)| page.split_at(at + 4))
        {
            let (url, _) = rest.split_once('"').unwrap();
            if !url.is_empty() {
                let asset = get(&server, &format!("/{url}")).await;
                assert_eq!(asset.status(), 200, "{url}");
            }
        }
    }
    for path in [
        "/connectors",
        "/connectors/a/b",
        "/connectors/a/edit/c",
        "/console.html",
    ] {
        assert_eq!(get(&server, path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn its_operations_are_a_manifest_of_trusted_documents() {
    let server = Server::on_sqlite(&[]).await;
    let manifest = get(&server, "/console-documents.json").await;
    assert_eq!(manifest.headers()["content-type"], "application/json");
    let manifest = manifest.text().await.unwrap();
    let documents: BTreeMap<String, String> = serde_json::from_str(&manifest).unwrap();
    assert!(documents.len() > 20, "{manifest}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trusted.json");
    fs::write(&file, &manifest).unwrap();
    let trusting = Server::on_sqlite(&["--trusted-documents", file.to_str().unwrap()]).await;
    for (hash, text) in &documents {
        let name = text
            .split_once('(')
            .or_else(|| text.split_once(' '))
            .unwrap()
            .0;
        let body = json!({ "documentId": format!("sha256:{hash}") });
        let request = client()
            .post(format!("{}/graphql", trusting.url))
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.unwrap().text().await.unwrap();
        // Its variables are missing here, and nothing else.
        let lacks = answer.contains("the variable $");
        let refused = answer.contains("VALIDATION_FAILED") || answer.contains("NOT_TRUSTED");
        assert!(lacks || !refused, "{name}: {answer}");
    }
}

#[tokio::test]
async fn icons_of_other_hosts_are_a_setting() {
    let server = Server::on_sqlite(&["--console-icons", "true"]).await;
    let page = get(&server, "/").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("; img-src 'self' https:;"), "{policy}");
    assert_eq!(
        settings(&page.text().await.unwrap()),
        json!({ "icons": true, "signIn": null })
    );
}

#[tokio::test]
async fn can_be_turned_off() {
    let server = Server::on_sqlite(&["--console", "false"]).await;
    let page = get(&server, "/").await;
    assert_eq!(
        (page.status().as_u16(), page.url().path()),
        (200, "/graphiql")
    );
    for path in [
        "/import",
        "/connectors/pcon_github",
        "/console-documents.json",
    ] {
        assert_eq!(get(&server, path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn an_issuer_may_be_asked_for_tokens() {
    let server = Server::on_sqlite(&[
        "--console-issuer",
        "https://id.example.com/realms/a&b",
        "--console-client-id",
        "the \"console\"",
        "--console-scope",
        "openid,connectors:admin",
        "--console-resource",
        "https://connectors.example.com",
    ])
    .await;
    let page = get(&server, "/signed-in").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("; connect-src 'self' https://id.example.com;"),
        "{policy}"
    );
    let sign_in = json!({
        "issuer": "https://id.example.com/realms/a&b",
        "clientId": "the \"console\"",
        "scope": "openid connectors:admin",
        "resource": "https://connectors.example.com",
    });
    let expected = json!({ "icons": false, "signIn": sign_in });
    assert_eq!(settings(&page.text().await.unwrap()), expected);
}
