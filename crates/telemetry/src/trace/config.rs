//! Where traces go and which are recorded.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use settings::{Settings, table};

/// Where traces go and which are recorded.
#[derive(Clone)]
pub struct TraceConfig {
    /// Address of the receiver's traces.
    pub(super) endpoint: String,
    /// What the receiver asks for.
    pub(super) headers: HashMap<String, String>,
    /// How long the receiver may take for a batch of spans.
    pub(super) timeout: Duration,
    /// The share that is recorded, from 0 to 1.
    pub(super) ratio: f64,
    /// By what the share is chosen, so that nobody outside may choose: all that answer requests have it.
    pub(super) secret: String,
    /// Whether a caller's wish to record counts.
    pub(super) follows_callers: bool,
    /// Ended spans that may wait.
    pub(super) queue: usize,
}

impl TraceConfig {
    /// Reads the settings; `None` where nothing is to be traced.
    pub fn from_settings(settings: &mut Settings) -> Option<Self> {
        let endpoint = settings.optional_text(&table::OTLP_ENDPOINT);
        let headers = settings.optional_text(&table::OTLP_HEADERS).unwrap_or_default();
        let headers = headers_of(&headers).unwrap_or_else(|| {
            let name = table::OTLP_HEADERS.name;
            settings.fault(format!("{name} must be <name>=<value>, several separated by commas"));
            HashMap::new()
        });
        let timeout = settings.millis(&table::OTLP_TIMEOUT);
        let per_mille = settings.number(&table::TRACE_PER_MILLE);
        let follows_callers = settings.text(&table::TRACE_CALLERS) == "follow";
        let queue = settings.size(&table::TRACE_QUEUE);
        let ratio = per_mille as f64 / 1000.0;
        let secret = settings.optional_text(&table::TOKEN_SECRET).unwrap_or_default();
        let endpoint = traces_of(&endpoint?);
        if endpoint.parse::<http::Uri>().is_err() {
            let name = table::OTLP_ENDPOINT.name;
            settings.fault(format!("{name} must be an address such as http://127.0.0.1:4318"));
        }
        Some(Self { endpoint, headers, timeout, ratio, secret, follows_callers, queue })
    }
}

/// Where a receiver takes traces, unless its address names that place already.
fn traces_of(endpoint: &str) -> String {
    const PATH: &str = "/v1/traces";
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.ends_with(PATH) { endpoint.to_owned() } else { format!("{endpoint}{PATH}") }
}

fn headers_of(text: &str) -> Option<HashMap<String, String>> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let is_header =
                HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
            is_header.then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The headers may hold a secret.
impl fmt::Debug for TraceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceConfig").field("ratio", &self.ratio).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<TraceConfig>, Vec<String>> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut settings = Settings::new(pairs);
        let config = TraceConfig::from_settings(&mut settings);
        settings.finish(config).map_err(|error| error.0)
    }

    #[test]
    fn without_a_receiver_nothing_is_traced() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("MILLRACE_TRACE_PER_MILLE", "1000")]).unwrap().is_none());
    }

    #[test]
    fn a_receiver_is_asked_where_it_takes_traces() {
        for given in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            let config = read(&[("MILLRACE_OTLP_ENDPOINT", given)]).unwrap().unwrap();
            assert_eq!(config.endpoint, "http://c:4318/v1/traces");
            assert!((config.ratio - 0.01).abs() < 1e-9 && !config.follows_callers);
        }
        let usual_name = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        let config = read(&[usual_name]).unwrap().unwrap();
        assert_eq!(config.endpoint, "http://c:4318/v1/traces");
    }

    #[test]
    fn headers_are_read_and_never_printed() {
        let headers = ("MILLRACE_OTLP_HEADERS", "authorization=Bearer a=b, x-tenant = t");
        let config = read(&[("MILLRACE_OTLP_ENDPOINT", "http://c:4318"), headers]);
        let config = config.unwrap().unwrap();
        assert_eq!(config.headers["authorization"], "Bearer a=b");
        assert_eq!(config.headers["x-tenant"], "t");
        assert!(!format!("{config:?}").contains("Bearer"));
    }

    #[test]
    fn what_is_no_header_or_address_is_named() {
        for text in ["secret", "authorization:secret=a", "a=sec\u{1}ret"] {
            let faults = read(&[("MILLRACE_OTLP_HEADERS", text)]).unwrap_err();
            let is_named = faults[0].starts_with("MILLRACE_OTLP_HEADERS");
            assert!(faults.len() == 1 && is_named && !faults[0].contains("secret"), "{faults:?}");
        }
        let faults = read(&[("MILLRACE_OTLP_ENDPOINT", "http://a b")]).unwrap_err();
        assert!(faults.len() == 1 && faults[0].starts_with("MILLRACE_OTLP_ENDPOINT"), "{faults:?}");
    }
}
