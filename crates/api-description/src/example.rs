//! Requests that work as they stand.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

/// A request, and the status with which it is answered when the operations before it were tried in
/// their order. A test sends every one.
#[derive(Debug, Clone)]
pub struct Example {
    name: &'static str,
    summary: &'static str,
    status: u16,
    path: Option<&'static str>,
    query: Option<Cow<'static, str>>,
    headers: Vec<(&'static str, &'static str)>,
    body: Option<(&'static str, Value)>,
}

impl Example {
    /// A request without anything of its own.
    pub fn new(name: &'static str, summary: &'static str, status: u16) -> Self {
        Self { name, summary, status, path: None, query: None, headers: Vec::new(), body: None }
    }

    /// With this path in place of the one that the parameters' examples make.
    #[must_use]
    pub fn path(self, path: &'static str) -> Self {
        Self { path: Some(path), ..self }
    }

    /// With this query.
    #[must_use]
    pub fn query(self, query: impl Into<Cow<'static, str>>) -> Self {
        Self { query: Some(query.into()), ..self }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(self, media_type: &'static str, value: Value) -> Self {
        Self { body: Some((media_type, value)), ..self }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The body's media type, and the example as OpenAPI keeps it there.
    pub(crate) fn of_body(&self) -> Option<(&'static str, Value)> {
        let (media_type, value) = self.body.as_ref()?;
        Some((*media_type, json!({"summary": self.summary, "value": value})))
    }

    /// The whole request: OpenAPI has no place for one with headers, so it is an extension.
    pub(crate) fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("summary".to_owned(), self.summary.into());
        object.insert("status".to_owned(), self.status.into());
        if let Some(path) = self.path {
            object.insert("path".to_owned(), path.into());
        }
        if let Some(query) = &self.query {
            object.insert("query".to_owned(), query.clone().into());
        }
        if !self.headers.is_empty() {
            let headers =
                self.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
            object.insert("headers".to_owned(), Value::Object(headers.collect()));
        }
        if let Some((media_type, value)) = &self.body {
            object.insert("contentType".to_owned(), (*media_type).into());
            object.insert("body".to_owned(), value.clone());
        }
        Value::Object(object)
    }
}
