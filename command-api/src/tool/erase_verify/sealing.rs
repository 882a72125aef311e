//! Whether the personal fields of an event are sealed.

use domain::decision::Decided;
use domain::user::{UserEvent, UserId};
use event_schema::decode::{Decoder, KnownId};
use event_schema::personal::Sealed;

use super::report::{Found, Place};

/// One byte of form, 12 of nonce, 16 of tag: what a sealed text has besides its own bytes.
const LEAST_BYTES: usize = 29;
const FORM: u8 = 1;

/// Reads events of users.
pub(super) struct Sealing(Decoder<Decided<UserEvent<Sealed>>>);

/// What is seen of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Whatever is personal in it is sealed.
    Sealed,
    /// Something personal is not.
    Clear,
    /// It cannot be read.
    Unreadable,
}

/// Events of one place.
#[derive(Debug, Default)]
pub(super) struct SeenEvents {
    sealed: u64,
    clear: u64,
    unreadable: u64,
}

impl Sealing {
    pub(super) fn new(known: impl IntoIterator<Item = KnownId>) -> Self {
        Self(Decoder::new(known))
    }

    /// Looks at the values of a place; without knowing how, at none.
    pub(super) fn look<'v>(
        sealing: &Result<Self, String>,
        name: impl Into<String>,
        of: &'static str,
        values: impl IntoIterator<Item = &'v [u8]>,
        places: &mut Vec<Place>,
    ) {
        match sealing {
            Err(why) => places.push(Place::not_looked_at(name, why)),
            Ok(sealing) => {
                let mut seen = SeenEvents::default();
                values.into_iter().for_each(|value| seen.add(sealing.see(value).1));
                seen.places(name, of, places);
            }
        }
    }

    /// Whose event a value is, if it is one, and what is seen of it.
    pub(super) fn see(&self, value: &[u8]) -> (Option<UserId>, Seen) {
        let Ok(decided) = self.0.decode(value) else { return (None, Seen::Unreadable) };
        let is_sealed = |sealed: &Sealed| {
            sealed.bytes.first() == Some(&FORM) && sealed.bytes.len() >= LEAST_BYTES
        };
        let looked =
            decided.event.map(&mut |_, sealed| if is_sealed(&sealed) { Ok(()) } else { Err(()) });
        let seen = if looked.is_ok() { Seen::Sealed } else { Seen::Clear };
        (Some(UserId(decided.aggregate_id)), seen)
    }
}

impl SeenEvents {
    pub(super) fn add(&mut self, seen: Seen) {
        match seen {
            Seen::Sealed => self.sealed += 1,
            Seen::Clear => self.clear += 1,
            Seen::Unreadable => self.unreadable += 1,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.sealed + self.clear + self.unreadable
    }

    /// What was seen; and apart, that some could not be read.
    pub(super) fn places(
        &self,
        name: impl Into<String>,
        of: &'static str,
        places: &mut Vec<Place>,
    ) {
        let name = name.into();
        let found = [Found::new(self.clear, "with a personal field in clear")];
        places.push(Place::looked_at(&name, self.sealed + self.clear, of, found));
        if self.unreadable > 0 {
            let why = format!("{} of them cannot be read as events of a user", self.unreadable);
            places.push(Place::not_looked_at(name, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use event_schema::personal::SubjectKey;
    use event_schema::schema::Family;
    use event_schema::user::{encode, schema_of};
    use uuid::Uuid;

    use super::*;

    fn known() -> Vec<KnownId> {
        let known = |(schema, schema_id): (event_schema::schema::Schema, u32)| KnownId {
            schema_id,
            record_name: schema.record_name().to_owned(),
            version: schema.version(),
        };
        Family::User.schemas().zip(7..).map(known).collect()
    }

    /// The value of a change of address, with these bytes in its field.
    fn value(bytes: impl FnOnce(Uuid) -> Vec<u8>) -> Vec<u8> {
        let event_id = Uuid::from_u128(1);
        let email = Sealed { event_id, field: "email", bytes: bytes(event_id) };
        let event = UserEvent::EmailChanged { email };
        let schema = schema_of(&event);
        let schema_id = known()
            .into_iter()
            .find(|known| known.record_name == schema.record_name())
            .map(|known| known.schema_id);
        let decided = Decided {
            event_id,
            aggregate_id: Uuid::from_u128(7),
            version: 2,
            previous_id: Some(Uuid::from_u128(2)),
            occurred_at: Timestamp(0),
            event,
        };
        encode(&decided, schema_id.unwrap()).unwrap()
    }

    #[test]
    fn a_sealed_field_is_told_from_one_in_clear() {
        let sealing = Sealing::new(known());
        let user = Some(UserId(Uuid::from_u128(7)));
        let sealed = value(|id| SubjectKey::generate().seal(id, "email", "").bytes);
        assert_eq!(sealing.see(&sealed), (user, Seen::Sealed));
        for clear in ["ann@example.org", "", "\u{1}", "a-much-longer-address-of-ann@example.org"] {
            let clear = value(|_| clear.as_bytes().to_vec());
            assert_eq!(sealing.see(&clear), (user, Seen::Clear));
        }
        assert_eq!(sealing.see(b"ann@example.org"), (None, Seen::Unreadable));
    }

    #[test]
    fn what_cannot_be_read_is_a_place_that_was_not_looked_at() {
        let sealing = Ok(Sealing::new(known()));
        let mut places = Vec::new();
        let clear = value(|_| b"ann".to_vec());
        Sealing::look(&sealing, "letters", "letter", [&clear[..], b"junk"], &mut places);
        assert_eq!(
            places,
            [
                Place::looked_at(
                    "letters",
                    1,
                    "letter",
                    [Found::new(1, "with a personal field in clear")]
                ),
                Place::not_looked_at("letters", "1 of them cannot be read as events of a user"),
            ]
        );
    }
}
