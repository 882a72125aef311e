//! The address of a user's picture.

use std::fmt;

use crate::characters::first_not;

/// The address of a picture: an absolute `http` or `https` URL of at most 2,048 characters, spelt
/// in ASCII as RFC 3986 has it. It is never fetched here.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageUrl(String);

/// Why a text is no [`ImageUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageUrlError {
    /// More characters than allowed.
    #[error("must have at most {limit} characters, not {length}")]
    TooLong {
        /// Characters counted.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// Another scheme, or none.
    #[error("must begin with \"https://\" or \"http://\"")]
    OtherScheme,
    /// A character that URLs spell with `%`.
    #[error("must have characters of URLs only, not U+{code:04X} at character {index}", code = u32::from(*character))]
    NotAllowed {
        /// The character.
        character: char,
        /// Its place, counted in characters from 0.
        index: usize,
    },
    /// Nothing where the host should stand.
    #[error("must name a host")]
    NoHost,
    /// A user or a password before the host.
    #[error("must not hold a user or a password")]
    Credentials,
}

impl ImageUrl {
    /// Characters allowed.
    pub const MAX_LENGTH: usize = 2_048;

    /// Checks the text.
    pub fn parse(text: impl Into<String>) -> Result<Self, ImageUrlError> {
        let text = text.into();
        let length = text.chars().count();
        if length > Self::MAX_LENGTH {
            return Err(ImageUrlError::TooLong { length, limit: Self::MAX_LENGTH });
        }
        let rest = after_scheme(&text).ok_or(ImageUrlError::OtherScheme)?;
        if let Some((index, character)) = first_not(&text, is_of_urls) {
            return Err(ImageUrlError::NotAllowed { character, index });
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(ImageUrlError::Credentials);
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err(ImageUrlError::NoHost);
        }
        Ok(Self(text))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest)
}

fn is_of_urls(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

/// Personal: not told in logs.
impl fmt::Debug for ImageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImageUrl(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_url_is_taken() {
        for url in [
            "https://example.org",
            "HTTP://example.org:8080/a/b.png?size=2&x=%20#top",
            "https://[2001:db8::1]/me@work.png",
        ] {
            assert_eq!(ImageUrl::parse(url).unwrap().as_str(), url);
        }
    }

    #[test]
    fn what_is_no_url_of_a_picture_is_refused_by_its_rule() {
        let not_allowed = |character, index| ImageUrlError::NotAllowed { character, index };
        let long = format!("https://example.org/{}", "a".repeat(2_029));
        for (text, error) in [
            ("", ImageUrlError::OtherScheme),
            ("example.org/a.png", ImageUrlError::OtherScheme),
            ("javascript:alert(1)", ImageUrlError::OtherScheme),
            ("data://text/html", ImageUrlError::OtherScheme),
            ("https:///a.png", ImageUrlError::NoHost),
            ("https://:80/a.png", ImageUrlError::NoHost),
            ("https://?a", ImageUrlError::NoHost),
            ("https://ann:secret@example.org/", ImageUrlError::Credentials),
            ("https://example.org/a b", not_allowed(' ', 21)),
            ("https://example.org/\"><b>", not_allowed('"', 20)),
            ("https://bücher.example/", not_allowed('ü', 9)),
            (&*long, ImageUrlError::TooLong { length: 2_049, limit: 2_048 }),
        ] {
            assert_eq!(ImageUrl::parse(text), Err(error), "{text:?}");
        }
        assert!(ImageUrl::parse(long[1..].replacen("ttps", "http", 1)).is_ok());
    }
}
