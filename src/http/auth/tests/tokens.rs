//! Tests of request headers: the caller, or the refusal.

use super::*;

#[tokio::test]
async fn a_minted_token_is_its_user() {
    let clock = clock();
    let rules = rules(KeySource::Secret(secret()));
    let ann = User {
        id: "ann".to_owned(),
        organization: Some("acme".to_owned()),
        scopes: BTreeSet::from(["connectors:write".to_owned(), "openid".to_owned()]),
        profile: Profile::default(),
    };
    let token = mint(&secret(), &rules, &ann, Duration::from_mins(1), &clock).unwrap();
    let authenticator = Authenticator::new(rules, direct(), clock.clone())
        .await
        .unwrap();
    let verified = authenticator.viewer(&bearer(&token)).await.unwrap();
    assert_eq!(verified.viewer, Viewer::User(ann));
    assert_eq!(verified.expires_at, Some(at(NOW + 60)));
    clock.set(at(NOW + 60));
    assert_eq!(ask(&authenticator, &token).await, Err(Refusal::Expired));
}

#[tokio::test]
async fn authorization_headers() {
    use Refusal::{Header, Malformed, Scheme, TooLong};
    let authenticator = with_secret().await;
    let (bytes, most) = (16 * 1024 + 1, 16 * 1024);
    let token = Signer::hs256().token();
    let ann = format!("Bearer {token}");
    for (values, expected) in [
        (vec![ann.clone()], Ok(())),
        (vec![format!("bEARER   {token}")], Ok(())),
        (vec![ann.clone(), ann.clone()], Err(Header)),
        (vec![format!("Bearer {token}, Bearer {token}")], Err(Header)),
        (vec![format!("Bearer {token} {token}")], Err(Header)),
        (vec![String::new()], Err(Scheme)),
        (vec!["Bearer".to_owned()], Err(Header)),
        (vec!["Bearer  ".to_owned()], Err(Header)),
        (vec!["Bearer ä".to_owned()], Err(Header)),
        (vec!["Basic YW5uOmFubg==".to_owned()], Err(Scheme)),
        (vec![token.clone()], Err(Scheme)),
        (vec!["Bearer x".to_owned()], Err(Malformed)),
        (vec!["Bearer x.y".to_owned()], Err(Malformed)),
        (vec![format!("{ann}.x")], Err(Malformed)),
        (vec![format!("Bearer {}", "x".repeat(most))], Err(Malformed)),
        (
            vec![format!("Bearer {}", "x".repeat(bytes))],
            Err(TooLong { bytes, most }),
        ),
    ] {
        let mut headers = HeaderMap::new();
        for value in &values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(header::AUTHORIZATION, value);
        }
        let viewer = authenticator.viewer(&headers).await;
        assert_eq!(viewer.map(drop), expected, "{values:?}");
    }
}

#[tokio::test]
async fn without_a_token() {
    let mut rules = rules(KeySource::Secret(secret()));
    let authenticator = Authenticator::new(rules.clone(), direct(), clock())
        .await
        .unwrap();
    let anonymous = Verified {
        viewer: Viewer::Anonymous,
        expires_at: None,
        key: None,
    };
    assert_eq!(authenticator.viewer(&HeaderMap::new()).await, Ok(anonymous));

    rules.anonymous_read = false;
    let authenticator = Authenticator::new(rules, direct(), clock()).await.unwrap();
    let refused = authenticator.viewer(&HeaderMap::new()).await;
    assert_eq!(refused, Err(Refusal::Missing));
}

#[tokio::test]
async fn claims_are_checked() {
    use Refusal::{Audience, Expired, Issuer, NotYet, NumericDate, Subject};
    let long = "ü".repeat(255);
    let too_long = "ü".repeat(256);
    let authenticator = with_secret().await;
    for (changes, expected) in [
        (json!({}), Ok(())),
        // `exp` is exact.
        (json!({"exp": null}), Err(NumericDate)),
        (json!({"exp": "1735689601"}), Err(NumericDate)),
        (json!({"exp": true}), Err(NumericDate)),
        (json!({"exp": NOW + 1}), Ok(())),
        (json!({"exp": NOW}), Err(Expired)),
        (json!({"exp": 1_735_689_600.5}), Ok(())),
        (json!({"exp": 1_735_689_599.5}), Err(Expired)),
        (json!({"exp": -1}), Err(Expired)),
        (json!({"exp": i64::MIN}), Err(Expired)),
        (json!({"exp": -1e300}), Err(Expired)),
        (json!({"exp": u64::MAX}), Ok(())),
        (json!({"exp": 1e300}), Ok(())),
        // `nbf` and `iat` have a minute of leeway.
        (json!({"nbf": NOW + 60}), Ok(())),
        (json!({"nbf": NOW + 61}), Err(NotYet)),
        (json!({"nbf": 1e300}), Err(NotYet)),
        (json!({"nbf": -1e300}), Ok(())),
        (json!({"nbf": "0"}), Err(NumericDate)),
        (json!({"iat": NOW + 60}), Ok(())),
        (json!({"iat": 1_735_689_660.5}), Err(NotYet)),
        (json!({"iat": [0]}), Err(NumericDate)),
        (json!({"iss": null}), Err(Issuer)),
        (json!({"iss": "https://issuer.example/"}), Err(Issuer)),
        (json!({"iss": ["https://issuer.example"]}), Err(Issuer)),
        (json!({"aud": null}), Err(Audience)),
        (json!({"aud": "Connectors"}), Err(Audience)),
        (json!({"aud": []}), Err(Audience)),
        (json!({"aud": ["other", "connectors"]}), Ok(())),
        (json!({"aud": {"connectors": true}}), Err(Audience)),
        (json!({"sub": null}), Err(Subject)),
        (json!({"sub": ""}), Err(Subject)),
        (json!({"sub": 7}), Err(Subject)),
        (json!({"sub": "a\u{0}b"}), Err(Subject)),
        (json!({"sub": long}), Ok(())),
        (json!({"sub": too_long}), Err(Subject)),
    ] {
        let signer = Signer::hs256();
        let token = signer.sign(&signer.header(), &claims(&changes));
        let user = ask(&authenticator, &token).await;
        assert_eq!(user.map(drop), expected, "{changes}");
    }
    for payload in ["[]", "7", "{", r#"{"exp":1e999}"#] {
        let token = Signer::hs256().sign_text(r#"{"alg":"HS256"}"#, payload);
        let user = ask(&authenticator, &token).await;
        assert_eq!(user, Err(Refusal::Claims), "{payload}");
    }
    // Only the last of two claims with the same name counts.
    let twice = claims(&json!({})).to_string().replace('{', r#"{"exp":0,"#);
    let token = Signer::hs256().sign_text(r#"{"alg":"none","alg":"HS256"}"#, &twice);
    assert!(ask(&authenticator, &token).await.is_ok());
}

#[tokio::test]
async fn the_leeway_is_a_rule() {
    for (leeway, latest) in [(0, NOW), (120, NOW + 120)] {
        let mut rules = rules(KeySource::Secret(secret()));
        rules.leeway = Duration::from_secs(leeway);
        let authenticator = Authenticator::new(rules, direct(), clock()).await.unwrap();
        for (changes, expected) in [
            (json!({"nbf": latest, "iat": latest}), Ok(())),
            (json!({"nbf": latest + 1}), Err(Refusal::NotYet)),
            (json!({"iat": latest + 1}), Err(Refusal::NotYet)),
            (json!({"exp": NOW}), Err(Refusal::Expired)),
        ] {
            let signer = Signer::hs256();
            let token = signer.sign(&signer.header(), &claims(&changes));
            let user = ask(&authenticator, &token).await;
            assert_eq!(user.map(drop), expected, "{leeway} {changes}");
        }
    }
}

#[tokio::test]
async fn claims_that_are_not_asked_for_are_not_checked() {
    let mut rules = rules(KeySource::Secret(secret()));
    rules.issuers = Vec::new();
    rules.audiences = Vec::new();
    let authenticator = Authenticator::new(rules, direct(), clock()).await.unwrap();
    let signer = Signer::hs256();
    let token = signer.sign(
        &signer.header(),
        &claims(&json!({"iss": "another", "aud": null})),
    );
    assert!(ask(&authenticator, &token).await.is_ok());
}

#[tokio::test]
async fn headers_are_checked() {
    use Refusal::{Algorithm, Critical, Malformed};
    let authenticator = with_secret().await;
    let signer = Signer::hs256();
    for (header, expected) in [
        (json!({"alg": "HS256"}), Ok(())),
        (
            json!({"alg": "HS256", "kid": "whatever the secret is called"}),
            Ok(()),
        ),
        (json!({"alg": "none"}), Err(Algorithm)),
        (json!({"alg": "hs256"}), Err(Algorithm)),
        (json!({"alg": "HS512"}), Err(Algorithm)),
        (json!({"alg": "RS256"}), Err(Algorithm)),
        (json!({"alg": 7}), Err(Malformed)),
        (json!({"typ": "JWT"}), Err(Malformed)),
        (json!({"alg": "HS256", "kid": 7}), Err(Malformed)),
        (
            json!({"alg": "HS256", "crit": ["exp"], "exp": 0}),
            Err(Critical),
        ),
        (json!({"alg": "HS256", "crit": []}), Err(Critical)),
        (json!({"alg": "HS256", "crit": null}), Err(Critical)),
        (json!([]), Err(Malformed)),
    ] {
        let token = signer.sign(&header, &claims(&json!({})));
        let user = ask(&authenticator, &token).await;
        assert_eq!(user.map(drop), expected, "{header}");
    }
}

#[tokio::test]
async fn a_signature_is_of_the_key_and_over_everything() {
    let authenticator = with_secret().await;
    let signer = Signer::hs256();
    let token = signer.token();
    let other = signer.sign(&signer.header(), &claims(&json!({"sub": "bob"})));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (other_message, _) = other.rsplit_once('.').unwrap();
    let stranger = Signer {
        key: EncodingKey::from_secret(b"another secret of 32 bytes......").unwrap(),
        ..Signer::hs256()
    };
    for forged in [
        format!("{message}."),
        format!("{other_message}.{signature}"),
        format!("{message}.{}", &signature[1..]),
        format!("{message}.{signature}="),
        stranger.token(),
    ] {
        let user = ask(&authenticator, &forged).await;
        assert_eq!(user, Err(Refusal::Signature), "{forged}");
    }
}

#[tokio::test]
async fn verified_tokens_are_cached() {
    let authenticator = with_secret().await;
    let known = authenticator.keys.current();
    let token = Signer::hs256().token();
    let digest = token_cache::digest(&token);
    assert!(known.tokens.get(&digest, at(NOW)).is_none());
    let first = authenticator.viewer(&bearer(&token)).await;
    assert_eq!(known.tokens.get(&digest, at(NOW)), first.clone().ok());

    // A cached token is not verified again.
    let bob = Viewer::User(User {
        id: "bob".to_owned(),
        organization: None,
        scopes: BTreeSet::new(),
        profile: Profile::default(),
    });
    let verified = Verified {
        viewer: bob.clone(),
        expires_at: Some(at(NOW + 600)),
        key: None,
    };
    known.tokens.insert(digest, verified);
    let second = authenticator.viewer(&bearer(&token)).await;
    assert_eq!(second.unwrap().viewer, bob);

    authenticator.clock.set(at(NOW + 600));
    assert_eq!(ask(&authenticator, &token).await, Err(Refusal::Expired));

    // A refused token is not cached.
    let refused = Signer::hs256().sign(&json!({"alg": "HS256"}), &claims(&json!({"sub": ""})));
    assert!(ask(&authenticator, &refused).await.is_err());
    assert!(
        known
            .tokens
            .get(&token_cache::digest(&refused), at(0))
            .is_none()
    );
}

#[test]
fn challenges() {
    use Refusal::{Expired, Header, Missing, Scheme};
    for (refusal, expected) in [
        (Missing, "Bearer"),
        (Scheme, "Bearer"),
        (
            Header,
            concat!(
                r#"Bearer error="invalid_request", error_description="there must be one header "#,
                r#"Authorization: Bearer TOKEN""#,
            ),
        ),
        (
            Expired,
            r#"Bearer error="invalid_token", error_description="the token has expired""#,
        ),
    ] {
        assert_eq!(refusal.www_authenticate(), expected);
    }
    for refusal in [
        Refusal::TooLong { bytes: 2, most: 1 },
        Refusal::Malformed,
        Refusal::Critical,
        Refusal::Algorithm,
        Refusal::UnknownKey,
        Refusal::AmbiguousKey,
        Refusal::Signature,
        Refusal::Claims,
        Refusal::NumericDate,
        Refusal::NotYet,
        Refusal::Issuer,
        Refusal::Audience,
        Refusal::Subject,
    ] {
        // The characters that RFC 6750 §3 allows in an error_description.
        let message = refusal.to_string();
        let legal = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
        assert!(message.bytes().all(legal), "{message}");
        let expected = format!(r#"Bearer error="invalid_token", error_description="{message}""#);
        assert_eq!(refusal.www_authenticate(), expected);
    }
}

#[tokio::test]
async fn secrets_are_long_and_never_shown() {
    assert!(Secret::new([b'x'; 31]).is_err());
    assert!(Secret::new([b'x'; 32]).is_ok());
    let authenticator = with_secret().await;
    assert!(accepts(&authenticator, &Signer::hs256()).await);
    let shown = format!("{authenticator:?} {:?}", secret());
    let bytes = format!("{SECRET:?}");
    let digits = bytes.trim_matches(['[', ']']);
    assert!(shown.contains("Secret(..)"));
    assert!(
        !shown.contains("a secret of the tests") && !shown.contains(digits),
        "{shown}"
    );
}
