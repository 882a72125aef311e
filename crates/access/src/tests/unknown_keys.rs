//! Tokens whose keys nobody knows: none has anything fetched, and all together seldom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use lifecycle::Health;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::{advance, pause, resume, timeout};

use super::{config, eddsa, jwks, production_claims, production_header, verify};
use crate::{Unauthenticated, Verifier};

/// Far above what a fetch takes, and far below the time between two.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often public keys were fetched.
#[derive(Debug, Clone, Default)]
struct Fetches(Arc<AtomicUsize>);

impl Fetches {
    fn so_far(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    async fn come_to(&self, count: usize) {
        let coming = async {
            while self.so_far() < count {
                yield_now().await;
            }
        };
        assert!(timeout(PATIENCE, coming).await.is_ok(), "{} fetches", self.so_far());
        assert_eq!(self.so_far(), count);
    }
}

/// A hundred tokens of as many keys that nobody knows.
fn ask_by_unknown_keys(verifier: &Verifier) {
    for number in 0..100 {
        let kid = format!("unknown-{number}");
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
        let token = eddsa(&header, &production_claims());
        assert_eq!(verify(verifier, &token), Err(Unauthenticated::UnknownKey));
    }
}

/// Lets so many seconds pass, and whatever is fetched then arrive: what is asked for afterwards is answered later.
async fn pass(seconds: u64, client: &reqwest::Client, server: &str) {
    pause();
    advance(Duration::from_secs(seconds)).await;
    resume();
    for _ in 0..3 {
        let answer = client.get(format!("{server}/nothing")).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    }
}

#[tokio::test]
async fn however_many_tokens_name_unknown_keys_these_are_fetched_once_in_half_a_minute() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let fetches = Fetches::default();
    let counted = fetches.clone();
    let router = Router::new().route(
        "/jwks.json",
        get(move || {
            counted.0.fetch_add(1, Ordering::Relaxed);
            async { jwks() }
        }),
    );
    let config = config(&[("MILLRACE_JWKS_URL", &format!("{server}/jwks.json"))]).unwrap();
    let (verifier, health) = (Verifier::new(&config), Health::new());
    let client = reqwest::Client::new();
    let asking = async {
        fetches.come_to(1).await;
        let known = eddsa(&production_header(), &production_claims());
        while verify(&verifier, &known).is_err() {
            yield_now().await;
        }
        for fetched in [1, 2] {
            ask_by_unknown_keys(&verifier);
            assert_eq!(fetches.so_far(), fetched, "a token is verified without I/O");
            pass(20, &client, &server).await;
            ask_by_unknown_keys(&verifier);
            assert_eq!(fetches.so_far(), fetched, "after 20 s");
            pass(11, &client, &server).await;
            fetches.come_to(fetched + 1).await;
        }
        // Without such a token they are not fetched so soon.
        pass(31, &client, &server).await;
        assert_eq!(fetches.so_far(), 3);
        assert!(verify(&verifier, &known).is_ok());
    };
    tokio::select! {
        () = asking => {}
        _ = crate::refresh(&verifier, &config, health.component("access keys")) => {}
        _ = async { axum::serve(listener, router).await } => {}
    }
}
