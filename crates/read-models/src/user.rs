//! Users.
//!
//! The row is what the domain makes of the events of a stream, each folded once and in the order of
//! versions: an event at or below the row's version was folded before and changes nothing. Personal
//! fields come opened; where a person's key is gone they say nothing, and then nothing of that person
//! is kept, as after the event that says so.

mod body;
mod stored;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use domain::Timestamp;
use domain::decision::Decided;
use domain::role::Role;
use domain::user::{User, UserEvent, UserId, evolve, field};

use crate::recorded::{LogPosition, Recorded};

pub use body::{Profile, UserBody, body, full_profile};
pub use stored::{StoredUser, UserColumns, find};

/// An event whose personal fields were opened; `None` in place of one says that its person's key is
/// gone.
pub type OpenedUserEvent = Decided<UserEvent<Option<String>>>;

/// A row as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The name they are known by; absent once they are erased, as all that is personal.
    pub username: Option<String>,
    /// Where they get letters.
    pub email: Option<String>,
    /// Their full name.
    pub full_name: Option<String>,
    /// What they say of themselves.
    pub bio: Option<String>,
    /// The address of their picture.
    pub image: Option<String>,
    /// What they may be.
    pub roles: BTreeSet<Role>,
    /// Whether they showed that the address is theirs.
    pub email_verified: bool,
    /// Whether they may come in.
    pub active: bool,
    /// Whether they are forgotten.
    pub erased: bool,
    /// Which of their sessions hold: those that began in an earlier one are over. 0 once they are
    /// erased, whatever was folded before.
    pub session_epoch: u32,
    /// Version of the newest event folded.
    pub version: u64,
    /// Log time of the first event.
    pub created_at: Timestamp,
    /// Log time of the newest event.
    pub updated_at: Timestamp,
    /// The furthest of the records folded. Not always that of the newest event: a version that came
    /// late stands behind one that had to wait for it.
    pub position: LogPosition,
}

/// What a batch makes of these rows, of which those are given that were there before. Only rows that
/// change are among the result. The events of a user come in the order of their versions.
pub fn fold(
    before: HashMap<UserId, UserRow>,
    batch: impl IntoIterator<Item = Recorded<OpenedUserEvent>>,
) -> BTreeMap<UserId, UserRow> {
    let (mut before, mut after) = (before, BTreeMap::<UserId, UserRow>::new());
    for record in batch {
        let id = UserId(record.event.aggregate_id);
        let folded = after.get(&id).or(before.get(&id)).map_or(0, |row| row.version);
        if record.event.version > folded {
            let row = after.remove(&id).or_else(|| before.remove(&id));
            after.extend(UserRow::after(row, record).map(|row| (id, row)));
        }
    }
    after
}

impl UserRow {
    /// The row after an event that it has not folded; nobody has one whose stream begins with anything
    /// but a registration.
    fn after(row: Option<Self>, record: Recorded<OpenedUserEvent>) -> Option<Self> {
        let Recorded { event: Decided { version, event, .. }, position, log_time, .. } = record;
        let created_at = row.as_ref().map_or(log_time, |row| row.created_at);
        let furthest = row.as_ref().map_or(position, |row| row.position.max(position));
        let user = forget_unreadable(evolve(row.map(Self::into_user), event)?)?;
        Some(Self {
            username: user.username.flatten(),
            email: user.email.flatten(),
            full_name: user.full_name.flatten(),
            bio: user.bio.flatten(),
            image: user.image.flatten(),
            roles: user.roles,
            email_verified: user.email_verified,
            active: user.active,
            erased: user.erased,
            session_epoch: if user.erased { 0 } else { user.session_epoch },
            version,
            created_at,
            updated_at: log_time,
            position: furthest,
        })
    }

    fn into_user(self) -> User<Option<String>> {
        User {
            username: self.username.map(Some),
            email: self.email.map(Some),
            full_name: self.full_name.map(Some),
            bio: self.bio.map(Some),
            image: self.image.map(Some),
            // Nothing that readers are shown depends on it.
            email_number: 1,
            email_verified: self.email_verified,
            active: self.active,
            roles: self.roles,
            session_epoch: self.session_epoch,
            // As above.
            second_factor: false,
            erased: self.erased,
        }
    }

    /// The personal fields by name, and whether anything is known of each: all that may be told of
    /// them where people look for faults.
    pub fn known_fields(&self) -> [(&'static str, bool); 5] {
        [
            (field::USERNAME, self.username.is_some()),
            (field::EMAIL, self.email.is_some()),
            (field::FULL_NAME, self.full_name.is_some()),
            (field::BIO, self.bio.is_some()),
            (field::IMAGE, self.image.is_some()),
        ]
    }
}

/// Who cannot be read is erased: the event that says so is on its way, and nothing of what was read
/// before outlives the key.
fn forget_unreadable(user: User<Option<String>>) -> Option<User<Option<String>>> {
    let fields = [&user.username, &user.email, &user.full_name, &user.bio, &user.image];
    if fields.into_iter().any(|field| matches!(field, Some(None))) {
        evolve(Some(user), UserEvent::Erased)
    } else {
        Some(user)
    }
}

/// Personal: what is known is named and not told.
impl fmt::Debug for UserRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known =
            self.known_fields().into_iter().filter_map(|(name, is_known)| is_known.then_some(name));
        f.debug_struct("UserRow")
            .field("known", &known.collect::<Vec<_>>())
            .field("roles", &self.roles)
            .field("email_verified", &self.email_verified)
            .field("active", &self.active)
            .field("erased", &self.erased)
            .field("session_epoch", &self.session_epoch)
            .field("version", &self.version)
            .field("created_at", &self.created_at)
            .field("updated_at", &self.updated_at)
            .field("position", &self.position)
            .finish()
    }
}

#[cfg(test)]
mod tests;
