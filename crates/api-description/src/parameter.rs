//! What a request may carry beside its body.

use serde_json::{Value, json};

/// A parameter of an operation.
#[derive(Debug, Clone)]
pub struct Parameter(Value);

impl Parameter {
    /// A part of the path, with the value that examples have where they do not say.
    pub fn path(name: &str, description: &str, schema: Value, example: &str) -> Self {
        Self(json!({
            "name": name, "in": "path", "required": true, "description": description,
            "schema": schema, "example": example,
        }))
    }

    /// A parameter of the query; it may be left out.
    pub fn query(name: &str, description: &str, schema: Value) -> Self {
        Self(json!({"name": name, "in": "query", "description": description, "schema": schema}))
    }

    /// A header; it may be left out.
    pub fn header(name: &str, description: &str, schema: Value) -> Self {
        Self(json!({"name": name, "in": "header", "description": description, "schema": schema}))
    }

    pub(crate) fn object(&self) -> &Value {
        &self.0
    }
}
