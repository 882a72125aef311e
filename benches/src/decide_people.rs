//! Those about whom is decided: the same on both sides of the comparison.

use std::collections::BTreeSet;

use anyhow::Result;
use domain::role::Role;
use domain::user::{Bio, Email, FullName, RegisterUser, UpdateProfile, Username};
use uuid::Uuid;

/// A hash as long as ours are: neither side hashes passwords.
pub(crate) const PASSWORD_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$YmVuY2htYXJrLXNhbHQtMTIz$d29ya2luZyBub3RoaW5nIG91dCBoZXJlLCBieXRlcw";

/// A number that no number of people is a multiple of: its multiples visit everybody in turns.
const STRIDE: usize = 104_729;

/// Everybody, by their number.
pub(crate) struct People(Vec<Uuid>);

impl People {
    /// So many; their ids are as those of users who registered one after the other.
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Uuid::now_v7()).collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn id(&self, person: usize) -> Uuid {
        self.0[person]
    }

    /// Whose turn it is: neighbours of an index are somebody else, and so nobody is decided about twice
    /// at a time.
    pub(crate) fn turn_of(&self, index: usize) -> usize {
        index.wrapping_mul(STRIDE) % self.count()
    }
}

/// What a person registers with.
pub(crate) fn registration(person: usize) -> Result<RegisterUser> {
    Ok(RegisterUser {
        username: Username::parse(format!("Somebody-{person:09}"))?,
        email: Email::parse(format!("somebody-{person:09}@example.org"))?,
        full_name: Some(FullName::parse(format!("Some Body the {person}th"))?),
        bio: Some(Bio::parse(bio(person))?),
        image: None,
        roles: BTreeSet::from([Role::User]),
    })
}

/// A change of full name and biography, another one for each `mark`.
pub(crate) fn update(mark: usize) -> Result<UpdateProfile> {
    Ok(UpdateProfile {
        full_name: Some(Some(FullName::parse(full_name(mark))?)),
        bio: Some(Some(Bio::parse(bio(mark))?)),
        image: None,
    })
}

/// The same change as the body of a `PATCH`.
pub(crate) fn update_body(mark: usize) -> String {
    format!(r#"{{"full_name":"{}","bio":"{}"}}"#, full_name(mark), bio(mark))
}

fn full_name(mark: usize) -> String {
    format!("Some Body of {mark:09}")
}

/// 160 characters.
fn bio(mark: usize) -> String {
    format!("{mark:09} {}", "words ".repeat(25))
}
