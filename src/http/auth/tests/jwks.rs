//! Tests of JWK Sets: the keys that are accepted, and the times of reading.

use super::*;

#[tokio::test]
async fn an_algorithm_is_bound_to_its_key() {
    let signers = [Signer::rs256(), Signer::es256(), Signer::eddsa()];
    let authenticator = with_jwks(&jwks(&signers.each_ref())).await;
    for signer in &signers {
        assert!(accepts(&authenticator, signer).await, "{}", signer.kid);
        for other in &signers {
            // Signed by one key, with the name of the other.
            let mut header = signer.header();
            merge(&mut header, &json!({"kid": other.kid}));
            let user = ask(&authenticator, &signer.sign(&header, &claims(&json!({})))).await;
            assert_eq!(user.is_ok(), signer.kid == other.kid);
            // Signed by one key, with the other's algorithm.
            let mut header = signer.header();
            merge(&mut header, &json!({"alg": other.algorithm}));
            let user = ask(&authenticator, &signer.sign(&header, &claims(&json!({})))).await;
            assert_eq!(user.is_ok(), signer.kid == other.kid);
        }
    }
    // The public key as the secret of HS256, in the forms that an attacker would try.
    let rsa = Signer::rs256().jwk();
    let modulus = BASE64_URL_SAFE_NO_PAD
        .decode(rsa["n"].as_str().unwrap())
        .unwrap();
    for public in [rsa.to_string().into_bytes(), modulus] {
        let forger = Signer {
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(&public).unwrap(),
            kid: "rsa",
        };
        assert_eq!(
            ask(&authenticator, &forger.token()).await,
            Err(Refusal::Algorithm)
        );
    }
    let unsigned = Signer::rs256().sign(&json!({"alg": "none", "kid": "rsa"}), &claims(&json!({})));
    assert_eq!(
        ask(&authenticator, &unsigned).await,
        Err(Refusal::Algorithm)
    );
    for alg in ["RS384", "RS512", "PS256"] {
        let token = Signer::rs256().sign(&json!({"alg": alg, "kid": "rsa"}), &claims(&json!({})));
        assert_eq!(ask(&authenticator, &token).await, Err(Refusal::Algorithm));
    }
}

#[tokio::test]
async fn jwks_say_what_they_are_for() {
    let ed = || Signer::eddsa().jwk();
    let oct = json!({"kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(SECRET), "kid": "hs"});
    let oct_as_ed = json!({"kty": "oct", "k": ed()["x"], "kid": "ed", "alg": "EdDSA"});
    for (signer, jwk, changes, usable) in [
        (Signer::eddsa(), ed(), json!({}), true),
        (
            Signer::eddsa(),
            ed(),
            json!({"alg": null, "use": null}),
            true,
        ),
        (Signer::eddsa(), ed(), json!({"key_ops": ["verify"]}), true),
        (Signer::eddsa(), ed(), json!({"key_ops": ["sign"]}), false),
        (Signer::eddsa(), ed(), json!({"key_ops": []}), false),
        (Signer::eddsa(), ed(), json!({"use": "enc"}), false),
        (Signer::eddsa(), ed(), json!({"alg": "ES256"}), false),
        (Signer::eddsa(), ed(), json!({"alg": "X25519"}), false),
        (Signer::eddsa(), ed(), json!({"crv": "X25519"}), false),
        (Signer::eddsa(), ed(), json!({"crv": "P-256"}), false),
        (Signer::eddsa(), ed(), json!({"x": "AAAA"}), false),
        (Signer::eddsa(), ed(), json!({"x": null}), false),
        (Signer::eddsa(), ed(), json!({"kid": "Ed"}), false),
        (
            Signer::es256(),
            Signer::es256().jwk(),
            json!({"crv": "P-384"}),
            false,
        ),
        (
            Signer::es256(),
            Signer::es256().jwk(),
            json!({"y": "AAAA"}),
            false,
        ),
        (
            Signer::rs256(),
            Signer::rs256().jwk(),
            json!({"alg": "RS512"}),
            false,
        ),
        (
            Signer::rs256(),
            Signer::rs256().jwk(),
            json!({"alg": "RSA-OAEP"}),
            false,
        ),
        (
            Signer::rs256_short(),
            Signer::rs256_short().jwk(),
            json!({}),
            false,
        ),
        (Signer::hs256(), oct, json!({}), false),
        (Signer::eddsa(), oct_as_ed, json!({}), false),
    ] {
        let mut jwk = jwk;
        merge(&mut jwk, &changes);
        // The set starts with a usable key, and has values that are no keys.
        let keys = json!({"keys": [Signer::es256_other().jwk(), jwk, {"kty": "new"}, 7, null]});
        let authenticator = with_jwks(&keys.to_string()).await;
        assert_eq!(accepts(&authenticator, &signer).await, usable, "{jwk}");
    }
}

/// Returns a token without a `kid`.
fn nameless(signer: &Signer) -> String {
    signer.sign(&json!({"alg": signer.algorithm}), &claims(&json!({})))
}

#[tokio::test]
async fn a_token_without_kid_is_tried_with_each_key_that_fits() {
    let (one, two, ed) = (Signer::es256(), Signer::es256_other(), Signer::eddsa());
    let single = with_jwks(&jwks(&[&one, &ed])).await;
    assert!(ask(&single, &nameless(&one)).await.is_ok());
    let user = ask(&single, &nameless(&two)).await;
    assert_eq!(user, Err(Refusal::UnknownKey));
    let user = ask(&single, &nameless(&Signer::rs256())).await;
    assert_eq!(user, Err(Refusal::Algorithm));

    let several = with_jwks(&jwks(&[&one, &two, &ed])).await;
    for signer in [&one, &two, &ed] {
        assert!(ask(&several, &nameless(signer)).await.is_ok());
    }
    // A key for another use is not tried.
    let mut encrypts = two.jwk();
    merge(&mut encrypts, &json!({"use": "enc"}));
    let keys = json!({"keys": [one.jwk(), encrypts]}).to_string();
    let user = ask(&with_jwks(&keys).await, &nameless(&two)).await;
    assert_eq!(user, Err(Refusal::UnknownKey));
}

#[tokio::test]
async fn keys_without_kid_are_each_tried() {
    let (one, two) = (Signer::es256(), Signer::es256_other());
    let unnamed = |signer: &Signer| {
        let mut jwk = signer.jwk();
        merge(&mut jwk, &json!({"kid": null}));
        jwk
    };
    let keys = json!({"keys": [unnamed(&one), unnamed(&two)]}).to_string();
    let authenticator = with_jwks(&keys).await;
    for token in [one.token(), two.token(), nameless(&one), nameless(&two)] {
        assert!(ask(&authenticator, &token).await.is_ok());
    }
    let user = ask(&authenticator, &Signer::eddsa().token()).await;
    assert_eq!(user, Err(Refusal::UnknownKey));
    // The key with the name is meant.
    let mut named = unnamed(&two);
    merge(&mut named, &json!({"kid": one.kid}));
    let keys = json!({"keys": [named, unnamed(&one)]}).to_string();
    let user = ask(&with_jwks(&keys).await, &one.token()).await;
    assert_eq!(user, Err(Refusal::Signature));
}

#[tokio::test]
async fn at_most_eight_keys_are_tried() {
    let (one, two) = (Signer::es256(), Signer::es256_other());
    for (others, expected) in [(7, Ok(())), (8, Err(Refusal::AmbiguousKey))] {
        let others = (0..others).map(|n| {
            let mut jwk = two.jwk();
            merge(&mut jwk, &json!({"kid": n.to_string()}));
            jwk
        });
        let keys: Vec<Value> = others.chain([one.jwk()]).collect();
        let authenticator = with_jwks(&json!({ "keys": keys }).to_string()).await;
        let user = ask(&authenticator, &nameless(&one)).await;
        assert_eq!(user.map(drop), expected);
        assert!(accepts(&authenticator, &one).await);
    }
}

#[tokio::test]
async fn a_token_without_kid_is_looked_for_too() {
    let (old, new) = (Signer::es256(), Signer::es256_other());
    let clock = clock();
    let issuer = Issuer::new(&[&old]).await;
    let authenticator = issuer.authenticator(&clock).await;
    issuer.publish(&[&new]);
    clock.set(at(NOW + 1));
    assert!(ask(&authenticator, &nameless(&new)).await.is_ok());
    assert_eq!(issuer.fetches(), 2);
    // A forged token causes one read a minute.
    for _ in 0..3 {
        let user = ask(&authenticator, &nameless(&old)).await;
        assert_eq!(user, Err(Refusal::UnknownKey));
    }
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn unknown_keys_are_looked_for_once_a_minute() {
    let (old, new) = (Signer::es256(), Signer::eddsa());
    let clock = clock();
    let issuer = Issuer::new(&[&old]).await;
    let authenticator = issuer.authenticator(&clock).await;
    assert!(accepts(&authenticator, &old).await);

    // The read at the start was not for a token.
    issuer.publish(&[&new]);
    clock.set(at(NOW + 1));
    assert!(accepts(&authenticator, &new).await);
    assert_eq!(issuer.fetches(), 2);

    // The old key is removed, together with the tokens that it verified.
    for (seconds, fetches) in [(1, 2), (60, 2), (61, 3)] {
        clock.set(at(NOW + seconds));
        assert_eq!(
            ask(&authenticator, &old.token()).await,
            Err(Refusal::UnknownKey)
        );
        assert_eq!(issuer.fetches(), fetches, "after {seconds} s");
    }

    // An algorithm that no key supports causes no read.
    clock.set(at(NOW + 121));
    let user = ask(&authenticator, &Signer::hs256().token()).await;
    assert_eq!(user, Err(Refusal::Algorithm));
    assert_eq!(issuer.fetches(), 3);

    // Setting the wall clock back does not stop the refresh.
    issuer.publish(&[&new, &old]);
    clock.step(at(NOW - 3600));
    assert!(accepts(&authenticator, &old).await);
    assert_eq!(issuer.fetches(), 4);
    let unknown = ask(&authenticator, &Signer::es256_other().token()).await;
    assert_eq!(unknown, Err(Refusal::UnknownKey));
    assert_eq!(issuer.fetches(), 4);
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_fetch() {
    let (old, new) = (Signer::es256(), Signer::eddsa());
    let clock = clock();
    let issuer = Issuer::new(&[&old]).await;
    let authenticator = issuer.authenticator(&clock).await;
    issuer.publish(&[&old, &new]);
    issuer.slow(Duration::from_millis(100));
    clock.set(at(NOW + 60));
    let accepted = join_all((0..50).map(|_| accepts(&authenticator, &new))).await;
    assert!(accepted.iter().all(|accepted| *accepted));
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn who_hangs_up_does_not_take_the_fetch_along() {
    let (old, new) = (Signer::es256(), Signer::eddsa());
    let clock = clock();
    let issuer = Issuer::new(&[&old]).await;
    let authenticator = issuer.authenticator(&clock).await;
    issuer.publish(&[&old, &new]);
    issuer.slow(Duration::from_millis(100));
    clock.set(at(NOW + 60));
    let hasty = accepts(&authenticator, &new);
    let hung_up = tokio::time::timeout(Duration::from_millis(20), hasty).await;
    assert!(hung_up.is_err());
    assert!(accepts(&authenticator, &new).await);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn a_failed_fetch_keeps_the_keys() {
    let (known, unknown) = (Signer::es256(), Signer::eddsa());
    let clock = clock();
    let issuer = Issuer::new(&[&known]).await;
    let authenticator = issuer.authenticator(&clock).await;
    let large = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(1024 * 1024));
    for (minute, (status, body)) in [
        (StatusCode::INTERNAL_SERVER_ERROR, r#"{"keys":[]}"#),
        (StatusCode::NOT_FOUND, r#"{"keys":[]}"#),
        (StatusCode::OK, "<html>"),
        (StatusCode::OK, "{}"),
        (StatusCode::OK, &large),
    ]
    .into_iter()
    .enumerate()
    {
        issuer.answer(status, body);
        clock.set(at(NOW + 60 * (i64::try_from(minute).unwrap() + 1)));
        // The token may be valid, because its key may be one that could not be read.
        let user = ask(&authenticator, &unknown.token()).await;
        assert_eq!(user, Err(Refusal::NoKeys));
        assert_eq!(issuer.fetches(), minute + 2);
        assert!(accepts(&authenticator, &known).await, "{status}");
        assert!(authenticator.has_keys());
    }
    // After a successful read, the token is known to be invalid.
    issuer.publish(&[&known]);
    clock.set(at(NOW + 360));
    let user = ask(&authenticator, &unknown.token()).await;
    assert_eq!(user, Err(Refusal::UnknownKey));
}

#[tokio::test]
async fn while_there_are_no_keys_a_token_is_neither_good_nor_bad() {
    let signer = Signer::es256();
    let clock = clock();
    let issuer = Issuer::new(&[&signer]).await;
    issuer.answer(StatusCode::BAD_GATEWAY, "");
    let authenticator = issuer.authenticator(&clock).await;
    for token in [&signer.token(), &Signer::hs256().token(), "nonsense"] {
        let user = ask(&authenticator, token).await;
        assert_eq!(user, Err(Refusal::NoKeys));
    }
    assert!(!authenticator.has_keys());
    let anonymous = authenticator.viewer(&HeaderMap::new()).await.unwrap();
    assert_eq!(anonymous.viewer, Viewer::Anonymous);
    let mut basic = HeaderMap::new();
    basic.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic x"));
    assert_eq!(authenticator.viewer(&basic).await, Err(Refusal::Scheme));

    // It is read every second, whatever callers ask for.
    assert_eq!(issuer.fetches(), 1);
    for fetches in 2..4 {
        clock.set(clock.now().saturating_add(SECOND));
        until("a fetch", async || issuer.fetches() == fetches).await;
    }
    issuer.publish(&[&signer]);
    clock.set(clock.now().saturating_add(SECOND));
    until("keys", async || authenticator.has_keys()).await;
    assert!(accepts(&authenticator, &signer).await);
}

#[tokio::test]
async fn no_keys_are_no_keys_however_well_they_were_read() {
    let signer = Signer::es256();
    let clock = clock();
    let issuer = Issuer::new(&[]).await;
    let authenticator = issuer.authenticator(&clock).await;
    let user = ask(&authenticator, &signer.token()).await;
    assert_eq!(user, Err(Refusal::NoKeys));
    issuer.publish(&[&signer]);
    clock.set(at(NOW + 1));
    until("keys", async || authenticator.has_keys()).await;
}

#[tokio::test]
async fn a_read_that_hangs_holds_no_other_up() {
    let signer = Signer::es256();
    let clock = clock();
    let issuer = Issuer::new(&[&signer]).await;
    issuer.answer(StatusCode::BAD_GATEWAY, "");
    let authenticator = issuer.authenticator(&clock).await;
    issuer.slow(Duration::from_mins(1));
    clock.set(at(NOW + 1));
    until("a fetch that hangs", async || issuer.fetches() == 2).await;
    issuer.slow(Duration::ZERO);
    issuer.publish(&[&signer]);
    clock.set(at(NOW + 2));
    let back = Instant::now();
    until("keys", async || authenticator.has_keys()).await;
    // The time is less than a hanging read may take.
    assert!(back.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_withdrawn_key_ends_within_ten_minutes() {
    let (withdrawn, other) = (Signer::es256(), Signer::eddsa());
    let clock = clock();
    let issuer = Issuer::new(&[&withdrawn, &other]).await;
    let authenticator = issuer.authenticator(&clock).await;
    let verified = verified(&authenticator, &withdrawn).await;
    let open = authenticator.expiry(&verified);
    let mut kept_open = pin!(authenticator.expiry(&self::verified(&authenticator, &other).await));
    issuer.publish(&[&other]);
    clock.set(at(NOW + 239));
    assert!(accepts(&authenticator, &withdrawn).await);
    // Open connections end although no request comes. A failed read is soon repeated.
    issuer.answer(StatusCode::BAD_GATEWAY, "");
    clock.set(at(NOW + 300));
    until("a fetch", async || issuer.fetches() == 2).await;
    issuer.publish(&[&other]);
    clock.set(at(NOW + 331));
    assert_eq!(within(open).await, Some(TokenEnd::KeyWithdrawn));
    assert_eq!(issuer.fetches(), 3);
    // A connection that opens only now ends too.
    let late = authenticator.expiry(&verified);
    assert_eq!(late.now_or_never(), Some(TokenEnd::KeyWithdrawn));
    let user = ask(&authenticator, &long_token(&withdrawn)).await;
    assert_eq!(user, Err(Refusal::UnknownKey));
    assert!(accepts(&authenticator, &other).await);
    assert_eq!((&mut kept_open).now_or_never(), None);

    // All keys are removed.
    issuer.publish(&[]);
    clock.set(at(NOW + 331 + 300));
    assert_eq!(within(kept_open).await, Some(TokenEnd::KeyWithdrawn));
    let user = ask(&authenticator, &long_token(&other)).await;
    assert_eq!(user, Err(Refusal::NoKeys));
}

#[tokio::test]
async fn a_key_is_the_same_whatever_else_its_jwk_says() {
    let signer = Signer::rs256();
    let clock = clock();
    let issuer = Issuer::new(&[&signer]).await;
    let authenticator = issuer.authenticator(&clock).await;
    let verified = verified(&authenticator, &signer).await;
    let open = authenticator.expiry(&verified);
    let mut jwk = signer.jwk();
    merge(&mut jwk, &json!({"alg": null, "x5t": "AAAA"}));
    let before = authenticator.keys.current();
    let publish = |jwk: &Value| issuer.answer(StatusCode::OK, json!({"keys": [jwk]}).to_string());
    publish(&jwk);
    clock.set(at(NOW + 300));
    let changed = async || !Arc::ptr_eq(&before, &authenticator.keys.current());
    until("other keys", changed).await;
    let mut open = pin!(open);
    assert_eq!((&mut open).now_or_never(), None);
    merge(&mut jwk, &json!({"kid": "another"}));
    publish(&jwk);
    clock.set(at(NOW + 600));
    assert_eq!(within(open).await, Some(TokenEnd::KeyWithdrawn));
}

#[tokio::test]
async fn keys_that_cannot_be_read_again_are_used_for_their_time() {
    let signer = Signer::es256();
    let clock = clock();
    let issuer = Issuer::new(&[&signer]).await;
    let authenticator = issuer.authenticator(&clock).await;
    let open = authenticator.expiry(&verified(&authenticator, &signer).await);
    issuer.answer(StatusCode::BAD_GATEWAY, "");
    clock.set(at(NOW + DAY - 1));
    until("a fetch", async || issuer.fetches() == 2).await;
    assert!(ask(&authenticator, &long_token(&signer)).await.is_ok());
    assert!(authenticator.has_keys());
    clock.set(at(NOW + DAY));
    assert_eq!(within(open).await, Some(TokenEnd::NoKeys));
    assert!(!authenticator.has_keys());
    // The token is cached or not.
    let user = ask(&authenticator, &long_token(&signer)).await;
    assert_eq!(user, Err(Refusal::NoKeys));

    issuer.publish(&[&signer]);
    clock.set(at(NOW + DAY + 1));
    until("keys", async || authenticator.has_keys()).await;
    assert!(ask(&authenticator, &long_token(&signer)).await.is_ok());
}

#[tokio::test]
async fn the_age_of_keys_counts_a_suspension() {
    let signer = Signer::es256();
    let clock = clock();
    let issuer = Issuer::new(&[&signer]).await;
    let authenticator = issuer.authenticator(&clock).await;
    // Setting the clock back does not shorten it.
    clock.step(at(NOW - DAY));
    clock.set(at(NOW - DAY + 300));
    until("a fetch", async || issuer.fetches() == 2).await;
    // The monotonic clock stood still. Old keys are read again before they are dropped.
    clock.step(at(NOW + DAY));
    until("a fetch", async || issuer.fetches() == 3).await;
    assert!(authenticator.has_keys());
    issuer.answer(StatusCode::BAD_GATEWAY, "");
    clock.step(at(NOW + 2 * DAY));
    until("old keys are dropped", async || !authenticator.has_keys()).await;
}

#[tokio::test]
async fn keys_are_read_often_enough_for_a_short_time() {
    let signer = Signer::es256();
    let clock = clock();
    let issuer = Issuer::new(&[&signer]).await;
    let mut rules = rules(KeySource::JwksUrl(issuer.url.clone()));
    rules.jwks_max_age = Duration::from_secs(20);
    let authenticator = Authenticator::new(rules, direct(), clock.clone())
        .await
        .unwrap();
    for fetches in 2..6 {
        clock.set(clock.now().saturating_add(Duration::from_secs(10)));
        until("a fetch", async || issuer.fetches() == fetches).await;
        assert!(authenticator.has_keys());
    }
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_given_five_seconds() {
    let issuer = Issuer::new(&[&Signer::es256()]).await;
    issuer.slow(Duration::from_mins(1));
    let started = Instant::now();
    let authenticator = issuer.authenticator(&clock()).await;
    let waited = started.elapsed().as_secs_f32();
    assert!((4.5..10.0).contains(&waited), "{waited}");
    drop(authenticator);
}

#[tokio::test]
async fn redirects_stay_as_safe_as_the_url() {
    let issuer = Issuer::new(&[&Signer::es256()]).await;
    let moved = issuer.url.join("/moved").unwrap();
    let authenticator =
        Authenticator::new(rules(KeySource::JwksUrl(moved)), direct(), clock()).await;
    assert!(accepts(&authenticator.unwrap(), &Signer::es256()).await);
}

#[tokio::test]
async fn a_file_is_read_again() {
    let (old, new) = (Signer::es256(), Signer::eddsa());
    let file = tempfile::NamedTempFile::new().unwrap();
    let authenticator = with_file(file.path(), &jwks(&[&old])).await.unwrap();
    std::fs::write(file.path(), jwks(&[&old, &new])).unwrap();
    assert!(!accepts(&authenticator, &new).await);
    authenticator.clock.set(at(NOW + 60));
    assert!(accepts(&authenticator, &new).await);
    let path = file.path().to_owned();
    file.close().unwrap();
    authenticator.clock.set(at(NOW + 120));
    assert!(!accepts(&authenticator, &Signer::rs256()).await);
    assert!(accepts(&authenticator, &old).await);

    // The keys of a file become as old as those of a URL.
    authenticator.clock.set(at(NOW + 60 + DAY));
    until("old keys are dropped", async || !authenticator.has_keys()).await;
    std::fs::write(&path, jwks(&[&old])).unwrap();
    authenticator.clock.set(at(NOW + 61 + DAY));
    until("keys", async || authenticator.has_keys()).await;
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_read_to_its_end() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("jwks.json");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let start = async || {
        let rules = rules(KeySource::JwksFile(path.clone()));
        match Authenticator::new(rules, direct(), clock())
            .await
            .unwrap_err()
        {
            StartError::JwksFile { cause, .. } => cause,
            other => panic!("{other}"),
        }
    };
    assert!(matches!(start().await, Unread::NotAFile));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "x".repeat(1024 * 1024 + 1)).unwrap();
    assert!(matches!(start().await, Unread::TooLarge));
}

#[tokio::test]
async fn what_keeps_the_service_from_starting() {
    let start = async |rules| {
        Authenticator::new(rules, direct(), clock())
            .await
            .unwrap_err()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path();

    let complete = rules(KeySource::JwksFile(path.to_owned()));
    for incomplete in [
        TokenRules {
            issuers: Vec::new(),
            ..complete.clone()
        },
        TokenRules {
            audiences: Vec::new(),
            ..complete.clone()
        },
        TokenRules {
            issuers: vec![String::new()],
            ..complete.clone()
        },
    ] {
        assert!(matches!(
            start(incomplete).await,
            StartError::IssuerAndAudience
        ));
    }
    let nobody = TokenRules {
        default_organization: Some(String::new()),
        ..complete.clone()
    };
    assert!(matches!(
        start(nobody).await,
        StartError::DefaultOrganization
    ));

    let oct = json!({"keys": [{"kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(SECRET)}]});
    let error = with_file(path, &oct.to_string()).await.unwrap_err();
    assert!(matches!(error, StartError::NoKey(_)));
    for text in ["", "[]", r#"{"keys": {}}"#] {
        let error = with_file(path, text).await.unwrap_err();
        let unparsed = matches!(
            error,
            StartError::JwksFile {
                cause: Unread::NotAJwkSet,
                ..
            }
        );
        assert!(unparsed, "{text}");
    }
    file.close().unwrap();
    let unread = matches!(
        start(complete).await,
        StartError::JwksFile {
            cause: Unread::File(_),
            ..
        }
    );
    assert!(unread);

    for url in [
        "ftp://issuer.example/",
        "https://ann:pw@issuer.example/",
        "data:,{}",
    ] {
        let rules = rules(KeySource::JwksUrl(Url::parse(url).unwrap()));
        assert!(matches!(start(rules).await, StartError::JwksUrl), "{url}");
    }
}

#[tokio::test]
async fn the_same_keys_read_again_keep_the_memory() {
    let clock = clock();
    let issuer = Issuer::new(&[&Signer::es256()]).await;
    let authenticator = issuer.authenticator(&clock).await;
    let known = authenticator.keys.current();
    clock.set(at(NOW + 60));
    assert!(!accepts(&authenticator, &Signer::eddsa()).await);
    assert_eq!(issuer.fetches(), 2);
    assert!(Arc::ptr_eq(&known, &authenticator.keys.current()));
}
