//! What a process says of itself: alive, ready, and why not.
//!
//! *Alive* means that restarting would not help: every loop beats within its deadline and nothing
//! has ended that must run. A dependency's fault never touches it. *Ready* means that the process
//! does its work now: every component says so, and it is not draining.

mod description;
mod routes;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use telemetry::Metric;
use tokio::sync::watch;
use tokio::time::Instant;

pub use description::HealthPaths;
pub(crate) use routes::routes;

/// The health of one process. Clones are the same health.
#[derive(Debug, Clone)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    entries: Mutex<Entries>,
    /// Raised when something ends that must not.
    dead: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    is_draining: bool,
    by_id: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    state: State,
}

#[derive(Debug)]
enum State {
    Ready,
    NotReady { reason: String },
    Beating { last: Instant, deadline: Duration },
    Dead,
}

/// What `/health` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// Whether a restart would not help.
    pub live: bool,
    /// Whether the process does its work.
    pub ready: bool,
    /// Whether it is about to end.
    pub draining: bool,
    /// Why it is not ready or not alive, by the component's name.
    pub faults: BTreeMap<String, String>,
    /// Names of all components.
    pub components: Vec<String>,
}

/// Something that the process needs in order to be ready, such as a connection.
///
/// Not ready until it says so. Dropped while the process does not drain it counts as dead; where it
/// may rightly end, it is [finished](Self::finish).
#[derive(Debug)]
pub struct Component {
    health: Health,
    id: u64,
}

/// A loop that must go round: one that does not beat within its deadline makes the process not
/// alive. Dropped while the process does not drain it counts as dead.
#[derive(Debug)]
pub struct Heartbeat {
    health: Health,
    id: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Of a process without components: alive and ready.
    pub fn new() -> Self {
        let entries = Mutex::new(Entries::default());
        Self(Arc::new(Inner { entries, dead: watch::Sender::new(false) }))
    }

    /// Adds a component that is not ready yet.
    pub fn component(&self, name: impl Into<String>) -> Component {
        let state = State::NotReady { reason: "starting".to_owned() };
        Component { id: self.add(name.into(), state), health: self.clone() }
    }

    /// Adds a loop that beats at least once in `deadline`.
    pub fn heartbeat(&self, name: impl Into<String>, deadline: Duration) -> Heartbeat {
        let state = State::Beating { last: Instant::now(), deadline };
        Heartbeat { id: self.add(name.into(), state), health: self.clone() }
    }

    /// Says that the process is about to end: not ready from now on, and what ends is not dead.
    pub fn drain(&self) {
        self.0.entries.lock().is_draining = true;
    }

    /// Returns when something has ended that must not, while the process did not drain.
    pub async fn died(&self) {
        let mut dead = self.0.dead.subscribe();
        // The sender lives in self: waiting cannot fail.
        let _ = dead.wait_for(|is_dead| *is_dead).await;
    }

    /// Ends the process if a probe of its start finds that something refuses it for a reason that
    /// waiting does not mend, such as a wrong password: only other settings help, and whoever has just
    /// set these should be told. What is away is no refusal.
    pub async fn must_not_be_refused<E: Error + 'static>(
        self,
        probe: impl Future<Output = Result<(), E>> + Send,
    ) {
        if let Err(refused) = probe.await {
            let error = &refused as &dyn Error;
            tracing::error!(error, "the process is refused and ends");
            self.0.dead.send_replace(true);
        }
    }

    /// What is the case now.
    pub fn report(&self) -> HealthReport {
        let entries = self.0.entries.lock();
        let mut report = HealthReport {
            live: true,
            ready: !entries.is_draining,
            draining: entries.is_draining,
            faults: BTreeMap::new(),
            components: entries.by_id.values().map(|entry| entry.name.clone()).collect(),
        };
        for Entry { name, state } in entries.by_id.values() {
            let Some((fault, is_fatal)) = fault_of(state) else { continue };
            report.ready = false;
            report.live &= !is_fatal;
            report.faults.insert(name.clone(), fault);
        }
        report
    }

    fn add(&self, name: String, state: State) -> u64 {
        set_gauge(&name, &state);
        let mut entries = self.0.entries.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        // A component that is started anew takes the place of its dead predecessor.
        entries
            .by_id
            .retain(|_, entry| !(entry.name == name && matches!(entry.state, State::Dead)));
        entries.by_id.insert(id, Entry { name, state });
        id
    }

    fn set(&self, id: u64, state: State) {
        let mut entries = self.0.entries.lock();
        let Some(entry) = entries.by_id.get_mut(&id) else { return };
        log_change(entry, &state);
        entry.state = state;
    }

    fn end(&self, id: u64) {
        if self.0.entries.lock().is_draining {
            self.remove(id);
        } else if self.0.entries.lock().by_id.contains_key(&id) {
            self.set(id, State::Dead);
            self.0.dead.send_replace(true);
        }
    }

    fn remove(&self, id: u64) {
        self.0.entries.lock().by_id.remove(&id);
    }
}

/// Why the state makes the process not ready, and whether also not alive.
fn fault_of(state: &State) -> Option<(String, bool)> {
    match state {
        State::Ready => None,
        State::NotReady { reason } => Some((reason.clone(), false)),
        State::Dead => Some(("has ended".to_owned(), true)),
        State::Beating { last, deadline } => {
            let silent = last.elapsed();
            (silent > *deadline).then(|| {
                let fault = format!(
                    "has not moved for {} ms, {} ms are allowed",
                    silent.as_millis(),
                    deadline.as_millis()
                );
                (fault, true)
            })
        }
    }
}

fn log_change(entry: &Entry, to: &State) {
    let component = entry.name.as_str();
    match (&entry.state, to) {
        (State::Ready, State::Ready) | (State::Beating { .. }, State::Beating { .. }) => return,
        (State::NotReady { reason: old }, State::NotReady { reason }) if old == reason => return,
        (_, State::Ready) => tracing::info!(component, "component is ready"),
        (_, State::NotReady { reason }) => {
            tracing::warn!(component, reason, "component is not ready");
        }
        (_, State::Dead) => tracing::error!(component, "component has ended"),
        (_, State::Beating { .. }) => {}
    }
    set_gauge(component, to);
}

fn set_gauge(component: &str, state: &State) {
    let is_ready = matches!(state, State::Ready | State::Beating { .. });
    Metric::ComponentReady.gauge(&[component]).set(f64::from(u8::from(is_ready)));
}

impl Component {
    /// It does its work. Cheap when it said so before.
    pub fn ready(&self) {
        self.health.set(self.id, State::Ready);
    }

    /// It does not do its work; `reason` is for operators and names no secret.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.health.set(self.id, State::NotReady { reason: reason.into() });
    }

    /// It has ended as it should and is asked no more.
    pub fn finish(self) {
        self.health.remove(self.id);
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.health.end(self.id);
    }
}

impl Heartbeat {
    /// The loop has gone round.
    pub fn beat(&self) {
        let mut entries = self.health.0.entries.lock();
        if let Some(Entry { state: State::Beating { last, .. }, .. }) =
            entries.by_id.get_mut(&self.id)
        {
            *last = Instant::now();
        }
    }

    /// The loop has ended as it should and is waited for no more.
    pub fn finish(self) {
        self.health.remove(self.id);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.health.end(self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_component_is_not_ready_until_it_says_so() {
        let health = Health::new();
        let kafka = health.component("kafka");
        assert!(!health.report().ready);
        kafka.ready();
        assert!(health.report().ready);
        kafka.not_ready("the brokers do not answer");
        let report = health.report();
        assert_eq!(report.faults["kafka"], "the brokers do not answer");
    }

    #[test]
    fn a_dependency_s_fault_leaves_the_process_alive() {
        let health = Health::new();
        let postgres = health.component("postgres");
        postgres.not_ready("connection refused");
        assert!(health.report().live);
    }

    #[test]
    fn a_component_dropped_while_serving_is_dead() {
        let health = Health::new();
        let kafka = health.component("kafka");
        kafka.ready();
        assert!(health.died().now_or_never().is_none());
        drop(kafka);
        assert!(!health.report().live);
        assert!(health.died().now_or_never().is_some());
    }

    #[test]
    fn a_component_dropped_while_draining_is_forgotten() {
        let health = Health::new();
        let kafka = health.component("kafka");
        kafka.ready();
        health.drain();
        drop(kafka);
        let report = health.report();
        assert!(report.live && report.draining && !report.ready);
        assert!(health.died().now_or_never().is_none());
    }

    #[test]
    fn a_component_that_finishes_is_not_dead() {
        let health = Health::new();
        health.component("migration").finish();
        assert_eq!(health.report().components, Vec::<String>::new());
        assert!(health.report().live);
    }

    #[test]
    fn a_component_started_anew_replaces_the_dead_one() {
        let health = Health::new();
        drop(health.component("lane"));
        let lane = health.component("lane");
        lane.ready();
        assert!(health.report().live && health.report().ready);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_is_stuck_makes_the_process_not_alive() {
        let health = Health::new();
        let poll = health.heartbeat("poll", Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(health.report().live);
        tokio::time::advance(Duration::from_millis(1)).await;
        let report = health.report();
        assert!(!report.live);
        assert_eq!(report.faults["poll"], "has not moved for 5001 ms, 5000 ms are allowed");
        poll.beat();
        assert!(health.report().live);
    }
}
