//! A user as answers to commands show them: to themselves and to admins.

use domain::role::Role;
use domain::user::User;
use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::decision::answer::Answer;

/// All that is known of a user, but when: times are the log's to say.
#[derive(Serialize)]
struct Shown<'a> {
    id: Uuid,
    username: Option<&'a str>,
    email: Option<&'a str>,
    email_verified: bool,
    full_name: Option<&'a str>,
    bio: Option<&'a str>,
    image: Option<&'a str>,
    active: bool,
    roles: Vec<&'static str>,
    version: u64,
}

/// The answer that shows the user.
pub(super) fn shown(id: Uuid) -> impl Fn(&User<String>, u64) -> Answer {
    move |user, version| {
        let shown = Shown {
            id,
            username: user.username.as_deref(),
            email: user.email.as_deref(),
            email_verified: user.email_verified,
            full_name: user.full_name.as_deref(),
            bio: user.bio.as_deref(),
            image: user.image.as_deref(),
            active: user.active,
            roles: user.roles.iter().copied().map(Role::name).collect(),
            version,
        };
        Answer::showing(StatusCode::OK, version, &shown).at(path_of(id))
    }
}

/// The answer that shows whoever has become a user just now.
pub(super) fn registered(id: Uuid) -> impl Fn(&User<String>, u64) -> Answer {
    let shown = shown(id);
    move |user, version| Answer { status: StatusCode::CREATED, ..shown(user, version) }
}

/// The answer that shows nothing of the user.
pub(super) fn nothing(_: &User<String>, version: u64) -> Answer {
    Answer { version: Some(version), ..Answer::empty() }
}

/// Where a user is read.
pub(super) fn path_of(id: Uuid) -> String {
    super::PATH.replace("{id}", &id.to_string())
}
