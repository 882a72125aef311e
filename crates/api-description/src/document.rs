//! The whole document.

use std::collections::BTreeMap;

use axum::http::Method;
use rate_limit::Rated;
use serde_json::{Map, Value, json};

use crate::schema::{broken_rule, problem};
use crate::{Header, Operation};

/// What is said of the API as a whole.
const ABOUT: &str = "\
Facts go in, views come out. A `POST` is answered `202` once every in-sync replica of the log has the \
event. A read that carries the `Consistency-Token` of a write shows that write, or says honestly that \
the view is behind.

Limits are those of a deployment that sets no others. Every error is a problem document; its `type` is \
what programs may rely on. A method that a path does not take is answered `405` with `Allow`. Answers of \
more than 1 KiB come as `br` or `gzip` where `Accept-Encoding` says so. Every answer tells by `RateLimit` and \
`RateLimit-Policy` how much more may be asked for, where that is limited.";

/// Operations, and the schemas that they speak of by name.
#[derive(Debug, Clone, Default)]
pub struct Description {
    operations: Vec<Operation>,
    schemas: BTreeMap<&'static str, Value>,
}

impl Description {
    /// With one operation more.
    #[must_use]
    pub fn with(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// With one schema more.
    #[must_use]
    pub fn with_schema(mut self, name: &'static str, schema: Value) -> Self {
        self.schemas.insert(name, schema);
        self
    }

    /// With all of another one.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.operations.extend(other.operations);
        self.schemas.extend(other.schemas);
        self
    }

    /// What a request of each operation counts as, by its method and its path as it is routed; nothing where it
    /// is not counted.
    pub fn ratings(&self) -> impl Iterator<Item = (Method, &'static str, Option<Rated>)> {
        let operations = self.operations.iter();
        operations.map(|it| (it.verb().method(), it.path(), it.rating()))
    }

    /// The OpenAPI 3.1 document.
    pub fn openapi(&self) -> Value {
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Millrace",
                "version": env!("CARGO_PKG_VERSION"),
                "description": ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            // Wherever the document was read.
            "servers": [{"url": "/"}],
            "security": [{"bearerAuth": []}],
            "paths": self.paths(),
            "components": {
                "securitySchemes": {"bearerAuth": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "An access token.",
                }},
                "headers": components(Header::ALL.map(|header| (header.component(), header.object()))),
                "schemas": self.all_schemas(),
            },
        })
    }

    fn paths(&self) -> Value {
        let mut paths: Map<String, Value> = Map::new();
        for operation in &self.operations {
            let path = paths.entry(operation.path()).or_insert_with(|| json!({}));
            path[operation.verb().name()] = operation.object();
        }
        Value::Object(paths)
    }

    fn all_schemas(&self) -> Value {
        let ours = [("Problem", problem()), ("BrokenRule", broken_rule())];
        components(self.schemas.iter().map(|(name, schema)| (*name, schema.clone())).chain(ours))
    }
}

fn components(all: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(all.into_iter().map(|(name, it)| (name.to_owned(), it)).collect())
}

#[cfg(test)]
mod tests {
    use problem_details::ProblemType;

    use super::*;
    use crate::{Answer, Described, Example, Verb};

    fn described() -> Described {
        let operation = Operation::new(Verb::Post, "/things", "addThing", "Add a thing")
            .tag("Things")
            .with_access()
            .body("application/json", json!({"type": "integer"}))
            .answer(Answer::new(202, "Taken.").headers(&[Header::ConsistencyToken]))
            .answer(Answer::new(503, "Not now.").json(json!({"type": "string"})))
            .problems(&[ProblemType::MalformedJson])
            .example(Example::new("one", "One thing", 202).body("application/json", json!(1)));
        let older = operation.clone().by_older_path("/thing", "addThingByOlderPath");
        let handler = async || {};
        Described::default().on(operation, handler).on(older, handler)
    }

    #[test]
    fn an_operation_says_every_way_in_which_it_is_answered() {
        let document = described().into_description().openapi();
        let operation = &document["paths"]["/things"]["post"];
        let statuses: Vec<&String> = operation["responses"].as_object().unwrap().keys().collect();
        assert_eq!(
            statuses,
            ["202", "400", "401", "403", "414", "429", "431", "500", "502", "503", "504"]
        );
        let problem = |status: &str| {
            let content = &operation["responses"][status]["content"]["application/problem+json"];
            content["schema"]["allOf"][1]["properties"]["type"]["enum"].clone()
        };
        assert_eq!(
            problem("400"),
            json!(["/problems/malformed-json", "/problems/invalid-request"])
        );
        assert_eq!(problem("503"), json!(["/problems/not-ready"]));
        let not_now = &operation["responses"]["503"];
        assert_eq!(not_now["content"]["application/json"]["schema"]["type"], "string");
        assert_eq!(not_now["headers"]["Retry-After"]["$ref"], "#/components/headers/RetryAfter");
        assert_eq!(
            operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"],
            1
        );
    }

    #[test]
    fn an_older_path_is_the_same_operation_and_says_so() {
        let document = described().into_description().openapi();
        let (new, old) =
            (&document["paths"]["/things"]["post"], &document["paths"]["/thing"]["post"]);
        assert_eq!(old["deprecated"], true);
        assert_eq!(
            new["requestBody"]["content"]["application/json"]["schema"],
            old["requestBody"]["content"]["application/json"]["schema"]
        );
        let link = &old["responses"]["202"]["headers"]["Link"]["$ref"];
        assert_eq!(link, "#/components/headers/CanonicalPath");
        assert_eq!(new["responses"]["202"]["headers"].get("Link"), None);
    }

    #[test]
    fn an_operation_that_is_not_counted_is_never_refused_for_a_quota() {
        let asked = Operation::new(Verb::Get, "/health", "health", "Health").not_limited();
        let description = described().into_description().with(asked);
        let rated: Vec<_> = description.ratings().collect();
        let write = (Method::POST, "/things", Some(Rated::WRITE));
        assert_eq!((&rated[0], &rated[2]), (&write, &(Method::GET, "/health", None)));
        let responses = &description.openapi()["paths"]["/health"]["get"]["responses"];
        assert!(responses.get("429").is_none() && responses.get("503").is_some(), "{responses}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let described = described().schema("EventResult", json!({}));
        let document = described.into_description().openapi();
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#").skip(1);
        let references: Vec<&str> = references.filter_map(|it| it.split('"').next()).collect();
        assert!(!references.is_empty());
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
        }
    }
}
