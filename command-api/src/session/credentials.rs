//! Who somebody says they are, and by what they show it, read from their request: pure.

use std::borrow::Cow;

use domain::decision::ClaimKind;
use domain::user::{Email, Username};
use problem_details::Problem;
use zeroize::Zeroizing;

use crate::fields::{Broken, Faults, members, read};
use crate::password::Password;

/// By what a user is known, as claims are made on it. What is no name or address of anybody is one that
/// nobody has.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) kind: ClaimKind,
    pub(super) normalised: String,
}

/// Who logs in. Never printed.
pub(super) struct Credentials {
    pub(super) name: Name,
    password: Zeroizing<String>,
    code: Option<Zeroizing<String>>,
}

impl Name {
    fn new(kind: ClaimKind, normalised: Cow<'_, str>) -> Self {
        Self { kind, normalised: normalised.into_owned() }
    }

    pub(super) fn of_email(text: &str) -> Self {
        Self::new(ClaimKind::Email, Email::normalise(text))
    }

    /// An address, or a name, which has no `@`.
    pub(super) fn of_either(text: &str) -> Self {
        if text.contains('@') {
            Self::of_email(text)
        } else {
            Self::new(ClaimKind::Username, Username::normalise(text))
        }
    }
}

impl Credentials {
    /// Reads `{username, password, code?}` or `{email, password, code?}`. A user name may be an address as well.
    ///
    /// # Errors
    /// A problem that names every fault.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let names = ["username", "email", "password", "code"];
        let (members, mut faults) = members(body, &names, &names[2..3])?;
        let username = read(&members, "username", &mut faults, Ok);
        let email = read(&members, "email", &mut faults, Ok);
        let password = read(&members, "password", &mut faults, Ok);
        let code = read(&members, "code", &mut faults, Ok);
        let named = |name: &str| members.iter().any(|member| member.name == name);
        match (named("username"), named("email")) {
            (true, true) => {
                faults.note("/email", Broken::new("one-of", "is given beside /username"));
            }
            (false, false) => faults.note("/username", Broken::required()),
            _ => {}
        }
        let name = username.map(|text| Name::of_either(&text));
        let name = name.or_else(|| email.map(|text| Name::of_email(&text)));
        Self::unless(faults, name, password, code)
    }

    /// What they say, unless something is wrong. A code that is empty is none.
    ///
    /// # Errors
    /// A problem that names every fault.
    pub(super) fn unless(
        faults: Faults,
        name: Option<Name>,
        password: Option<String>,
        code: Option<String>,
    ) -> Result<Self, Problem> {
        let code = code.filter(|code| !code.trim().is_empty()).map(Zeroizing::new);
        match (name, password.map(Zeroizing::new)) {
            (Some(name), Some(password)) if faults.is_empty() => Ok(Self { name, password, code }),
            _ => Err(faults.refuse()),
        }
    }

    /// The password, as often as it is needed.
    pub(super) fn password(&self) -> Password {
        Password::entered(self.password.as_str().to_owned())
    }

    /// The code of the second factor, where one was entered.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_ref().map(|code| code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn name(body: &Value) -> (ClaimKind, String) {
        let credentials = Credentials::read(body.to_string().as_bytes()).ok().unwrap();
        (credentials.name.kind, credentials.name.normalised)
    }

    #[test]
    fn somebody_says_a_name_or_an_address_whatever_its_case() {
        let of = |member: &str, text: &str| name(&json!({member: text, "password": "x"}));
        let (ann, address) = ("ann".to_owned(), "ann@example.org".to_owned());
        assert_eq!(of("username", "Ann"), (ClaimKind::Username, ann.clone()));
        assert_eq!(of("username", "Ann@Example.org"), (ClaimKind::Email, address.clone()));
        assert_eq!(of("email", "Ann@Example.org"), (ClaimKind::Email, address));
        // Nobody's address, and nobody's name either.
        assert_eq!(of("email", "Ann"), (ClaimKind::Email, ann));
    }

    #[test]
    fn every_fault_is_named() {
        for (body, expected) in [
            (json!({}), vec![("/password", "required"), ("/username", "required")]),
            (
                json!({"username": "ann", "email": "ann@example.org", "password": "x"}),
                vec![("/email", "one-of")],
            ),
            (
                json!({"username": 7, "password": null, "otp": "1"}),
                vec![("/otp", "known-members"), ("/username", "string"), ("/password", "string")],
            ),
        ] {
            let problem = Credentials::read(body.to_string().as_bytes()).err().unwrap();
            let errors = problem.errors().iter().map(|error| (error.pointer.as_str(), error.rule));
            assert_eq!(errors.collect::<Vec<_>>(), expected, "{body}");
        }
    }

    #[test]
    fn a_code_may_stand_beside_the_password() {
        let code = |body: &Value| {
            let credentials = Credentials::read(body.to_string().as_bytes()).ok().unwrap();
            credentials.code().map(str::to_owned)
        };
        let body = |code: &str| json!({"username": "ann", "password": "x", "code": code});
        assert_eq!(code(&body("287 082")).as_deref(), Some("287 082"));
        assert_eq!(code(&json!({"username": "ann", "password": "x"})), None);
        for empty in ["", " "] {
            assert_eq!(code(&body(empty)), None);
        }
        let number = json!({"username": "ann", "password": "x", "code": 287_082});
        let problem = Credentials::read(number.to_string().as_bytes()).err().unwrap();
        assert_eq!(
            (problem.errors()[0].pointer.as_str(), problem.errors()[0].rule),
            ("/code", "string")
        );
    }

    #[test]
    fn any_text_is_a_password_to_be_compared() {
        for password in ["", "x", &"x".repeat(5_000)] {
            let body = json!({"username": "ann", "password": password});
            assert!(Credentials::read(body.to_string().as_bytes()).is_ok());
        }
    }
}
