//! What requests about second factors hold, read from their bodies: pure.

use problem_details::Problem;
use zeroize::Zeroizing;

use crate::fields::{Broken, members, only, read};
use crate::password::Password;
use crate::user::fields::entered;

const PASSWORD: &str = "current_password";
const CODE: &str = "code";

/// Reads `{current_password}`.
///
/// # Errors
/// A problem that names every fault.
pub(super) fn current_password(body: &[u8]) -> Result<Password, Problem> {
    only(body, PASSWORD, entered)
}

/// What was handed out, and its first code.
pub(super) struct Confirmation {
    pub(super) token: String,
    pub(super) code: Zeroizing<String>,
}

impl Confirmation {
    /// Reads `{enrolment_token, code}`.
    ///
    /// # Errors
    /// A problem that names every fault.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let names = ["enrolment_token", CODE];
        let (members, mut faults) = members(body, &names, &names)?;
        let token = read(&members, names[0], &mut faults, Ok);
        let code = read(&members, names[1], &mut faults, secret);
        match (token, code) {
            (Some(token), Some(code)) if faults.is_empty() => Ok(Self { token, code }),
            _ => Err(faults.refuse()),
        }
    }
}

/// Reads `{code}`.
///
/// # Errors
/// A problem that names every fault.
pub(super) fn code(body: &[u8]) -> Result<Zeroizing<String>, Problem> {
    only(body, CODE, secret)
}

fn secret(text: String) -> Result<Zeroizing<String>, Broken> {
    Ok(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors<T>(read: Result<T, Problem>) -> Vec<(String, &'static str)> {
        let problem = read.map(drop).unwrap_err();
        problem.errors().iter().map(|error| (error.pointer.clone(), error.rule)).collect()
    }

    fn named<const N: usize>(errors: [(&str, &'static str); N]) -> Vec<(String, &'static str)> {
        errors.map(|(pointer, rule)| (pointer.to_owned(), rule)).into()
    }

    #[test]
    fn a_code_is_shown_and_nothing_stands_in_for_it() {
        assert_eq!(*code(br#"{"code": "287082"}"#).unwrap(), "287082");
        let known = ("/current_password", "known-members");
        let password = code(br#"{"current_password": "hunter22"}"#);
        assert_eq!(errors(password), named([known, ("/code", "required")]));
        let both = br#"{"code": "287082", "current_password": "hunter22"}"#;
        assert_eq!(errors(code(both)), named([known]));
        assert_eq!(errors(code(br#"{"code": 7}"#)), named([("/code", "string")]));
    }

    #[test]
    fn what_is_missing_is_named_and_what_is_secret_is_not_told() {
        let expected = named([("/enrolment_token", "required"), ("/code", "required")]);
        assert_eq!(errors(Confirmation::read(b"{}")), expected);
        let both = br#"{"enrolment_token": "abc", "code": "287 082"}"#;
        assert_eq!(Confirmation::read(both).map(|read| read.token).unwrap(), "abc");
        assert_eq!(errors(current_password(b"{}")), named([("/current_password", "required")]));
        let told = current_password(br#"{"current_password": "a", "other": "hunter22"}"#);
        let problem = told.map(drop).unwrap_err();
        assert!(!format!("{problem:?}").contains("hunter22"), "{problem:?}");
    }
}
