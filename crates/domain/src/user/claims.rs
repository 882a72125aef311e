//! What the events of users do to claims on unique values.

use std::time::Duration;

use super::{Email, UserEvent, Username};
use crate::Timestamp;
use crate::decision::{ClaimChange, ClaimKind};

impl<P> UserEvent<P> {
    /// What the event does to the claims of its stream. An address that nobody has shown to be
    /// theirs is claimed for the term only. `text` tells what a personal field says; one that says
    /// nothing, since the person was erased, takes nothing.
    pub fn claims(
        &self,
        occurred_at: Timestamp,
        term: Duration,
        text: impl for<'a> Fn(&'a P) -> Option<&'a str>,
    ) -> Vec<ClaimChange<'_>> {
        let username = |name| take_username(text(name));
        let email = |address| take_email(text(address), occurred_at.after(term));
        match self {
            Self::Registered { username: name, email: address, .. } => {
                username(name).into_iter().chain(email(address)).collect()
            }
            Self::EmailChanged { email: address } => email(address).into_iter().collect(),
            Self::EmailVerified => vec![ClaimChange::Confirm { kind: ClaimKind::Email }],
            Self::Erased => {
                ClaimKind::ALL.into_iter().map(|kind| ClaimChange::Release { kind }).collect()
            }
            Self::EmailVerificationRequested
            | Self::ProfileUpdated { .. }
            | Self::Deactivated
            | Self::Reactivated
            | Self::RoleGranted { .. }
            | Self::RoleRevoked { .. }
            | Self::PasswordChanged
            | Self::SessionsEnded
            | Self::SecondFactorEnrolled
            | Self::SecondFactorRemoved => Vec::new(),
        }
    }
}

fn take_username(name: Option<&str>) -> Option<ClaimChange<'_>> {
    let value = Username::normalise(name?);
    Some(ClaimChange::Take { kind: ClaimKind::Username, value, lapses_at: None })
}

fn take_email(address: Option<&str>, lapses_at: Timestamp) -> Option<ClaimChange<'_>> {
    let value = Email::normalise(address?);
    Some(ClaimChange::Take { kind: ClaimKind::Email, value, lapses_at: Some(lapses_at) })
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, granted};
    use super::*;
    use crate::role::Role;

    const NOON: Timestamp = Timestamp(1_772_366_400_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn claims(event: &UserEvent<String>) -> Vec<ClaimChange<'_>> {
        event.claims(NOON, DAY, |text| Some(text))
    }

    fn take<'a>(kind: ClaimKind, value: &'a str, lapses_at: Option<Timestamp>) -> ClaimChange<'a> {
        ClaimChange::Take { kind, value: value.into(), lapses_at }
    }

    #[test]
    fn who_registers_takes_a_name_for_ever_and_an_address_for_a_term() {
        let registered = ann_registered();
        assert_eq!(
            claims(&registered),
            [
                take(ClaimKind::Username, "ann", None),
                take(ClaimKind::Email, "ann@example.org", Some(NOON.after(DAY))),
            ]
        );
    }

    #[test]
    fn another_address_is_taken_for_a_term() {
        let changed = UserEvent::EmailChanged { email: "Ann@Example.COM".to_owned() };
        assert_eq!(
            claims(&changed),
            [take(ClaimKind::Email, "ann@example.com", Some(NOON.after(DAY)))]
        );
    }

    #[test]
    fn a_verified_address_is_kept() {
        let verified = UserEvent::EmailVerified;
        assert_eq!(claims(&verified), [ClaimChange::Confirm { kind: ClaimKind::Email }]);
    }

    #[test]
    fn who_is_erased_holds_nothing() {
        let released = ClaimKind::ALL.map(|kind| ClaimChange::Release { kind });
        assert_eq!(claims(&UserEvent::Erased), released);
    }

    #[test]
    fn other_events_leave_claims_alone() {
        for event in [
            UserEvent::EmailVerificationRequested,
            UserEvent::Deactivated,
            UserEvent::Reactivated,
            granted(Role::Admin),
            UserEvent::PasswordChanged,
            UserEvent::SessionsEnded,
            UserEvent::SecondFactorEnrolled,
            UserEvent::SecondFactorRemoved,
        ] {
            assert_eq!(claims(&event), [], "{event:?}");
        }
    }

    #[test]
    fn what_cannot_be_opened_any_more_takes_nothing() {
        let unread = ann_registered().map(&mut |_, _| Ok::<_, ()>(None::<String>)).unwrap();
        assert_eq!(unread.claims(NOON, DAY, Option::as_deref), []);
    }
}
