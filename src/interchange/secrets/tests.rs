use super::*;

#[test]
fn names_of_credentials() {
    for (name, expected) in [
        ("Authorization", true),
        ("X-Api-Key", true),
        ("apiKey", true),
        ("GITHUB_PERSONAL_ACCESS_TOKEN", true),
        ("githubToken", true),
        ("--client-secret", true),
        ("db.password", true),
        ("Cookie", true),
        ("tokenEndpoint", false),
        ("max_tokens", false),
        ("key", false),
        ("primary_key", false),
        ("passwordPolicy", false),
        ("keyboard", false),
        ("author", false),
        ("", false),
    ] {
        assert_eq!(is_credential(name), expected, "{name}");
    }
}

#[test]
fn references_are_no_secrets() {
    for value in [
        "",
        " ",
        "{key}",
        "Bearer {key}",
        "${API_KEY}",
        "$API_KEY",
        "Bearer $TOKEN",
        "${input:key}",
        "<your key>",
        "your-api-key",
        "YOUR_TOKEN_HERE",
        "Bearer",
        "Bearer ${env:TOKEN}",
        "{{ key }}",
        REDACTED,
    ] {
        assert!(!is_literal(value), "{value}");
    }
    for value in ["abc", "Bearer abc", "sk-{key}x", "a$b"] {
        assert!(is_literal(value), "{value}");
    }
}

#[test]
fn urls() {
    for (url, expected) in [
        ("https://a.example/mcp?page=1#x", None),
        ("https://a.example/@scope/server", None),
        ("https://a.example/mcp?api_key={key}", None),
        ("postgres://${USER}:${PASSWORD}@db/app", None),
        ("npx -y https", None),
        ("prose with :// in it?token=1", None),
        (
            "https://user:pass@a.example/mcp",
            Some(["https://a.example/mcp"; 2]),
        ),
        ("https://abc@a.example", Some(["https://a.example"; 2])),
        (
            "https://a.example/mcp?a=1&api_key=abc&b=2#x",
            Some([
                "https://a.example/mcp?a=1&api_key=REDACTED&b=2#x",
                "https://a.example/mcp?a=1&b=2#x",
            ]),
        ),
        (
            "https://a.example?token=abc",
            Some(["https://a.example?token=REDACTED", "https://a.example"]),
        ),
    ] {
        assert_eq!(
            redacted_url(url).as_deref(),
            expected.map(|[redacted, _]| redacted),
            "{url}"
        );
        assert_eq!(
            callable_url(url).as_deref(),
            expected.map(|[_, callable]| callable),
            "{url}"
        );
    }
    assert!(has_opaque_path(
        "https://a.example/s/0aZ9bY8cX7dW6eV5fU4gT3hS2/mcp"
    ));
    assert!(!has_opaque_path(
        "https://a.example/@acme/a-server-with-a-long-name/mcp"
    ));
}

#[test]
fn arguments() {
    for (before, argument, expected) in [
        (Some("-y"), "@modelcontextprotocol/server-github", None),
        (None, "--port=8080", None),
        (Some("--port"), "8080", None),
        (Some("--api-key"), "${KEY}", None),
        (Some("--token"), "--verbose", None),
        (None, "TOKEN={token}", None),
        (Some("--api-key"), "abc", Some("REDACTED")),
        (None, "--api-key=abc", Some("--api-key=REDACTED")),
        (Some("-e"), "API_KEY=abc", Some("API_KEY=REDACTED")),
        (
            Some("--header"),
            "Authorization: Bearer abc",
            Some("Authorization: REDACTED"),
        ),
        (Some("--header"), "Authorization:${AUTH}", None),
        (None, "postgres://bob:abc@db/app", Some("postgres://db/app")),
        (
            None,
            "ghp_0123456789abcdefghijABCDEFGHIJ012345",
            Some("REDACTED"),
        ),
        (None, "0aZ9bY8cX7dW6eV5fU4gT3hS2rQ1", Some("REDACTED")),
    ] {
        assert_eq!(
            redacted_argument(before, argument).as_deref(),
            expected,
            "{argument}"
        );
    }
}

#[test]
fn json_keeps_all_that_is_no_secret() {
    for json in [
        r#"{"n":1.10,"big":12345678901234567890123,"a":[{"token":"of a user"}],"auth":"oauth2"}"#,
        r#"{"headers":{"Authorization":"Bearer {token}","X":"abc"},"isSecret":true,"description":"Bearer token"}"#,
        r#"{"a":1,"a":2}"#,
        "[]",
    ] {
        assert_eq!(redacted(json), None, "{json}");
    }
    let (json, paths) = redacted(
        r#"{"n":1.10,"a":{"x":1,"x":2},"env":{"API_KEY":"abc"},"args":["--token","abc","x"],"apiKey":"abc45678","k":"ghp_0123456789abcdefghijABCD"}"#,
    )
    .unwrap();
    assert_eq!(
        json,
        r#"{"n":1.10,"a":{"x":1,"x":2},"env":{"API_KEY":"REDACTED"},"args":["--token","REDACTED","x"],"apiKey":"REDACTED","k":"REDACTED"}"#
    );
    assert_eq!(paths, ["env.API_KEY", "args[1]", "apiKey", "k"]);
}
