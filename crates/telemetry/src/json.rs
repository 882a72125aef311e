//! Log lines as JSON: one flat object per line, with the request that it is written for and the fields of the
//! enclosing spans.

use std::fmt::{self, Write as _};

use chrono::{SecondsFormat, Utc};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{
    FmtContext, FormatEvent, FormatFields, FormattedFields, time::FormatTime,
};
use tracing_subscriber::registry::LookupSpan;

use crate::{Identity, RequestIds, trace};

/// Writes an event as one line.
pub(crate) struct JsonLines {
    /// `"service":"...","instance":"..."`, the same on every line.
    identity: String,
}

/// Writes the fields of a span as members of the line's object.
pub(crate) struct JsonFields;

impl JsonLines {
    pub(crate) fn new(identity: &Identity) -> Self {
        let mut text = String::new();
        let mut members = Members { out: &mut text, result: Ok(()), is_first: true };
        members.string("service", identity.service);
        members.string("instance", &identity.instance);
        Self { identity: text }
    }

    pub(crate) fn fields(&self) -> JsonFields {
        JsonFields
    }
}

struct Rfc3339Micros;

impl FormatTime for Rfc3339Micros {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        out.write_str(&Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        out.write_str("{\"timestamp\":\"")?;
        Rfc3339Micros.format_time(&mut out)?;
        let metadata = event.metadata();
        write!(out, "\",\"level\":\"{}\",{}", metadata.level(), self.identity)?;
        write!(out, ",\"target\":\"{}\"", metadata.target())?;
        let (request, recorded) = (RequestIds::current(), trace::ids());
        if let Some(request) = &request {
            out.write_str(",\"request.id\":")?;
            quoted(&mut out, request.request_id())?;
        }
        let trace = request.map(|request| request.trace_id);
        if let Some(trace) = trace.or(recorded.map(|(trace, _)| trace)) {
            write!(out, ",\"trace_id\":\"{trace:032x}\"")?;
        }
        if let Some((_, span)) = recorded {
            write!(out, ",\"span_id\":\"{span:016x}\"")?;
        }
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>()
                && !fields.is_empty()
            {
                write!(out, ",{}", fields.as_str())?;
            }
        }
        let mut members = Members { out: &mut out, result: Ok(()), is_first: false };
        event.record(&mut members);
        members.result?;
        out.write_str("}\n")
    }
}

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut out: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = Members { out: &mut out, result: Ok(()), is_first: true };
        fields.record(&mut members);
        members.result
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let is_first = current.is_empty();
        let mut out = current.as_writer();
        let mut members = Members { out: &mut out, result: Ok(()), is_first };
        fields.record(&mut members);
        members.result
    }
}

/// Appends members to an object.
struct Members<'a, W> {
    out: &'a mut W,
    result: fmt::Result,
    is_first: bool,
}

impl<W: fmt::Write> Members<'_, W> {
    fn string(&mut self, name: &str, value: &str) {
        self.member(name, |out| quoted(out, value));
    }

    fn literal(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.member(name, |out| out.write_fmt(value));
    }

    fn member(&mut self, name: &str, value: impl FnOnce(&mut W) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = self.write_member(name, value);
        }
    }

    fn write_member(
        &mut self,
        name: &str,
        value: impl FnOnce(&mut W) -> fmt::Result,
    ) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_char(',')?;
        }
        quoted(self.out, name.strip_prefix("r#").unwrap_or(name))?;
        self.out.write_char(':')?;
        value(self.out)
    }
}

impl<W: fmt::Write> Visit for Members<'_, W> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.literal(field.name(), format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.literal(field.name(), format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.literal(field.name(), format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.literal(field.name(), format_args!("{value}"));
        } else {
            self.literal(field.name(), format_args!("null"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            let _ = write!(chain, ": {error}");
            source = error.source();
        }
        self.string(field.name(), &chain);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.string(field.name(), &format!("{value:?}"));
    }
}

fn quoted<W: fmt::Write>(out: &mut W, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut clean_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x00..=0x1f => "",
            _ => continue,
        };
        out.write_str(&text[clean_from..at])?;
        if escape.is_empty() {
            write!(out, "\\u{byte:04x}")?;
        } else {
            out.write_str(escape)?;
        }
        clean_from = at + 1;
    }
    out.write_str(&text[clean_from..])?;
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::log::tests::Captured;

    fn lines_of(act: impl FnOnce()) -> Vec<Value> {
        let captured = Captured::default();
        let identity = Identity { service: "query-api", instance: "a \"b\"".to_owned() };
        let json = JsonLines::new(&identity);
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(json.fields())
            .event_format(json)
            .with_writer(captured.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        captured
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    #[test]
    fn a_line_tells_who_when_and_what_in_one_flat_object() {
        let lines = lines_of(|| tracing::info!(kafka.offset = 7, ratio = 0.5, ok = true, "seen"));
        let line = &lines[0];
        assert_eq!(line["service"], "query-api");
        assert_eq!(line["instance"], "a \"b\"");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "seen");
        assert_eq!(line["kafka.offset"], 7);
        assert_eq!(line["ratio"], 0.5);
        assert_eq!(line["ok"], true);
        let at = line["timestamp"].as_str().unwrap();
        assert_eq!(at.len(), "2026-01-01T00:00:00.000000Z".len(), "{at}");
    }

    #[test]
    fn the_fields_of_enclosing_spans_are_on_the_line() {
        let lines = lines_of(|| {
            let span = tracing::info_span!("step", early = "e1", late = tracing::field::Empty);
            let _entered = span.enter();
            span.record("late", 3);
            tracing::warn!("inside");
        });
        assert_eq!(lines[0]["early"], "e1");
        assert_eq!(lines[0]["late"], 3);
    }

    #[test]
    fn a_line_names_the_request_that_it_is_written_for() {
        let request_id = HeaderValue::from_static("r\"1");
        let ids = RequestIds { request_id, trace_id: 0xabc };
        let lines = lines_of(|| {
            ids.sync_scope(|| tracing::warn!("inside"));
            tracing::warn!("outside");
        });
        assert_eq!(lines[0]["request.id"], "r\"1");
        assert_eq!(lines[0]["trace_id"], format!("{:032x}", 0xabc));
        assert_eq!((lines[1].get("request.id"), lines[1].get("trace_id")), (None, None));
    }

    #[test]
    fn an_error_is_written_with_its_causes() {
        let cause = io::Error::other("no route");
        let error = io::Error::other(Wrapped(cause));
        let lines = lines_of(|| {
            tracing::error!(error = &error as &(dyn std::error::Error + 'static), "failed");
        });
        assert_eq!(lines[0]["error"], "asking the broker: no route");
    }

    #[derive(Debug)]
    struct Wrapped(io::Error);
    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("asking the broker")
        }
    }
    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_it_was_logged(text in any::<String>()) {
            let mut out = String::new();
            quoted(&mut out, &text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
