//! Tokens of requests, and requests without one.

use super::{QUERY, refused, request};
use crate::{
    on_both,
    support::{
        harness::{Server, timestamp},
        mutations::WRITE,
    },
};
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

on_both! {
    async fn a_bad_token_is_never_anonymous(server: Server) {
        let good = server.token("ann@acme", WRITE);
        let (head, signature) = good.rsplit_once('.').unwrap();
        let post = || {
            request(&server)
                .header(CONTENT_TYPE, "application/json")
                .body(QUERY)
        };
        let invalid = Some(r#"Bearer error="invalid_token""#);
        for (headers, expected) in [
            (vec!["Bearer x".to_owned()], invalid),
            (
                vec![format!(
                    "Bearer {head}.{}",
                    signature.chars().rev().collect::<String>()
                )],
                invalid,
            ),
            (vec![format!("Bearer {head}.")], invalid),
            (
                vec!["Bearer".to_owned()],
                Some(r#"Bearer error="invalid_request""#),
            ),
            (
                vec![format!("Bearer {good}, Bearer {good}")],
                Some(r#"Bearer error="invalid_request""#),
            ),
            (
                vec![format!("Bearer {good}"); 2],
                Some(r#"Bearer error="invalid_request""#),
            ),
            (vec!["Basic YW5uOmFubg==".to_owned()], Some("Bearer")),
            (vec![String::new()], Some("Bearer")),
            (vec![good.clone()], Some("Bearer")),
        ] {
            let request = headers.iter().fold(post(), |request, header| {
                request.header("authorization", header)
            });
            let (status, code, challenge) = refused(request, "www-authenticate").await;
            assert_eq!(
                (status, code.as_str()),
                (401, "UNAUTHENTICATED"),
                "{headers:?}"
            );
            assert!(
                challenge.as_deref().unwrap().starts_with(expected.unwrap()),
                "{headers:?}: {challenge:?}"
            );
            assert!(!challenge.unwrap().contains(signature));
        }
        // This happens before the body is read.
        let (status, ..) = refused(
            request(&server)
                .header(CONTENT_TYPE, "application/json")
                .bearer_auth("x")
                .body("{"),
            "allow",
        )
        .await;
        assert_eq!(status, 401);
        assert_eq!(
            server.data(&good, "{ viewer { userId } }", json!({})).await["viewer"]["userId"],
            "ann"
        );
        server.clock.set(timestamp("2026-11-22T10:00:00Z"));
        let (status, code, challenge) =
            refused(post().bearer_auth(&good), "www-authenticate").await;
        assert_eq!((status, code.as_str()), (401, "UNAUTHENTICATED"));
        assert_eq!(
            challenge.as_deref(),
            Some(r#"Bearer error="invalid_token", error_description="the token has expired""#)
        );
    }

    async fn anonymous_reading_can_be_switched_off(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--anonymous-read", "false"],
            server.clock.clone(),
        )
        .await;
        let (status, code, challenge) = refused(
            request(&server)
                .header(CONTENT_TYPE, "application/json")
                .body(QUERY),
            "www-authenticate",
        )
        .await;
        assert_eq!(
            (status, code.as_str(), challenge.as_deref()),
            (401, "UNAUTHENTICATED", Some("Bearer"))
        );
        let token = server.token("ann@acme", &[]);
        assert_eq!(
            server
                .data(&token, "{ personalConnectors { totalCount } }", json!({}))
                .await["personalConnectors"]["totalCount"],
            5
        );
    }
}
