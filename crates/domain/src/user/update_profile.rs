//! Updating a profile: a user tells other things of themselves.

use super::{Bio, FullName, ImageUrl, NoSuchUser, ProfileChange, User, UserEvent};
use crate::decision::Command;

/// Says what a profile tells from now on. For each field: `None` leaves it, `Some(None)` clears it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateProfile {
    /// Their full name.
    pub full_name: Option<Option<FullName>>,
    /// What they say of themselves.
    pub bio: Option<Option<Bio>>,
    /// The address of their picture.
    pub image: Option<Option<ImageUrl>>,
}

impl Command for UpdateProfile {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = NoSuchUser;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let user = User::of(state)?;
        let change = ProfileChange {
            full_name: differing(
                self.full_name.map(|name| name.map(FullName::into_string)),
                user.full_name.as_ref(),
            ),
            bio: differing(self.bio.map(|bio| bio.map(Bio::into_string)), user.bio.as_ref()),
            image: differing(
                self.image.map(|image| image.map(ImageUrl::into_string)),
                user.image.as_ref(),
            ),
        };
        if change.fields().is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![UserEvent::ProfileUpdated { change }])
    }
}

/// What is told, unless it is what was told before.
fn differing(told: Option<Option<String>>, before: Option<&String>) -> Option<Option<String>> {
    told.filter(|told| told.as_ref() != before)
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given};
    use super::*;

    fn full_name(text: &str) -> Option<Option<FullName>> {
        Some(Some(FullName::parse(text).unwrap()))
    }

    fn bio(text: &str) -> Option<Option<Bio>> {
        Some(Some(Bio::parse(text).unwrap()))
    }

    fn updated(change: ProfileChange<String>) -> UserEvent<String> {
        UserEvent::ProfileUpdated { change }
    }

    #[test]
    fn what_is_told_anew_replaces_what_was_told() {
        given([ann_registered()])
            .when(UpdateProfile {
                full_name: full_name("Ann Jones"),
                image: Some(Some(ImageUrl::parse("https://example.org/a.png").unwrap())),
                ..UpdateProfile::default()
            })
            .then([updated(ProfileChange {
                full_name: Some(Some("Ann Jones".to_owned())),
                image: Some(Some("https://example.org/a.png".to_owned())),
                ..ProfileChange::default()
            })]);
    }

    #[test]
    fn a_field_can_be_cleared() {
        given([ann_registered()])
            .when(UpdateProfile { full_name: Some(None), ..UpdateProfile::default() })
            .then([updated(ProfileChange { full_name: Some(None), ..ProfileChange::default() })]);
    }

    #[test]
    fn only_what_differs_is_an_event() {
        given([ann_registered()])
            .when(UpdateProfile {
                full_name: full_name("Ann Smith"),
                bio: bio("Hi"),
                image: Some(None),
            })
            .then([updated(ProfileChange {
                bio: Some(Some("Hi".to_owned())),
                ..ProfileChange::default()
            })]);
    }

    #[test]
    fn telling_the_same_again_changes_nothing() {
        given([ann_registered()])
            .when(UpdateProfile { full_name: full_name("Ann Smith"), ..UpdateProfile::default() })
            .then([]);
        given([ann_registered()]).when(UpdateProfile::default()).then([]);
    }

    #[test]
    fn there_must_be_somebody_to_tell_of() {
        let update = UpdateProfile { bio: bio("Hi"), ..UpdateProfile::default() };
        given([]).when(update.clone()).then_error(NoSuchUser::NotFound);
        given([ann_registered(), UserEvent::Erased]).when(update).then_error(NoSuchUser::Erased);
    }
}
