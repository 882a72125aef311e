//! What the topics of the deployment hold, every record of them from the beginning.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use domain::user::UserId;
use kafka_io::config::KafkaConfig;
use kafka_io::record_reader::OwnedRecord;
use kafka_io::tail::{self, Tail};
use kafka_io::topic::Topic;
use settings::Prefix;
use tokio::task::spawn_blocking;

use super::database::Person;
use super::needle::Needles;
use super::report::Place;
use super::sealing::{Sealing, Seen, SeenEvents};

/// Longest time for some thousand records.
const WITHIN: Duration = Duration::from_secs(120);

/// Where the log is, and whose it is.
pub(super) struct Log<'a> {
    pub(super) kafka: &'a KafkaConfig,
    pub(super) prefix: &'a Prefix,
    pub(super) needles: &'a Needles,
}

impl Log<'_> {
    /// Looks at the stream of a person, of whom the event store says what was published.
    pub(super) async fn stream(
        &self,
        user: UserId,
        person: Option<Person>,
        sealing: &Result<Sealing, String>,
        places: &mut Vec<Place>,
    ) {
        let topic = Topic::IdentityUser.name(self.prefix);
        let (name, stream_id) =
            (format!("stream {} in topic {topic}", user.stream_id()), user.stream_id());
        let sealing = match sealing {
            Ok(sealing) => sealing,
            Err(why) => {
                places.push(Place::not_looked_at(name, why));
                return;
            }
        };
        let mut seen = SeenEvents::default();
        let looked = self.records(&topic, |record| {
            let is_keyed = record.key.as_deref() == Some(stream_id.as_bytes());
            let (of, event) =
                record.value.as_deref().map_or((None, Seen::Sealed), |value| sealing.see(value));
            if is_keyed || of == Some(user) {
                seen.add(event);
            }
        });
        if let Err(why) = looked.await {
            places.push(Place::not_looked_at(name, why));
            return;
        }
        seen.places(&name, "record", places);
        let published = person.map_or(0, |person| person.published);
        if seen.count() < published {
            let why = format!(
                "it holds {} records and {published} were published; is it the log of this deployment?",
                seen.count()
            );
            places.push(Place::not_looked_at(name, why));
        }
    }

    /// Searches every topic for texts.
    pub(super) async fn sweep(&self, places: &mut Vec<Place>) {
        for topic in Topic::ALL.iter().map(|topic| topic.name(self.prefix)) {
            let (name, mut tally) = (format!("topic {topic}"), self.needles.tally());
            let looked = self.records(&topic, |record| tally.look(parts(record))).await;
            places.push(match looked {
                Ok(()) => tally.place(name, "record"),
                Err(why) => Place::not_looked_at(name, why),
            });
        }
    }

    /// Shows every record that the topic holds now.
    async fn records(&self, topic: &str, mut each: impl FnMut(&OwnedRecord)) -> Result<(), String> {
        let mut from: BTreeMap<i32, i64> = BTreeMap::new();
        loop {
            let (kafka, name) = (self.kafka.clone(), topic.to_owned());
            let read = spawn_blocking(move || tail::read(&kafka, &name, &from, WITHIN)).await;
            let Tail { records, next, is_end } =
                read.map_err(|error| error.to_string())?.map_err(|error| why(&error))?;
            records.iter().for_each(|(_, record)| each(record));
            if is_end {
                return Ok(());
            }
            from = next;
        }
    }
}

/// Everything of a record that somebody wrote.
fn parts(record: &OwnedRecord) -> impl Iterator<Item = &[u8]> {
    let headers =
        record.headers.iter().flat_map(|(name, value)| [Some(name.as_bytes()), value.as_deref()]);
    [record.key.as_deref(), record.value.as_deref()].into_iter().chain(headers).flatten()
}

fn why(error: &dyn Error) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
