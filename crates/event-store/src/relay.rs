//! The relay: publishes decided events, each stream's in their order.
//!
//! Every process of the command side has one and one of them owns the outbox. Of a stream at most one event
//! is under way at a time: the next is sent once the one before it is acknowledged, so that the log holds
//! versions in their order whatever becomes of a relay. An event that was sent and not marked is sent
//! again by the next one; readers of the log know it by version and identity and absorb it. A stream whose
//! partition is slow holds up no other.

mod chains;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::Timestamp;
use failpoint::failpoint;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::compare::{CompareError, Compared, compare};
use crate::event::{Event, LogPlace};
use crate::publications::Publications;
use crate::store::{EventStore, Outbox, StoreError};
use chains::Chains;

/// Events that are looked at together.
const AT_ONCE: u32 = 1_000;

/// Streams that are under way together.
const STREAMS_AT_ONCE: usize = 4_000;

/// How long whatever else is acknowledged meanwhile is marked together with the first.
const MARK_WITHIN: Duration = Duration::from_millis(4);

/// Between two looks while something is under way.
const LOOK_WITHIN: Duration = Duration::from_millis(4);

/// How long an owner relies on being woken.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Between two attempts to become the owner.
const OWN_AGAIN: Duration = Duration::from_millis(250);

/// Between two comparisons while the log is ahead of the store or cannot be read.
const COMPARE_AGAIN: Duration = Duration::from_secs(1);

/// How long after an owner has looked at the store it still sends what it saw.
const SEND_WITHIN: Duration = Duration::from_secs(2);

/// Why the log did not take an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAppended {
    /// It was not sent.
    #[error("the log takes nothing now")]
    Refused,
    /// It may be there by now, or never.
    #[error("whether the log has it is unknown")]
    Unknown,
}

/// The end of a topic could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TailError(pub String);

/// Events at the end of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Events, each partition's in its order; records that are no events of a stream are left out.
    pub records: Vec<Event>,
    /// Where to go on, by partition.
    pub next: BTreeMap<i32, i64>,
    /// True where there is no more.
    pub is_end: bool,
}

/// The log, as the relay sees it.
pub trait Log: Send + Sync + 'static {
    /// Appends an event and waits until every in-sync replica has it.
    fn append(&self, event: &Event) -> impl Future<Output = Result<LogPlace, NotAppended>> + Send;

    /// Whether it is known that nothing is taken now.
    fn is_away(&self) -> bool;

    /// Some of the records at or behind these offsets, of partitions that are not named all.
    fn tail(
        &self,
        topic: &str,
        from: &BTreeMap<i32, i64>,
    ) -> impl Future<Output = Result<Tail, TailError>> + Send;
}

/// Something that an operator wants to hear of the relay.
#[derive(Debug)]
pub enum Occurrence<'a> {
    /// This process owns the outbox.
    Owner,
    /// This process does so no more, or cannot ask; why, unless it gave the outbox back.
    NotOwner(Option<&'a StoreError>),
    /// So many events were published.
    Published {
        /// How many.
        events: usize,
    },
    /// The log does not take what there is.
    LogAway,
    /// When the oldest event happened that the log does not have; none where it has all.
    Oldest(Option<Timestamp>),
    /// What comparing log and store found.
    Compared(Compared),
    /// Log and store could not be compared.
    NotCompared(&'a CompareError),
}

/// How a relay works.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Topics that decided events go to.
    pub topics: Vec<String>,
    /// The longest time from sending a record until it is in the log or lost.
    pub longest_delivery: Duration,
}

/// The relay of one process.
pub struct Relay<S, L> {
    store: S,
    log: Arc<L>,
    publications: Publications,
    wake: Arc<Notify>,
    config: RelayConfig,
    is_stopping: AtomicBool,
    stopping: Notify,
    observe: Box<dyn Fn(Occurrence<'_>) + Send + Sync>,
}

impl<S: EventStore, L: Log> Relay<S, L> {
    /// A relay that tells `publications` and looks at the outbox whenever it is woken.
    pub fn new(
        store: S,
        log: Arc<L>,
        publications: Publications,
        wake: Arc<Notify>,
        config: RelayConfig,
        observe: impl Fn(Occurrence<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            log,
            publications,
            wake,
            config,
            is_stopping: AtomicBool::new(false),
            stopping: Notify::new(),
            observe: Box::new(observe),
        }
    }

    /// Publishes whenever this process owns the outbox, until it is stopped. Dropping it gives the outbox
    /// back as a crash does.
    pub async fn run(&self) {
        let mut is_away = false;
        while !self.is_stopping() {
            match self.store.own_outbox().await {
                Ok(None) => is_away = false,
                Ok(Some(outbox)) => {
                    is_away = false;
                    (self.observe)(Occurrence::Owner);
                    let ended = self.own(outbox).await;
                    (self.observe)(Occurrence::NotOwner(ended.as_ref().err()));
                }
                // Said once.
                Err(_) if is_away => {}
                Err(error) => {
                    is_away = true;
                    (self.observe)(Occurrence::NotOwner(Some(&error)));
                }
            }
            let _ = timeout(OWN_AGAIN, self.stopping.notified()).await;
        }
    }

    /// Lets [`Self::run`] return once nothing is under way.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.stopping.notify_one();
        self.wake.notify_one();
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Returns once it is stopped, or somebody has closed the store.
    async fn own(&self, mut outbox: S::Outbox) -> Result<(), StoreError> {
        if !self.open(&mut outbox).await? {
            return Ok(());
        }
        let mut chains = Chains::new(&*self.log);
        let mut is_open_until = Instant::now() + LOOK_AGAIN;
        while !self.is_stopping() {
            if Instant::now() >= is_open_until {
                // It stays open for as long as this session lives, unless an operator closes it.
                if outbox.uncompared().await?.is_some() {
                    break;
                }
                is_open_until = Instant::now() + LOOK_AGAIN;
            }
            self.look(&mut chains, &mut outbox).await?;
            self.settle(&mut chains, &mut outbox).await?;
        }
        while chains.len() > 0 {
            chains.first().await;
            self.mark(chains.gather(MARK_WITHIN).await, &mut outbox).await?;
        }
        // What was sent and not acknowledged may still arrive.
        if chains.has_lost { Ok(()) } else { outbox.rest().await }
    }

    /// Sends events of streams that are not under way.
    async fn look(
        &self,
        chains: &mut Chains<'_, L>,
        outbox: &mut S::Outbox,
    ) -> Result<(), StoreError> {
        let looked_at = Instant::now();
        if chains.len() < STREAMS_AT_ONCE {
            let events = outbox.unpublished(AT_ONCE, &chains.streams()).await?;
            if !events.is_empty() {
                failpoint!("relay/looked");
            }
            chains.send(events, looked_at + SEND_WITHIN);
        }
        (self.observe)(Occurrence::Oldest(chains.oldest()));
        Ok(())
    }

    /// Waits until something is acknowledged or appended, and marks what was acknowledged.
    async fn settle(
        &self,
        chains: &mut Chains<'_, L>,
        outbox: &mut S::Outbox,
    ) -> Result<(), StoreError> {
        let (is_busy, patience) = (chains.len() > 0, chains.patience(LOOK_AGAIN));
        tokio::select! {
            () = chains.first(), if is_busy => {
                self.mark(chains.gather(MARK_WITHIN).await, outbox).await
            }
            () = self.woken(is_busy, patience) => Ok(()),
        }
    }

    /// Something was appended, or may have been.
    async fn woken(&self, is_busy: bool, patience: Duration) {
        if is_busy {
            // Others that are appended now are looked at together.
            sleep(LOOK_WITHIN).await;
        }
        let _ = timeout(patience, self.wake.notified()).await;
    }

    async fn mark(
        &self,
        published: Vec<(Event, LogPlace)>,
        outbox: &mut S::Outbox,
    ) -> Result<(), StoreError> {
        failpoint!("relay/sent");
        if published.is_empty() {
            if self.log.is_away() {
                (self.observe)(Occurrence::LogAway);
            }
            return Ok(());
        }
        outbox.mark(&published).await?;
        failpoint!("relay/marked");
        self.publications.published(
            published.iter().map(|(e, place)| (e.stream_id.as_str(), e.version, *place)),
        );
        (self.observe)(Occurrence::Published { events: published.len() });
        Ok(())
    }

    /// Compares log and store until the store is open. False where it is stopped before that: then nothing
    /// may be published of it.
    async fn open(&self, outbox: &mut S::Outbox) -> Result<bool, StoreError> {
        let owned_at = Instant::now();
        let longest_send = SEND_WITHIN + self.config.longest_delivery;
        while !self.is_stopping() {
            let (log, topics) = (&*self.log, &self.config.topics);
            let compared = compare(outbox, log, topics, owned_at.elapsed(), longest_send).await;
            match compared {
                Ok(opened @ (Compared::Before | Compared::Open)) => {
                    (self.observe)(Occurrence::Compared(opened));
                    return Ok(true);
                }
                Ok(Compared::TooEarly(left)) => {
                    (self.observe)(Occurrence::Compared(Compared::TooEarly(left)));
                    sleep(left.min(COMPARE_AGAIN)).await;
                }
                Ok(ahead @ Compared::LogAhead(_)) => {
                    (self.observe)(Occurrence::Compared(ahead));
                    sleep(COMPARE_AGAIN).await;
                }
                Err(CompareError::Store(error)) => return Err(error),
                Err(error @ CompareError::Log(_)) => {
                    (self.observe)(Occurrence::NotCompared(&error));
                    sleep(COMPARE_AGAIN).await;
                }
            }
        }
        Ok(false)
    }
}
