//! Requests with something planted in every part, and what was answered to them.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::{Answer, Client};

use super::planted::{Kind, Planted, Search};

/// Headers of every request that no process asks for: credentials of other kinds, and what clients tell.
const UNASKED: [(&str, Kind); 12] = [
    ("cookie", Kind::Secret),
    ("x-api-key", Kind::Secret),
    ("x-auth-token", Kind::Secret),
    ("proxy-authorization", Kind::Secret),
    ("user-agent", Kind::Private),
    ("referer", Kind::Private),
    ("accept-language", Kind::Private),
    ("x-forwarded-host", Kind::Private),
    ("forwarded", Kind::Private),
    ("baggage", Kind::Private),
    ("tracestate", Kind::Private),
    ("x-tenant", Kind::Private),
];

/// What answers repeat of a request's path and query: the canonical address, the next page, what was made.
const ADDRESSES: [&str; 3] = ["link", "location", "content-location"];

/// Shortest text that is taken for a credential.
const SHORTEST: usize = 16;

/// By these words in their names members of answers are known that hold credentials.
const OF_CREDENTIALS: [&str; 4] = ["token", "secret", "recovery", "otpauth"];

/// By these, inputs are.
const OF_SECRETS: [&str; 5] = ["password", "token", "secret", "code", "otp"];

/// A request that is to be sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) bearer: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    /// Media type and text.
    pub(super) content: Option<(&'static str, String)>,
}

impl Wish {
    pub(super) fn new(method: &str, path: impl Into<String>) -> Self {
        Self { method: method.to_owned(), path: path.into(), ..Self::default() }
    }

    pub(super) fn by(self, access_token: &str) -> Self {
        Self { bearer: Some(access_token.to_owned()), ..self }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn json(self, body: &Value) -> Self {
        Self { content: Some(("application/json", body.to_string())), ..self }
    }

    pub(super) fn form(self, body: impl Into<String>) -> Self {
        Self { content: Some(("application/x-www-form-urlencoded", body.into())), ..self }
    }
}

/// A client of the front door who remembers what it was told.
pub(super) struct Asker<'a> {
    client: Client,
    door: String,
    pub(super) planted: &'a Planted,
    answers: Vec<(String, Answer)>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(door: String, planted: &'a Planted) -> Result<Self> {
        Ok(Self { client: Client::new()?, door, planted, answers: Vec::new() })
    }

    /// Sends a request.
    pub(super) async fn ask(&mut self, wish: Wish) -> Result<Answer> {
        let Wish { method, path, bearer, headers, content } = wish;
        let mut request = self.client.request(&method, &format!("{}{path}", self.door))?;
        for (name, kind) in UNASKED {
            let value = self.planted.at(kind, &format!("the header {name}"));
            let value = if name == "tracestate" { format!("a={value}") } else { value };
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(access_token) = bearer {
            request = request.bearer_auth(access_token);
        }
        if let Some((media_type, text)) = content {
            request = request.header("content-type", media_type).body(text);
        }
        let what = format!("{method} {path}");
        let answer = self.client.send(request).await.with_context(|| what.clone())?;
        if let (200..300, Ok(body)) = (answer.status, answer.json()) {
            self.take_note(&what, &body);
        }
        self.answers.push((what, answer.clone()));
        Ok(answer)
    }

    /// The same, where only this status will do.
    pub(super) async fn must(&mut self, status: u16, wish: Wish) -> Result<Answer> {
        let what = format!("{} {}", wish.method, wish.path);
        let answer = self.ask(wish).await?;
        ensure!(answer.status == status, "{what} is answered {answer}, and not {status}");
        Ok(answer)
    }

    /// Remembers the credentials in an answer.
    fn take_note(&self, what: &str, body: &Value) {
        let mut waiting = vec![(String::new(), body)];
        while let Some((name, value)) = waiting.pop() {
            match value {
                Value::Object(members) => {
                    waiting
                        .extend(members.iter().map(|(of, value)| (format!("{name}/{of}"), value)));
                }
                Value::Array(items) => {
                    waiting.extend(items.iter().map(|value| (name.clone(), value)));
                }
                Value::String(text) if is_credential(&name, text) => {
                    self.planted.given(&format!("{name} in the answer to {what}"), text);
                }
                _ => {}
            }
        }
    }

    /// Looks at all that was answered. Whoever may ask for something is shown it, but no secret that was sent;
    /// whoever is refused is shown no credential; and headers show nothing, but where something is.
    pub(super) fn search(&self, search: &mut Search<'_>) {
        for (what, answer) in &self.answers {
            let is_refused = answer.status >= 400;
            let kinds: &[Kind] = if is_refused { Kind::CREDENTIALS } else { &[Kind::Secret] };
            let place = format!("the answer {} to {what}", answer.status);
            search.look(&place, &answer.text, kinds);
            for (name, value) in &answer.headers {
                let is_address = ADDRESSES.contains(&name.as_str());
                let kinds = if is_address { Kind::CREDENTIALS } else { Kind::ALL };
                let value = String::from_utf8_lossy(value.as_bytes());
                search.look(&format!("{name} of {place}"), &value, kinds);
            }
        }
    }
}

fn is_credential(path: &str, text: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    text.len() >= SHORTEST && OF_CREDENTIALS.iter().any(|word| name.contains(word))
}

/// What is to be planted under a name.
pub(super) fn kind_of(name: &str) -> Kind {
    let name = name.to_lowercase();
    let is_secret = OF_SECRETS.iter().any(|word| name.contains(word));
    // It signs a place in the log, and opens nothing.
    if is_secret && name != "consistency-token" { Kind::Secret } else { Kind::Private }
}
