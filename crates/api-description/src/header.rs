//! Headers of answers.

use serde_json::{Value, json};

/// A header that an answer may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Header {
    /// How old the view is, where a lenient read is shown less than it asked for.
    Age,
    /// What a cache may do with the answer.
    CacheControl,
    /// What the cache in front of the database did.
    CacheStatus,
    /// The checksum of a file that is shown.
    Checksum,
    /// A token of what was written or shown.
    ConsistencyToken,
    /// The version that is shown.
    ETag,
    /// Where to look for what came of it.
    Location,
    /// The next page.
    NextPage,
    /// The canonical path of an older one.
    CanonicalPath,
    /// The preferences that were honoured.
    PreferenceApplied,
    /// Where the caller stands with the quota that ends first.
    RateLimit,
    /// The quotas of the caller.
    RateLimitPolicy,
    /// The id of the request.
    RequestId,
    /// When to come back.
    RetryAfter,
    /// Which credentials are asked for.
    WwwAuthenticate,
}

impl Header {
    /// Every header.
    pub const ALL: [Self; 15] = [
        Self::Age,
        Self::CacheControl,
        Self::CacheStatus,
        Self::Checksum,
        Self::ConsistencyToken,
        Self::ETag,
        Self::Location,
        Self::NextPage,
        Self::CanonicalPath,
        Self::PreferenceApplied,
        Self::RateLimit,
        Self::RateLimitPolicy,
        Self::RequestId,
        Self::RetryAfter,
        Self::WwwAuthenticate,
    ];

    /// Its name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Age => "Age",
            Self::CacheControl => "Cache-Control",
            Self::CacheStatus => "Cache-Status",
            Self::ConsistencyToken => "Consistency-Token",
            Self::Checksum | Self::ETag => "ETag",
            Self::Location => "Location",
            Self::NextPage | Self::CanonicalPath => "Link",
            Self::PreferenceApplied => "Preference-Applied",
            Self::RateLimit => "RateLimit",
            Self::RateLimitPolicy => "RateLimit-Policy",
            Self::RequestId => "X-Request-Id",
            Self::RetryAfter => "Retry-After",
            Self::WwwAuthenticate => "WWW-Authenticate",
        }
    }

    /// Its name among the components.
    pub(crate) const fn component(self) -> &'static str {
        match self {
            Self::Age => "Age",
            Self::CacheControl => "CacheControl",
            Self::CacheStatus => "CacheStatus",
            Self::Checksum => "Checksum",
            Self::ConsistencyToken => "ConsistencyToken",
            Self::ETag => "ETag",
            Self::Location => "Location",
            Self::NextPage => "NextPage",
            Self::CanonicalPath => "CanonicalPath",
            Self::PreferenceApplied => "PreferenceApplied",
            Self::RateLimit => "RateLimit",
            Self::RateLimitPolicy => "RateLimitPolicy",
            Self::RequestId => "RequestId",
            Self::RetryAfter => "RetryAfter",
            Self::WwwAuthenticate => "WwwAuthenticate",
        }
    }

    /// What it is, as a component.
    pub(crate) fn object(self) -> Value {
        let text = json!({"type": "string"});
        let (description, schema) = match self {
            Self::Age => (
                "Seconds by which the view may lack what the token asked for; absent where it lacks nothing.",
                json!({"type": "integer", "minimum": 1}),
            ),
            Self::CacheControl => (
                "`no-cache`, with `private` for what belongs to a caller: keep it, and ask before using it. \
                 `public` with a `max-age`: use it for so many seconds without asking.",
                text,
            ),
            Self::CacheStatus => ("What the cache in front of the database did (RFC 9211).", text),
            Self::Checksum => (
                "The checksum of what is shown.",
                json!({"type": "string", "pattern": "^W/\"[0-9a-f]{8}\"$"}),
            ),
            Self::ConsistencyToken => (
                "Send it with a later read, and that read shows no less than this answer.",
                json!({"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}),
            ),
            Self::ETag => (
                "The version that is shown; `W/` before it says that the answer was compressed.",
                json!({"type": "string", "pattern": "^(W/)?\"([0-9]+\\.)?[0-9]+(\\.offline|\\.public)?\"$"}),
            ),
            Self::Location => ("Where to look for what came of it.", text),
            Self::NextPage => {
                ("`<path and query>; rel=\"next\"`, where this is not the last page.", text)
            }
            Self::CanonicalPath => ("`<canonical path>; rel=\"canonical\"`.", text),
            Self::PreferenceApplied => ("Which preferences were honoured (RFC 7240).", text),
            Self::RateLimit => (
                "Of the quota that ends first, how much is left (`r`) and in how many seconds it is whole again, or there is enough for the request (`t`).",
                json!({"type": "string", "pattern": "^\"[a-z-]+\";r=[0-9]+;t=[0-9]+$"}),
            ),
            Self::RateLimitPolicy => (
                "The quotas that hold: how much (`q`) in how many seconds (`w`), and of what, where that is not requests (`qu`).",
                text,
            ),
            Self::RequestId => (
                "The id of the request, yours or a new one: name it when you ask for help.",
                json!({"type": "string", "minLength": 1, "maxLength": 128}),
            ),
            Self::RetryAfter => {
                ("Seconds after which to send it again.", json!({"type": "integer", "minimum": 1}))
            }
            Self::WwwAuthenticate => ("Which credentials are asked for (RFC 6750).", text),
        };
        // Whoever asks, every answer has an id.
        let is_required = self == Self::RequestId;
        json!({"description": description, "required": is_required, "schema": schema})
    }

    /// A reference to the component.
    pub(crate) fn reference(self) -> Value {
        json!({"$ref": format!("#/components/headers/{}", self.component())})
    }
}
