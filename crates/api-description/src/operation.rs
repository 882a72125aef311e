//! One method of one path.

use std::collections::BTreeMap;

use axum::http::Method;
use axum::routing::MethodFilter;
use problem_details::ProblemType;
use rate_limit::Rated;
use serde_json::{Map, Value, json};

use crate::answer::headers;
use crate::schema::named;
use crate::{Answer, Example, Header, Parameter};

/// The methods that operations have. `HEAD` is served with every `GET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Takes what a client has.
    Post,
    /// Replaces.
    Put,
    /// Changes some of it.
    Patch,
    /// Takes away.
    Delete,
}

/// What a request may come to wherever it goes: the front door or the server end it before a handler
/// sees it, or no handler answers in time.
const OF_EVERY_REQUEST: [ProblemType; 7] = [
    ProblemType::InvalidRequest,
    ProblemType::UriTooLong,
    ProblemType::HeaderTooLarge,
    ProblemType::InternalError,
    ProblemType::NoProcess,
    ProblemType::NotReady,
    ProblemType::NoAnswer,
];

/// What a request that needs an access token may come to.
const OF_ACCESS: [ProblemType; 2] = [ProblemType::Unauthenticated, ProblemType::Forbidden];

/// What an operation is, takes and answers.
#[derive(Debug, Clone)]
pub struct Operation {
    verb: Verb,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    tag: &'static str,
    is_deprecated: bool,
    needs_access: bool,
    /// What it counts as, if it is counted.
    rated: Option<Rated>,
    parameters: Vec<Parameter>,
    bodies: Vec<(&'static str, Value)>,
    answers: Vec<Answer>,
    problems: Vec<ProblemType>,
    examples: Vec<Example>,
}

impl Verb {
    pub(crate) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    /// What `Allow` says where it is served.
    pub(crate) fn allowed(self) -> &'static str {
        match self {
            Self::Get => "GET,HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

impl Operation {
    /// An operation that everybody may try, known to programs by `id`. It counts as a read of one thing or as
    /// a decision, by its method.
    pub fn new(verb: Verb, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        let rated = if verb == Verb::Get { Rated::READ } else { Rated::WRITE };
        Self {
            verb,
            path,
            id,
            summary,
            description: "",
            tag: "",
            is_deprecated: false,
            needs_access: false,
            rated: Some(rated),
            parameters: Vec::new(),
            bodies: Vec::new(),
            answers: Vec::new(),
            problems: OF_EVERY_REQUEST.to_vec(),
            examples: Vec::new(),
        }
    }

    /// Says more, in Markdown.
    #[must_use]
    pub fn description(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// Puts it into a group.
    #[must_use]
    pub fn tag(self, tag: &'static str) -> Self {
        Self { tag, ..self }
    }

    /// The same operation under an older path, which names the canonical one in its answers.
    #[must_use]
    pub fn by_older_path(mut self, path: &'static str, id: &'static str) -> Self {
        let answers = std::mem::take(&mut self.answers);
        self.answers =
            answers.into_iter().map(|answer| answer.headers(&[Header::CanonicalPath])).collect();
        // Each example once.
        Self { path, id, is_deprecated: true, examples: Vec::new(), ..self }
    }

    /// It needs an access token.
    #[must_use]
    pub fn with_access(self) -> Self {
        Self { needs_access: true, ..self }.problems(&OF_ACCESS)
    }

    /// It reads many things, and counts as more for the quotas of whoever asks.
    #[must_use]
    pub fn listing(self) -> Self {
        Self { rated: Some(Rated::LIST), ..self }
    }

    /// It is asked for before there is an access token, or to get the next one: it has quotas of its own.
    #[must_use]
    pub fn authenticating(self) -> Self {
        Self { rated: Some(Rated::AUTH), ..self }
    }

    /// It takes facts, which have a quota of their own.
    #[must_use]
    pub fn reporting(self) -> Self {
        Self { rated: Some(Rated::FACTS), ..self }
    }

    /// No quota keeps anybody from it.
    #[must_use]
    pub fn not_limited(self) -> Self {
        Self { rated: None, ..self }
    }

    /// It takes these parameters.
    #[must_use]
    pub fn parameters(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// It takes a body of this media type and shape.
    #[must_use]
    pub fn body(mut self, media_type: &'static str, schema: Value) -> Self {
        self.bodies.push((media_type, schema));
        self
    }

    /// It answers this.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// It answers these problems, beside those that any request may come to.
    #[must_use]
    pub fn problems(mut self, problems: &[ProblemType]) -> Self {
        self.problems.extend(problems);
        self
    }

    /// A request that works as it stands.
    #[must_use]
    pub fn example(mut self, example: Example) -> Self {
        self.examples.push(example);
        self
    }

    pub(crate) fn verb(&self) -> Verb {
        self.verb
    }

    pub(crate) fn path(&self) -> &'static str {
        self.path
    }

    /// What a request counts as, if it is counted.
    pub(crate) fn rating(&self) -> Option<Rated> {
        self.rated
    }

    fn may_come_to(&self, kind: ProblemType) -> bool {
        let is_over = kind == ProblemType::QuotaExceeded && self.rated.is_some();
        is_over || self.problems.contains(&kind)
    }

    /// As OpenAPI writes it.
    pub(crate) fn object(&self) -> Value {
        let mut object = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [self.tag],
            "responses": self.responses(),
        });
        let mut set = |name: &str, value: Value| object[name] = value;
        if !self.description.is_empty() {
            set("description", self.description.into());
        }
        if self.is_deprecated {
            set("deprecated", true.into());
        }
        // What nobody needs a token for says so, because the document as a whole needs one.
        if !self.needs_access {
            set("security", json!([]));
        }
        if !self.parameters.is_empty() {
            set("parameters", self.parameters.iter().map(|it| it.object().clone()).collect());
        }
        if !self.bodies.is_empty() {
            set("requestBody", json!({"required": true, "content": self.contents()}));
        }
        if !self.examples.is_empty() {
            let examples = self.examples.iter().map(|it| (it.name().to_owned(), it.object()));
            set("x-examples", Value::Object(examples.collect()));
        }
        object
    }

    fn contents(&self) -> Value {
        let content = |(media_type, schema): &(&'static str, Value)| {
            let examples: Map<String, Value> = self
                .examples
                .iter()
                .filter_map(|example| Some((example.name(), example.of_body()?)))
                .filter(|(_, (of, _))| of == media_type)
                .map(|(name, (_, example))| (name.to_owned(), example))
                .collect();
            let mut content = json!({"schema": schema});
            if !examples.is_empty() {
                content["examples"] = Value::Object(examples);
            }
            ((*media_type).to_owned(), content)
        };
        Value::Object(self.bodies.iter().map(content).collect())
    }

    fn responses(&self) -> Value {
        let answers = self.answers.iter().map(|answer| (answer.status(), answer.object()));
        let mut responses: BTreeMap<u16, Value> = answers.collect();
        let mut problems: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
        for kind in ProblemType::ALL.iter().filter(|kind| self.may_come_to(**kind)) {
            problems.entry(kind.status().as_u16()).or_default().push(*kind);
        }
        for (status, kinds) in problems {
            let problem = problem_response(status, &kinds);
            // An answer and a problem may share a status: a process that is not ready says which it is.
            match responses.get_mut(&status) {
                Some(answer) => {
                    answer["content"]["application/problem+json"] =
                        problem["content"]["application/problem+json"].clone();
                    answer["headers"]["Retry-After"] = Header::RetryAfter.reference();
                }
                None => drop(responses.insert(status, problem)),
            }
        }
        let responses = responses.into_iter().map(|(status, it)| (status.to_string(), it));
        Value::Object(responses.collect())
    }
}

fn problem_response(status: u16, kinds: &[ProblemType]) -> Value {
    let line = |kind: &ProblemType| format!("`{}`: {}.", kind.uri(), kind.title());
    let description: Vec<String> = kinds.iter().map(line).collect();
    let uris: Vec<&str> = kinds.iter().map(|kind| kind.uri()).collect();
    let of_status: &[Header] = match status {
        401 | 403 => &[Header::WwwAuthenticate],
        429 => &[Header::RetryAfter, Header::RateLimit, Header::RateLimitPolicy],
        502 | 503 => &[Header::RetryAfter],
        _ => &[],
    };
    let schema = json!({
        "allOf": [named("Problem"), {"properties": {"type": {"enum": uris}}}],
    });
    json!({
        "description": description.join(" "),
        "headers": headers(&[&[Header::RequestId], of_status].concat()),
        "content": {"application/problem+json": {"schema": schema}},
    })
}
