//! `repair`: takes from the log what the event store has lost, and so opens it again.
//!
//! What the log holds beyond the store is appended to its streams, with states, claims and erasures as they
//! follow from it. What the log does not hold cannot be found: the keys and password hashes of whoever
//! registered in the lost time. Their fields stay unreadable, and the tool names them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use event_schema::schema::Family;
use event_store::compare::of_topic;
use event_store::postgres::Postgres;
use event_store::{Event, LogPlace, Outbox, StoreError};

use super::ToolError;
use super::session::Session;
use crate::decision::Commands;
use crate::decision::absorb::{Absorbed, absorb};
use crate::decision::log::read_tail;
use crate::deployment::Deployed;
use crate::session::Sessions;
use crate::user::Users;

/// Takes from the log what the event store has lost: after a restore of the database.
#[derive(Debug, Args)]
pub(super) struct Repair {
    /// Only say what would be taken.
    #[arg(long)]
    dry_run: bool,
    /// This record of the log is somebody else's, and is not to be taken or compared any more:
    /// `<topic>:<partition>:<offset>`, as `left alone` names it. Recorded; may be given several times.
    #[arg(long, value_name = "PLACE", value_parser = place)]
    pass_over: Vec<(String, LogPlace)>,
}

impl Repair {
    pub(super) async fn run(self, session: &Session) -> Result<String, ToolError> {
        let deployed = session.deployed().await?;
        let topics: Vec<&str> =
            Family::decided().map(|family| deployed.of_family(family).topic.as_str()).collect();
        if let Some((other, _)) =
            self.pass_over.iter().find(|(topic, _)| !topics.contains(&topic.as_str()))
        {
            let known = topics.join(", ");
            return Err(ToolError::Asked(format!("{other} is no topic of decisions: {known}")));
        }
        let commands = session.commands().await?;
        let mut outbox = session.store.repairing().await.map_err(reading)?;
        for (topic, place) in self.pass_over.iter().filter(|_| !self.dry_run) {
            outbox.pass_over(topic, *place).await.map_err(reading)?;
        }
        let (deployed, report) = (&deployed, Report::default());
        let mut repairing = Repairing { session, deployed, commands, outbox, report };
        for family in Family::decided() {
            repairing.family(family, self.dry_run).await?;
        }
        Ok(repairing.report.told(self.dry_run))
    }
}

/// What repairing works with, and what came of it so far.
struct Repairing<'a, O> {
    session: &'a Session,
    deployed: &'a Deployed,
    commands: Commands<Postgres>,
    outbox: O,
    report: Report,
}

impl<O: Outbox> Repairing<'_, O> {
    /// Takes what the store lacks of a family.
    async fn family(&mut self, family: Family, is_dry_run: bool) -> Result<(), ToolError> {
        let topic = &self.deployed.of_family(family).topic;
        let kafka = &self.session.config.producer.kafka;
        let mut from = of_topic(&self.outbox.published_to().await.map_err(reading)?, topic);
        loop {
            let tail = read_tail(kafka, topic, &from).await.map_err(|error| ToolError::Failed {
                doing: "reading the log",
                why: error.to_string(),
            })?;
            self.report.looked_at += tail.records.len();
            let lacking = self.outbox.lacking(&tail.records).await.map_err(reading)?;
            let lacking: Vec<Event> =
                lacking.into_iter().filter_map(|at| tail.records.get(at).cloned()).collect();
            self.report.lacking += lacking.len();
            for stream in by_stream(lacking).filter(|_| !is_dry_run) {
                let absorbed = self.absorb(family, stream).await;
                let appending = ToolError::failed("appending what was lost");
                self.report.add(absorbed.map_err(appending)?);
            }
            if tail.is_end {
                return Ok(());
            }
            from = tail.next;
        }
    }

    async fn absorb(&mut self, family: Family, stream: Vec<Event>) -> Result<Absorbed, String> {
        let (deciding, outbox) = (self.commands.deciding(), &mut self.outbox);
        match family {
            Family::User => absorb::<Users, _>(deciding, self.deployed, outbox, stream).await,
            Family::Session => absorb::<Sessions, _>(deciding, self.deployed, outbox, stream).await,
            // Facts stand in no stream of the store.
            Family::Device => Ok(Absorbed::default()),
        }
    }
}

fn reading(error: StoreError) -> ToolError {
    ToolError::Failed { doing: "reading the event store", why: with_sources(&error) }
}

fn place(text: &str) -> Result<(String, LogPlace), &'static str> {
    let named = || {
        let mut parts = text.rsplitn(3, ':');
        let (offset, partition) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((parts.next()?.to_owned(), LogPlace { partition, offset }))
    };
    let is_one = |(_, place): &(String, LogPlace)| place.partition >= 0 && place.offset >= 0;
    let must_be = "it must be <topic>:<partition>:<offset>, such as identity.user:3:1042";
    named().filter(is_one).ok_or(must_be)
}

fn by_stream(events: Vec<Event>) -> impl Iterator<Item = Vec<Event>> {
    let mut streams: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for event in events {
        streams.entry(event.stream_id.clone()).or_default().push(event);
    }
    streams.into_values()
}

#[derive(Default)]
struct Report {
    looked_at: usize,
    lacking: usize,
    appended: usize,
    without_key: Vec<String>,
    left: Vec<String>,
}

impl Report {
    fn add(&mut self, absorbed: Absorbed) {
        self.appended += absorbed.appended;
        self.without_key.extend(absorbed.without_key);
        self.left.extend(absorbed.left);
    }

    fn told(&self, is_dry_run: bool) -> String {
        let Self { looked_at, lacking, appended, without_key, left } = self;
        let mut text = format!(
            "{looked_at} records behind the last one that is marked as published, {lacking} of them unknown to the store\n"
        );
        // Writing to a text cannot fail.
        if is_dry_run {
            text.push_str("nothing was changed\n");
        } else {
            let _ = writeln!(
                text,
                "{appended} events appended; a running command-api compares within a second and opens the store"
            );
        }
        for stream in without_key {
            let _ = writeln!(
                text,
                "{stream}: the key of its personal fields is lost, so they cannot be read"
            );
        }
        for why in left {
            let _ = writeln!(text, "left alone: {why}");
        }
        text
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_by_topic_partition_and_offset() {
        let named = place("acme.identity.user:3:1042");
        let expected = LogPlace { partition: 3, offset: 1_042 };
        assert_eq!(named, Ok(("acme.identity.user".to_owned(), expected)));
        for none in ["3:1042", "identity.user:3", "identity.user:-1:2", "identity.user:a:2", ""] {
            assert!(place(none).is_err(), "{none}");
        }
    }
}
