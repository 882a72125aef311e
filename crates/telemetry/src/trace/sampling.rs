//! Which spans are recorded.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    ParentBasedSampler, Sampler, SamplingDecision, SamplingResult, ShouldSample,
};

use super::TraceConfig;

/// What is part of something recorded is recorded. Else a share of the traces is, by their id, so that
/// every process decides alike; of what only links to others, what links to something recorded.
#[derive(Debug, Clone)]
pub(super) struct Sampling {
    ratio: Sampler,
}

impl Sampling {
    /// By its parent first: one in this process always, one of a caller only where callers are followed.
    pub(super) fn of(config: &TraceConfig) -> ParentBasedSampler {
        let own = Self { ratio: Sampler::TraceIdRatioBased(config.ratio) };
        let by_parent = Sampler::parent_based(own.clone());
        if config.follows_callers {
            by_parent
        } else {
            by_parent.with_remote_parent_sampled(own.clone()).with_remote_parent_not_sampled(own)
        }
    }
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if links.is_empty() {
            return self.ratio.should_sample(parent, trace_id, name, kind, attributes, links);
        }
        let is_recorded = links.iter().any(|link| link.span_context.is_sampled());
        SamplingResult {
            decision: match is_recorded {
                true => SamplingDecision::RecordAndSample,
                false => SamplingDecision::Drop,
            },
            attributes: Vec::new(),
            trace_state: parent
                .map(|parent| parent.span().span_context().trace_state().clone())
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use settings::Settings;

    use super::*;
    use crate::trace::{TraceParent, span};

    fn sampler(per_mille: &str, callers: &str) -> ParentBasedSampler {
        let pairs = [
            ("MILLRACE_OTLP_ENDPOINT", "http://c:4318"),
            ("MILLRACE_TRACE_PER_MILLE", per_mille),
            ("MILLRACE_TRACE_CALLERS", callers),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Sampling::of(&TraceConfig::from_settings(&mut Settings::new(pairs)).unwrap())
    }

    fn is_recorded(
        sampler: &ParentBasedSampler,
        parent: Option<TraceParent>,
        links: &[TraceParent],
    ) -> bool {
        let parent =
            parent.map(|parent| Context::new().with_remote_span_context(span::context_of(&parent)));
        let links: Vec<_> =
            links.iter().map(|link| Link::with_context(span::context_of(link))).collect();
        let (id, kind) = (TraceId::from(u128::MAX), &SpanKind::Server);
        let result = sampler.should_sample(parent.as_ref(), id, "a", kind, &[], &links);
        result.decision == SamplingDecision::RecordAndSample
    }

    fn trace(is_sampled: bool) -> TraceParent {
        TraceParent { trace_id: u128::MAX, parent_id: 1, is_sampled }
    }

    #[test]
    fn a_stranger_s_wish_counts_only_where_callers_are_followed() {
        let (ignoring, following) = (sampler("0", "ignore"), sampler("0", "follow"));
        assert!(!is_recorded(&ignoring, Some(trace(true)), &[]));
        assert!(is_recorded(&following, Some(trace(true)), &[]));
        let (ignoring, following) = (sampler("1000", "ignore"), sampler("1000", "follow"));
        assert!(is_recorded(&ignoring, Some(trace(false)), &[]));
        assert!(!is_recorded(&following, Some(trace(false)), &[]));
    }

    #[test]
    fn a_batch_is_recorded_if_one_of_its_records_is() {
        let none = sampler("0", "ignore");
        assert!(is_recorded(&none, None, &[trace(false), trace(true)]));
        let all = sampler("1000", "ignore");
        assert!(!is_recorded(&all, None, &[trace(false), trace(false)]));
    }

    #[test]
    fn a_share_of_the_traces_is_recorded() {
        assert!(is_recorded(&sampler("1000", "ignore"), None, &[]));
        assert!(!is_recorded(&sampler("999", "ignore"), None, &[]));
    }
}
