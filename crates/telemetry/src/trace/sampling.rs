//! Which spans are recorded.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    ParentBasedSampler, Sampler, SamplingDecision, SamplingResult, ShouldSample,
};
use sha2::{Digest as _, Sha256};

use super::TraceConfig;

/// What is part of something recorded is recorded. Else a share of the traces is, by their id and a
/// secret: every process of a deployment decides alike, and nobody else can make up an id that is
/// recorded. Of what only links to others, what links to something recorded.
#[derive(Debug, Clone)]
pub(super) struct Sampling {
    ratio: f64,
    keyed: Sha256,
}

impl Sampling {
    /// By its parent first: one in this process always, one of a caller only where callers are followed.
    pub(super) fn of(config: &TraceConfig) -> ParentBasedSampler {
        let keyed = Sha256::new().chain_update("trace sampling ").chain_update(&config.secret);
        let own = Self { ratio: config.ratio, keyed };
        let by_parent = Sampler::parent_based(own.clone());
        if config.follows_callers {
            by_parent
        } else {
            by_parent.with_remote_parent_sampled(own.clone()).with_remote_parent_not_sampled(own)
        }
    }

    fn is_of_the_share(&self, trace_id: TraceId) -> bool {
        let hash = self.keyed.clone().chain_update(trace_id.to_bytes()).finalize();
        let hash = hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        // 2^64 is more than any of them: a share of 1 is everything.
        (hash as f64) < self.ratio * 2_f64.powi(64)
    }
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_recorded = match links {
            [] => self.is_of_the_share(trace_id),
            links => links.iter().any(|link| link.span_context.is_sampled()),
        };
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

    fn share(secret: &str) -> Vec<u128> {
        let pairs = [
            ("MILLRACE_OTLP_ENDPOINT", "http://c:4318"),
            ("MILLRACE_TRACE_PER_MILLE", "100"),
            ("MILLRACE_TOKEN_SECRET", secret),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sampler = Sampling::of(&TraceConfig::from_settings(&mut Settings::new(pairs)).unwrap());
        let is_recorded = |id: &u128| {
            let (id, kind) = (TraceId::from(*id), &SpanKind::Server);
            let result = sampler.should_sample(None, id, "a", kind, &[], &[]);
            result.decision == SamplingDecision::RecordAndSample
        };
        (1..=10_000).filter(is_recorded).collect()
    }

    #[test]
    fn a_share_of_the_traces_is_recorded_and_no_stranger_knows_which() {
        let (ours, theirs) = (share("ours"), share("theirs"));
        assert_eq!(ours, share("ours"), "every process decides alike");
        assert!((850..1_150).contains(&ours.len()), "{} of 10,000", ours.len());
        let alike = ours.iter().filter(|id| theirs.contains(id)).count();
        assert!(alike < 200, "{alike} of {}", ours.len());
    }
}
