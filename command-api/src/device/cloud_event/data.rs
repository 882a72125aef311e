//! The data of a CloudEvent, which becomes the payload.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::json_text::{self, Fault, Rule, Value};
use problem_details::Problem;

use super::super::fields::{self, Broken, Faults, Place, fault_problem};
use super::super::request::ReportLimits;

#[derive(Debug)]
pub(super) enum Data<'a> {
    /// There is none.
    Absent,
    /// JSON text, as it was written.
    Payload(Cow<'a, str>),
    /// What is wrong with it is noted.
    Refused,
}

impl<'a> Data<'a> {
    /// The body of binary mode.
    pub(super) fn of_body(body: &'a [u8], limits: &ReportLimits) -> Result<Self, Problem> {
        if body.is_empty() {
            return Ok(Self::Absent);
        }
        let value = json_text::value(fields::text(body)?, &limits.payload).map_err(|fault| {
            fault_problem(Fault { pointer: format!("/data{}", fault.pointer), ..fault })
        })?;
        Ok(Self::Payload(Cow::Borrowed(value.text)))
    }

    /// The member `data`.
    pub(super) fn of_json(
        value: &Value<'a>,
        limits: &ReportLimits,
        place: Place,
    ) -> Result<Self, Problem> {
        value.must_fit(&limits.payload).map_err(|rule| too_long("/data", rule, place))?;
        Ok(Self::Payload(Cow::Borrowed(value.text)))
    }

    /// The member `data_base64`: bytes, and so JSON text in UTF-8.
    pub(super) fn of_base64(
        value: &Value<'a>,
        limits: &ReportLimits,
        faults: &mut Faults,
    ) -> Result<Self, Problem> {
        const POINTER: &str = "/data_base64";
        let text = fields::string(value).and_then(|encoded| decoded(&encoded));
        let Some(text) = faults.unless(POINTER, text) else { return Ok(Self::Refused) };
        match json_text::value(&text, &limits.payload) {
            Ok(value) => Ok(Self::Payload(Cow::Owned(value.text.to_owned()))),
            Err(Fault { rule: rule @ Rule::TooLong { .. }, .. }) => {
                Err(too_long(POINTER, rule, faults.place()))
            }
            Err(fault) => {
                faults.note(POINTER, inside(&fault));
                Ok(Self::Refused)
            }
        }
    }
}

fn decoded(encoded: &str) -> Result<String, Broken> {
    let bytes = STANDARD.decode(encoded.as_bytes());
    let bytes = bytes.map_err(|_| Broken::new("base64", "must be base64 with padding"))?;
    String::from_utf8(bytes).map_err(|_| Broken::new("utf-8", "must encode JSON text in UTF-8"))
}

/// What is wrong inside a text that is itself the value of a member.
fn inside(fault: &Fault) -> Broken {
    let Fault { pointer, offset, rule } = fault;
    let at = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
    let byte = match rule {
        Rule::Malformed { .. } => format!(" at byte {offset}"),
        _ => String::new(),
    };
    Broken::of_rule(rule, format!("encodes a text that{at} {rule}{byte}"))
}

fn too_long(pointer: &str, rule: Rule, place: Place) -> Problem {
    fault_problem(Fault { pointer: place.pointer(pointer), offset: 0, rule })
}
