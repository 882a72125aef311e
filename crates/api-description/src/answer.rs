//! What is answered.

use serde_json::{Map, Value, json};

use crate::Header;

/// An answer that is no problem.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    description: &'static str,
    headers: Vec<Header>,
    contents: Vec<(&'static str, Value)>,
}

impl Answer {
    /// An answer without a body.
    pub fn new(status: u16, description: &'static str) -> Self {
        Self { status, description, headers: vec![Header::RequestId], contents: Vec::new() }
    }

    /// With these headers, some of which may be absent.
    #[must_use]
    pub fn headers(mut self, headers: &[Header]) -> Self {
        self.headers.extend(headers);
        self
    }

    /// With a body of this media type and, where that says anything, of this shape.
    #[must_use]
    pub fn content(mut self, media_type: &'static str, schema: Value) -> Self {
        self.contents.push((media_type, schema));
        self
    }

    /// With a body in JSON.
    #[must_use]
    pub fn json(self, schema: Value) -> Self {
        self.content("application/json", schema)
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("description".to_owned(), self.description.into());
        object.insert("headers".to_owned(), headers(&self.headers));
        if !self.contents.is_empty() {
            let contents = self.contents.iter();
            let contents =
                contents.map(|(name, schema)| ((*name).to_owned(), json!({"schema": schema})));
            object.insert("content".to_owned(), Value::Object(contents.collect()));
        }
        Value::Object(object)
    }
}

/// Headers by name.
pub(crate) fn headers(headers: &[Header]) -> Value {
    let headers = headers.iter().map(|header| (header.name().to_owned(), header.reference()));
    Value::Object(headers.collect())
}
