//! `GET /api/v1/users`: everybody who has registered and was not erased, for admins.

pub(super) mod query;
mod rows;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use read_models::user::{StoredUser, full_profile};

use super::{PROJECTION, must_oversee, shown, topic};
use crate::Api;
use crate::caller::Authenticated;
use crate::consistency::{Consistency, Shown};
use crate::listing::PageKey;
use crate::page;
use crate::parameters::Parameters;
use crate::refused::Refused;

use query::UsersQuery;

pub(crate) type UserPages = crate::listing::PageLookup<UsersQuery>;

pub(super) async fn get_users(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    must_oversee(&caller)?;
    let mut parameters = Parameters::of(&uri, &query::OF_PAGES);
    let size = api.pages.size(&mut parameters);
    let mut query = UsersQuery::read(&mut parameters);
    parameters.check()?;
    let identity = parameters.identity(&page::OF_PAGES);
    if let Some(cursor) = parameters.read("cursor", |text| Ok(text.to_owned())) {
        query.after = Some(api.cursors.read(&identity, &cursor)?);
    }

    let mut settled = Consistency::from_headers(&headers, &api.tokens)?
        .settle(&api.positions, topic(&api), api.waits)
        .await?;
    let slot = api.slots.take()?;
    let key = PageKey { listed: query, size, unsure: settled.take_unsure() };
    let found = api.user_lists.find(key).await?;
    let settled = settled.despite(found.letters)?;
    let has_more = found.page.has_more;
    let users: Vec<StoredUser> = found.page.rows.into_iter().map(StoredUser::from).collect();
    let next = users.last().filter(|_| has_more).map(|last| {
        parameters.link_with("cursor", &api.cursors.write(&identity, &query::place(last)))
    });
    let items: Vec<String> = users.iter().map(|user| full_profile(user.id, &user.row)).collect();
    // A page speaks for whole partitions.
    let shown: Vec<Shown> = users.iter().filter_map(|user| shown(&api, user)).collect();
    api.counters.user_pages.increment(1);
    Ok(settled.onto(page::answer(slot, &items, next), shown, &api.tokens))
}
