use proptest::collection::vec;
use proptest::prelude::*;

use super::scenario::{ANN, EPOCH, RULES, after, laptop, logged_in, phone, refreshed};
use super::*;
use crate::decision::Command;

type State = Option<Session>;

/// Any command, so that sequences of them can be tried.
#[derive(Debug, Clone)]
enum AnyCommand {
    Start(StartSession),
    Refresh(RefreshSession),
    End(EndSession),
}

impl AnyCommand {
    /// The events that follow; none where the command is refused.
    fn decide(self, state: &State) -> Vec<SessionEvent> {
        fn events<C>(command: C, state: &State) -> Vec<SessionEvent>
        where
            C: Command<State = Session, Event = SessionEvent>,
        {
            command.decide(state.as_ref()).unwrap_or_default()
        }
        match self {
            Self::Start(command) => events(command, state),
            Self::Refresh(command) => events(command, state),
            Self::End(command) => events(command, state),
        }
    }
}

fn a_client() -> impl Strategy<Value = ClientMark> {
    prop_oneof![Just(phone()), Just(laptop())]
}

prop_compose! {
    fn a_refresh()(
        generation in 0_u32..6, client in a_client(), seconds in 0_u64..40,
        active in prop::bool::weighted(0.9), session_epoch in EPOCH..=EPOCH + 1,
    ) -> RefreshSession {
        let user = UserStanding { active, session_epoch };
        RefreshSession { generation, client, at: after(seconds), user, rules: RULES }
    }
}

fn a_command() -> impl Strategy<Value = AnyCommand> {
    let start = (a_client(), 0_u64..40).prop_map(|(client, seconds)| {
        let at = after(seconds);
        AnyCommand::Start(StartSession { user_id: ANN, session_epoch: EPOCH, client, at })
    });
    prop_oneof![
        4 => start,
        20 => a_refresh().prop_map(AnyCommand::Refresh),
        1 => Just(AnyCommand::End(EndSession::LogOut)),
        1 => Just(AnyCommand::End(EndSession::Revoke)),
    ]
}

/// Any event, also where no decision would make it.
fn an_event() -> impl Strategy<Value = SessionEvent> {
    let refreshed = (0_u32..6, a_client(), 0_u64..40)
        .prop_map(|(generation, client, seconds)| refreshed(generation, client, seconds));
    let reused = (0_u32..6, proptest::option::of(a_client()))
        .prop_map(|(generation, client)| SessionEvent::ReuseDetected { generation, client });
    prop_oneof![
        2 => Just(logged_in()),
        4 => refreshed,
        1 => reused,
        1 => Just(SessionEvent::LoggedOut),
        1 => Just(SessionEvent::Revoked),
    ]
}

fn fold(events: impl IntoIterator<Item = SessionEvent>) -> State {
    events.into_iter().fold(None, evolve)
}

#[test]
fn a_session_is_what_the_events_add_up_to() {
    let session = fold([logged_in(), refreshed(2, laptop(), 60), SessionEvent::LoggedOut]);
    assert_eq!(
        session.unwrap(),
        Session {
            user_id: ANN,
            session_epoch: EPOCH,
            generation: 2,
            client: laptop(),
            started_at: after(0),
            refreshed_at: after(60),
            end: Some(SessionEnd::LoggedOut),
        }
    );
}

#[test]
fn a_session_tells_how_it_ended() {
    let end = |event| fold([logged_in(), event]).unwrap().end;
    assert_eq!(end(refreshed(2, phone(), 1)), None);
    assert_eq!(end(SessionEvent::LoggedOut), Some(SessionEnd::LoggedOut));
    assert_eq!(end(SessionEvent::Revoked), Some(SessionEnd::Revoked));
    let reused = SessionEvent::ReuseDetected { generation: 1, client: Some(laptop()) };
    assert_eq!(end(reused), Some(SessionEnd::ReuseDetected));
}

#[test]
fn every_end_is_known_by_its_name() {
    for end in SessionEnd::ALL {
        assert_eq!(SessionEnd::parse(end.name()), Some(end));
    }
    assert_eq!(SessionEnd::parse("Revoked"), None);
}

#[test]
fn the_audit_names_what_changed_and_never_tells_it() {
    assert_eq!(
        logged_in().what_changed(),
        ["user_id", "session_epoch", "generation", "client", "started_at", "refreshed_at"]
    );
    let names = refreshed(2, phone(), 60).what_changed();
    assert_eq!(names, ["generation", "client", "refreshed_at"]);
    for end in [
        SessionEvent::ReuseDetected { generation: 1, client: Some(laptop()) },
        SessionEvent::LoggedOut,
        SessionEvent::Revoked,
    ] {
        assert_eq!(end.what_changed(), ["end"]);
    }
}

proptest! {
    #[test]
    fn whoever_asks_in_whatever_order_a_session_that_has_ended_never_changes(
        commands in vec(a_command(), 0..60), events in vec(an_event(), 0..20),
    ) {
        let mut state = fold([logged_in()]);
        for command in commands {
            let before = state.clone();
            let events = command.decide(&state);
            state = events.iter().cloned().fold(state, evolve);
            if before.as_ref().is_some_and(|session| session.end.is_some()) {
                prop_assert_eq!(events, []);
                prop_assert_eq!(&state, &before);
            }
        }
        let ended = fold([logged_in(), SessionEvent::Revoked]);
        prop_assert_eq!(events.into_iter().fold(ended.clone(), evolve), ended);
    }

    #[test]
    fn generations_are_given_one_after_the_other(commands in vec(a_command(), 0..60)) {
        let mut state: State = None;
        for command in commands {
            let before = state.as_ref().map_or(0, |session| session.generation);
            let events = command.decide(&state);
            for event in &events {
                if let SessionEvent::Refreshed { generation, .. } = event {
                    prop_assert_eq!(*generation, before + 1);
                }
            }
            state = events.into_iter().fold(state, evolve);
            let after = state.as_ref().map_or(0, |session| session.generation);
            prop_assert!(after == before || after == before + 1);
        }
    }

    #[test]
    fn every_event_of_a_decision_says_what_follows_from_it(commands in vec(a_command(), 0..60)) {
        let mut state: State = None;
        for command in commands {
            let events = command.decide(&state);
            prop_assert!(events.len() <= 1);
            let after = events.iter().cloned().fold(state.clone(), evolve);
            prop_assert_eq!(after == state, events.is_empty());
            state = after;
        }
    }

    /// However many requests with one token are under way, and whichever is decided upon first.
    #[test]
    fn all_who_bring_one_token_at_once_are_given_the_same_successor(
        seconds in vec(0_u64..=10, 1..100),
    ) {
        let mut state = fold([logged_in()]);
        for second in seconds {
            let user = UserStanding { active: true, session_epoch: EPOCH };
            let (client, at) = (phone(), after(second));
            let refresh = RefreshSession { generation: 1, client, at, user, rules: RULES };
            let events = refresh.decide(state.as_ref());
            prop_assert!(events.is_ok());
            state = events.into_iter().flatten().fold(state, evolve);
            let session = state.as_ref().unwrap();
            prop_assert_eq!((session.generation, session.end), (2, None));
        }
    }

    #[test]
    fn there_is_no_session_before_somebody_logged_in(events in vec(an_event(), 0..10)) {
        let is_started =
            events.iter().any(|event| matches!(event, SessionEvent::LoggedIn { .. }));
        prop_assert_eq!(fold(events).is_some(), is_started);
    }
}
