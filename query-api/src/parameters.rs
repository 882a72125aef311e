//! The parameters of a query string: known by name, each at most once, every fault told.

use std::collections::BTreeMap;

use axum::http::Uri;
use domain::Timestamp;
use problem_details::{ParameterError, Problem, ProblemType};

/// Faults that are told of one request.
const MOST_FAULTS: usize = 16;

/// What was given, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Parameters {
    path: String,
    given: BTreeMap<String, String>,
    faults: Vec<ParameterError>,
}

/// A rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) rule: &'static str,
    pub(crate) limit: Option<u64>,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(rule: &'static str, detail: impl Into<String>) -> Self {
        Self { rule, limit: None, detail: detail.into() }
    }
}

impl Parameters {
    /// Reads the query of a URI, in which these names may stand. A `+` is a plus sign: times have
    /// one, and nothing that is asked for here has a space.
    pub(crate) fn of(uri: &Uri, known: &[&str]) -> Self {
        let (path, given) = (uri.path().to_owned(), BTreeMap::new());
        let mut parameters = Self { path, given, faults: Vec::new() };
        let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.take(name, value, known);
        }
        parameters
    }

    fn take(&mut self, name: &str, value: &str, known: &[&str]) {
        let is_known = |name: &String| known.contains(&name.as_str());
        let Some(name) = decoded(name).filter(is_known) else {
            let detail = format!("is not known here; known are {}", known.join(", "));
            return self.fault(name, Fault::new("known-parameters", detail));
        };
        let Some(value) = decoded(value) else {
            let detail = "must be percent-encoded UTF-8";
            return self.fault(&name, Fault::new("percent-encoding", detail));
        };
        if self.given.insert(name.clone(), value).is_some() {
            self.fault(&name, Fault::new("once", "must not be given twice"));
        }
    }

    /// Reads the value of a parameter, if it is given; a fault of it is noted.
    pub(crate) fn read<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        match read(self.given.get(name)?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(name, fault);
                None
            }
        }
    }

    /// Notes a fault that only the reader of several parameters sees.
    pub(crate) fn fault(&mut self, name: &str, fault: Fault) {
        if self.faults.len() < MOST_FAULTS {
            let Fault { rule, limit, detail } = fault;
            self.faults.push(ParameterError { parameter: name.to_owned(), rule, limit, detail });
        }
    }

    /// Refuses the request if there is any fault.
    pub(crate) fn check(&mut self) -> Result<(), Problem> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let detail = "parameters of the request break rules; `errors` names each";
        let faults = std::mem::take(&mut self.faults);
        Err(Problem::new(ProblemType::InvalidRequest, detail).with_parameter_errors(faults))
    }

    /// What makes this query another one than any else: path and parameters, but for those.
    pub(crate) fn identity(&self, but_for: &[&str]) -> Vec<u8> {
        let parts = self.given.iter().filter(|(name, _)| !but_for.contains(&name.as_str()));
        let parts = parts.flat_map(|(name, value)| [name, value]);
        std::iter::once(&self.path)
            .chain(parts)
            .flat_map(|part| [&(part.len() as u64).to_be_bytes(), part.as_bytes()].concat())
            .collect()
    }

    /// The same query with one parameter set to this, as a reference relative to the service's root.
    pub(crate) fn link_with(&self, name: &str, value: &str) -> String {
        let mut link = format!("{}?", self.path);
        for (other, value) in self.given.iter().filter(|(other, _)| *other != name) {
            link.push_str(&format!("{other}={}&", encoded(value)));
        }
        link.push_str(&format!("{name}={}", encoded(value)));
        link
    }
}

/// A whole number within bounds.
pub(crate) fn number(text: &str, least: u64, most: u64) -> Result<u64, Fault> {
    match text.parse() {
        Ok(number) if number < least => Err(Fault {
            limit: Some(least),
            ..Fault::new("min", format!("must be at least {least}, not {number}"))
        }),
        Ok(number) if number > most => Err(Fault {
            limit: Some(most),
            ..Fault::new("max", format!("must be at most {most}, not {number}"))
        }),
        Ok(number) => Ok(number),
        Err(_) => Err(Fault::new(
            "whole-number",
            format!("must be a whole number from {least} to {most}"),
        )),
    }
}

/// `true` or `false`.
pub(crate) fn truth(text: &str) -> Result<bool, Fault> {
    text.parse().map_err(|_| Fault::new("boolean", "must be `true` or `false`"))
}

/// A time as RFC 3339 writes it, of a year that Postgres and a calendar both know.
pub(crate) fn time(text: &str) -> Result<Timestamp, Fault> {
    Timestamp::parse_rfc3339(text).filter(|time| (FAR_PAST..=FAR_FUTURE).contains(time)).ok_or_else(
        || Fault::new("rfc-3339", "must be an RFC 3339 time such as 2026-03-01T12:00:00Z"),
    )
}

/// Before every time that is read: the first moment of the year 1.
pub(crate) const FAR_PAST: Timestamp = Timestamp(-62_135_596_800_000_000);

/// After every time that is read: the last moment of the year 9999.
pub(crate) const FAR_FUTURE: Timestamp = Timestamp(253_402_300_799_999_999);

/// Text without its percent signs; `None` where they encode no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// Text in which only what RFC 3986 calls unreserved stands for itself.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(query: &str) -> Parameters {
        let uri: Uri = format!("/api/v1/things?{query}").parse().unwrap();
        Parameters::of(&uri, &["limit", "prefix", "from", "cursor"])
    }

    fn rules(query: &str) -> Vec<(String, &'static str)> {
        let mut parameters = of(query);
        parameters.read("limit", |text| number(text, 1, 500));
        parameters.read("from", time);
        let faults = parameters.faults.into_iter();
        faults.map(|fault| (fault.parameter, fault.rule)).collect()
    }

    #[test]
    fn values_are_decoded_and_a_plus_is_a_plus() {
        let mut parameters = of("prefix=ger%C3%A4t%2F%25_&from=2026-03-01T12:00:00+02:00&&limit=7");
        assert_eq!(parameters.read("prefix", |text| Ok(text.to_owned())).unwrap(), "gerät/%_");
        let from = parameters.read("from", time).unwrap();
        assert_eq!(from.to_rfc3339().unwrap(), "2026-03-01T10:00:00.000000Z");
        assert_eq!(parameters.read("limit", |text| number(text, 1, 500)), Some(7));
        assert_eq!(parameters.read("cursor", |_| Ok(())), None);
        assert!(parameters.check().is_ok());
    }

    #[test]
    fn every_fault_is_told_by_name() {
        let cases = [
            ("other=1", "other", "known-parameters"),
            ("Limit=1", "Limit", "known-parameters"),
            ("limit=1&limit=1", "limit", "once"),
            ("prefix=%", "prefix", "percent-encoding"),
            ("prefix=%zz", "prefix", "percent-encoding"),
            ("prefix=%+1", "prefix", "percent-encoding"),
            ("prefix=%ff", "prefix", "percent-encoding"),
            ("limit=0", "limit", "min"),
            ("limit=501", "limit", "max"),
            ("limit=-1", "limit", "whole-number"),
            ("limit=", "limit", "whole-number"),
            ("limit", "limit", "whole-number"),
            ("from=yesterday", "from", "rfc-3339"),
            ("from=2026-03-01", "from", "rfc-3339"),
        ];
        for (query, name, rule) in cases {
            assert_eq!(rules(query), [(name.to_owned(), rule)], "{query}");
        }
        let all = rules("a=1&limit=0&from=x");
        assert_eq!(all.len(), 3, "{all:?}");
    }

    #[test]
    fn faults_are_told_up_to_a_number() {
        let many = vec!["x=1"; 100].join("&");
        assert_eq!(rules(&many).len(), MOST_FAULTS);
    }

    #[test]
    fn a_query_is_the_same_whatever_its_order_and_its_page() {
        let identity = |query| of(query).identity(&["cursor", "limit"]);
        assert_eq!(identity("prefix=a&from=b&limit=3"), identity("from=b&cursor=x&prefix=%61"));
        assert_ne!(identity("prefix=a"), identity("prefix=b"));
        assert_ne!(identity("prefix=a"), identity("from=a"));
        assert_ne!(identity("prefix="), identity(""));
    }

    proptest! {
        #[test]
        fn a_link_is_the_same_query_at_another_place(prefix: String, cursor in "[A-Za-z0-9_-]{1,40}") {
            let first = of(&format!("prefix={}&cursor=old&limit=7", encoded(&prefix)));
            let uri: Uri = first.link_with("cursor", &cursor).parse().unwrap();
            let mut next = Parameters::of(&uri, &["limit", "prefix", "cursor"]);
            prop_assert_eq!(first.identity(&["cursor"]), next.identity(&["cursor"]));
            let found = next.read("cursor", |text| Ok(text.to_owned()));
            prop_assert_eq!(found, Some(cursor));
        }

        #[test]
        fn any_query_is_read_without_a_panic(query in "[!-\"$-~]{0,60}") {
            if let Ok(uri) = format!("/x?{query}").parse::<Uri>() {
                Parameters::of(&uri, &["a"]);
            }
        }
    }
}
