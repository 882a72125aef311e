//! Routes that know what they are.

use axum::Router;
use axum::handler::Handler;
use axum::routing::on;
use serde_json::Value;

use crate::{Description, Operation};

/// Routes of a slice, each with its description.
#[derive(Debug)]
pub struct Described<S = ()> {
    router: Router<S>,
    description: Description,
}

impl<S: Clone + Send + Sync + 'static> Default for Described<S> {
    fn default() -> Self {
        Self { router: Router::new(), description: Description::default() }
    }
}

impl<S: Clone + Send + Sync + 'static> Described<S> {
    /// Serves an operation, by the method and under the path that it says.
    #[must_use]
    pub fn on<H: Handler<T, S>, T: 'static>(mut self, operation: Operation, handler: H) -> Self {
        self.router = self.router.route(operation.path(), on(operation.verb().filter(), handler));
        self.description = self.description.with(operation);
        self
    }

    /// Names a schema, to which operations refer by [`schema::named`](crate::schema::named).
    #[must_use]
    pub fn schema(mut self, name: &'static str, schema: Value) -> Self {
        self.description = self.description.with_schema(name, schema);
        self
    }

    /// With the routes of another slice.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            router: self.router.merge(other.router),
            description: self.description.merge(other.description),
        }
    }

    /// What is served.
    pub fn into_router(self) -> Router<S> {
        self.router
    }

    /// What it is.
    pub fn into_description(self) -> Description {
        self.description
    }
}
