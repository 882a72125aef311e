//! Public keys change while tokens live: they are read again in the background.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use lifecycle::Component;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::JwksUrl;
use crate::{AccessConfig, JwksError, KeySet, Verifier};

/// Shortest time between two readings, however many unknown keys tokens name.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

/// Time between attempts while there is no key but perhaps the deployment's own.
const FIRST_KEYS_INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for one reading.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest key set that is read, in bytes.
const MAX_JWKS_BYTES: usize = 256 * 1024;

/// Why the keys could not be read.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error("the file of public keys cannot be read")]
    File(#[source] std::io::Error),
    #[error("the public keys cannot be fetched from {}", table_name())]
    Fetch(#[source] reqwest::Error),
    #[error("the public keys were not fetched within {FETCH_TIMEOUT:?}")]
    TimedOut,
    #[error("the public keys are larger than {MAX_JWKS_BYTES} bytes")]
    TooLarge,
    #[error("the public keys are wrong")]
    Wrong(#[source] JwksError),
}

fn table_name() -> &'static str {
    settings::table::JWKS_URL.name
}

/// Reads the public keys now and again, for as long as it is polled; a key that a token names and
/// nobody knows asks for it sooner. What was read last holds while reading fails; a key set that was
/// read and is empty withdraws its keys. `keys` is ready while there is a key, whoever brought it, once all
/// whose keys are awaited have brought them.
pub async fn refresh(verifier: &Verifier, config: &AccessConfig, keys: Component) -> Infallible {
    tokio::select! {
        never = tell(verifier, &keys) => never,
        never = read_again(verifier, config) => never,
    }
}

/// Says whether there is a key, whenever that may have changed.
async fn tell(verifier: &Verifier, keys: &Component) -> Infallible {
    loop {
        if verifier.knows_its_keys() {
            keys.ready();
        } else {
            keys.not_ready("access tokens cannot be verified: keys are missing or were not read");
        }
        verifier.keys_changed.notified().await;
    }
}

async fn read_again(verifier: &Verifier, config: &AccessConfig) -> Infallible {
    if config.jwks_path.is_none() && config.jwks_url.is_none() {
        return std::future::pending().await;
    }
    let redirect = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().redirect(redirect).build().unwrap_or_default();
    loop {
        let started = Instant::now();
        match read(&client, config).await {
            Ok(read) => {
                if verifier.use_key_set(read) {
                    tracing::info!("public keys of access tokens changed");
                }
            }
            Err(error) => tracing::warn!(
                error = &error as &(dyn Error + 'static),
                "public keys of access tokens not read; those read before hold"
            ),
        }
        if !verifier.has_configured_keys() {
            sleep(FIRST_KEYS_INTERVAL).await;
            continue;
        }
        sleep_until(started + MIN_INTERVAL.min(config.refresh_every)).await;
        tokio::select! {
            () = sleep_until(started + config.refresh_every) => {}
            () = verifier.unknown_key.notified() => {}
        }
    }
}

async fn read(client: &reqwest::Client, config: &AccessConfig) -> Result<KeySet, RefreshError> {
    let mut keys = KeySet::default();
    if let Some(path) = &config.jwks_path {
        // A small local file: read in place rather than on another thread.
        let text = std::fs::read_to_string(path).map_err(RefreshError::File)?;
        keys = keys.and(KeySet::from_jwks(&text).map_err(RefreshError::Wrong)?);
    }
    if let Some(JwksUrl(url)) = &config.jwks_url {
        let text = timeout(FETCH_TIMEOUT, fetch(client, url.clone()))
            .await
            .map_err(|_| RefreshError::TimedOut)??;
        keys = keys.and(KeySet::from_jwks(&text).map_err(RefreshError::Wrong)?);
    }
    Ok(keys)
}

async fn fetch(client: &reqwest::Client, url: reqwest::Url) -> Result<String, RefreshError> {
    let response = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    // The address may hold a password.
    let failed = |error: reqwest::Error| RefreshError::Fetch(error.without_url());
    let mut response = response.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_JWKS_BYTES {
            return Err(RefreshError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}
