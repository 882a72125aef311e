//! Operations of the description, and requests that work: made of their examples, about somebody who is there.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;
use test_support::PASSWORD;

use super::super::examples::with_parameters;
use super::caller::Caller;
use super::stage::Person;

/// An operation as it is described.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: String,
    /// In capitals.
    pub(super) method: String,
    /// With the names of its parameters.
    pub(super) path: String,
    described: Value,
    /// What requests are made of; of an older path, that of the canonical one.
    example: Value,
}

/// Every operation of a description.
pub(super) fn operations(described: &Value) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    for (path, methods) in described["paths"].as_object().context("no paths")? {
        for (method, described) in methods.as_object().context("no operations")? {
            let id = described["operationId"].as_str().context("an operation without an id")?;
            operations.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                described: described.clone(),
                example: best_example(described),
            });
        }
    }
    let examples: BTreeMap<String, Value> =
        operations.iter().map(|it| (it.id.clone(), it.example.clone())).collect();
    for operation in &mut operations {
        let example = examples.get(operation.canonical_id()).cloned();
        operation.example = example.unwrap_or_default();
    }
    Ok(operations)
}

/// One that succeeds, else one that is not faulty, else any.
fn best_example(described: &Value) -> Value {
    let examples = described["x-examples"].as_object().into_iter().flatten();
    let best = examples.map(|(_, example)| example).min_by_key(|example| {
        let status = example["status"].as_u64().unwrap_or_default();
        (status / 100 != 2, status == 400)
    });
    best.cloned().unwrap_or_default()
}

impl Operation {
    /// Whether it is described that callers need an access token.
    pub(super) fn needs_access(&self) -> bool {
        // What nobody needs one for says so.
        self.described["security"].is_null()
    }

    /// Whether it is described that it may be answered so.
    pub(super) fn describes(&self, status: u16) -> bool {
        self.described["responses"][status.to_string()].is_object()
    }

    /// Whether its path names something.
    pub(super) fn has_parameters(&self) -> bool {
        self.path.contains('{')
    }

    /// Path and query of a request about somebody, their device or their session.
    pub(super) fn target(&self, about: &Person) -> String {
        let id = if self.path.contains("/resource") {
            &about.device
        } else if self.path.contains("/auth/sessions/") {
            &about.session
        } else {
            &about.id
        };
        let path = self.path.replace("{id}", id).replace("{name}", &about.name);
        let query = match self.canonical_id() {
            "listResources" => Some(format!("prefix={}", about.device)),
            "listSessions" => Some(format!("user_id={}", about.id)),
            _ => self.query(),
        };
        self.with_query(&path, query)
    }

    /// The same about what there is not.
    pub(super) fn target_of_nobody(&self) -> String {
        self.with_query(&self.path, self.query())
    }

    fn query(&self) -> Option<String> {
        self.example["query"].as_str().map(str::to_owned)
    }

    fn with_query(&self, path: &str, query: Option<String>) -> String {
        let path = with_parameters(path, &self.described);
        query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
    }

    /// Media type and text of a body about somebody; `new_name` is a name that nobody has.
    pub(super) fn body(
        &self,
        caller: Caller,
        about: &Person,
        new_name: &str,
    ) -> Option<(String, String)> {
        if self.canonical_id() == "issueToken" {
            // Its example shows that JSON is not taken.
            let password = PASSWORD.replace(' ', "+");
            let form = format!("grant_type=password&username={}&password={password}", about.name);
            return Some(("application/x-www-form-urlencoded".to_owned(), form));
        }
        let media_type = self.example["contentType"].as_str()?.to_owned();
        let mut body = self.example["body"].clone();
        for (name, text) in self.members(about, new_name) {
            body[name] = text.into();
        }
        // Nobody but the owner is asked for it, and whoever is not may not say it.
        if self.canonical_id() == "changeEmail" && caller != Caller::Owner {
            body.as_object_mut()?.remove("current_password");
        }
        Some((media_type, body.to_string()))
    }

    /// What a body says otherwise than its example, so that it is about somebody.
    fn members(&self, about: &Person, new_name: &str) -> Vec<(&'static str, String)> {
        let (name, email) = (new_name.to_owned(), format!("{new_name}@example.org"));
        match self.canonical_id() {
            "registerUser" => vec![("username", name), ("email", email)],
            "changeEmail" => vec![("email", email)],
            "logIn" => vec![("username", about.name.clone()), ("password", PASSWORD.to_owned())],
            "refresh" => vec![("refresh_token", about.refresh_token.clone())],
            "reportDeviceEvents" => vec![("device_id", about.device.clone())],
            _ => Vec::new(),
        }
    }

    fn canonical_id(&self) -> &str {
        self.id.strip_suffix("ByOlderPath").unwrap_or(&self.id)
    }
}
