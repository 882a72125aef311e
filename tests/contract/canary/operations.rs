//! Every operation of the description, with something planted wherever it takes anything.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

use super::asker::{Asker, Wish, kind_of};
use super::planted::Kind;

/// Deeper no body of ours is.
const DEPTH: usize = 8;

/// Who asks, and about whom.
pub(super) struct Cast {
    pub(super) admin: String,
    /// Somebody who may be changed, ended and erased.
    pub(super) scapegoat: String,
}

/// How much of a request is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// All of it: path, query, headers and body.
    Whole,
    /// Only what comes to be read once a request is understood: its body, and the key that names it. What is
    /// in the path is there.
    Body,
    /// As the whole, and the access token too.
    Stranger,
}

/// One that is described.
#[derive(Debug, Clone, Copy)]
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    described: &'a Value,
    /// The whole description.
    document: &'a Value,
}

/// Asks for every operation, in every form in which its body may come. How many those are.
pub(super) async fn ask_for_all(
    asker: &mut Asker<'_>,
    document: &Value,
    cast: &Cast,
) -> Result<usize> {
    let mut operations = operations(document)?;
    // Whoever is erased is nobody any more.
    operations.sort_by_key(|operation| operation.method == "delete");
    for operation in &operations {
        for made in [Made::Stranger, Made::Whole, Made::Body] {
            for content in operation.contents(asker) {
                let wish = operation.wish(asker, made, cast, content);
                let (method, path) = (operation.method, operation.path);
                let answer = asker.ask(wish).await?;
                ensure!(answer.status != 500, "{method} {path} is answered {answer}");
            }
        }
    }
    Ok(operations.len())
}

fn operations(document: &Value) -> Result<Vec<Operation<'_>>> {
    let mut all = Vec::new();
    for (path, of_path) in document["paths"].as_object().context("no paths")? {
        for (method, described) in of_path.as_object().context("no operations")? {
            all.push(Operation { method, path, described, document });
        }
    }
    Ok(all)
}

impl<'a> Operation<'a> {
    /// The bodies that it may have, or that there is none.
    fn contents(&self, asker: &Asker<'_>) -> Vec<Option<(&'static str, String)>> {
        let types = self.described["requestBody"]["content"].as_object();
        let types = types.into_iter().flatten();
        let bodies = types.filter_map(|(media_type, content)| {
            let body = self.filled(asker, "body", &content["schema"], DEPTH);
            Some(match media_type.as_str() {
                "application/x-www-form-urlencoded" => {
                    ("application/x-www-form-urlencoded", form(&body))
                }
                "application/json" => ("application/json", body.to_string()),
                "application/cloudevents+json" => {
                    ("application/cloudevents+json", body.to_string())
                }
                "application/cloudevents-batch+json" => {
                    ("application/cloudevents-batch+json", body.to_string())
                }
                _ => return None,
            })
        });
        let mut bodies: Vec<_> = bodies.map(Some).collect();
        if bodies.is_empty() {
            bodies.push(None);
        }
        bodies
    }

    fn wish(
        &self,
        asker: &Asker<'_>,
        made: Made,
        cast: &Cast,
        content: Option<(&'static str, String)>,
    ) -> Wish {
        let planted = asker.planted;
        let bearer = match made {
            Made::Stranger => planted.secret("an access token that is none"),
            Made::Whole | Made::Body => cast.admin.clone(),
        };
        let mut wish = Wish::new(&self.method.to_uppercase(), self.address(asker, made, cast));
        wish = Wish { content, ..wish.by(&bearer) };
        if made == Made::Body {
            return wish.header("idempotency-key", planted.private("an idempotency key"));
        }
        for name in self.parameters("header") {
            let value = planted.at(kind_of(name), &format!("the header {name}"));
            wish = wish.header(name, value);
        }
        wish
    }

    /// Path and query.
    fn address(&self, asker: &Asker<'_>, made: Made, cast: &Cast) -> String {
        let path = self.parameters("path").fold(self.path.to_owned(), |path, name| {
            let value = match (made, name) {
                (Made::Body, "id") if self.path.contains("/users/") => cast.scapegoat.clone(),
                (Made::Body, "role") => "approver".to_owned(),
                // The front door logs no names.
                (_, "name") => asker.planted.private("a name in a path"),
                _ => asker.planted.at(Kind::Path, &format!("{name} in a path")),
            };
            path.replace(&format!("{{{name}}}"), &value)
        });
        if made == Made::Body {
            return path;
        }
        let mut query: BTreeMap<&str, String> = BTreeMap::new();
        for name in self.parameters("query").chain(["unknown"]) {
            query.insert(name, asker.planted.at(kind_of(name), &format!("{name} in a query")));
        }
        let query = query.iter().map(|(name, value)| format!("{name}={value}"));
        format!("{path}?{}", query.collect::<Vec<_>>().join("&"))
    }

    /// The names of its parameters that are in this part.
    fn parameters(&self, part: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        let all = self.described["parameters"].as_array().into_iter().flatten();
        let in_part = all.filter(move |parameter| parameter["in"] == part);
        in_part.filter_map(|parameter| parameter["name"].as_str())
    }

    /// A value in which every text is planted, as it is called.
    fn filled(&self, asker: &Asker<'_>, name: &str, schema: &Value, depth: usize) -> Value {
        let schema = self.resolved(schema);
        let mut members = Map::new();
        self.members(schema, &mut members);
        if depth == 0 || (members.is_empty() && schema["items"].is_null()) {
            return asker.planted.at(kind_of(name), &format!("{name} in a body")).into();
        }
        if members.is_empty() {
            let item = self.filled(asker, name, &schema["items"], depth - 1);
            return Value::Array(vec![item]);
        }
        let filled = members
            .into_iter()
            .map(|(name, schema)| {
                let value = self.filled(asker, &name, &schema, depth - 1);
                (name, value)
            })
            .collect();
        Value::Object(filled)
    }

    /// All members that any of its forms has.
    fn members(&self, schema: &Value, into: &mut Map<String, Value>) {
        for (name, of) in schema["properties"].as_object().into_iter().flatten() {
            into.insert(name.clone(), of.clone());
        }
        for forms in ["oneOf", "anyOf", "allOf"] {
            for form in schema[forms].as_array().into_iter().flatten() {
                self.members(self.resolved(form), into);
            }
        }
    }

    /// What a reference leads to.
    fn resolved<'b>(&self, schema: &'b Value) -> &'b Value
    where
        'a: 'b,
    {
        let path = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
        path.and_then(|path| self.document.pointer(path)).unwrap_or(schema)
    }
}

/// An object as a form; what is no text in it is none.
fn form(body: &Value) -> String {
    let members = body.as_object().into_iter().flatten();
    let pairs =
        members.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    pairs.collect::<Vec<_>>().join("&")
}
