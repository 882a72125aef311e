//! The connection to Redis: calls that end in time, and which Redis it is.
//!
//! One connection, on which calls are executed in the order in which they were made. A call is sent
//! at most once: no call is repeated behind its caller's back, none waits for a connection to come
//! back, and what a caller no longer waits for is not sent any more.

use std::time::Duration;

use bytes::Bytes;
use fred::clients::{Client, WithOptions};
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface, KeysInterface};
use fred::types::config::{
    ConnectionConfig, Options, PerformanceConfig, ReconnectPolicy, TcpConfig, UnresponsiveConfig,
};
use fred::types::{ClientState, FromValue};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::CacheConfig;
use crate::home::Identity;
use crate::script::Script;

/// Calls that may wait to be sent.
const MAX_QUEUED: usize = 10_000;
/// How long connecting may take, and greeting after it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that owes an answer for so long is given up.
const UNRESPONSIVE: Duration = Duration::from_secs(2);
/// Least and greatest pause between attempts to connect, in milliseconds.
const RECONNECT_MS: (u32, u32) = (50, 1_000);
/// Least and greatest pause before Redis is asked again which one it is.
const LEAST_PAUSE: Duration = Duration::from_millis(2);
const GREATEST_PAUSE: Duration = Duration::from_millis(500);

/// Why a call has no answer. Each is a failure for whoever needed it to be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no connection, or too many calls wait for it: it was not and will not be executed.
    #[error("Redis cannot be reached")]
    NotSent,
    /// No answer came in time, or the connection ended: it may have been, or may yet be executed.
    #[error("no answer from Redis: the call may have been executed")]
    Unknown,
    /// Redis answered with an error; a script may have ended half-way.
    #[error("Redis refuses: {code}")]
    Refused {
        /// The error's first word, such as `OOM`, `READONLY`, `LOADING`.
        code: String,
    },
    /// It is another Redis than the one that the cache generation was agreed with, or it was emptied
    /// since: nothing was done. [`crate::Writer::settle`] agrees with this one.
    #[error("Redis is another one than before, or was emptied")]
    Elsewhere,
    /// It was executed, and the answer is not one that we understand.
    #[error("Redis answers what was not asked")]
    Unexpected,
}

/// What Redis says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) time_ms: u64,
    pub(crate) identity: Identity,
    pub(crate) is_primary: bool,
}

/// The connection.
pub(crate) struct Redis {
    calls: WithOptions<Client>,
    identity: watch::Sender<Option<Sample>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Redis {
    /// Begins to connect and goes on for as long as it lives. Needs a runtime.
    pub(crate) fn start(config: &CacheConfig, timeout: Duration) -> Self {
        let (least, greatest) = RECONNECT_MS;
        let client = Client::new(
            config.redis.clone(),
            Some(PerformanceConfig { default_command_timeout: timeout, ..Default::default() }),
            Some(connection(timeout)),
            Some(ReconnectPolicy::new_exponential(0, least, greatest, 2)),
        );
        let options = Options {
            max_attempts: Some(1),
            timeout: Some(timeout),
            fail_fast: true,
            ..Default::default()
        };
        let calls = client.with_options(&options);
        let identity = watch::Sender::new(None);
        let tasks = vec![
            tokio::spawn(greet(client.clone(), calls.clone(), identity.clone())),
            tokio::spawn(connect(client)),
        ];
        Self { calls, identity, tasks }
    }

    /// Whether calls can be sent.
    pub(crate) fn is_connected(&self) -> bool {
        is_connected(&self.calls)
    }

    /// What Redis said of itself when the connection was made; `None` while it is not known.
    pub(crate) fn identity(&self) -> watch::Receiver<Option<Sample>> {
        self.identity.subscribe()
    }

    /// The texts at some keys, all of one moment.
    pub(crate) async fn many(&self, keys: Vec<&str>) -> Result<Vec<Option<Bytes>>, CallError> {
        self.connected()?;
        let wanted = keys.len();
        let texts: Vec<Option<Bytes>> = answered(self.calls.mget(keys).await)?;
        if texts.len() == wanted { Ok(texts) } else { Err(CallError::Unexpected) }
    }

    /// Runs a script.
    pub(crate) async fn run<T: FromValue>(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<T, CallError> {
        self.connected()?;
        let answer = script.run(&self.calls, keys, arguments).await;
        answered(answer)?.convert().map_err(|_| CallError::Unexpected)
    }

    /// What Redis says of itself now.
    pub(crate) async fn sample(&self) -> Result<Sample, CallError> {
        let sample = sample(&self.calls).await?;
        self.identity.send_if_modified(|known| {
            let differs = known.as_ref().map(|known| &known.identity) != Some(&sample.identity);
            *known = Some(sample.clone());
            differs
        });
        Ok(sample)
    }

    fn connected(&self) -> Result<(), CallError> {
        if self.is_connected() { Ok(()) } else { Err(CallError::NotSent) }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn connection(timeout: Duration) -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: CONNECT_TIMEOUT,
        internal_command_timeout: CONNECT_TIMEOUT,
        max_command_attempts: 1,
        max_command_buffer_len: MAX_QUEUED,
        disable_cluster_health_check: true,
        tcp: TcpConfig { nodelay: Some(true), ..Default::default() },
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(UNRESPONSIVE.max(2 * timeout)),
            interval: UNRESPONSIVE / 8,
        },
        ..Default::default()
    }
}

/// Keeps the client's own task alive, which ends when it thinks that trying again is vain.
async fn connect(client: Client) {
    loop {
        let _ = EndWithUs(client.connect()).ended().await;
        tokio::time::sleep(CONNECT_TIMEOUT).await;
    }
}

/// Asks each new connection which Redis it leads to, and forgets the answer when it ends.
async fn greet(
    client: Client,
    calls: WithOptions<Client>,
    identity: watch::Sender<Option<Sample>>,
) {
    let (mut begun, mut ended) = (client.reconnect_rx(), client.error_rx());
    loop {
        let closed = tokio::select! {
            event = begun.recv() => matches!(event, Err(RecvError::Closed)),
            event = ended.recv() => matches!(event, Err(RecvError::Closed)),
        };
        if closed {
            return;
        }
        identity.send_replace(None);
        let mut pause = LEAST_PAUSE;
        // The client counts itself as connected a moment after it says that it is.
        while begun.is_empty() && ended.is_empty() && identity.borrow().is_none() {
            match sample(&calls).await {
                Ok(sample) => drop(identity.send_replace(Some(sample))),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (2 * pause).min(GREATEST_PAUSE);
        }
    }
}

struct EndWithUs<T>(JoinHandle<T>);

impl<T> EndWithUs<T> {
    async fn ended(mut self) -> Option<T> {
        (&mut self.0).await.ok()
    }
}

impl<T> Drop for EndWithUs<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn is_connected(client: &WithOptions<Client>) -> bool {
    client.state() == ClientState::Connected
}

async fn sample(calls: &WithOptions<Client>) -> Result<Sample, CallError> {
    if !is_connected(calls) {
        return Err(CallError::NotSent);
    }
    let answer = Script::CLOCK.run(calls, Vec::new(), Vec::new()).await;
    let texts: Vec<String> = answered(answer)?.convert().map_err(|_| CallError::Unexpected)?;
    let [seconds, micros, run_id, replication_id, role]: [String; 5] =
        texts.try_into().map_err(|_| CallError::Unexpected)?;
    let number = |text: String| text.parse::<u64>().map_err(|_| CallError::Unexpected);
    Ok(Sample {
        time_ms: number(seconds)?.saturating_mul(1_000) + number(micros)? / 1_000,
        identity: Identity { run_id, replication_id },
        is_primary: role == "master",
    })
}

fn answered<T>(answer: Result<T, Error>) -> Result<T, CallError> {
    answer.map_err(|error| match (error.kind(), code_of(&error)) {
        (ErrorKind::Backpressure, _) => CallError::NotSent,
        (_, Some(code)) => CallError::Refused { code: code.to_owned() },
        _ => CallError::Unknown,
    })
}

/// The first word of an error that Redis answered; errors of the client begin otherwise.
pub(crate) fn code_of(error: &Error) -> Option<&str> {
    let word = error.details().split_whitespace().next()?;
    let is_code = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    is_code.then_some(word)
}
