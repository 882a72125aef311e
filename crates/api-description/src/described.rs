//! Routes that know what they are.

use axum::Router;
use axum::handler::Handler;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::header::ALLOW;
use axum::routing::{MethodRouter, on};
use problem_details::method_not_allowed;
use serde_json::Value;

use crate::{Description, Operation, Verb};

/// Routes of a slice, each with its description.
#[derive(Debug)]
pub struct Described<S = ()> {
    router: Router<S>,
    description: Description,
    /// Methods by path, of operations served here.
    methods: Vec<(&'static str, &'static str)>,
    /// The same of operations that another process serves.
    elsewhere: Vec<(&'static str, &'static str)>,
}

impl<S: Clone + Send + Sync + 'static> Default for Described<S> {
    fn default() -> Self {
        Self {
            router: Router::new(),
            description: Description::default(),
            methods: Vec::new(),
            elsewhere: Vec::new(),
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Described<S> {
    /// Serves an operation, by the method and under the path that it says.
    #[must_use]
    pub fn on<H: Handler<T, S>, T: 'static>(mut self, operation: Operation, handler: H) -> Self {
        self.methods.push((operation.path(), operation.verb().allowed()));
        self.router = self.router.route(operation.path(), on(operation.verb().filter(), handler));
        self.description = self.description.with(operation);
        self
    }

    /// Another process behind the same front door serves this method of a path that has operations here:
    /// `Allow` names it too where a method is served nowhere.
    #[must_use]
    pub fn elsewhere(mut self, verb: Verb, path: &'static str) -> Self {
        self.elsewhere.push((path, verb.allowed()));
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
            methods: [self.methods, other.methods].concat(),
            elsewhere: [self.elsewhere, other.elsewhere].concat(),
        }
    }

    /// What is served.
    pub fn into_router(self) -> Router<S> {
        let mut paths: Vec<_> = self.elsewhere.iter().map(|(path, _)| *path).collect();
        paths.dedup();
        paths.into_iter().fold(self.router, |router, path| {
            let all = self.methods.iter().chain(&self.elsewhere);
            let methods: Vec<_> =
                all.filter(|(of, _)| *of == path).map(|(_, name)| *name).collect();
            // Names of methods are always header values.
            let allow = HeaderValue::try_from(methods.join(",")).ok();
            router.route(
                path,
                MethodRouter::new().fallback(async move |method: Method| {
                    let mut answer = method_not_allowed(method).await;
                    if let Some(allow) = allow {
                        answer.headers_mut().insert(ALLOW, allow);
                    }
                    answer
                }),
            )
        })
    }

    /// What it is.
    pub fn into_description(self) -> Description {
        self.description
    }
}
