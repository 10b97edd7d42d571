//! The GraphiQL page and the assets of all pages, as served and as built. `tests/browser` drives the pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::harness::{Server, client};

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web");

/// Returns the hashes of the files in a folder, without some names at its top.
fn hashes(folder: &Path, but: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(WEB).unwrap().to_str().unwrap().to_owned();
        if but.contains(&name.as_str()) {
            // These are left out.
        } else if path.is_dir() {
            found.extend(hashes(&path, &[]));
        } else {
            let hash = Sha256::digest(fs::read(&path).unwrap());
            found.insert(name, format!("{hash:x}"));
        }
    }
    found
}

/// The stored hashes of the build's inputs and outputs are up to date. A build in this test would need npm and the same
/// version of Node.
#[test]
fn is_built_of_what_is_here() {
    let web = Path::new(WEB);
    let manifest = fs::read_to_string(web.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let said = |part: &str| -> BTreeMap<String, String> {
        serde_json::from_value(manifest[part].clone()).unwrap()
    };
    let not_inputs = [
        "node_modules",
        "dist",
        "screenshots",
        "manifest.json",
        "graphql-env.d.ts",
    ];
    assert_eq!(
        hashes(web, &not_inputs),
        said("inputs"),
        "build it again: npm ci --prefix web && npm run --prefix web build"
    );
    assert_eq!(hashes(&web.join("dist"), &[]), said("outputs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_run() {
    let server = Server::on_sqlite(&[]).await;
    let token = server.token("ann@acme", &["connectors:write"]);
    let examples = Path::new(WEB).join("src/graphiql/examples");
    let mut ran = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "graphql")
        {
            let query = fs::read_to_string(&path).unwrap();
            let variables = fs::read_to_string(path.with_extension("json"));
            let variables =
                variables.map_or(Value::Null, |json| serde_json::from_str(&json).unwrap());
            if query.contains("subscription") {
                let began = server.events(&token, &query, variables).await;
                assert_eq!(began.status(), 200, "{query}");
            } else {
                let data = server.data(&token, &query, variables).await;
                assert!(!data.to_string().contains("userErrors\":[{"), "{data}");
            }
            ran += 1;
        }
    }
    assert_eq!(ran, 5);
}

#[tokio::test]
async fn comes_from_the_binary() {
    let server = Server::on_sqlite(&["--console", "false"]).await;
    let get = async |path: &str| {
        client()
            .get(format!("{}{path}", server.url))
            .send()
            .await
            .unwrap()
    };

    for path in ["/", "/graphiql/", "/graphiql"] {
        let page = get(path).await;
        assert_eq!(page.status(), 200);
        assert_eq!(page.url().path(), "/graphiql");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(page.headers()["cache-control"], "no-cache");
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'; script-src 'self';"));
        let page = page.text().await.unwrap();
        assert!(!page.contains("://"), "{page}");
    }

    let mut kinds = BTreeSet::new();
    for file in fs::read_dir(Path::new(WEB).join("dist/assets")).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let asset = get(&format!("/assets/{}", name.strip_suffix(".gz").unwrap())).await;
        assert_eq!(asset.status(), 200);
        assert_eq!(asset.headers()["content-encoding"], "gzip");
        assert_eq!(
            asset.headers()["cache-control"],
            "public, max-age=31536000, immutable"
        );
        assert!(asset.headers().contains_key("content-security-policy"));
        kinds.insert(asset.headers()["content-type"].to_str().unwrap().to_owned());
        assert_eq!(asset.bytes().await.unwrap(), fs::read(file.path()).unwrap());
    }
    let kinds: Vec<_> = kinds.iter().map(String::as_str).collect();
    assert_eq!(
        kinds,
        [
            "font/ttf",
            "image/svg+xml",
            "text/css; charset=utf-8",
            "text/javascript; charset=utf-8",
            "text/plain; charset=utf-8",
        ]
    );
}

#[tokio::test]
async fn the_schema_is_a_file() {
    let schema = async |flags: &[&str], known: &str| {
        let server = Server::on_sqlite(flags).await;
        let url = format!("{}/schema.graphql", server.url);
        let request = client().get(url).header("if-none-match", known);
        request.send().await.unwrap()
    };
    let response = schema(&[], "\"another\"").await;
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["cache-control"], "public, no-cache");
    let sdl = personal_connectors::graphql::sdl();
    assert_eq!(response.text().await.unwrap(), sdl);
    let known = headers["etag"].to_str().unwrap();
    let again = schema(
        &["--introspection", "false", "--schema-file", "true"],
        known,
    )
    .await;
    assert_eq!(
        (again.status().as_u16(), &again.headers()["etag"]),
        (304, &headers["etag"])
    );
    for flags in [["--introspection", "false"], ["--schema-file", "false"]] {
        assert_eq!(schema(&flags, known).await.status(), 404, "{flags:?}");
    }
}

/// The file requires the same rights as introspection.
#[tokio::test]
async fn the_schema_is_for_those_who_may_ask_for_it() {
    let get = |server: &Server| client().get(format!("{}/schema.graphql", server.url));
    let closed = Server::on_sqlite(&["--anonymous-read", "false"]).await;
    let refused = get(&closed).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(refused.headers().contains_key("www-authenticate"));
    let token = closed.token("ann", &[]);
    let given = get(&closed).bearer_auth(token).send().await.unwrap();
    assert_eq!(given.status(), 200);

    let flags = [
        "--rate-limit",
        "1",
        "--cors-origin",
        "https://app.example.com",
    ];
    let rated = Server::on_sqlite(&flags).await;
    let ask = || {
        get(&rated)
            .header("origin", "https://app.example.com")
            .send()
    };
    let first = ask().await.unwrap();
    assert_eq!(
        first.headers()["access-control-allow-origin"],
        "https://app.example.com"
    );
    let mut statuses = vec![first.status().as_u16()];
    for _ in 0..4 {
        statuses.push(ask().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 429, 429]);
}

#[tokio::test]
async fn refuses_what_it_has_not() {
    let server = Server::on_sqlite(&[]).await;
    let script = fs::read_dir(Path::new(WEB).join("dist/assets"))
        .unwrap()
        .next();
    let script = script.unwrap().unwrap().file_name().into_string().unwrap();
    let script = format!(
        "{}/assets/{}",
        server.url,
        script.strip_suffix(".gz").unwrap()
    );
    for (accepted, status) in [
        ("gzip, deflate, br", 200),
        ("*", 200),
        ("GZIP;q=0.5", 200),
        ("identity", 406),
        ("br, gzip;q=0, *", 406),
        ("", 406),
    ] {
        let request = client().get(&script).header("accept-encoding", accepted);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{accepted}");
        assert_eq!(response.headers()["vary"], "accept-encoding");
    }
    for path in [
        "/assets/none.js",
        "/assets/..%2fgraphiql.html",
        "/assets/a/b",
        "/graphiql/none.js",
    ] {
        let response = client().get(format!("{}{path}", server.url)).send().await;
        assert_eq!(response.unwrap().status(), 404, "{path}");
    }
    let response = client()
        .post(format!("{}/graphiql", server.url))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET,HEAD");
}
