//! `GET /api/v1/users/{id}`, `/api/v1/users/by-username/{name}` and `/api/v1/auth/me`: a user, and as
//! much of them as the caller may see.

mod audit;
mod description;
mod list;
mod me;
mod row;
mod sight;

use access::{Caller, Role};
use api_description::Described;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse as _, Response};
use domain::user::{UserId, Username};
use problem_details::{Problem, ProblemType};
use read_models::cached::CachedRow;
use read_models::user::{StoredUser, UserBody};

use crate::Api;
use crate::cache::{CacheStatus, Place};
use crate::caller::Authenticated;
use crate::consistency::{Consistency, Decisions, LogTopic, OpenLetters, Shown};
use crate::lookups::LookupError;
use crate::positions::map::Need;
use crate::refused::Refused;

use row::FoundUser;
use sight::Sight;

pub(crate) use audit::UserAudits;
pub(crate) use list::UserPages;
pub(crate) use me::{nobody, own_id};
pub(crate) use row::{UserKey, UserLookup, Who};

/// The projection whose view this is.
const PROJECTION: &str = "user";

/// What its rows are called in the cache.
const NOUN: &str = "user";

/// Whoever may see all users, and what was done to them.
const OVERSEERS: &[Role] = &[Role::Admin];

/// The topic whose records the view folds, without the deployment's prefix.
pub(crate) const TOPIC: &str = "identity.user";

/// The canonical paths and their aliases.
pub(crate) fn described() -> Described<Api> {
    let (one, by_name) = (description::one(), description::by_name());
    let (all, audit) = (description::list(), description::audit());
    let one_by_alias = one.clone().by_older_path("/users/{id}", "getUserByOlderPath");
    let by_name_by_alias =
        by_name.clone().by_older_path("/users/by-username/{name}", "getUserByUsernameByOlderPath");
    let all_by_alias = all.clone().by_older_path("/users", "listUsersByOlderPath");
    let audit_by_alias =
        audit.clone().by_older_path("/users/{id}/audit", "getUserAuditByOlderPath");
    description::with_schemas(Described::default())
        .on(one, get_user)
        .on(by_name, get_user_by_name)
        .on(all, list::get_users)
        .on(audit, audit::get_audit)
        .on(description::me(), me::get_me)
        .on(one_by_alias, async |uri: Uri, state, caller, id, headers| {
            get_user(state, caller, id, headers).await.map(|found| by_alias(&uri, found))
        })
        .on(by_name_by_alias, async |uri: Uri, state, caller, name, headers| {
            get_user_by_name(state, caller, name, headers).await.map(|found| by_alias(&uri, found))
        })
        .on(all_by_alias, async |state, caller, uri: Uri, headers| {
            list::get_users(state, caller, uri.clone(), headers)
                .await
                .map(|found| by_alias(&uri, found))
        })
        .on(audit_by_alias, async |state, caller, id, uri: Uri| {
            audit::get_audit(state, caller, id, uri.clone())
                .await
                .map(|found| by_alias(&uri, found))
        })
}

/// The answer with the canonical path of an older one.
fn by_alias(uri: &Uri, mut response: Response) -> Response {
    // The path as it was sent is escaped as it must be.
    let link = format!("</api/v1{}>; rel=\"canonical\"", uri.path());
    if let Ok(link) = HeaderValue::from_str(&link) {
        response.headers_mut().append(LINK, link);
    }
    response
}

async fn get_user(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    must_speak_for_themselves(&caller)?;
    show(&api, &caller, user_id(id)?, &headers, unknown).await
}

/// As much of a user as the caller may see, or that problem where there is none.
async fn show(
    api: &Api,
    caller: &Caller,
    id: UserId,
    headers: &HeaderMap,
    unknown: fn() -> Problem,
) -> Result<Response, Refused> {
    let consistency = Consistency::from_headers(headers, &api.tokens)?;
    let mut settled = consistency.settle(&api.positions, topic(api), api.waits).await?;
    let found = find(api, id, settled.take_unsure()).await?;
    let settled = settled.despite(found.letters)?;
    let Some(row) = found.row else {
        api.counters.users.not_found.increment(1);
        let mut response = unknown().into_response();
        found.cache_status.tell(response.headers_mut());
        return Ok(settled.onto(response, None, &api.tokens));
    };
    let mut response = api.shown_user(&row, Sight::of(caller, id), headers);
    found.cache_status.tell(response.headers_mut());
    let shown = api.positions.shown(&api.user_topic, &id.stream_id(), row.position);
    Ok(settled.onto(response, shown, &api.tokens))
}

/// Whoever asks by name is shown what everybody is.
async fn get_user_by_name(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    must_speak_for_themselves(&caller)?;
    let name = username(name)?;

    let consistency = Consistency::from_headers(&headers, &api.tokens)?;
    let mut settled = consistency.settle(&api.positions, topic(&api), api.waits).await?;
    let who = Who::Named(name.normalised().into_owned());
    let found = api.users.find(UserKey { who, unsure: settled.take_unsure() }).await?;
    let settled = settled.despite(found.letters)?;
    let Some(stored) = found.stored else {
        api.counters.users.not_found.increment(1);
        return Ok(settled.onto(unknown().into_response(), None, &api.tokens));
    };
    let row = stored.cached();
    let response = api.shown_user(&row, Sight::Public, &headers);
    let shown = api.positions.shown(&api.user_topic, &stored.id.stream_id(), row.position);
    Ok(settled.onto(response, shown, &api.tokens))
}

impl Api {
    /// As much of the row as may be seen.
    fn shown_user(&self, row: &CachedRow, sight: Sight, headers: &HeaderMap) -> Response {
        let counters = &self.counters.users;
        let shown = sight.answer(row, headers);
        match shown.status().as_u16() {
            200 => counters.found.increment(1),
            304 => counters.not_modified.increment(1),
            _ => counters.not_found.increment(1),
        }
        shown
    }
}

/// What is known of a user, all of one moment.
struct Found {
    row: Option<CachedRow>,
    letters: Vec<OpenLetters>,
    cache_status: CacheStatus,
}

/// From the cache, or from Postgres; from there at once where the reader has to know of letters,
/// which the cache does not hold.
async fn find(api: &Api, id: UserId, unsure: Vec<Need>) -> Result<Found, LookupError> {
    let load = async |unsure| {
        let FoundUser { stored, letters } =
            api.users.find(UserKey { who: Who::Is(id), unsure }).await?;
        Ok::<_, LookupError>((stored.map(|stored| stored.cached()), letters))
    };
    let found = if unsure.is_empty() {
        let text = id.to_string();
        let partition = api.positions.partition_now(&api.user_topic, &id.stream_id());
        let place = partition.map(|partition| Place {
            noun: NOUN,
            projection: PROJECTION,
            id: &text,
            partition,
            ttl: api.ttls.user,
        });
        let loaded = async || Ok(load(Vec::new()).await?.0);
        match api.cache.get(place, loaded).await? {
            // Another release writes bodies that this one does not read.
            (Some(row), _) if UserBody::read(&row.body).is_none() => {
                let (row, letters) = load(Vec::new()).await?;
                Found { row, letters, cache_status: api.cache.bypassed() }
            }
            (row, cache_status) => Found { row, letters: Vec::new(), cache_status },
        }
    } else {
        let (row, letters) = load(unsure).await?;
        Found { row, letters, cache_status: api.cache.bypassed() }
    };
    api.counters.users.cache.count(found.cache_status);
    Ok(found)
}

/// The view of users.
pub(crate) fn topic(api: &Api) -> LogTopic<'_> {
    let decisions = Some(Decisions { kind: "user", places: &api.places });
    LogTopic { projection: PROJECTION, topic: &api.user_topic, decisions }
}

/// The newest record that is shown of the partition of a user's row and of which nothing before it is
/// set aside.
pub(crate) fn shown(api: &Api, user: &StoredUser) -> Option<Shown> {
    let shown = api.positions.shown(&api.user_topic, &user.id.stream_id(), user.row.position)?;
    api.positions.clear(PROJECTION, shown)
}

/// A token that is bound to a device is good for nothing that is of people.
pub(crate) fn must_speak_for_themselves(caller: &Caller) -> Result<(), Problem> {
    caller.must_be_unbound().map_err(|error| error.refuse(caller))
}

fn must_oversee(caller: &Caller) -> Result<(), Problem> {
    must_speak_for_themselves(caller)?;
    caller.must_be_any(OVERSEERS).map_err(|error| error.refuse(caller))
}

/// A text that can be nobody's id names nobody.
fn user_id(path: Result<Path<String>, PathRejection>) -> Result<UserId, Problem> {
    UserId::parse(&text(path)?)
        .map_err(|error| not_found(format!("no user has this id, which {error}")))
}

/// A text that can be nobody's name names nobody.
fn username(path: Result<Path<String>, PathRejection>) -> Result<Username, Problem> {
    Username::parse(text(path)?)
        .map_err(|error| not_found(format!("no user has this name, which {error}")))
}

fn text(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(text) = path.map_err(|error| not_found(format!("the path is not valid: {error}")))?;
    Ok(text)
}

fn not_found(detail: String) -> Problem {
    Problem::new(ProblemType::NotFound, detail)
}

fn unknown() -> Problem {
    not_found("nobody is known by this".to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn an_alias_names_the_canonical_path_beside_the_next_page() {
        let uri: Uri = "/users/by-username/a%2Eb?x=1".parse().unwrap();
        let page = ([(LINK, "</users?cursor=a>; rel=\"next\"")], StatusCode::OK).into_response();
        let answer = by_alias(&uri, page);
        let links: Vec<_> = answer.headers().get_all(LINK).iter().collect();
        assert_eq!(
            links,
            [
                "</users?cursor=a>; rel=\"next\"",
                "</api/v1/users/by-username/a%2Eb>; rel=\"canonical\""
            ]
        );
    }

    #[test]
    fn a_text_that_can_be_nobody_s_names_nobody() {
        let of = |text: &str| Ok(Path(text.to_owned()));
        for id in ["", "7", "user-00000000-0000-0000-0000-000000000007", "NOBODY"] {
            assert_eq!(user_id(of(id)).unwrap_err().kind(), ProblemType::NotFound, "{id}");
        }
        for name in ["", "a", "-ann", "ann smith"] {
            assert_eq!(username(of(name)).unwrap_err().kind(), ProblemType::NotFound, "{name}");
        }
        assert_eq!(username(of("Ann")).unwrap().normalised(), "ann");
    }
}
