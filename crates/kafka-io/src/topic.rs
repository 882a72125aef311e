//! The topics and consumer groups: every name and setting of the log, declared once.

use event_schema::schema::Family;
use settings::Prefix;

use crate::admin::TopicPlan;

/// A group under which a projection reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsumerGroup {
    /// The projection `resource`.
    EventsProcessor,
    /// The projection `device_history`.
    EventsProcessorHistory,
    /// The projection `user`.
    ProjectorUser,
    /// The projection `session`.
    ProjectorSession,
}

/// The largest record batch a broker takes on our topics, in bytes. A producer's `batch.size` stays
/// at least a tenth below it: a batch above it fails whole, and the client does not split it.
pub const MAX_MESSAGE_BYTES: u64 = 1_200_000;

/// Settings of a log of record: kept for ever, never compacted, stamped by the broker.
const RECORD: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", "1200000"),
    ("unclean.leader.election.enable", "false"),
];

/// Settings of the copies of letters: as a log of record, but kept for 30 days.
const LETTERS: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("retention.ms", "2592000000"),
    ("retention.bytes", "-1"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", "1200000"),
    ("unclean.leader.election.enable", "false"),
];

macro_rules! topics {
    ($($(#[$doc:meta])* $topic:ident = $name:literal $config:ident;)*) => {
        /// A topic. Its partition count never changes: growth is a new life of the topic (an epoch).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Topic {
            $($(#[$doc])* $topic,)*
        }

        impl Topic {
            /// Every topic.
            pub const ALL: &[Self] = &[$(Self::$topic),*];

            /// The name in the cluster.
            pub fn name(self, prefix: &Prefix) -> String {
                prefix.dotted(match self {
                    $(Self::$topic => $name,)*
                })
            }

            /// Settings it is created with; `min.insync.replicas` and the replication factor come from
            /// the cluster it is created in.
            pub fn config(self) -> &'static [(&'static str, &'static str)] {
                match self {
                    $(Self::$topic => $config,)*
                }
            }
        }
    };
}

topics! {
    /// What devices report; key: the device's name.
    EventsInput = "events-input" RECORD;
    /// Copies of records that were set aside, for people and tools; the letters' table is the truth.
    EventsDlq = "events-dlq" LETTERS;
    /// What is decided about users; key: `user-` and the user's id.
    IdentityUser = "identity.user" RECORD;
    /// What is decided about sessions; key: `session-` and the session's id.
    IdentitySession = "identity.session" RECORD;
}

impl Topic {
    /// Partitions it is created with, unless a deployment says otherwise.
    pub const PARTITIONS: i32 = 12;

    /// The topic of a family's events.
    pub const fn of(family: Family) -> Self {
        match family {
            Family::Device => Self::EventsInput,
            Family::User => Self::IdentityUser,
            Family::Session => Self::IdentitySession,
        }
    }

    /// How to create it in a cluster: `min.insync.replicas` is 2 wherever there are replicas.
    pub fn plan(self, prefix: &Prefix, replication_factor: i32) -> TopicPlan {
        let min_insync_replicas = replication_factor.clamp(1, 2).to_string();
        let planned = self.config().iter().copied();
        let config = planned.chain([("min.insync.replicas", min_insync_replicas.as_str())]);
        TopicPlan {
            name: self.name(prefix),
            partitions: Self::PARTITIONS,
            replication_factor,
            config: config.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}

impl ConsumerGroup {
    /// The group id in the cluster.
    pub fn name(self, prefix: &Prefix) -> String {
        prefix.dotted(match self {
            Self::EventsProcessor => "events-processor",
            Self::EventsProcessorHistory => "events-processor.history",
            Self::ProjectorUser => "projector.user",
            Self::ProjectorSession => "projector.session",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_prefix_of_the_deployment() {
        let prefix = Prefix::parse("acme").unwrap();
        assert_eq!(Topic::EventsInput.name(&prefix), "acme.events-input");
        assert_eq!(Topic::EventsDlq.name(&Prefix::default()), "events-dlq");
        assert_eq!(Topic::IdentityUser.name(&prefix), "acme.identity.user");
        assert_eq!(Topic::IdentitySession.name(&prefix), "acme.identity.session");
        assert_eq!(ConsumerGroup::EventsProcessor.name(&prefix), "acme.events-processor");
        let history = ConsumerGroup::EventsProcessorHistory.name(&prefix);
        assert_eq!(history, "acme.events-processor.history");
        assert_eq!(ConsumerGroup::ProjectorUser.name(&prefix), "acme.projector.user");
        assert_eq!(ConsumerGroup::ProjectorSession.name(&prefix), "acme.projector.session");
    }

    #[test]
    fn no_two_topics_share_a_name() {
        let names: std::collections::BTreeSet<_> =
            Topic::ALL.iter().map(|topic| topic.name(&Prefix::default())).collect();
        assert_eq!(names.len(), Topic::ALL.len());
    }

    #[test]
    fn every_family_has_a_topic_of_its_own_that_is_kept_for_ever() {
        let topics = Family::ALL.map(Topic::of);
        let distinct: std::collections::BTreeSet<_> = topics.into_iter().collect();
        assert_eq!(distinct.len(), Family::COUNT);
        assert!(topics.iter().all(|topic| topic.config() == RECORD), "{topics:?}");
    }

    #[test]
    fn every_topic_takes_batches_of_the_stated_size() {
        for topic in Topic::ALL {
            let found = topic.config().iter().find(|(name, _)| *name == "max.message.bytes");
            assert_eq!(found.unwrap().1.parse(), Ok(MAX_MESSAGE_BYTES), "{topic:?}");
        }
    }
}
