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
        "${USER}:${PASSWORD}",
        REDACTED,
    ] {
        assert!(!is_literal(value), "{value}");
    }
    for value in [
        "abc",
        "Bearer abc",
        "sk-{key}x",
        "a$b",
        "${A}b",
        "{abc",
        "${A:-b}",
        r#"{"a":"b"}"#,
    ] {
        assert!(is_literal(value), "{value}");
    }
}

#[test]
fn urls() {
    for (url, expected) in [
        ("https://a.example/mcp?page=1", None),
        ("https://a.example/@scope/server", None),
        ("https://a.example/mcp?api_key={key}", None),
        ("postgres://${USER}:${PASSWORD}@db/app", None),
        ("npx -y https", None),
        ("prose with :// in it?token=1", None),
        (
            "https://user:pass@a.example/mcp",
            Some(["https://a.example/mcp"; 2]),
        ),
        (
            "https://a.example/mcp#access_token=abc",
            Some(["https://a.example/mcp"; 2]),
        ),
        ("https://abc@a.example", Some(["https://a.example"; 2])),
        (
            "https://a.example/mcp?a=1&api_key=abc&b=2#x",
            Some([
                "https://a.example/mcp?a=1&api_key=REDACTED&b=2#x",
                "https://a.example/mcp?a=1&b=2",
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
    for (arguments, expected) in [
        ("-y @modelcontextprotocol/server-github", None),
        ("--port=8080 --port 8080 -it --rm", None),
        ("--api-key ${KEY} --token --verbose", None),
        ("TOKEN={token} -e API_KEY mcp/github", None),
        ("-e A=${A} --env=B={b} -eC=$C", None),
        ("--header Authorization:${AUTH}", None),
        ("--api-key abc", Some("--api-key REDACTED")),
        (
            "--api-key=abc --key=abc",
            Some("--api-key=REDACTED --key=REDACTED"),
        ),
        ("-e MODE=abc x", Some("-e MODE=REDACTED x")),
        ("--env=MY_KEY=abc", Some("--env=MY_KEY=REDACTED")),
        ("--env DB_PASS=abc", Some("--env DB_PASS=REDACTED")),
        ("-eFOO=abc", Some("-eFOO=REDACTED")),
        ("-e=foo=abc", Some("-e=foo=REDACTED")),
        (
            "-e DATABASE_URL=postgres://u:abc@h/d",
            Some("-e DATABASE_URL=REDACTED"),
        ),
        ("env FOO=abc npx", Some("env FOO=REDACTED npx")),
        ("-H X-Key:abc", Some("-H X-Key: REDACTED")),
        ("--headers X-Key abc x", Some("--headers X-Key REDACTED x")),
        ("postgres://bob:abc@db/app", Some("postgres://db/app")),
        (
            "https://h.example/mcp#token=abc",
            Some("https://h.example/mcp"),
        ),
        (
            "ghp_0123456789abcdefghijABCDEFGHIJ012345 x",
            Some("REDACTED x"),
        ),
        ("0aZ9bY8cX7dW6eV5fU4gT3hS2rQ1 x", Some("REDACTED x")),
    ] {
        let mut state = Arguments::default();
        let redacted = arguments.split(' ').map(|argument| {
            let redacted = state.redact(argument);
            redacted.unwrap_or_else(|| argument.to_owned())
        });
        let redacted: Vec<_> = redacted.collect();
        assert_eq!(
            redacted.join(" "),
            expected.unwrap_or(arguments),
            "{arguments}"
        );
    }
    for (argument, expected) in [
        ("--header=X-Key: abc", Some("--header=X-Key: REDACTED")),
        ("-HX-Key: abc", Some("-HX-Key: REDACTED")),
        ("Authorization: Bearer abc", Some("Authorization: REDACTED")),
        (
            "docker run -e FOO=abc -H 'X-Key: abc' x",
            Some("docker run -e FOO=REDACTED -H X-Key: REDACTED x"),
        ),
        ("a b c", None),
        ("'a b", None),
        ("x\"a b\"", None),
    ] {
        let redacted = Arguments::default().redact(argument);
        assert_eq!(redacted.as_deref(), expected, "{argument}");
    }
    let mut after_flag = Arguments::default();
    assert_eq!(after_flag.redact("--header"), None);
    assert_eq!(
        after_flag.redact("X-Key: abc def").as_deref(),
        Some("X-Key: REDACTED")
    );
}

#[test]
fn values_are_judged_by_their_path() {
    for (json, expected) in [
        (
            r#"{"headers":[{"name":"X","value":"abc"},{"name":"Y","value":"Bearer {y}"}]}"#,
            r#"{"headers":[{"name":"X","value":"REDACTED"},{"name":"Y","value":"Bearer {y}"}]}"#,
        ),
        (
            r#"{"headers":{"Authorization":"Bearer {token}","X":"abc"}}"#,
            r#"{"headers":{"Authorization":"Bearer {token}","X":"REDACTED"}}"#,
        ),
        (
            concat!(
                r#"{"environmentVariables":[{"name":"MODE","value":"abc"},{"name":"M","default":"info"},"#,
                r#"{"name":"N","default":"abc45678"}]}"#,
            ),
            concat!(
                r#"{"environmentVariables":[{"name":"MODE","value":"REDACTED"},{"name":"M","default":"info"},"#,
                r#"{"name":"N","default":"REDACTED"}]}"#,
            ),
        ),
        (
            concat!(
                r#"{"environmentVariables":[{"name":"HOST","value":"localhost","isSecret":false},"#,
                r#"{"name":"TOKEN","value":"abc","isSecret":false},{"name":"X","value":"abc","isSecret":"true"}]}"#,
            ),
            concat!(
                r#"{"environmentVariables":[{"name":"HOST","value":"localhost","isSecret":false},"#,
                r#"{"name":"TOKEN","value":"REDACTED","isSecret":false},{"name":"X","value":"REDACTED","#,
                r#""isSecret":"true"}]}"#,
            ),
        ),
        (
            concat!(
                r#"{"runtimeArguments":[{"type":"named","name":"-e","value":"FOO=abc"},{"type":"named","#,
                r#""name":"-e","value":"FOO={foo}"}]}"#,
            ),
            concat!(
                r#"{"runtimeArguments":[{"type":"named","name":"-e","value":"FOO=REDACTED"},{"type":"named","#,
                r#""name":"-e","value":"FOO={foo}"}]}"#,
            ),
        ),
        (
            r#"{"packageArguments":[{"value":"--api-key=abc"},{"value":"--api-key"},{"value":"abc"},{"value":"abc"}]}"#,
            concat!(
                r#"{"packageArguments":[{"value":"--api-key=REDACTED"},{"value":"--api-key"},"#,
                r#"{"value":"REDACTED"},{"value":"abc"}]}"#,
            ),
        ),
        (
            r#"{"remotes":[{"url":"https://h.example/mcp#abc"}],"websiteUrl":"https://h.example/#docs"}"#,
            r#"{"remotes":[{"url":"https://h.example/mcp"}],"websiteUrl":"https://h.example/#docs"}"#,
        ),
        (
            r#"{"environment":["FOO=abc","BAR"],"env":["KEY"],"properties":{"env":{"type":"string"}}}"#,
            r#"{"environment":["FOO=REDACTED","BAR"],"env":["KEY"],"properties":{"env":{"type":"string"}}}"#,
        ),
    ] {
        let (redacted, _) = redacted(json).unwrap();
        assert_eq!(redacted, expected);
    }
}

#[test]
fn json_keeps_all_that_is_no_secret() {
    for json in [
        r#"{"n":1.10,"big":12345678901234567890123,"a":[{"token":"of a user"}],"auth":"oauth2"}"#,
        r#"{"headers":{"Authorization":"Bearer {token}","X":"${X}"},"isSecret":true,"description":"Bearer token"}"#,
        r#"{"a":1,"a":2}"#,
        "[]",
    ] {
        assert_eq!(redacted(json), None, "{json}");
    }
    let (json, paths) = redacted(concat!(
        r#"{"n":1.10,"a":{"x":1,"x":2},"env":{"API_KEY":"abc"},"args":["--token","abc","x"],"#,
        r#""apiKey":"abc45678","k":"ghp_0123456789abcdefghijABCD"}"#,
    ))
    .unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"n":1.10,"a":{"x":1,"x":2},"env":{"API_KEY":"REDACTED"},"args":["--token","REDACTED","x"],"#,
            r#""apiKey":"REDACTED","k":"REDACTED"}"#,
        )
    );
    assert_eq!(paths, ["env.API_KEY", "args[1]", "apiKey", "k"]);
}
