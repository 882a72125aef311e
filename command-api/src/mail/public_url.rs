//! The front door as people reach it.

use std::fmt;

use http::Uri;
use http::uri::PathAndQuery;

/// What links in mails begin with: `https://app.example.com`, perhaps with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Takes an `http` or `https` URL of a host, without user, password, query or fragment.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_bare = !text.contains(['@', '#', '?'])
            && uri.path_and_query().is_none_or(|path: &PathAndQuery| path.query().is_none());
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        (is_web && is_bare && has_host).then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// That of a local stack.
    pub(super) fn local() -> Self {
        Self("http://127.0.0.1:8000".to_owned())
    }

    /// The URL of a path below it, which begins with a slash.
    pub fn at(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_path_below_it() {
        for (url, link) in [
            ("https://app.example.com", "https://app.example.com/a"),
            ("https://app.example.com/", "https://app.example.com/a"),
            ("http://127.0.0.1:8000/api//", "http://127.0.0.1:8000/api/a"),
            ("https://[::1]:8443", "https://[::1]:8443/a"),
        ] {
            assert_eq!(PublicUrl::parse(url).unwrap().at("/a"), link);
        }
    }

    #[test]
    fn what_no_link_can_begin_with_is_refused() {
        for url in [
            "",
            "app.example.com",
            "/api",
            "ftp://example.com",
            "https://",
            "https://u:p@example.com",
            "https://example.com?a",
            "https://example.com/#a",
            "https://exa mple.com",
            "https://example.com\r\nBcc: x",
        ] {
            assert_eq!(PublicUrl::parse(url), None, "{url}");
        }
    }
}
