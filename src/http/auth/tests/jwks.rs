//! What becomes of a JWKS: which keys are taken from it, and when it is read.

use super::*;

#[tokio::test]
async fn an_algorithm_is_bound_to_its_key() {
    let signers = [Signer::rs256(), Signer::es256(), Signer::eddsa()];
    let authenticator = with_jwks(&jwks(&signers.each_ref())).await;
    for signer in &signers {
        assert!(accepts(&authenticator, signer).await, "{}", signer.kid);
        for other in &signers {
            // Signed by the one, under the name of the other.
            let mut header = signer.header();
            merge(&mut header, &json!({"kid": other.kid}));
            let user = ask(&authenticator, &signer.sign(&header, &claims(&json!({})))).await;
            assert_eq!(user.is_ok(), signer.kid == other.kid);
            // Signed by the one, and said to be of the other's algorithm.
            let mut header = signer.header();
            merge(&mut header, &json!({"alg": other.algorithm}));
            let user = ask(&authenticator, &signer.sign(&header, &claims(&json!({})))).await;
            assert_eq!(user.is_ok(), signer.kid == other.kid);
        }
    }
    // The public key as the secret of HS256, in the forms an attacker would find it in.
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
        // With one to start with, and things that are no keys.
        let keys = json!({"keys": [Signer::es256_other().jwk(), jwk, {"kty": "new"}, 7, null]});
        let authenticator = with_jwks(&keys.to_string()).await;
        assert_eq!(accepts(&authenticator, &signer).await, usable, "{jwk}");
    }
}

#[tokio::test]
async fn a_token_without_kid_needs_a_single_key() {
    let nameless =
        |signer: &Signer| signer.sign(&json!({"alg": signer.algorithm}), &claims(&json!({})));
    let (one, two, ed) = (Signer::es256(), Signer::es256_other(), Signer::eddsa());
    let single = with_jwks(&jwks(&[&one, &ed])).await;
    assert!(ask(&single, &nameless(&one)).await.is_ok());
    let user = ask(&single, &nameless(&two)).await;
    assert_eq!(user, Err(Refusal::Signature));
    let user = ask(&single, &nameless(&Signer::rs256())).await;
    assert_eq!(user, Err(Refusal::Algorithm));

    let several = with_jwks(&jwks(&[&one, &two, &ed])).await;
    let user = ask(&several, &nameless(&one)).await;
    assert_eq!(user, Err(Refusal::AmbiguousKey));
    assert!(ask(&several, &nameless(&ed)).await.is_ok());
}

#[tokio::test]
async fn unknown_keys_are_looked_for_once_a_minute() {
    let (old, new) = (Signer::es256(), Signer::eddsa());
    let clock = clock();
    let issuer = Issuer::new(&[&old]).await;
    let authenticator = issuer.authenticator(&clock).await;
    assert!(accepts(&authenticator, &old).await);

    issuer.publish(&[&new]);
    clock.set(at(NOW + 59));
    assert_eq!(
        ask(&authenticator, &new.token()).await,
        Err(Refusal::UnknownKey)
    );
    assert_eq!(issuer.fetches(), 1);
    clock.set(at(NOW + 60));
    assert!(accepts(&authenticator, &new).await);
    assert_eq!(issuer.fetches(), 2);

    // The old key has gone, and so has the memory of what it verified.
    assert_eq!(
        ask(&authenticator, &old.token()).await,
        Err(Refusal::UnknownKey)
    );
    assert_eq!(issuer.fetches(), 2);

    // An algorithm that no key could have is nothing to ask for.
    clock.set(at(NOW + 120));
    let user = ask(&authenticator, &Signer::hs256().token()).await;
    assert_eq!(user, Err(Refusal::Algorithm));
    assert_eq!(issuer.fetches(), 2);

    // Setting the wall clock neither stops nor hastens it.
    issuer.publish(&[&new, &old]);
    clock.step(at(NOW - 3600));
    assert!(accepts(&authenticator, &old).await);
    assert_eq!(issuer.fetches(), 3);
    for wall in [NOW + 3600, NOW - 3600] {
        clock.step(at(wall));
        let unknown = ask(&authenticator, &Signer::es256_other().token()).await;
        assert_eq!(unknown, Err(Refusal::UnknownKey));
        assert_eq!(issuer.fetches(), 3);
    }
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
        let user = ask(&authenticator, &unknown.token()).await;
        assert_eq!(user, Err(Refusal::UnknownKey));
        assert_eq!(issuer.fetches(), minute + 2);
        assert!(accepts(&authenticator, &known).await, "{status}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_asked_when_a_token_comes() {
    let signer = Signer::es256();
    let clock = clock();
    let issuer = Issuer::new(&[&signer]).await;
    issuer.answer(StatusCode::BAD_GATEWAY, "");
    let authenticator = issuer.authenticator(&clock).await;
    assert_eq!(
        ask(&authenticator, &signer.token()).await,
        Err(Refusal::UnknownKey)
    );
    assert_eq!(issuer.fetches(), 2);
    issuer.publish(&[&signer]);
    assert!(
        !accepts(&authenticator, &signer).await,
        "asked within the minute"
    );
    clock.set(at(NOW + 60));
    assert!(accepts(&authenticator, &signer).await);
    assert_eq!(issuer.fetches(), 3);
}

#[tokio::test]
async fn a_withdrawn_key_goes_after_ten_minutes() {
    let (withdrawn, other) = (Signer::es256(), Signer::eddsa());
    let clock = clock();
    let issuer = Issuer::new(&[&withdrawn, &other]).await;
    let authenticator = issuer.authenticator(&clock).await;
    let long = claims(&json!({"exp": NOW + 86_400}));
    let token = withdrawn.sign(&withdrawn.header(), &long);
    issuer.publish(&[&other]);
    clock.set(at(NOW + 599));
    assert!(ask(&authenticator, &token).await.is_ok());
    clock.set(at(NOW + 600));
    let started = Instant::now();
    while ask(&authenticator, &token).await.is_ok() {
        assert!(started.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(issuer.fetches(), 2);
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
    let authenticator = Authenticator::new(rules(KeySource::JwksUrl(moved)), clock()).await;
    assert!(accepts(&authenticator.unwrap(), &Signer::es256()).await);

    // The client of an https URL goes to no plain one, and a redirect is one more request of the client.
    let client = keys::client(&Url::parse("https://issuer.example/jwks").unwrap()).unwrap();
    let error = client.get(issuer.url.clone()).send().await.unwrap_err();
    assert!(error.is_builder() && issuer.fetches() == 1, "{error}");
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
    file.close().unwrap();
    authenticator.clock.set(at(NOW + 120));
    assert!(!accepts(&authenticator, &Signer::rs256()).await);
    assert!(accepts(&authenticator, &old).await);
}

#[tokio::test]
async fn what_keeps_the_service_from_starting() {
    let start = async |rules| Authenticator::new(rules, clock()).await.unwrap_err();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path();

    let complete = rules(KeySource::JwksFile(path.to_owned()));
    for incomplete in [
        TokenRules {
            issuer: None,
            ..complete.clone()
        },
        TokenRules {
            audience: None,
            ..complete.clone()
        },
        TokenRules {
            issuer: Some(String::new()),
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
