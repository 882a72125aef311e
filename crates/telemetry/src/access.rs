//! What happens to callers who may not do what they ask for.

use crate::Metric;

/// A request was refused because of who asks, or because nobody can be known now.
#[derive(Debug)]
pub struct AccessRefused<'a> {
    /// The stable name of why.
    pub reason: &'static str,
    /// Who, as an opaque id, where it is known.
    pub actor: Option<&'a str>,
}

impl AccessRefused<'_> {
    /// Counts it and writes the line. Whoever looks after security finds it again by that of
    /// [`HttpRequestServed`](crate::HttpRequestServed), which tells the same.
    pub fn emit(&self) {
        Metric::AccessRefused.counter(&[self.reason]).increment(1);
        tracing::debug!(access.reason = self.reason, access.actor = self.actor, "access refused");
    }
}
