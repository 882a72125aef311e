//! How much of a user somebody sees. What is cached holds everything; what leaves is made of it here.

use access::{Caller, Role};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use domain::user::UserId;
use problem_details::{Problem, ProblemType};
use read_models::cached::CachedRow;
use read_models::user::{Profile, UserBody};

use crate::conditional::EntityTag;

/// How much of a user somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// What everybody sees who is known to us.
    Public,
    /// What the user and admins see.
    Full,
}

impl Sight {
    /// What this caller sees of this user.
    pub(super) fn of(caller: &Caller, id: UserId) -> Self {
        let is_self = caller.subject == id.to_string();
        if is_self || caller.roles.contains(Role::Admin) { Self::Full } else { Self::Public }
    }

    /// The answer with as much of the row as is seen. Both profiles are versions of one thing, so that
    /// their tags differ: neither is ever taken for the other.
    pub(super) fn answer(self, row: &CachedRow, headers: &HeaderMap) -> Response {
        let profile = match UserBody::read(&row.body) {
            Some(UserBody::Profile(profile)) => profile,
            Some(UserBody::Erased) => return erased().into_response(),
            None => return unreadable().into_response(),
        };
        let tag = EntityTag {
            generation: row.generation,
            version: row.version,
            beside: match self {
                Self::Public => ".public",
                Self::Full => "",
            },
        };
        let mut response = if tag.is_known_by(headers) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(CONTENT_TYPE, "application/json")], self.body(profile)).into_response()
        };
        let out = response.headers_mut();
        out.insert(ETAG, tag.header_value());
        out.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        out.insert(VARY, HeaderValue::from_static("authorization, consistency-token, prefer"));
        response
    }

    fn body(self, profile: Profile<'_>) -> String {
        match self {
            Self::Public => profile.public().to_owned(),
            Self::Full => profile.full(),
        }
    }
}

fn erased() -> Problem {
    Problem::new(ProblemType::Erased, "this user was erased; nothing of them is kept")
}

/// A defect of ours: bodies come from the same release, or are read again.
fn unreadable() -> Problem {
    Problem::new(ProblemType::InternalError, "what is known of this user cannot be read")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use access::Roles;
    use axum::http::header::IF_NONE_MATCH;
    use domain::Timestamp;
    use domain::device::DeviceId;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;
    use read_models::recorded::LogPosition;
    use read_models::user::{StoredUser, UserRow};
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    const ID: UserId = UserId(Uuid::from_u128(0xabc));

    fn caller(subject: &str, roles: &[Role]) -> Caller {
        Caller {
            subject: subject.to_owned(),
            issuer: String::new(),
            roles: roles.iter().copied().collect::<Roles>(),
            device_id: None::<DeviceId>,
            session_id: None,
            token_id: None,
            revocable: None,
            actor: String::new(),
            expires_at: 0,
        }
    }

    fn stored(email: &str) -> StoredUser {
        let row = UserRow {
            username: Some("Ann".to_owned()),
            email: Some(email.to_owned()),
            full_name: None,
            bio: None,
            image: None,
            roles: BTreeSet::from([Role::User]),
            email_verified: true,
            active: true,
            erased: false,
            session_epoch: 0,
            version: 3,
            created_at: Timestamp(0),
            updated_at: Timestamp(1),
            position: LogPosition { epoch: 1, offset: 5 },
        };
        StoredUser { id: ID, generation: 1, row }
    }

    async fn body(response: Response) -> Value {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn only_the_user_and_admins_see_everything() {
        let myself = ID.to_string();
        for (subject, roles, sight) in [
            (myself.as_str(), &[Role::User][..], Sight::Full),
            (&myself, &[], Sight::Full),
            ("somebody-else", &[Role::Admin], Sight::Full),
            ("somebody-else", &[Role::User, Role::Approver, Role::Analyst], Sight::Public),
            (&ID.stream_id(), &[Role::User], Sight::Public),
            (&myself.to_uppercase(), &[Role::User], Sight::Public),
            ("", &[], Sight::Public),
        ] {
            assert_eq!(Sight::of(&caller(subject, roles), ID), sight, "{subject} {roles:?}");
        }
    }

    #[tokio::test]
    async fn who_knows_one_profile_does_not_know_the_other() {
        let row = stored("ann@example.org").cached();
        let answer = |sight: Sight, known: Option<&HeaderValue>| {
            let known = known.map(|tag| (IF_NONE_MATCH, tag.clone()));
            sight.answer(&row, &known.into_iter().collect())
        };
        let [public, full] = [Sight::Public, Sight::Full].map(|sight| answer(sight, None));
        let [public, full] = [public, full].map(|answer| answer.headers()[ETAG].clone());
        assert_eq!((public.as_bytes(), full.as_bytes()), (&b"\"1.3.public\""[..], &b"\"1.3\""[..]));
        for (sight, known, status) in [
            (Sight::Public, &public, 304),
            (Sight::Public, &full, 200),
            (Sight::Full, &public, 200),
            (Sight::Full, &full, 304),
        ] {
            assert_eq!(answer(sight, Some(known)).status(), status, "{sight:?} {known:?}");
        }
    }

    #[tokio::test]
    async fn who_was_erased_is_gone_for_everybody() {
        let mut stored = stored("ann@example.org");
        stored.row.erased = true;
        for sight in [Sight::Public, Sight::Full] {
            let known = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("*"))]);
            let answer = sight.answer(&stored.cached(), &known);
            assert_eq!(answer.status(), 410);
            let body = body(answer).await;
            assert_eq!(body["type"], "/problems/erased");
            assert!(!body.to_string().contains("ann"), "{body}");
        }
    }

    proptest! {
        /// From one cached row, by way of the cache and back.
        #[test]
        fn the_public_answer_never_holds_the_address(email in "[a-z]{8}@[a-z]{8}\\.example") {
            let row = stored(&email).cached();
            let row = CachedRow::from_json(row.version, &row.to_json()).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let answered = |sight: Sight| {
                runtime.block_on(body(sight.answer(&row, &HeaderMap::new()))).to_string()
            };
            prop_assert!(!answered(Sight::Public).contains(&email));
            prop_assert!(answered(Sight::Full).contains(&email));
        }
    }
}
