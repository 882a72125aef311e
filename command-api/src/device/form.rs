//! In which form a request holds its events, told by its headers.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use problem_details::{MediaType, Problem, ProblemType};

/// The media type of one CloudEvent in JSON.
pub(super) const STRUCTURED: &str = "application/cloudevents+json";

/// The media type of several.
pub(super) const BATCH: &str = "application/cloudevents-batch+json";

/// Every media type of a CloudEvent begins so.
const CLOUD_EVENTS: &str = "application/cloudevents";

/// The required attributes of a CloudEvent, as headers. One is enough to tell a CloudEvent: of one
/// that lacks the others is said what it lacks, and it is not taken for something else.
const MARKS: [&str; 4] = ["ce-specversion", "ce-id", "ce-source", "ce-type"];

/// The forms that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A report, or an array of reports.
    Json,
    /// A CloudEvent whose attributes are headers and whose data is the body.
    Binary,
    /// A CloudEvent in JSON.
    Structured,
    /// An array of CloudEvents in JSON.
    Batch,
}

impl Form {
    /// The form that these headers tell.
    ///
    /// # Errors
    /// 415 where it is none of them.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let media_type = MediaType::of(headers)?;
        let is = |essence| media_type.is_some_and(|media_type| media_type.is(essence));
        if is(STRUCTURED) {
            return Ok(Self::Structured);
        }
        if is(BATCH) {
            return Ok(Self::Batch);
        }
        if media_type.is_some_and(|media_type| media_type.begins_with(CLOUD_EVENTS)) {
            return Err(refused("of the formats of CloudEvents only JSON is taken here"));
        }
        if headers.keys().any(|name| MARKS.contains(&name.as_str())) {
            return match media_type {
                Some(other) if !other.is_json() => {
                    Err(refused("the data of a CloudEvent must be JSON here"))
                }
                _ => Ok(Self::Binary),
            };
        }
        if is("application/json") {
            return Ok(Self::Json);
        }
        Err(refused(
            "send the body as `Content-Type: application/json`, or a CloudEvent; `Accept` lists the media types",
        ))
    }
}

fn refused(detail: &'static str) -> Problem {
    const TAKEN: HeaderValue = HeaderValue::from_static(
        "application/json, application/cloudevents+json, application/cloudevents-batch+json",
    );
    Problem::new(ProblemType::UnsupportedMediaType, detail).with_header(ACCEPT, TAKEN)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::header::CONTENT_TYPE;

    use super::*;

    fn form(media_type: Option<&str>, others: &[&str]) -> Result<Form, ProblemType> {
        let mut headers = HeaderMap::new();
        if let Some(media_type) = media_type {
            headers.insert(CONTENT_TYPE, media_type.parse().unwrap());
        }
        for name in others {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_static("1"));
        }
        Form::of(&headers).map_err(|problem| problem.kind())
    }

    #[test]
    fn the_form_is_told_by_media_type_and_attributes() {
        for (media_type, others, expected) in [
            (Some("application/json"), &[][..], Form::Json),
            (Some("Application/JSON; charset=utf-8"), &["ce", "x-ce-id", "ce-other"], Form::Json),
            (Some("application/json"), &["CE-ID"], Form::Binary),
            (Some("text/json"), &["ce-specversion"], Form::Binary),
            (Some("application/geo+json"), &["ce-type"], Form::Binary),
            (None, &["ce-source"], Form::Binary),
            (Some("application/cloudevents+json"), &[], Form::Structured),
            (Some("Application/CloudEvents+JSON; charset=UTF-8"), &["ce-id"], Form::Structured),
            (Some("application/cloudevents-batch+json"), &["ce-id"], Form::Batch),
        ] {
            assert_eq!(form(media_type, others), Ok(expected), "{media_type:?} {others:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_what_is_taken() {
        for (media_type, others) in [
            (None, &[][..]),
            (Some("text/plain"), &[]),
            (Some("text/json"), &[]),
            (Some("text/plain"), &["ce-id"]),
            (Some("application/cloudevents"), &["ce-id"]),
            (Some("application/cloudevents+avro"), &["ce-id"]),
            (Some("application/cloudevents-batch+avro"), &[]),
            (Some("application/json; charset=utf-16"), &[]),
        ] {
            let form = form(media_type, others);
            assert_eq!(form, Err(ProblemType::UnsupportedMediaType), "{media_type:?} {others:?}");
        }
    }
}
