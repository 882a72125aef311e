//! The doctor: what is wrong with a cluster for us, each fault by name.
//!
//! [`findings`] judges a described cluster and is pure; [`examine`] describes the cluster and tells
//! "nobody answers", where waiting helps, from faults that only a person can mend.

use std::fmt;
use std::time::Duration;

use settings::Prefix;

use crate::admin::{self, AdminError, Cluster, DescribedTopic};
use crate::config::KafkaConfig;
use crate::topic::Topic;

/// What we need of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The topics and how many partitions each was created with.
    pub topics: Vec<NeededTopic>,
    /// The largest batch that is produced, in bytes.
    pub batch_bytes: u64,
    /// The largest record that is produced, key and headers included, in bytes.
    pub largest_record_bytes: u64,
}

/// A topic we need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededTopic {
    /// Which.
    pub topic: Topic,
    /// Its name in the cluster.
    pub name: String,
    /// The partition count that was recorded when it was created.
    pub partitions: i32,
}

impl NeededTopic {
    /// A topic under the deployment's prefix, with its recorded partition count.
    pub fn new(topic: Topic, prefix: &Prefix, partitions: i32) -> Self {
        Self { topic, name: topic.name(prefix), partitions }
    }
}

/// What kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// The topic does not exist.
    TopicMissing,
    /// The topic has another number of partitions than was recorded: keys have moved.
    PartitionCount,
    /// The topic's settings may not be read, so nothing below is known of it.
    SettingsUnreadable,
    /// Records are not stamped when they are appended.
    TimestampType,
    /// Records are compacted away.
    CleanupPolicy,
    /// Records are deleted too early.
    Retention,
    /// Batches or records that are produced are larger than the topic takes.
    MaxMessageBytes,
    /// An acknowledged record may be on one broker only, or no record can be acknowledged.
    MinInsyncReplicas,
    /// A partition is on one broker although there are others.
    ReplicationFactor,
    /// A broker that missed records may lead.
    UncleanLeaderElection,
    /// A misspelt name becomes a topic.
    AutoCreateTopics,
}

/// A fault of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// The topic at fault, or `None` for the brokers.
    pub topic: Option<String>,
    /// The setting.
    pub setting: &'static str,
    /// What it is.
    pub found: String,
    /// What it must be.
    pub needed: String,
}

impl FindingKind {
    /// A stable name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopicMissing => "topic-missing",
            Self::PartitionCount => "partition-count",
            Self::SettingsUnreadable => "settings-unreadable",
            Self::TimestampType => "timestamp-type",
            Self::CleanupPolicy => "cleanup-policy",
            Self::Retention => "retention",
            Self::MaxMessageBytes => "max-message-bytes",
            Self::MinInsyncReplicas => "min-insync-replicas",
            Self::ReplicationFactor => "replication-factor",
            Self::UncleanLeaderElection => "unclean-leader-election",
            Self::AutoCreateTopics => "auto-create-topics",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.topic {
            Some(topic) => write!(f, "topic {topic}")?,
            None => f.write_str("the brokers")?,
        }
        write!(f, ": {} is {}, needed is {}", self.setting, self.found, self.needed)
    }
}

/// Describes the cluster before the deadline and judges it.
pub async fn examine(
    config: &KafkaConfig,
    needs: &Needs,
    deadline: Duration,
) -> Result<Vec<Finding>, AdminError> {
    let names: Vec<String> = needs.topics.iter().map(|topic| topic.name.clone()).collect();
    let cluster = admin::describe(config, &names, deadline).await?;
    Ok(findings(&cluster, needs))
}

/// Everything that is wrong with a cluster for us.
pub fn findings(cluster: &Cluster, needs: &Needs) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        needs.topics.iter().flat_map(|topic| topic_findings(cluster, needs, topic)).collect();
    if cluster.auto_create_topics == Some(true) {
        found.push(Finding {
            kind: FindingKind::AutoCreateTopics,
            topic: None,
            setting: "auto.create.topics.enable",
            found: "true".to_owned(),
            needed: "false".to_owned(),
        });
    }
    found
}

fn topic_findings(cluster: &Cluster, needs: &Needs, needed: &NeededTopic) -> Vec<Finding> {
    let mut report = Report { topic: &needed.name, findings: Vec::new() };
    match cluster.topics.get(&needed.name) {
        None => report.add(FindingKind::TopicMissing, "the topic", "missing", "created"),
        Some(described) => {
            check_layout(&mut report, cluster, needed, described);
            check_settings(&mut report, needs, needed, described);
        }
    }
    report.findings
}

fn check_layout(
    report: &mut Report<'_>,
    cluster: &Cluster,
    needed: &NeededTopic,
    described: &DescribedTopic,
) {
    if described.partitions != needed.partitions {
        let (found, needed) = (described.partitions, needed.partitions);
        report.add(FindingKind::PartitionCount, "the partition count", found, needed);
    }
    if described.replication_factor < 2 && cluster.brokers > 1 {
        let found = described.replication_factor;
        report.add(FindingKind::ReplicationFactor, "the replication factor", found, "2 or more");
    }
}

fn check_settings(
    report: &mut Report<'_>,
    needs: &Needs,
    needed: &NeededTopic,
    described: &DescribedTopic,
) {
    let Some(config) = &described.config else {
        let needed = "readable (allow DescribeConfigs)";
        report.add(FindingKind::SettingsUnreadable, "the configuration", "unreadable", needed);
        return;
    };
    let setting = |name: &str| config.get(name).map_or("unset", String::as_str);
    for (name, value) in needed.topic.config() {
        let found = setting(name);
        let Some((kind, needed)) = fault(name, found, value) else { continue };
        report.add(kind, name, found, needed);
    }

    let room = setting("max.message.bytes").parse().unwrap_or(0);
    let least = (needs.batch_bytes.saturating_mul(10).div_ceil(9)).max(needs.largest_record_bytes);
    if room < least {
        let needed = format!(
            "{least} or more, for batches of {} bytes and records of {}",
            needs.batch_bytes, needs.largest_record_bytes
        );
        report.add(FindingKind::MaxMessageBytes, "max.message.bytes", room, needed);
    }

    let replicas = described.replication_factor;
    let in_sync: i32 = setting("min.insync.replicas").parse().unwrap_or(0);
    if in_sync < replicas.min(2) || in_sync > replicas {
        let needed = format!("2 up to the replication factor of {replicas}");
        let needed = if replicas < 2 { "1 for a single replica".to_owned() } else { needed };
        report.add(FindingKind::MinInsyncReplicas, "min.insync.replicas", in_sync, needed);
    }
}

/// Whether a setting differs from its plan in a way that matters.
fn fault(setting: &str, found: &str, planned: &str) -> Option<(FindingKind, String)> {
    let exactly = |kind| (found != planned).then(|| (kind, planned.to_owned()));
    match setting {
        "message.timestamp.type" => exactly(FindingKind::TimestampType),
        "cleanup.policy" => exactly(FindingKind::CleanupPolicy),
        "unclean.leader.election.enable" => exactly(FindingKind::UncleanLeaderElection),
        "retention.ms" | "retention.bytes" => (!lasts(found, planned)).then(|| {
            let needed = if planned == "-1" { "-1 (without limit)" } else { planned };
            (FindingKind::Retention, needed.to_owned())
        }),
        // Judged by what is produced, not by the plan.
        _ => None,
    }
}

/// Whether a retention is at least as long as planned; -1 is without limit.
fn lasts(found: &str, planned: &str) -> bool {
    match (found.parse::<i64>(), planned.parse::<i64>()) {
        (Ok(-1), _) => true,
        (Ok(_), Ok(-1)) => false,
        (Ok(found), Ok(planned)) => found >= planned,
        _ => false,
    }
}

struct Report<'a> {
    topic: &'a str,
    findings: Vec<Finding>,
}

impl Report<'_> {
    fn add(
        &mut self,
        kind: FindingKind,
        setting: &'static str,
        found: impl ToString,
        needed: impl ToString,
    ) {
        self.findings.push(Finding {
            kind,
            topic: Some(self.topic.to_owned()),
            setting,
            found: found.to_string(),
            needed: needed.to_string(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::MAX_MESSAGE_BYTES;

    fn needs() -> Needs {
        let prefix = Prefix::default();
        Needs {
            topics: Topic::ALL
                .iter()
                .map(|topic| NeededTopic::new(*topic, &prefix, Topic::PARTITIONS))
                .collect(),
            batch_bytes: 1_000_000,
            largest_record_bytes: 200_000,
        }
    }

    /// Three brokers with every topic as planned.
    fn healthy() -> Cluster {
        let topic = |topic: &Topic| {
            let planned = topic.config().iter().copied().chain([("min.insync.replicas", "2")]);
            let described = DescribedTopic {
                partitions: Topic::PARTITIONS,
                replication_factor: 3,
                config: Some(planned.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()),
            };
            (topic.name(&Prefix::default()), described)
        };
        let topics = Topic::ALL.iter().map(topic).collect();
        Cluster { brokers: 3, auto_create_topics: Some(false), topics }
    }

    fn with(change: impl FnOnce(&mut DescribedTopic)) -> Vec<Finding> {
        let mut cluster = healthy();
        change(cluster.topics.get_mut("events-input").unwrap());
        findings(&cluster, &needs())
    }

    fn with_setting(name: &str, value: &str) -> Vec<Finding> {
        with(|topic| {
            topic.config.as_mut().unwrap().insert(name.to_owned(), value.to_owned());
        })
    }

    fn only(findings: Vec<Finding>) -> (FindingKind, String) {
        assert_eq!(findings.len(), 1, "{findings:?}");
        (findings[0].kind, findings[0].to_string())
    }

    #[test]
    fn a_cluster_as_planned_is_healthy() {
        assert_eq!(findings(&healthy(), &needs()), []);
    }

    #[test]
    fn one_broker_with_one_replica_is_healthy() {
        let mut cluster = healthy();
        cluster.brokers = 1;
        for topic in cluster.topics.values_mut() {
            topic.replication_factor = 1;
            let config = topic.config.as_mut().unwrap();
            config.insert("min.insync.replicas".to_owned(), "1".to_owned());
        }
        assert_eq!(findings(&cluster, &needs()), []);
    }

    #[test]
    fn a_missing_topic_is_named() {
        let mut cluster = healthy();
        cluster.topics.remove("events-dlq");
        assert_eq!(
            only(findings(&cluster, &needs())),
            (
                FindingKind::TopicMissing,
                "topic events-dlq: the topic is missing, needed is created".to_owned()
            )
        );
    }

    #[test]
    fn a_grown_topic_is_named_with_both_counts() {
        assert_eq!(
            only(with(|topic| topic.partitions = 24)),
            (
                FindingKind::PartitionCount,
                "topic events-input: the partition count is 24, needed is 12".to_owned()
            )
        );
    }

    #[test]
    fn each_wrong_setting_is_named() {
        for (setting, value, kind) in [
            ("message.timestamp.type", "CreateTime", FindingKind::TimestampType),
            ("cleanup.policy", "compact", FindingKind::CleanupPolicy),
            ("cleanup.policy", "compact,delete", FindingKind::CleanupPolicy),
            ("retention.ms", "604800000", FindingKind::Retention),
            ("retention.bytes", "1073741824", FindingKind::Retention),
            ("max.message.bytes", "1048588", FindingKind::MaxMessageBytes),
            ("max.message.bytes", "20000", FindingKind::MaxMessageBytes),
            ("min.insync.replicas", "1", FindingKind::MinInsyncReplicas),
            ("min.insync.replicas", "4", FindingKind::MinInsyncReplicas),
            ("unclean.leader.election.enable", "true", FindingKind::UncleanLeaderElection),
        ] {
            let (found, message) = only(with_setting(setting, value));
            assert_eq!(found, kind, "{setting} = {value}");
            assert!(
                message.starts_with(&format!("topic events-input: {setting} is {value}, needed")),
                "{message}"
            );
        }
    }

    #[test]
    fn letters_may_be_kept_longer_than_planned_but_not_shorter() {
        let keep = |millis: &str| {
            let mut cluster = healthy();
            let topic = cluster.topics.get_mut("events-dlq").unwrap();
            let config = topic.config.as_mut().unwrap();
            config.insert("retention.ms".to_owned(), millis.to_owned());
            findings(&cluster, &needs())
        };
        assert_eq!(keep("-1"), []);
        assert_eq!(keep("2592000001"), []);
        assert_eq!(only(keep("2591999999")).0, FindingKind::Retention);
    }

    #[test]
    fn a_record_larger_than_the_topic_takes_is_named() {
        let largest_record_bytes = MAX_MESSAGE_BYTES + 1;
        let found = findings(&healthy(), &Needs { largest_record_bytes, ..needs() });
        assert!(found.iter().all(|finding| finding.kind == FindingKind::MaxMessageBytes));
        assert_eq!(found.len(), Topic::ALL.len());
    }

    #[test]
    fn one_replica_among_several_brokers_is_named() {
        let findings = with(|topic| topic.replication_factor = 1);
        let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::ReplicationFactor, FindingKind::MinInsyncReplicas]);
    }

    #[test]
    fn settings_that_may_not_be_read_are_no_silent_pass() {
        assert_eq!(only(with(|topic| topic.config = None)).0, FindingKind::SettingsUnreadable);
    }

    #[test]
    fn brokers_that_create_topics_by_themselves_are_named() {
        let mut cluster = healthy();
        cluster.auto_create_topics = Some(true);
        assert_eq!(
            only(findings(&cluster, &needs())),
            (
                FindingKind::AutoCreateTopics,
                "the brokers: auto.create.topics.enable is true, needed is false".to_owned()
            )
        );
    }

    #[tokio::test]
    async fn a_cluster_that_nobody_answers_for_is_unreachable_and_not_at_fault() {
        let config = KafkaConfig::plaintext("127.0.0.1:1", "test");
        let examined = examine(&config, &needs(), Duration::from_millis(200)).await;
        assert!(matches!(examined, Err(AdminError::Unreachable { .. })), "{examined:?}");
    }
}
