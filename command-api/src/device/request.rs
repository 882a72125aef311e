//! What a device reports, read from a body and checked: pure.

use std::borrow::Cow;

use domain::Timestamp;
use domain::device::DeviceId;
use domain::json_text::{self, Kind, Member, Value};
use problem_details::Problem;

use super::fields::{self, Broken, Faults, fault_problem, read_items};

/// What a report may hold.
#[derive(Debug, Clone, Copy)]
pub struct ReportLimits {
    /// Limits of the payload.
    pub payload: json_text::Limits,
    /// Characters of the longest device id.
    pub device_id_characters: usize,
    /// How far ahead of our clock `occurred_at` may be, in microseconds.
    pub occurred_at_max_ahead: i64,
    /// Events of the largest array or batch.
    pub items: usize,
}

/// A report that keeps all rules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report<'a> {
    pub(crate) device_id: DeviceId,
    /// The moment, and the text that named it.
    pub(crate) occurred_at: Option<(Timestamp, Cow<'a, str>)>,
    /// JSON text, exactly as it was sent.
    pub(crate) payload: Cow<'a, str>,
}

/// The members found so far.
#[derive(Default)]
struct Reading<'a> {
    device_id: Option<DeviceId>,
    occurred_at: Option<(Timestamp, Cow<'a, str>)>,
    payload: Option<&'a str>,
}

impl<'a> Report<'a> {
    /// Reads `{"device_id", "payload", "occurred_at"?}`; the payload is any JSON value.
    ///
    /// # Errors
    /// A problem that names the first fault of the JSON text, or else the faults of the members, up
    /// to a bound.
    pub(crate) fn read(
        body: &'a [u8],
        limits: &ReportLimits,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let members = json_text::members(fields::text(body)?, &limits.payload);
        Self::of_members(&members.map_err(fault_problem)?, Faults::of_body(), limits, now)
    }

    /// Reads an array of them; each is read on its own.
    ///
    /// # Errors
    /// A problem of the whole: it is no JSON, or has none or too many items.
    pub(crate) fn read_array(
        body: &'a [u8],
        limits: &ReportLimits,
        now: Timestamp,
    ) -> Result<Vec<Result<Self, Problem>>, Problem> {
        let text = fields::text(body)?;
        let reports = read_items(text, &limits.payload, limits.items, |members, faults| {
            Self::of_members(&members, faults, limits, now)
        })?;
        if reports.is_empty() {
            let mut faults = Faults::of_body();
            faults.note("", Broken::no_items());
            return Err(faults.refuse());
        }
        Ok(reports)
    }

    fn of_members(
        members: &[Member<'a>],
        mut faults: Faults,
        limits: &ReportLimits,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let mut reading = Reading::default();
        for member in members {
            reading.member(member, &mut faults, limits, now);
            if faults.is_cut() {
                break;
            }
        }
        for name in ["device_id", "payload"] {
            if !members.iter().any(|member| member.name == name) {
                faults.note(&json_text::pointer_to([name]), Broken::required());
            }
        }
        let Reading { device_id, occurred_at, payload } = reading;
        match (device_id, payload) {
            (Some(device_id), Some(payload)) if faults.is_empty() => {
                Ok(Self { device_id, occurred_at, payload: Cow::Borrowed(payload) })
            }
            _ => Err(faults.refuse()),
        }
    }
}

impl<'a> Reading<'a> {
    fn member(
        &mut self,
        member: &Member<'a>,
        faults: &mut Faults,
        limits: &ReportLimits,
        now: Timestamp,
    ) {
        match &*member.name {
            "device_id" => {
                let id = fields::string(&member.value).and_then(|id| fields::device_id(id, limits));
                self.device_id = faults.unless("/device_id", id);
            }
            "payload" => self.payload = Some(member.value.text),
            "occurred_at" => {
                let time = occurred_at(&member.value, limits, now);
                self.occurred_at = faults.unless("/occurred_at", time).flatten();
            }
            unknown => {
                let detail = "is not a member of a device event; only device_id, payload and occurred_at are";
                let broken = Broken::new("known-members", detail);
                faults.note(&json_text::pointer_to([unknown]), broken);
            }
        }
    }
}

fn occurred_at<'a>(
    value: &Value<'a>,
    limits: &ReportLimits,
    now: Timestamp,
) -> Result<Option<(Timestamp, Cow<'a, str>)>, Broken> {
    if value.kind == Kind::Null {
        return Ok(None);
    }
    let text = fields::string(value)?;
    Ok(Some((fields::occurred_at(&text, limits, now)?, text)))
}

#[cfg(test)]
mod tests {
    use problem_details::{FieldError, ProblemType};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn limits() -> ReportLimits {
        ReportLimits {
            payload: json_text::Limits::default(),
            device_id_characters: 128,
            occurred_at_max_ahead: 300_000_000,
            items: 1_000,
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
