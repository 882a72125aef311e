//! Refreshing: a refresh token is exchanged for the next one.

use std::time::Duration;

use super::{ClientMark, FIRST_GENERATION, Session, SessionEvent, SessionLife};
use crate::Timestamp;
use crate::decision::Command;

/// Exchanges the refresh token of a generation. Where that is allowed, the present generation
/// afterwards is the one to give out: the next one, or once more the one that was given out before,
/// since an answer may be lost. A token that comes again otherwise is no error here but the event
/// that ends the session: where the session has an end afterwards, nothing is to be given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshSession {
    /// The generation of the token. That it was not made up was found out before.
    pub generation: u32,
    /// Who brings it.
    pub client: ClientMark,
    /// When.
    pub at: Timestamp,
    /// What is known of the session's user.
    pub user: UserStanding,
    /// How long what holds.
    pub rules: RefreshRules,
}

/// Whether a user may stay in, as their own stream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserStanding {
    /// Whether they may come in.
    pub active: bool,
    /// Which of their sessions hold: [`crate::user::User::session_epoch`].
    pub session_epoch: u32,
}

/// How long sessions and their refresh tokens are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshRules {
    /// For how long the same client is given the same next token again.
    pub repeat_within: Duration,
    /// After which time no token is good any more.
    pub life: SessionLife,
}

/// Why no token is given, and nothing happened. Whoever asked is not told which it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshSessionError {
    /// Nobody has logged in under this id.
    #[error("there is no such session")]
    NotFound,
    /// It was ended.
    #[error("the session has ended")]
    Ended,
    /// It was not used for too long, or has lasted too long.
    #[error("the session has lapsed")]
    Lapsed,
    /// The user may not come in any more, or all their sessions of then were ended.
    #[error("the user is out")]
    UserIsOut,
    /// The generation has not been given out yet.
    #[error("no refresh token of this generation was ever given")]
    NeverIssued,
}

/// What a token is to a session.
enum Presented {
    /// The one that was given out last.
    Present,
    /// The one before, come again as a retry does.
    Repeated,
    /// One that was exchanged before.
    Reused,
    /// None that was ever given out.
    NeverIssued,
}

impl Command for RefreshSession {
    type State = Session;
    type Event = SessionEvent;
    type Error = RefreshSessionError;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let session = state.ok_or(RefreshSessionError::NotFound)?;
        if session.end.is_some() {
            return Err(RefreshSessionError::Ended);
        }
        match self.presented(session) {
            Presented::Present => {
                self.must_go_on(session)?;
                // A session lapses long before its generations are used up.
                let next = self.generation.checked_add(1).ok_or(RefreshSessionError::Lapsed)?;
                let Self { client, at: refreshed_at, .. } = self;
                Ok(vec![SessionEvent::Refreshed { generation: next, client, refreshed_at }])
            }
            Presented::Repeated => self.must_go_on(session).map(|()| Vec::new()),
            // Whoever was robbed is told by it, also where the thief would get nothing any more.
            Presented::Reused => {
                let Self { generation, client, .. } = self;
                Ok(vec![SessionEvent::ReuseDetected { generation, client: Some(client) }])
            }
            Presented::NeverIssued => Err(RefreshSessionError::NeverIssued),
        }
    }
}

impl RefreshSession {
    fn presented(&self, session: &Session) -> Presented {
        let generation = self.generation;
        if generation < FIRST_GENERATION || generation > session.generation {
            Presented::NeverIssued
        } else if generation == session.generation {
            Presented::Present
        } else if self.is_retry(session) {
            Presented::Repeated
        } else {
            Presented::Reused
        }
    }

    /// Whether whoever exchanged the token before the present one asks for the present one again:
    /// their answer was lost, or several of their requests were under way at once. Clocks differ a
    /// little, so it may seem to come before it was exchanged, and by no more than it may come after:
    /// a clock that is far behind would take every token for a retry. Of an older token nobody has
    /// lost the answer: what it was exchanged for was exchanged itself since.
    fn is_retry(&self, session: &Session) -> bool {
        let (exchanged_at, within) = (session.refreshed_at, self.rules.repeat_within);
        self.generation.checked_add(1) == Some(session.generation)
            && self.client == session.client
            && self.at <= exchanged_at.after(within)
            && exchanged_at <= self.at.after(within)
    }

    fn must_go_on(&self, session: &Session) -> Result<(), RefreshSessionError> {
        let lapses_at = self.rules.life.lapses_at(session.started_at, session.refreshed_at);
        if self.at >= lapses_at {
            return Err(RefreshSessionError::Lapsed);
        }
        let UserStanding { active, session_epoch } = self.user;
        if active && session_epoch == session.session_epoch {
            Ok(())
        } else {
            Err(RefreshSessionError::UserIsOut)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{EPOCH, RULES, after, given, laptop, logged_in, phone, refreshed};
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    /// By her phone, so many seconds after the login.
    fn refresh(generation: u32, seconds: u64) -> RefreshSession {
        RefreshSession {
            generation,
            client: phone(),
            at: after(seconds),
            user: UserStanding { active: true, session_epoch: EPOCH },
            rules: RULES,
        }
    }

    fn by_laptop(generation: u32, seconds: u64) -> RefreshSession {
        RefreshSession { client: laptop(), ..refresh(generation, seconds) }
    }

    fn reuse_of(generation: u32, client: ClientMark) -> SessionEvent {
        SessionEvent::ReuseDetected { generation, client: Some(client) }
    }

    /// The second token was given to her phone after a minute.
    fn once() -> [SessionEvent; 2] {
        [logged_in(), refreshed(2, phone(), 60)]
    }

    #[test]
    fn the_present_token_is_exchanged_for_the_next() {
        given([logged_in()]).when(refresh(1, 60)).then([refreshed(2, phone(), 60)]);
        given(once()).when(refresh(2, 120)).then([refreshed(3, phone(), 120)]);
    }

    #[test]
    fn a_client_may_call_itself_otherwise_from_one_token_to_the_next() {
        given(once()).when(by_laptop(2, 120)).then([refreshed(3, laptop(), 120)]);
    }

    #[test]
    fn the_token_before_is_good_for_ten_seconds_to_the_client_that_exchanged_it() {
        for seconds in [60, 61, 70] {
            given(once()).when(refresh(1, seconds)).then([]);
        }
        // By a clock that is a little behind.
        for seconds in [59, 50] {
            given(once()).when(refresh(1, seconds)).then([]);
        }
    }

    #[test]
    fn by_a_clock_that_is_far_behind_the_token_before_is_no_retry() {
        given(once()).when(refresh(1, 49)).then([reuse_of(1, phone())]);
    }

    #[test]
    fn the_token_before_ends_the_session_after_ten_seconds() {
        given(once()).when(refresh(1, 71)).then([reuse_of(1, phone())]);
        let at = Timestamp(after(70).micros() + 1);
        let late = RefreshSession { at, ..refresh(1, 70) };
        given(once()).when(late).then([reuse_of(1, phone())]);
    }

    #[test]
    fn the_token_before_ends_the_session_where_another_client_brings_it() {
        given(once()).when(by_laptop(1, 61)).then([reuse_of(1, laptop())]);
        // The client counts that exchanged the token, not the one it had been given to.
        let exchanged_by_laptop = [logged_in(), refreshed(2, laptop(), 60)];
        given(exchanged_by_laptop.clone()).when(by_laptop(1, 61)).then([]);
        given(exchanged_by_laptop).when(refresh(1, 61)).then([reuse_of(1, phone())]);
    }

    #[test]
    fn an_older_token_ends_the_session_at_once() {
        let twice = [logged_in(), refreshed(2, phone(), 60), refreshed(3, phone(), 61)];
        given(twice.clone()).when(refresh(1, 62)).then([reuse_of(1, phone())]);
        given(twice).when(refresh(2, 62)).then([]);
    }

    #[test]
    fn a_token_that_was_never_given_changes_nothing() {
        for generation in [0, 3, 4, u32::MAX] {
            given(once())
                .when(refresh(generation, 61))
                .then_error(RefreshSessionError::NeverIssued);
        }
        given([logged_in()]).when(refresh(0, 1)).then_error(RefreshSessionError::NeverIssued);
    }

    #[test]
    fn a_token_that_lay_unused_for_two_weeks_has_lapsed() {
        let lapsed = RefreshSessionError::Lapsed;
        given([logged_in()]).when(refresh(1, 14 * DAY)).then_error(lapsed);
        let last = 14 * DAY - 1;
        given([logged_in()]).when(refresh(1, last)).then([refreshed(2, phone(), last)]);
        // Each use gives it two weeks more.
        let used = [logged_in(), refreshed(2, phone(), last)];
        given(used.clone()).when(refresh(2, last + 14 * DAY)).then_error(lapsed);
        let last = last + 14 * DAY - 1;
        given(used).when(refresh(2, last)).then([refreshed(3, phone(), last)]);
    }

    #[test]
    fn a_session_that_has_lasted_three_months_has_lapsed_however_it_was_used() {
        let (lapsed, end) = (RefreshSessionError::Lapsed, 90 * DAY);
        let used = [logged_in(), refreshed(2, phone(), end - 5)];
        given(used.clone()).when(refresh(2, end - 1)).then([refreshed(3, phone(), end - 1)]);
        given(used.clone()).when(refresh(2, end)).then_error(lapsed);
        // Also for a retry.
        given(used.clone()).when(refresh(1, end - 1)).then([]);
        given(used).when(refresh(1, end)).then_error(lapsed);
    }

    #[test]
    fn the_last_generation_of_all_has_no_next() {
        given([logged_in(), refreshed(u32::MAX, phone(), 60)])
            .when(refresh(u32::MAX, 61))
            .then_error(RefreshSessionError::Lapsed);
    }

    #[test]
    fn nothing_is_exchanged_in_a_session_that_has_ended() {
        for end in [SessionEvent::LoggedOut, SessionEvent::Revoked, reuse_of(1, laptop())] {
            for generation in [1, 2, 3] {
                let [first, second] = once();
                given([first, second, end.clone()])
                    .when(refresh(generation, 61))
                    .then_error(RefreshSessionError::Ended);
            }
        }
    }

    #[test]
    fn who_may_not_come_in_any_more_does_not_stay_in() {
        let user = UserStanding { active: false, session_epoch: EPOCH };
        for generation in [2, 1] {
            given(once())
                .when(RefreshSession { user, ..refresh(generation, 61) })
                .then_error(RefreshSessionError::UserIsOut);
        }
    }

    #[test]
    fn who_ended_all_sessions_ended_this_one() {
        for session_epoch in [EPOCH + 1, EPOCH - 1] {
            let user = UserStanding { active: true, session_epoch };
            for generation in [2, 1] {
                given(once())
                    .when(RefreshSession { user, ..refresh(generation, 61) })
                    .then_error(RefreshSessionError::UserIsOut);
            }
        }
    }

    #[test]
    fn a_copied_token_is_told_whoever_is_out_and_whatever_has_lapsed() {
        let user = UserStanding { active: false, session_epoch: EPOCH };
        let out = RefreshSession { user, ..refresh(1, 71) };
        given(once()).when(out).then([reuse_of(1, phone())]);
        given(once()).when(refresh(1, 100 * DAY)).then([reuse_of(1, phone())]);
    }

    #[test]
    fn there_must_be_a_session_to_refresh() {
        given([]).when(refresh(1, 1)).then_error(RefreshSessionError::NotFound);
    }
}
