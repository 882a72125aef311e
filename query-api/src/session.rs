//! `GET /api/v1/auth/sessions`: where somebody is logged in, and was.

mod description;
mod query;
mod rows;
mod standing;

use access::{Caller, Role};
use api_description::Described;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response};
use domain::user::UserId;
use problem_details::{Problem, ProblemType};
use read_models::session::StoredSession;
use read_models::user::StoredUser;

use crate::Api;
use crate::caller::Authenticated;
use crate::consistency::{Consistency, Decisions, LogTopic, Settled, Shown};
use crate::listing::PageKey;
use crate::page;
use crate::parameters::Parameters;
use crate::refused::Refused;
use crate::user::{self, UserKey, Who};

use query::{Filter, SessionsQuery};
use standing::Holding;

pub(crate) type SessionPages = crate::listing::PageLookup<SessionsQuery>;

/// The projection whose view this is.
const PROJECTION: &str = "session";

/// Whoever may see where others are logged in.
const OVERSEERS: &[Role] = &[Role::Admin];

/// The topic whose records the view folds, without the deployment's prefix.
pub(crate) const TOPIC: &str = "identity.session";

/// The path, under which the write side ends sessions.
const PATH: &str = "/api/v1/auth/sessions";

/// The list.
pub(crate) fn described() -> Described<Api> {
    description::with_schemas(Described::default()).on(description::list(), get_sessions)
}

async fn get_sessions(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    user::must_speak_for_themselves(&caller)?;
    let mut parameters = Parameters::of(&uri, &query::OF_PAGES);
    let size = api.pages.size(&mut parameters);
    let filter = Filter::read(&mut parameters);
    parameters.check()?;
    let id = whose(&caller, filter.user_id)?;
    let identity = parameters.identity(&page::OF_PAGES);
    let after = match parameters.read("cursor", |text| Ok(text.to_owned())) {
        Some(cursor) => Some(api.cursors.read(&identity, &cursor)?),
        None => None,
    };

    let consistency = Consistency::from_headers(&headers, &api.tokens)?;
    let (owner, of_owner) = find_owner(&api, id, consistency.clone()).await?;
    let mut settled = consistency.settle(&api.positions, topic(&api), api.waits).await?;
    let slot = api.slots.take()?;
    let row = owner.as_ref().map(|owner| &owner.row);
    let holding = Holding::of(row, api.positions.database_time(), api.session_life);
    let listed = SessionsQuery { user_id: id, state: filter.state, holding, after };
    let key = PageKey { listed, size, unsure: settled.take_unsure() };
    let found = api.sessions.find(key).await?;
    let settled = settled.despite(found.letters)?.beside(of_owner);
    let has_more = found.page.has_more;
    let rows = found.page.rows.into_iter();
    let sessions: Vec<StoredSession> = rows.map(StoredSession::from).collect();
    // One view may be behind the other: whoever has a session is somebody.
    if owner.is_none() && !found.exists {
        return Ok(settled.onto(nobody(filter.user_id).into_response(), None, &api.tokens));
    }
    let next = sessions.last().filter(|_| has_more).map(|last| {
        parameters.link_with("cursor", &api.cursors.write(&identity, &query::place(last)))
    });
    let own = caller.session_id.as_deref();
    let items: Vec<String> = sessions.iter().map(|it| holding.shown(it, own)).collect();
    let shown_owner = owner.iter().filter_map(|owner| user::shown(&api, owner));
    let shown_sessions = sessions.iter().filter_map(|session| shown(&api, session));
    let shown: Vec<Shown> = shown_owner.chain(shown_sessions).collect();
    api.counters.session_pages.increment(1);
    Ok(settled.onto(page::answer(slot, &items, next), shown, &api.tokens))
}

/// Whose sessions are asked for: the caller's own, or those of somebody else by who may see them.
fn whose(caller: &Caller, asked_for: Option<UserId>) -> Result<UserId, Problem> {
    match asked_for {
        None => user::own_id(caller),
        Some(id) if caller.subject == id.to_string() => Ok(id),
        Some(id) => {
            caller.must_be_any(OVERSEERS).map_err(|error| error.refuse(caller))?;
            Ok(id)
        }
    }
}

/// The user as the view of users knows them: which of their sessions hold stands there.
async fn find_owner(
    api: &Api,
    id: UserId,
    consistency: Consistency,
) -> Result<(Option<StoredUser>, Settled), Refused> {
    let mut settled = consistency.settle(&api.positions, user::topic(api), api.waits).await?;
    let key = UserKey { who: Who::Is(id), unsure: settled.take_unsure() };
    let found = api.users.find(key).await?;
    Ok((found.stored, settled.despite(found.letters)?))
}

fn topic(api: &Api) -> LogTopic<'_> {
    let decisions = Some(Decisions { kind: "session", places: &api.places });
    LogTopic { projection: PROJECTION, topic: &api.session_topic, decisions }
}

/// The newest record that is shown of the row's partition and of which nothing before it is set
/// aside: a page speaks for whole partitions.
fn shown(api: &Api, session: &StoredSession) -> Option<Shown> {
    let stream_id = session.id.stream_id();
    let shown = api.positions.shown(&api.session_topic, &stream_id, session.row.position)?;
    api.positions.clear(PROJECTION, shown)
}

fn nobody(asked_for: Option<UserId>) -> Problem {
    match asked_for {
        None => user::nobody(),
        Some(_) => Problem::new(ProblemType::NotFound, "nobody is known by this"),
    }
}

#[cfg(test)]
mod tests {
    use access::Roles;
    use uuid::Uuid;

    use super::*;

    const ANN: UserId = UserId(Uuid::from_u128(7));
    const BOB: UserId = UserId(Uuid::from_u128(8));

    fn caller(subject: &str, roles: &[Role]) -> Caller {
        Caller {
            subject: subject.to_owned(),
            issuer: String::new(),
            roles: roles.iter().copied().collect::<Roles>(),
            device_id: None,
            session_id: None,
            token_id: None,
            revocable: None,
            actor: String::new(),
            expires_at: 0,
        }
    }

    #[test]
    fn everybody_sees_their_own_sessions_and_admins_those_of_others() {
        let ann = caller(&ANN.to_string(), &[Role::User, Role::Approver, Role::Analyst]);
        let admin = caller("an-admin", &[Role::Admin]);
        assert_eq!(whose(&ann, None).unwrap(), ANN);
        assert_eq!(whose(&ann, Some(ANN)).unwrap(), ANN);
        assert_eq!(whose(&ann, Some(BOB)).unwrap_err().kind(), ProblemType::Forbidden);
        assert_eq!(whose(&admin, Some(BOB)).unwrap(), BOB);
        assert_eq!(whose(&admin, None).unwrap_err().kind(), ProblemType::NotFound);
    }
}
