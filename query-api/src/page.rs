//! Pages: rows of a view in an order, a bounded number at a time.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LINK, VARY};
use axum::response::{IntoResponse as _, Response};
use problem_details::{Problem, ProblemType};
use settings::{Settings, table};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::parameters::{Parameters, number};
use crate::refused::SOON;

/// The parameters by which a page is chosen; they are no part of what is asked for.
pub(crate) const OF_PAGES: [&str; 2] = ["limit", "cursor"];

/// How large pages are, and how many are under way at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageLimits {
    /// Rows where the client does not say.
    pub(crate) usual: u64,
    /// Rows at most.
    pub(crate) most: u64,
    /// Bytes of payloads at which a page ends early.
    pub(crate) bytes: u64,
    /// Pages that are read or sent at once.
    pub(crate) under_way: usize,
}

/// How much of the rows is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl PageLimits {
    /// Reads the settings; faults are noted there.
    pub(crate) fn from_settings(settings: &mut Settings) -> Self {
        let limits = Self {
            usual: settings.number(&table::QUERY_API_PAGE_ROWS),
            most: settings.number(&table::QUERY_API_MAX_PAGE_ROWS),
            bytes: settings.number(&table::QUERY_API_PAGE_BYTES),
            under_way: settings.size(&table::QUERY_API_MAX_PAGES),
        };
        if limits.usual > limits.most {
            settings.fault(format!(
                "{} must not be more than {}",
                table::QUERY_API_PAGE_ROWS.name,
                table::QUERY_API_MAX_PAGE_ROWS.name
            ));
        }
        limits
    }

    /// How much the parameter `limit` asks for.
    pub(crate) fn size(&self, parameters: &mut Parameters) -> Size {
        let rows = parameters.read("limit", |text| number(text, 1, self.most));
        Size { rows: rows.unwrap_or(self.usual), bytes: self.bytes }
    }
}

/// Rows of a page, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<R> {
    pub(crate) rows: Vec<R>,
    /// Whether there were more.
    pub(crate) has_more: bool,
}

impl<R> Page<R> {
    /// Of rows that were found, each with how many were found in all: what is beyond the size was
    /// not shown.
    pub(crate) fn of(found: Vec<(R, i64)>, size: Size) -> Self {
        let in_all = found.first().map_or(0, |(_, in_all)| in_all.unsigned_abs());
        let most = usize::try_from(size.rows).unwrap_or(usize::MAX);
        let rows: Vec<R> = found.into_iter().take(most).map(|(row, _)| row).collect();
        Self { has_more: in_all > rows.len() as u64, rows }
    }
}

/// The places of pages that are under way: from the question to the last byte that left.
#[derive(Debug, Clone)]
pub(crate) struct Slots(Arc<Semaphore>);

/// The place of one page.
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(crate) fn new(limits: PageLimits) -> Self {
        Self(Arc::new(Semaphore::new(limits.under_way)))
    }

    /// A place, or a refusal that names the setting.
    pub(crate) fn take(&self) -> Result<Slot, Problem> {
        let slot = self.0.clone().try_acquire_owned();
        slot.map(|permit| Slot { _permit: permit }).map_err(|_| {
            let detail = format!(
                "as many pages are under way as {} allows; come back later",
                table::QUERY_API_MAX_PAGES.name
            );
            Problem::new(ProblemType::NotReady, detail).with_retry_after(SOON)
        })
    }
}

/// The bytes of a page, which hold its place for as long as somebody still has to send them.
struct Sending {
    bytes: Vec<u8>,
    _slot: Slot,
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The answer of rows, with a link to the next page if there is one.
pub(crate) fn answer(slot: Slot, rows: &[String], next: Option<String>) -> Response {
    let mut bytes =
        Vec::with_capacity(rows.iter().map(String::len).sum::<usize>() + rows.len() + 16);
    bytes.extend_from_slice(b"{\"items\":[");
    for (n, row) in rows.iter().enumerate() {
        if n > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(row.as_bytes());
    }
    bytes.extend_from_slice(b"]}");
    let sending = Bytes::from_owner(Sending { bytes, _slot: slot });
    let mut response = Body::from(sending).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers
        .insert(VARY, HeaderValue::from_static("accept, authorization, consistency-token, prefer"));
    let link = next.map(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")));
    if let Some(Ok(link)) = link {
        headers.insert(LINK, link);
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const LIMITS: PageLimits = PageLimits { usual: 50, most: 500, bytes: 1_000, under_way: 1 };

    #[test]
    fn a_page_tells_whether_there_was_more() {
        let size = |rows| Size { rows, bytes: 1_000 };
        let found = |rows: i64, in_all: i64| (0..rows).map(|row| (row, in_all)).collect::<Vec<_>>();
        for (rows, in_all, limit, shown, has_more) in [
            (0, 0, 3, 0, false),
            (3, 3, 3, 3, false),
            // One more than the limit was found.
            (4, 4, 3, 3, true),
            // Bytes ended it.
            (1, 4, 3, 1, true),
            (1, 2, 3, 1, true),
        ] {
            let page = Page::of(found(rows, in_all), size(limit));
            assert_eq!((page.rows.len(), page.has_more), (shown, has_more), "{rows} of {in_all}");
        }
    }

    #[tokio::test]
    async fn a_page_holds_its_place_until_it_is_sent() {
        let slots = Slots::new(LIMITS);
        let slot = slots.take().unwrap();
        assert_eq!(slots.take().map(drop).unwrap_err().kind(), ProblemType::NotReady);
        let response = answer(slot, &["{}".into(), "7".into()], Some("/x?cursor=a".into()));
        assert_eq!(response.headers()[LINK], "</x?cursor=a>; rel=\"next\"");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes, r#"{"items":[{},7]}"#);
        assert!(slots.take().is_err(), "somebody still sends it");
        drop(bytes);
        assert!(slots.take().is_ok());
    }

    #[test]
    fn a_limit_is_taken_up_to_the_largest_and_refused_above() {
        let size = |query: &str| {
            let mut parameters = Parameters::of(&format!("/x?{query}").parse().unwrap(), &OF_PAGES);
            let size = LIMITS.size(&mut parameters);
            parameters.check().map(|()| size.rows)
        };
        assert_eq!(size(""), Ok(50));
        assert_eq!(size("limit=500"), Ok(500));
        assert!(size("limit=501").is_err());
    }
}
