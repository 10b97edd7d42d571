//! Rate limits of callers, over real sockets.

use serde_json::{Value, json};

use crate::{
    on_both,
    support::{
        harness::{NOW, Server, client, timestamp},
        mutations::WRITE,
    },
};

const QUERY: &str = r#"{"query":"{ viewer { userId } }"}"#;

/// Returns the statuses of consecutive requests.
async fn statuses(server: &Server, token: &str, forwarded: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        let mut request = server.request(token, QUERY);
        if !forwarded.is_empty() {
            request = request.header("x-forwarded-for", forwarded);
        }
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    statuses
}

async fn limited(server: &Server, flags: &[&str]) -> Server {
    let flags = [&["--rate-limit", "2"], flags].concat();
    Server::start(server.storage.clone(), &flags, server.clock.clone()).await
}

on_both! {
    async fn who_asks_too_often_is_told_when_to_come_back(server: Server) {
        let server = limited(&server, &[]).await;
        assert_eq!(statuses(&server, "", "", 4).await, [200; 4]);
        let response = server.request("", QUERY).send().await.unwrap();
        assert_eq!(
            (
                response.status().as_u16(),
                response.headers()["retry-after"].to_str().unwrap()
            ),
            (429, "1")
        );
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let extensions = json!({ "code": "RATE_LIMITED", "retryAfter": 1 });
        assert_eq!(
            (answer.get("data"), &answer["errors"][0]["extensions"]),
            (None, &extensions)
        );
        // Probes are not limited.
        assert_eq!(
            client()
                .get(format!("{}/health/live", server.url))
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
        let later = timestamp(NOW).0 + 1_000_000;
        server.clock.set(entity::Timestamp(later));
        assert_eq!(statuses(&server, "", "", 3).await, [200, 200, 429]);
    }

    async fn users_are_counted_apart_wherever_they_are(server: Server) {
        let server = limited(&server, &[]).await;
        let [ann, bob, other_ann] =
            ["ann@acme", "bob@acme", "ann@globex"].map(|who| server.token(who, WRITE));
        for token in [&ann, &bob, &other_ann] {
            assert_eq!(
                statuses(&server, token, "", 5).await,
                [200, 200, 200, 200, 429]
            );
        }
        // Another token of the same user is the same caller, and valid tokens cost their address nothing.
        assert_eq!(
            statuses(&server, &server.token("ann@acme", &[]), "", 1).await,
            [429]
        );
        assert_eq!(
            statuses(&server, "", "", 5).await,
            [200, 200, 200, 200, 429]
        );
    }

    async fn bad_tokens_are_charged_to_the_address(server: Server) {
        let server = limited(&server, &[]).await;
        let ann = server.token("ann@acme", WRITE);
        assert_eq!(statuses(&server, &ann, "", 1).await, [200]);
        assert_eq!(
            statuses(&server, "x.y.z", "", 6).await,
            [401, 401, 401, 401, 429, 429]
        );
        assert_eq!(statuses(&server, "", "", 1).await, [429]);
        assert_eq!(
            statuses(&server, &ann, "", 1).await,
            [200],
            "a verified user does not use the address's budget"
        );
        // No signature is verified for an address without a budget.
        assert_eq!(
            statuses(&server, &server.token("bob@acme", WRITE), "", 1).await,
            [429]
        );
    }

    async fn a_trusted_proxy_says_who_asks(server: Server) {
        let trusting = limited(
            &server,
            &[
                "--trusted-proxy",
                "127.0.0.1",
                "--trusted-proxy",
                "10.0.0.0/8",
            ],
        )
        .await;
        for client in ["192.0.2.1", "6.6.6.6, 192.0.2.2, 10.1.1.1"] {
            assert_eq!(
                statuses(&trusting, "", client, 5).await,
                [200, 200, 200, 200, 429],
                "{client}"
            );
        }
        // A proxy forwards the other header as the client sent it.
        let mut answers = Vec::new();
        for number in 0..5 {
            let request = trusting
                .request("", QUERY)
                .header("x-forwarded-for", "192.0.2.3");
            let request = request.header("forwarded", format!("for=192.0.2.1{number}"));
            answers.push(request.send().await.unwrap().status().as_u16());
        }
        assert_eq!(answers, [200, 200, 200, 200, 429]);
        let trusting_none = limited(&server, &[]).await;
        assert_eq!(statuses(&trusting_none, "", "192.0.2.1", 4).await, [200; 4]);
        assert_eq!(
            statuses(&trusting_none, "", "192.0.2.2", 1).await,
            [429],
            "its own word counts for nothing"
        );
    }

    async fn zero_is_no_limit(server: Server) {
        let server = Server::start(
            server.storage.clone(),
            &["--rate-limit", "0"],
            server.clock.clone(),
        )
        .await;
        assert_eq!(statuses(&server, "", "", 300).await, [200; 300]);
    }
}
