//! Every schema version ever released, as part of the program.

mod device;
mod session;
mod user;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use device::DeviceSchema;
pub use session::SessionSchema;
pub use user::UserSchema;

macro_rules! families {
    ($($(#[$doc:meta])* $family:ident($schema:ident);)*) => {
        /// A version of an event's schema. A released one never changes; a change is a new version, a
        /// breaking change a new record.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Schema {
            $($(#[$doc])* $family($schema),)*
        }

        /// Which events share a topic: one family per kind of aggregate.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Family {
            $($(#[$doc])* $family,)*
        }

        impl Family {
            /// How many there are.
            pub const COUNT: usize = [$(stringify!($family)),*].len();

            /// Every family, in the order of their numbers (`as usize`).
            pub const ALL: [Self; Self::COUNT] = [$(Self::$family),*];
        }

        impl Schema {
            /// The family, hence the topic.
            pub const fn family(self) -> Family {
                match self {
                    $(Self::$family(_) => Family::$family,)*
                }
            }

            fn released(self) -> Released {
                match self {
                    $(Self::$family(schema) => schema.released(),)*
                }
            }
        }
    };
}

families! {
    /// What devices report.
    Device(DeviceSchema);
    /// What happens to users.
    User(UserSchema);
    /// What happens to sessions.
    Session(SessionSchema);
}

/// What there is to say of a schema version.
struct Released {
    text: &'static str,
    record_name: &'static str,
    version: i32,
    event_type: &'static str,
}

impl Released {
    /// The first version of a record.
    const fn first(
        text: &'static str,
        record_name: &'static str,
        event_type: &'static str,
    ) -> Self {
        Self { text, record_name, version: 1, event_type }
    }
}

impl Schema {
    /// Every version of every record, oldest first within a record.
    pub const ALL: &[Self] = &[
        Self::Device(DeviceSchema::EventReportedV1),
        Self::User(UserSchema::RegisteredV1),
        Self::User(UserSchema::EmailVerificationRequestedV1),
        Self::User(UserSchema::EmailVerifiedV1),
        Self::User(UserSchema::ProfileUpdatedV1),
        Self::User(UserSchema::EmailChangedV1),
        Self::User(UserSchema::DeactivatedV1),
        Self::User(UserSchema::ReactivatedV1),
        Self::User(UserSchema::RoleGrantedV1),
        Self::User(UserSchema::RoleRevokedV1),
        Self::User(UserSchema::PasswordChangedV1),
        Self::User(UserSchema::SessionsEndedV1),
        Self::User(UserSchema::SecondFactorEnrolledV1),
        Self::User(UserSchema::SecondFactorRemovedV1),
        Self::User(UserSchema::ErasedV1),
        Self::Session(SessionSchema::LoggedInV1),
        Self::Session(SessionSchema::RefreshedV1),
        Self::Session(SessionSchema::ReuseDetectedV1),
        Self::Session(SessionSchema::LoggedOutV1),
        Self::Session(SessionSchema::RevokedV1),
    ];

    /// The schema as it stands in its file, which is what the registry is given.
    pub fn text(self) -> &'static str {
        self.released().text
    }

    /// The record's full name.
    pub fn record_name(self) -> &'static str {
        self.released().record_name
    }

    /// The version in the file's name, counted from 1 for each record.
    pub fn version(self) -> i32 {
        self.released().version
    }

    /// The CloudEvents `type` of the record: `<context>.<aggregate>.<fact>.v<n>`. The number rises
    /// with a breaking change, hence with a new record, not with a version of a record.
    pub fn event_type(self) -> &'static str {
        self.released().event_type
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
        static PARSED: LazyLock<BTreeMap<Schema, apache_avro::Schema>> =
            LazyLock::new(|| Schema::ALL.iter().map(|schema| (*schema, parse(*schema))).collect());
        &PARSED[&self]
    }
}

impl Family {
    /// Whether its events are decided, hence stand in streams of the event store; the others are facts.
    pub const fn is_decided(self) -> bool {
        match self {
            Self::Device => false,
            Self::User | Self::Session => true,
        }
    }

    /// Those whose events are decided.
    pub fn decided() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|family| family.is_decided())
    }

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
    fn the_number_of_a_family_is_its_place_among_all() {
        for (place, family) in Family::ALL.into_iter().enumerate() {
            assert_eq!(family as usize, place, "{family:?}");
        }
    }

    #[test]
    fn a_subject_is_the_topic_and_the_record() {
        assert_eq!(
            Schema::Device(DeviceSchema::EventReportedV1).subject("acme.events-input"),
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
