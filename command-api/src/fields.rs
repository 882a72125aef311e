//! The fields of a body, in whatever form it comes, and how a problem names what is wrong.

use std::borrow::Cow;
use std::fmt;

use domain::json_text::{self, Fault, Item, Kind, Member, Rule, Value};
use problem_details::{FieldError, Problem, ProblemType};

/// Most faults that a problem names: an answer must not grow with what is wrong.
const MAX_ERRORS: usize = 16;

/// Most faults that an answer to several events names, before it names one for each.
const MAX_ERRORS_OF_ALL: usize = 256;

/// A body is an object of texts.
const OF_TEXTS: json_text::Limits =
    json_text::Limits { bytes: 32 * 1024, depth: 1, digits: 40, exponent: 308 };

/// A rule that a field breaks.
#[derive(Debug)]
pub(crate) struct Broken {
    rule: &'static str,
    limit: Option<u64>,
    detail: Cow<'static, str>,
}

impl Broken {
    pub(crate) fn new(rule: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { rule, limit: None, detail: detail.into() }
    }

    /// A rule of JSON texts, in other words.
    pub(crate) fn of_rule(rule: &Rule, detail: String) -> Self {
        Self { rule: rule.name(), limit: rule.limit(), detail: detail.into() }
    }

    pub(crate) fn with_limit(self, limit: u64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    pub(crate) fn required() -> Self {
        Self::new("required", "is required")
    }

    pub(crate) fn no_items() -> Self {
        Self::new("min-items", "must have at least 1 item").with_limit(1)
    }

    pub(crate) fn empty() -> Self {
        Self::new("min-characters", "must not be empty").with_limit(1)
    }
}

/// The text of a value that must be a string.
pub(crate) fn string<'a>(value: &Value<'a>) -> Result<Cow<'a, str>, Broken> {
    let wrong = || format!("must be a string, not {}", value.kind.with_article());
    value.as_string().ok_or_else(|| Broken::new("string", wrong()))
}

/// Where an event stands in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the body.
    Body,
    /// It is an item of the array that the body is.
    Item(usize),
}

impl Place {
    /// The pointer from the body's root of what this one leads to within the event.
    pub(crate) fn pointer(self, within: &str) -> String {
        match self {
            Self::Body => within.to_owned(),
            Self::Item(index) => format!("/{index}{within}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("the body"),
            Self::Item(index) => write!(f, "the item /{index}"),
        }
    }
}

/// What is wrong with one event.
#[derive(Debug)]
pub(crate) struct Faults {
    place: Place,
    most: usize,
    errors: Vec<FieldError>,
    /// Whether more is wrong than `errors` names.
    is_cut: bool,
}

impl Faults {
    /// None yet, of an event that is the body.
    pub(crate) fn of_body() -> Self {
        Self { place: Place::Body, most: MAX_ERRORS, errors: Vec::new(), is_cut: false }
    }

    /// Names a broken rule by a pointer into the event.
    pub(crate) fn note(&mut self, pointer: &str, broken: Broken) {
        if self.errors.len() == self.most {
            self.is_cut = true;
            return;
        }
        let Broken { rule, limit, detail } = broken;
        let (pointer, detail) = (self.place.pointer(pointer), detail.into_owned());
        self.errors.push(FieldError { pointer, rule, limit, detail });
    }

    /// What was read, or nothing where a rule is broken, which is noted.
    pub(crate) fn unless<T>(&mut self, pointer: &str, read: Result<T, Broken>) -> Option<T> {
        read.map_err(|broken| self.note(pointer, broken)).ok()
    }

    /// True where more is wrong than is named, so that looking further is no use.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Where the event stands.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The problem that names them.
    pub(crate) fn refuse(self) -> Problem {
        problem(ProblemType::InvalidRequest, self.place, self.errors, self.is_cut)
    }
}

/// The text of a body, which is UTF-8.
pub(crate) fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|error| {
        let detail = format!("is not UTF-8 at byte {}", error.valid_up_to());
        let error = FieldError { pointer: String::new(), rule: "utf-8", limit: None, detail };
        problem(ProblemType::MalformedJson, Place::Body, vec![error], false)
    })
}

/// The problem of a JSON text that breaks a rule.
pub(crate) fn fault_problem(fault: Fault) -> Problem {
    let kind = match fault.rule {
        Rule::Malformed { .. } => ProblemType::MalformedJson,
        Rule::TooLong { .. } | Rule::TooManyItems { .. } => ProblemType::ContentTooLarge,
        _ => ProblemType::InvalidRequest,
    };
    let detail = match fault.rule {
        Rule::Malformed { .. } => format!("{} at byte {}", fault.rule, fault.offset),
        _ => fault.rule.to_string(),
    };
    let (rule, limit) = (fault.rule.name(), fault.rule.limit());
    let error = FieldError { pointer: fault.pointer, rule, limit, detail };
    problem(kind, Place::Body, vec![error], false)
}

/// Reads every item of an array on its own.
///
/// # Errors
/// A problem of the whole: it is no JSON, no array or has too many items.
pub(crate) fn read_items<'a, T>(
    text: &'a str,
    payload: &json_text::Limits,
    most: usize,
    mut read: impl FnMut(Vec<Member<'a>>, Faults) -> Result<T, Problem>,
) -> Result<Vec<Result<T, Problem>>, Problem> {
    let items = json_text::items(text, payload, most).map_err(fault_problem)?;
    let mut left = MAX_ERRORS_OF_ALL;
    let mut read_item = |(index, item): (usize, Item<'a>)| {
        let (place, most) = (Place::Item(index), left.clamp(1, MAX_ERRORS));
        let faults = Faults { place, most, errors: Vec::new(), is_cut: false };
        let read = item.map_err(fault_problem).and_then(|members| read(members, faults));
        left = left.saturating_sub(read.as_ref().err().map_or(0, |problem| problem.errors().len()));
        read
    };
    Ok(items.into_iter().enumerate().map(&mut read_item).collect())
}

/// The members of a body that is an object with these names, and `required` among them.
///
/// # Errors
/// It is no JSON or no such object.
pub(crate) fn members<'a>(
    body: &'a [u8],
    known: &[&str],
    required: &[&str],
) -> Result<(Vec<Member<'a>>, Faults), Problem> {
    let members = json_text::members(text(body)?, &OF_TEXTS).map_err(fault_problem)?;
    let mut faults = Faults::of_body();
    for member in &members {
        if !known.contains(&&*member.name) {
            let detail = format!("is not known here; only {} are", known.join(", "));
            let pointer = json_text::pointer_to([&*member.name]);
            faults.note(&pointer, Broken::new("known-members", detail));
        }
    }
    for name in required {
        if !members.iter().any(|member| member.name == *name) {
            faults.note(&json_text::pointer_to([*name]), Broken::required());
        }
    }
    Ok((members, faults))
}

/// The members of a body that is an object of texts, whatever they are called; `None` of any other.
pub(crate) fn members_of_texts(body: &[u8]) -> Option<Vec<Member<'_>>> {
    json_text::members(std::str::from_utf8(body).ok()?, &OF_TEXTS).ok()
}

/// The member of this name, read as it must be; nothing where it is absent or breaks a rule.
pub(crate) fn read<T>(
    members: &[Member<'_>],
    name: &str,
    faults: &mut Faults,
    read: impl FnOnce(String) -> Result<T, Broken>,
) -> Option<T> {
    let value = find(members, name)?;
    let value = string(value).and_then(|text| read(text.into_owned()));
    faults.unless(&json_text::pointer_to([name]), value)
}

/// The same of a member that may be `null`: absent, cleared, or said.
pub(crate) fn read_or_null<T>(
    members: &[Member<'_>],
    name: &str,
    faults: &mut Faults,
    read_text: impl FnOnce(String) -> Result<T, Broken>,
) -> Option<Option<T>> {
    let value = find(members, name)?;
    if value.kind == Kind::Null {
        return Some(None);
    }
    read(members, name, faults, read_text).map(Some)
}

/// The one member of a body that says nothing else.
///
/// # Errors
/// A problem that names every fault.
pub(crate) fn only<T>(
    body: &[u8],
    name: &str,
    read_text: impl FnOnce(String) -> Result<T, Broken>,
) -> Result<T, Problem> {
    let (members, mut faults) = members(body, &[name], &[name])?;
    let value = read(&members, name, &mut faults, read_text);
    value.filter(|_| faults.is_empty()).ok_or_else(|| faults.refuse())
}

fn find<'a, 'm>(members: &'m [Member<'a>], name: &str) -> Option<&'m Value<'a>> {
    members.iter().find(|member| member.name == name).map(|member| &member.value)
}

/// Nothing is said in the body: it is empty, or an empty object.
///
/// # Errors
/// A problem that names what is there.
pub(crate) fn nothing(body: &[u8]) -> Result<(), Problem> {
    if body.is_empty() {
        return Ok(());
    }
    let (_, faults) = members(body, &[], &[])?;
    if faults.is_empty() { Ok(()) } else { Err(faults.refuse()) }
}

fn problem(kind: ProblemType, place: Place, errors: Vec<FieldError>, is_cut: bool) -> Problem {
    let detail = match errors.as_slice() {
        [only] if is_cut => {
            format!("{place} breaks several rules; {} {}", only.pointer, only.detail)
        }
        [only] if only.pointer.is_empty() => format!("the body {}", only.detail),
        [only] => format!("{} {}", only.pointer, only.detail),
        first if is_cut => format!(
            "{place} breaks more than {0} rules, of which `errors` names the first {0}",
            first.len()
        ),
        several => format!("{place} breaks {} rules, which `errors` names", several.len()),
    };
    Problem::new(kind, detail).with_errors(errors)
}
