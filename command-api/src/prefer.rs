//! What a caller of a command would rather have: the `Prefer` header (RFC 7240).

use std::time::Duration;

use http::HeaderMap;
use lifecycle::http::{preference, preferred_wait};

/// The preferences that commands know; all others are ignored, as the standard asks.
///
/// With both, the caller waits that long and is then answered as by `respond-async` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// `respond-async`: an answer before everything is done is welcome.
    pub respond_async: bool,
    /// `wait=2`: how long the caller would wait for a whole answer. Whoever waits caps it.
    pub wait: Option<Duration>,
}

impl Prefer {
    /// Reads all `Prefer` headers. One that means nothing is ignored.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let respond_async = preference(headers, "respond-async").is_some();
        Self { respond_async, wait: preferred_wait(headers) }
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::http::PREFER;

    use super::*;

    fn read(lines: &[&str]) -> (bool, Option<u64>) {
        let headers = lines.iter().map(|line| (PREFER, line.parse().unwrap())).collect();
        let Prefer { respond_async, wait } = Prefer::from_headers(&headers);
        (respond_async, wait.map(|wait| wait.as_secs()))
    }

    #[test]
    fn what_a_command_knows_is_read_and_the_rest_ignored() {
        for (lines, expected) in [
            (&[][..], (false, None)),
            (&["respond-async"], (true, None)),
            (&["Respond-Async, wait=10"], (true, Some(10))),
            (&["wait=2", "respond-async;x=y"], (true, Some(2))),
            (&["handling=strict, return=minimal"], (false, None)),
            (&["respond-asynchronously", "x=\"respond-async\""], (false, None)),
            (&["wait=soon"], (false, None)),
        ] {
            assert_eq!(read(lines), expected, "{lines:?}");
        }
    }
}
