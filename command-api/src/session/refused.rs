//! Why commands to sessions are refused.

use domain::session::{NoSuchSession, RefreshSessionError, StartSessionError};
use domain::user::UserId;
use http::HeaderValue;
use problem_details::{FieldError, Problem, ProblemType, RefusedCaller};

use crate::decision::Refusal;

/// Which credentials are asked for: an access token, which is what is got here.
const CHALLENGE: &str = r#"Bearer realm="millrace""#;

impl Refusal for StartSessionError {
    fn refuse(self) -> Problem {
        match self {
            Self::AlreadyStarted => {
                Problem::new(ProblemType::StateConflict, "the session was started already")
            }
        }
    }
}

/// Whoever brings a refresh token is never told what is wrong with it. The audit is.
impl Refusal for RefreshSessionError {
    fn refuse(self) -> Problem {
        invalid_refresh_token(match self {
            Self::NotFound => "unknown",
            Self::Ended => "ended",
            Self::Lapsed => "lapsed",
            Self::UserIsOut => "user-is-out",
            Self::NeverIssued => "never-issued",
        })
    }
}

impl Refusal for NoSuchSession {
    fn refuse(self) -> Problem {
        match self {
            Self::NotFound => no_such_session(),
        }
    }
}

pub(super) fn no_such_session() -> Problem {
    Problem::new(ProblemType::NotFound, "there is no such session")
}

/// The same whatever is wrong with it; `reason` is the stable name of that, for the audit.
pub(super) fn invalid_refresh_token(reason: &'static str) -> Problem {
    let detail = "the refresh token was not made here, was exchanged before, or its session is over; log in again";
    let problem = Problem::new(ProblemType::InvalidRefreshToken, detail);
    problem
        .with_challenge(HeaderValue::from_static(CHALLENGE))
        .with_refused_caller(RefusedCaller { reason, actor: None })
}

/// The same whether it is the name or the password.
pub(super) fn login_failed() -> Problem {
    let detail = "nobody is known by this name and this password";
    let problem = Problem::new(ProblemType::LoginFailed, detail);
    problem
        .with_challenge(HeaderValue::from_static(CHALLENGE))
        .with_refused_caller(RefusedCaller { reason: "credentials", actor: None })
}

/// Said to whoever knows the password of somebody who has a second factor, and has entered no code.
pub(super) fn code_required() -> Problem {
    let detail = "the password is right; send it again with a code of the second factor beside it";
    let error = ("required", "is required");
    of_code(ProblemType::SecondFactorRequired, detail, error, "no-code")
}

/// The same whether the code is wrong, was used, or has lapsed.
pub(super) fn code_refused() -> Problem {
    let detail = "the code is not good, or no more; send the next one, or a recovery code";
    let error = ("second-factor", "is no code that is good now");
    of_code(ProblemType::InvalidSecondFactor, detail, error, "code")
}

/// `rule` and `told` are for who asks, `reason` is for the audit.
fn of_code(
    kind: ProblemType,
    detail: &'static str,
    (rule, told): (&'static str, &'static str),
    reason: &'static str,
) -> Problem {
    let (pointer, told) = ("/code".to_owned(), told.to_owned());
    let error = FieldError { pointer, rule, limit: None, detail: told };
    let problem = Problem::new(kind, detail).with_errors(vec![error]);
    problem
        .with_challenge(HeaderValue::from_static(CHALLENGE))
        .with_refused_caller(RefusedCaller { reason, actor: None })
}

/// Said to whoever knows the password.
pub(super) fn must_enrol(user: UserId) -> Problem {
    let detail =
        "a role of yours asks for a second factor: enrol one, and log in with its next code";
    let refused = RefusedCaller { reason: "not-enrolled", actor: Some(user.to_string()) };
    Problem::new(ProblemType::SecondFactorNotEnrolled, detail).with_refused_caller(refused)
}

/// Said to whoever knows the password.
pub(super) fn deactivated(user: UserId) -> Problem {
    let detail = "the account was deactivated; an admin can let you in again";
    let refused = RefusedCaller { reason: "deactivated", actor: Some(user.to_string()) };
    Problem::new(ProblemType::Deactivated, detail).with_refused_caller(refused)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_refusal_says_for_the_audit_why_and_whom_where_they_have_shown_it() {
        let ann = UserId(Uuid::from_u128(7));
        for (problem, reason, who) in [
            (login_failed(), "credentials", None),
            (invalid_refresh_token("forged"), "forged", None),
            (code_required(), "no-code", None),
            (code_refused(), "code", None),
            (must_enrol(ann), "not-enrolled", Some(ann)),
            (deactivated(ann), "deactivated", Some(ann)),
        ] {
            let actor = who.map(|user| user.to_string());
            assert_eq!(problem.refused_caller(), Some(&RefusedCaller { reason, actor }));
        }
    }
}
