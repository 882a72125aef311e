//! Writing a row as a JSON object by hand: a payload goes in as it is stored, byte for byte, which a
//! serializer would first have to read.

use std::fmt::Write as _;

use domain::Timestamp;
use serde_json::Value;

/// An object that is being written. Names are ours: they need no escaping.
#[derive(Debug)]
pub struct JsonObject(String);

impl JsonObject {
    /// Begins an object that will have about so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes);
        text.push('{');
        Self(text)
    }

    /// A member whose value is JSON already.
    pub fn json(&mut self, name: &str, value: &str) {
        self.name(name);
        self.0.push_str(value);
    }

    /// A member that is a text.
    pub fn text(&mut self, name: &str, value: &str) {
        self.json(name, &Value::from(value).to_string());
    }

    /// A member that is a number or a truth value.
    pub fn plain(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        // Writing to a text cannot fail.
        let _ = write!(self.0, "{value}");
    }

    /// A member that is a time, or `null`.
    pub fn time(&mut self, name: &str, time: Option<Timestamp>) {
        self.name(name);
        match time.and_then(Timestamp::to_rfc3339) {
            Some(time) => {
                self.0.push('"');
                self.0.push_str(&time);
                self.0.push('"');
            }
            None => self.0.push_str("null"),
        }
    }

    /// The object.
    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_in_which_they_were_written() {
        let mut object = JsonObject::with_capacity(0);
        object.text("id", "a\"b");
        object.json("payload", "{ \"n\":1e2}");
        object.time("at", None);
        object.time("then", Some(Timestamp(0)));
        object.plain("online", true);
        assert_eq!(
            object.finish(),
            r#"{"id":"a\"b","payload":{ "n":1e2},"at":null,"then":"1970-01-01T00:00:00.000000Z","online":true}"#
        );
    }

    #[test]
    fn an_object_may_be_empty() {
        assert_eq!(JsonObject::with_capacity(0).finish(), "{}");
    }
}
