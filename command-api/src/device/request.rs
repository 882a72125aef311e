//! What a device reports, read from a body and checked: pure.

use std::borrow::Cow;

use domain::Timestamp;
use domain::device::{DeviceId, DeviceIdError};
use domain::json_text::{self, Fault, Kind, Member, Rule, Value};
use problem_details::{FieldError, Problem, ProblemType};

/// What a report may hold.
#[derive(Debug, Clone, Copy)]
pub struct ReportLimits {
    /// Limits of the payload.
    pub payload: json_text::Limits,
    /// Characters of the longest device id.
    pub device_id_characters: usize,
    /// How far ahead of our clock `occurred_at` may be, in microseconds.
    pub occurred_at_max_ahead: i64,
}

/// A report that keeps all rules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report<'a> {
    pub(crate) device_id: DeviceId,
    /// The moment, and the text that named it.
    pub(crate) occurred_at: Option<(Timestamp, Cow<'a, str>)>,
    /// JSON text, exactly as it was sent.
    pub(crate) payload: &'a str,
}

/// The members found so far and what is wrong with them.
#[derive(Default)]
struct Reading<'a> {
    device_id: Option<DeviceId>,
    occurred_at: Option<(Timestamp, Cow<'a, str>)>,
    payload: Option<&'a str>,
    errors: Vec<FieldError>,
    /// Whether more is wrong than `errors` names.
    is_cut: bool,
}

/// Most faults that a problem names: an answer must not grow with what is wrong.
const MAX_ERRORS: usize = 16;

impl<'a> Report<'a> {
    /// Reads `{"device_id", "payload", "occurred_at"?}`; the payload is any JSON value.
    ///
    /// # Errors
    /// A problem that names the first fault of the JSON text, or else the faults of the members, up
    /// to [`MAX_ERRORS`].
    pub(crate) fn read(
        body: &'a [u8],
        limits: &ReportLimits,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let detail = format!("is not UTF-8 at byte {}", error.valid_up_to());
            problem(ProblemType::MalformedJson, vec![field_error("", "utf-8", None, detail)], false)
        })?;
        let members = json_text::members(text, &limits.payload).map_err(fault_problem)?;
        let mut reading = Reading::default();
        for member in &members {
            reading.member(member, limits, now);
            if reading.is_cut {
                break;
            }
        }
        reading.finish(&members)
    }
}

impl<'a> Reading<'a> {
    fn member(&mut self, member: &Member<'a>, limits: &ReportLimits, now: Timestamp) {
        match &*member.name {
            "device_id" => self.device_id(&member.value, limits),
            "payload" => self.payload = Some(member.value.text),
            "occurred_at" => self.occurred_at(&member.value, limits, now),
            unknown => {
                let detail = "is not a member of a device event; only device_id, payload and occurred_at are";
                self.error(&json_text::pointer_to([unknown]), "known-members", None, detail);
            }
        }
    }

    fn device_id(&mut self, value: &Value<'a>, limits: &ReportLimits) {
        const POINTER: &str = "/device_id";
        let Some(text) = self.string(POINTER, value) else { return };
        match DeviceId::parse(text, limits.device_id_characters) {
            Ok(device_id) => self.device_id = Some(device_id),
            Err(error) => {
                let (rule, limit) = match error {
                    DeviceIdError::Empty => ("min-characters", Some(1)),
                    DeviceIdError::TooLong { limit, .. } => ("max-characters", Some(limit as u64)),
                    DeviceIdError::NotVisible { .. } => ("visible-characters", None),
                };
                self.error(POINTER, rule, limit, error.to_string());
            }
        }
    }

    fn occurred_at(&mut self, value: &Value<'a>, limits: &ReportLimits, now: Timestamp) {
        const POINTER: &str = "/occurred_at";
        if value.kind == Kind::Null {
            return;
        }
        let Some(text) = self.string(POINTER, value) else { return };
        match Timestamp::parse_rfc3339(&text) {
            None => {
                let detail = "must be an RFC 3339 time such as 2026-03-01T12:00:00Z";
                self.error(POINTER, "rfc-3339", None, detail);
            }
            Some(time) if time.micros() - now.micros() > limits.occurred_at_max_ahead => {
                let millis = limits.occurred_at_max_ahead / 1000;
                let detail = format!("must be at most {millis} ms ahead of our clock");
                self.error(POINTER, "max-ahead-ms", u64::try_from(millis).ok(), detail);
            }
            Some(time) => self.occurred_at = Some((time, text)),
        }
    }

    fn string(&mut self, pointer: &str, value: &Value<'a>) -> Option<Cow<'a, str>> {
        let text = value.as_string();
        if text.is_none() {
            let detail = format!("must be a string, not {}", value.kind.with_article());
            self.error(pointer, "string", None, detail);
        }
        text
    }

    fn finish(mut self, members: &[Member<'a>]) -> Result<Report<'a>, Problem> {
        for name in ["device_id", "payload"] {
            if !members.iter().any(|member| member.name == name) {
                self.error(&json_text::pointer_to([name]), "required", None, "is required");
            }
        }
        match (self.device_id, self.payload) {
            (Some(device_id), Some(payload)) if self.errors.is_empty() => {
                Ok(Report { device_id, occurred_at: self.occurred_at, payload })
            }
            _ => Err(problem(ProblemType::InvalidRequest, self.errors, self.is_cut)),
        }
    }

    fn error(
        &mut self,
        pointer: &str,
        rule: &'static str,
        limit: Option<u64>,
        detail: impl Into<String>,
    ) {
        if self.errors.len() == MAX_ERRORS {
            self.is_cut = true;
        } else {
            self.errors.push(field_error(pointer, rule, limit, detail));
        }
    }
}

fn fault_problem(fault: Fault) -> Problem {
    let kind = match fault.rule {
        Rule::Malformed { .. } => ProblemType::MalformedJson,
        Rule::TooLong { .. } => ProblemType::ContentTooLarge,
        _ => ProblemType::InvalidRequest,
    };
    let detail = match fault.rule {
        Rule::Malformed { .. } => format!("{} at byte {}", fault.rule, fault.offset),
        _ => fault.rule.to_string(),
    };
    let (rule, limit) = (fault.rule.name(), fault.rule.limit());
    problem(kind, vec![FieldError { pointer: fault.pointer, rule, limit, detail }], false)
}

fn field_error(
    pointer: &str,
    rule: &'static str,
    limit: Option<u64>,
    detail: impl Into<String>,
) -> FieldError {
    FieldError { pointer: pointer.to_owned(), rule, limit, detail: detail.into() }
}

fn problem(kind: ProblemType, errors: Vec<FieldError>, is_cut: bool) -> Problem {
    let detail = match errors.as_slice() {
        [only] if only.pointer.is_empty() => format!("the body {}", only.detail),
        [only] => format!("{} {}", only.pointer, only.detail),
        first if is_cut => format!(
            "the body breaks more than {0} rules, of which `errors` names the first {0}",
            first.len()
        ),
        several => format!("the body breaks {} rules, which `errors` names", several.len()),
    };
    Problem::new(kind, detail).with_errors(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn limits() -> ReportLimits {
        ReportLimits {
            payload: json_text::Limits::default(),
            device_id_characters: 128,
            occurred_at_max_ahead: 300_000_000,
        }
    }

    type Broken = Vec<(String, &'static str, Option<u64>)>;

    fn read(body: &str) -> Result<Report<'_>, (ProblemType, Broken)> {
        Report::read(body.as_bytes(), &limits(), NOW).map_err(|problem| {
            let broken = |e: &FieldError| (e.pointer.clone(), e.rule, e.limit);
            (problem.kind(), problem.errors().iter().map(broken).collect())
        })
    }

    fn refused(body: &str, expected: &[(&str, &'static str, Option<u64>)]) {
        let expected: Broken = expected.iter().map(|(p, r, l)| ((*p).to_owned(), *r, *l)).collect();
        assert_eq!(read(body).unwrap_err(), (ProblemType::InvalidRequest, expected), "{body}");
    }

    #[test]
    fn a_report_keeps_its_payload_as_it_was_written() {
        let body = r#" {"payload" : {"temp_c": 21.50, "n": 1e3 } , "device_id":"device-123"} "#;
        let report = read(body).unwrap();
        assert_eq!(report.payload, r#"{"temp_c": 21.50, "n": 1e3 }"#);
        assert_eq!((report.device_id.as_str(), report.occurred_at), ("device-123", None));
    }

    #[test]
    fn every_json_value_is_a_payload() {
        for payload in ["null", "7", "\"x\"", "[]", "false", "{}"] {
            let body = format!(r#"{{"device_id":"d","payload":{payload}}}"#);
            assert_eq!(read(&body).unwrap().payload, payload);
        }
    }

    #[test]
    fn a_time_keeps_the_text_that_named_it() {
        let body = r#"{"device_id":"d","payload":1,"occurred_at":"2027-01-15T09:00:00+01:00"}"#;
        let (time, text) = read(body).unwrap().occurred_at.unwrap();
        assert_eq!((time, &*text), (NOW, "2027-01-15T09:00:00+01:00"));
        let none = r#"{"device_id":"d","payload":1,"occurred_at":null}"#;
        assert_eq!(read(none).unwrap().occurred_at, None);
    }

    #[test]
    fn a_time_may_be_a_little_ahead() {
        let body = |seconds| {
            format!(r#"{{"device_id":"d","payload":1,"occurred_at":"2027-01-15T08:{seconds}Z"}}"#)
        };
        assert!(read(&body("05:00")).is_ok());
        refused(&body("05:01"), &[("/occurred_at", "max-ahead-ms", Some(300_000))]);
    }

    #[test]
    fn every_fault_of_the_members_is_named_at_once() {
        refused(
            r#"{"tenant/id":1,"device_id":"a b","occurred_at":"yesterday","version":2}"#,
            &[
                ("/tenant~1id", "known-members", None),
                ("/device_id", "visible-characters", None),
                ("/occurred_at", "rfc-3339", None),
                ("/version", "known-members", None),
                ("/payload", "required", None),
            ],
        );
        refused("{}", &[("/device_id", "required", None), ("/payload", "required", None)]);
    }

    #[test]
    fn of_many_faults_the_first_sixteen_are_named_and_it_is_said_that_there_are_more() {
        let body = |unknown: usize| {
            let unknown: String = (0..unknown).map(|n| format!(r#""m{n}":1,"#)).collect();
            format!(r#"{{{unknown}"device_id":"d","payload":1}}"#)
        };
        let problem = |unknown| {
            Report::read(body(unknown).as_bytes(), &limits(), NOW).map(|_| ()).unwrap_err()
        };
        assert_eq!(problem(16).errors().len(), 16);
        assert_eq!(problem(16).detail(), "the body breaks 16 rules, which `errors` names");
        for unknown in [17, 9_000] {
            let problem = problem(unknown);
            assert_eq!(problem.errors().len(), 16);
            let detail = "the body breaks more than 16 rules, of which `errors` names the first 16";
            assert_eq!(problem.detail(), detail);
        }
    }

    #[test]
    fn a_device_id_is_a_string_of_1_to_128_visible_characters() {
        let body = |id: &str| format!(r#"{{"device_id":{id},"payload":1}}"#);
        assert!(read(&body(&format!("\"{}\"", "ü".repeat(128)))).is_ok());
        assert_eq!(read(&body(r#""d\u00fc""#)).unwrap().device_id.as_str(), "dü");
        for (id, rule, limit) in [
            ("7".to_owned(), "string", None),
            ("null".to_owned(), "string", None),
            ("\"\"".to_owned(), "min-characters", Some(1)),
            (format!("\"{}\"", "x".repeat(129)), "max-characters", Some(128)),
            ("\"a\\n\"".to_owned(), "visible-characters", None),
        ] {
            refused(&body(&id), &[("/device_id", rule, limit)]);
        }
    }

    #[test]
    fn the_rules_of_json_texts_hold_inside_the_payload() {
        refused(
            r#"{"device_id":"d","payload":{"a":[1e309]}}"#,
            &[("/payload/a/0", "max-exponent", Some(308))],
        );
        refused(
            r#"{"device_id":"d","device_id":"e","payload":1}"#,
            &[("/device_id", "unique-names", None)],
        );
        refused("[1]", &[("", "object", None)]);
    }

    #[test]
    fn what_is_no_json_or_too_large_has_its_own_type() {
        assert_eq!(read("{").unwrap_err().0, ProblemType::MalformedJson);
        let not_utf8 = Report::read(b"{\"a\":\"\xff\"}", &limits(), NOW).unwrap_err();
        assert_eq!(not_utf8.detail(), "the body is not UTF-8 at byte 6");
        let large = format!(r#"{{"device_id":"d","payload":"{}"}}"#, "x".repeat(65_535));
        let (kind, errors) = read(&large).unwrap_err();
        assert_eq!(kind, ProblemType::ContentTooLarge);
        assert_eq!(errors, [("/payload".to_owned(), "max-bytes", Some(65_536))]);
    }
}
