//! Log lines for reading at a terminal.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::RequestIds;

/// Writes an event as the library does, and behind it the request that it is written for.
#[derive(Default)]
pub(crate) struct TextLines(Format);

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(request) = RequestIds::current() else {
            return self.0.format_event(context, out, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writeln!(out, "{} {request}", line.trim_end_matches('\n'))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::log::tests::Captured;

    #[test]
    fn a_line_ends_with_the_request_that_it_is_written_for() {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(TextLines::default())
            .with_writer(captured.clone())
            .finish();
        let ids = RequestIds { request_id: HeaderValue::from_static("r1"), trace_id: 0xabc };
        tracing::subscriber::with_default(subscriber, || {
            ids.sync_scope(|| tracing::warn!("inside"));
            tracing::warn!("outside");
        });
        let text = captured.text();
        let [inside, outside] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(
            inside.ends_with(&format!("inside request.id=r1 trace_id={:032x}", 0xabc)),
            "{inside}"
        );
        assert!(outside.ends_with("outside"), "{outside}");
    }
}
