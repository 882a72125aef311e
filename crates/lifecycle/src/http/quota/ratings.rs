//! What requests count as.

use std::collections::HashMap;

use api_description::Description;
use axum::extract::{MatchedPath, Request};
use http::Method;
use rate_limit::Rated;

/// Operations by path and method.
pub(super) struct Ratings(HashMap<&'static str, Vec<(Method, Option<Rated>)>>);

impl Ratings {
    /// Those of a description.
    pub(super) fn of(description: &Description) -> Self {
        let mut ratings: HashMap<_, Vec<_>> = HashMap::new();
        for (method, path, rated) in description.ratings() {
            ratings.entry(path).or_default().push((method, rated));
        }
        Self(ratings)
    }

    /// What a request counts as; nothing where it is not counted. What leads nowhere counts as a read.
    pub(super) fn rated(&self, request: &Request) -> Option<Rated> {
        let Some(route) = request.extensions().get::<MatchedPath>() else {
            return Some(Rated::READ);
        };
        let route = route.as_str();
        // Whoever asks these looks after the process, and must not be kept from it by anybody.
        if route == "/metrics" || route.starts_with("/health") {
            return None;
        }
        let method = request.method();
        let is_it =
            |its: &Method| its == method || (*its == Method::GET && *method == Method::HEAD);
        let operation = self.0.get(route).and_then(|of| of.iter().find(|(its, _)| is_it(its)));
        operation.map_or(Some(Rated::READ), |(_, rated)| *rated)
    }
}
