//! How OAuth clients are told what is wrong (RFC 6749, 5.2): by a problem document that has the member
//! `error` as well.

use axum::response::{IntoResponse as _, Response};
use problem_details::{FieldError, Problem, ProblemType};

/// The answer. Of what no client is at fault for, such as too many attempts, the RFC knows no `error`.
pub(super) fn told(problem: Problem) -> Response {
    let problem = of_oauth(problem);
    match error_of(problem.kind()) {
        Some(error) => problem.with_member("error", error).into_response(),
        None => problem.into_response(),
    }
}

/// Whatever is brought and good for nothing is 400 here, and elsewhere 401 or 403.
fn of_oauth(problem: Problem) -> Problem {
    match problem.kind() {
        ProblemType::LoginFailed
        | ProblemType::InvalidRefreshToken
        | ProblemType::Deactivated
        | ProblemType::SecondFactorRequired
        | ProblemType::InvalidSecondFactor
        | ProblemType::SecondFactorNotEnrolled => {
            let errors = problem.errors().iter().map(of_form).collect();
            Problem::new(ProblemType::InvalidGrant, problem.detail().to_owned()).with_errors(errors)
        }
        _ => problem,
    }
}

/// Of what is good for nothing, a rule is named of codes alone, which forms call otherwise.
fn of_form(error: &FieldError) -> FieldError {
    let pointer = if error.pointer == "/code" { "/otp".to_owned() } else { error.pointer.clone() };
    FieldError { pointer, ..error.clone() }
}

fn error_of(kind: ProblemType) -> Option<&'static str> {
    match kind {
        ProblemType::InvalidGrant => Some("invalid_grant"),
        ProblemType::UnsupportedGrantType => Some("unsupported_grant_type"),
        ProblemType::TooManyAttempts | ProblemType::TooManyRequests => None,
        kind if kind.status().is_client_error() => Some("invalid_request"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;

    async fn told_of(kind: ProblemType) -> (u16, Value) {
        let response = told(Problem::new(kind, "as it is"));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_problem_says_as_well_what_oauth_calls_it() {
        let (status, body) = told_of(ProblemType::InvalidRequest).await;
        assert_eq!(status, 400);
        assert_eq!(
            body,
            json!({
                "type": "/problems/invalid-request", "title": "The request breaks rules",
                "status": 400, "detail": "as it is", "error": "invalid_request",
            })
        );
        for (kind, status, error) in [
            (ProblemType::LoginFailed, 400, json!("invalid_grant")),
            (ProblemType::InvalidRefreshToken, 400, json!("invalid_grant")),
            (ProblemType::Deactivated, 400, json!("invalid_grant")),
            (ProblemType::SecondFactorRequired, 400, json!("invalid_grant")),
            (ProblemType::InvalidSecondFactor, 400, json!("invalid_grant")),
            (ProblemType::SecondFactorNotEnrolled, 400, json!("invalid_grant")),
            (ProblemType::UnsupportedGrantType, 400, json!("unsupported_grant_type")),
            (ProblemType::UnsupportedMediaType, 415, json!("invalid_request")),
            (ProblemType::TooManyAttempts, 429, Value::Null),
            (ProblemType::NotReady, 503, Value::Null),
        ] {
            let (is, body) = told_of(kind).await;
            assert_eq!((is, &body["error"]), (status, &error), "{kind:?}");
            assert_eq!(body["status"], status, "{kind:?}");
        }
    }
}
