//! What requests about sessions hold, read from their bodies: pure.

use problem_details::Problem;

use crate::fields::{members, only, read};

pub(super) use crate::fields::nothing;

const REFRESH_TOKEN: &str = "refresh_token";

/// Reads `{refresh_token}`.
///
/// # Errors
/// A problem that names every fault.
pub(super) fn refresh_token(body: &[u8]) -> Result<String, Problem> {
    only(body, REFRESH_TOKEN, Ok)
}

/// Reads `{refresh_token?}`, or nothing at all.
///
/// # Errors
/// A problem that names every fault.
pub(super) fn refresh_token_if_any(body: &[u8]) -> Result<Option<String>, Problem> {
    if body.is_empty() {
        return Ok(None);
    }
    let (members, mut faults) = members(body, &[REFRESH_TOKEN], &[])?;
    let token = read(&members, REFRESH_TOKEN, &mut faults, Ok);
    if faults.is_empty() { Ok(token) } else { Err(faults.refuse()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_refresh_token_is_there_or_may_be() {
        let body = |value: Value| value.to_string().into_bytes();
        let whole = body(json!({"refresh_token": "abc"}));
        assert_eq!(refresh_token(&whole).unwrap(), "abc");
        assert_eq!(refresh_token_if_any(&whole).unwrap(), Some("abc".to_owned()));
        for empty in [b"".to_vec(), body(json!({}))] {
            assert_eq!(refresh_token_if_any(&empty).unwrap(), None);
            assert!(refresh_token(&empty).is_err());
        }
        for faulty in [json!({"refresh_token": 7}), json!({"refresh_token": "a", "all": true})] {
            assert!(refresh_token(&body(faulty.clone())).is_err(), "{faulty}");
            assert!(refresh_token_if_any(&body(faulty.clone())).is_err(), "{faulty}");
        }
    }
}
