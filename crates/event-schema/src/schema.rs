//! Every schema version ever released, as part of the program.

use std::sync::LazyLock;

/// A version of an event's schema. A released one never changes; a change is a new version, a
/// breaking change a new record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Schema {
    /// `millrace.device.DeviceEventReported`, version 1.
    DeviceEventReportedV1,
}

/// Which events share a topic: one family per kind of aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// What devices report.
    Device,
}

impl Schema {
    /// Every version of every record, oldest first within a record.
    pub const ALL: &[Self] = &[Self::DeviceEventReportedV1];

    /// The schema as it stands in its file, which is what the registry is given.
    pub fn text(self) -> &'static str {
        match self {
            Self::DeviceEventReportedV1 => {
                include_str!("../../../schemas/device/DeviceEventReported.v1.avsc")
            }
        }
    }

    /// The record's full name.
    pub fn record_name(self) -> &'static str {
        match self {
            Self::DeviceEventReportedV1 => "millrace.device.DeviceEventReported",
        }
    }

    /// The version in the file's name, counted from 1 for each record.
    pub fn version(self) -> i32 {
        match self {
            Self::DeviceEventReportedV1 => 1,
        }
    }

    /// The family, hence the topic.
    pub fn family(self) -> Family {
        match self {
            Self::DeviceEventReportedV1 => Family::Device,
        }
    }

    /// The CloudEvents `type` of the record: `<context>.<aggregate>.<fact>.v<n>`. The number rises
    /// with a breaking change, hence with a new record, not with a version of a record.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::DeviceEventReportedV1 => "millrace.device.event-reported.v1",
        }
    }

    /// The registry's subject on a topic (`TopicRecordNameStrategy`).
    pub fn subject(self, topic: &str) -> String {
        format!("{topic}-{}", self.record_name())
    }

    /// The schema of a record's name and version, if this program has it.
    pub fn find(record_name: &str, version: i32) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|schema| schema.record_name() == record_name && schema.version() == version)
    }

    /// The schema as the Avro library reads it, parsed once.
    pub(crate) fn parsed(self) -> &'static apache_avro::Schema {
        static DEVICE_EVENT_REPORTED_V1: LazyLock<apache_avro::Schema> =
            LazyLock::new(|| parse(Schema::DeviceEventReportedV1));
        match self {
            Self::DeviceEventReportedV1 => &DEVICE_EVENT_REPORTED_V1,
        }
    }
}

impl Family {
    /// The schemas of the family's events, oldest first within a record.
    pub fn schemas(self) -> impl Iterator<Item = Schema> {
        Schema::ALL.iter().copied().filter(move |schema| schema.family() == self)
    }
}

#[expect(clippy::expect_used, reason = "the text is part of the program and a test parses each")]
fn parse(schema: Schema) -> apache_avro::Schema {
    apache_avro::Schema::parse_str(schema.text()).expect("a schema file is not Avro")
}

#[cfg(test)]
mod gate;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_names_the_record_it_is_listed_under() {
        for schema in Schema::ALL {
            let name = schema.parsed().name().unwrap().fullname(None);
            assert_eq!(name, schema.record_name(), "{schema:?}");
        }
    }

    #[test]
    fn a_subject_is_the_topic_and_the_record() {
        assert_eq!(
            Schema::DeviceEventReportedV1.subject("acme.events-input"),
            "acme.events-input-millrace.device.DeviceEventReported"
        );
    }

    #[test]
    fn a_schema_is_found_by_its_record_and_version() {
        for schema in Schema::ALL {
            assert_eq!(Schema::find(schema.record_name(), schema.version()), Some(*schema));
        }
        assert_eq!(Schema::find("millrace.device.DeviceEventReported", 2_000), None);
    }
}
