//! What an OAuth client brings for an access token (RFC 6749, 4.3.2 and 6), read from its form: pure.

use problem_details::{Problem, ProblemType};

use crate::fields::{Broken, Faults};
use crate::form;
use crate::session::credentials::{Credentials, Name};

/// What is brought.
pub(super) enum Grant {
    /// A name and a password.
    Password(Credentials),
    /// A refresh token.
    RefreshToken(String),
}

impl Grant {
    /// Reads `grant_type=password` with `username`, `password` and perhaps `otp`, or `grant_type=refresh_token`
    /// with `refresh_token`. Other members are ignored, as the RFC wants; none of these may stand twice.
    ///
    /// # Errors
    /// A problem that names every fault; `unsupported-grant-type` where there is another one.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let members = form::members(body);
        let Some(mut members) = members.map(Members::new) else {
            let detail = "the body is no form of 32 KiB at most";
            return Err(Problem::new(ProblemType::InvalidRequest, detail));
        };
        match members.take("grant_type").as_deref() {
            Some("password") => {
                let (username, password) = (members.take("username"), members.take("password"));
                let name = username.map(|text| Name::of_either(&text));
                let code = members.take_if_any("otp");
                Credentials::unless(members.faults, name, password, code).map(Self::Password)
            }
            Some("refresh_token") => {
                let token = members.take("refresh_token").filter(|_| members.faults.is_empty());
                token.map(Self::RefreshToken).ok_or_else(|| members.faults.refuse())
            }
            Some(_) => {
                let detail = "`grant_type` must be `password` or `refresh_token`";
                Err(Problem::new(ProblemType::UnsupportedGrantType, detail))
            }
            None => Err(members.faults.refuse()),
        }
    }
}

/// Members of a form, and what is wrong with those that were asked for.
struct Members {
    members: Vec<(String, String)>,
    faults: Faults,
}

impl Members {
    fn new(members: Vec<(String, String)>) -> Self {
        Self { members, faults: Faults::of_body() }
    }

    /// The value of a member that must stand there once; one without a value counts as left out.
    fn take(&mut self, name: &str) -> Option<String> {
        if !self.has(name) {
            self.faults.note(&format!("/{name}"), Broken::required());
        }
        self.take_if_any(name)
    }

    /// The value of a member that may stand there, once.
    fn take_if_any(&mut self, name: &str) -> Option<String> {
        let mut values = self.members.iter().filter(|(of, value)| of == name && !value.is_empty());
        let value = values.next().map(|(_, value)| value.clone());
        if values.next().is_some() {
            let broken = Broken::new("once", "is given more than once");
            self.faults.note(&format!("/{name}"), broken);
            return None;
        }
        value
    }

    fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(of, value)| of == name && !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use domain::decision::ClaimKind;

    use super::*;

    fn errors(body: &str) -> Vec<(String, &'static str)> {
        let problem = Grant::read(body.as_bytes()).err().unwrap();
        assert_eq!(problem.kind(), ProblemType::InvalidRequest, "{body}");
        problem.errors().iter().map(|error| (error.pointer.clone(), error.rule)).collect()
    }

    #[test]
    fn a_password_comes_with_a_name_or_an_address() {
        for (username, kind, normalised) in [
            ("Ann", ClaimKind::Username, "ann"),
            ("Ann%40Example.org", ClaimKind::Email, "ann@example.org"),
        ] {
            let body = format!("grant_type=password&username={username}&password=correct+horse");
            let Ok(Grant::Password(credentials)) = Grant::read(body.as_bytes()) else {
                panic!("{body}")
            };
            let Name { kind: of, normalised: text } = credentials.name;
            assert_eq!((of, text.as_str()), (kind, normalised));
        }
    }

    #[test]
    fn a_code_may_come_with_the_password() {
        let read = |otp: &str| {
            let body = format!("grant_type=password&username=ann&password=x{otp}");
            let Ok(Grant::Password(credentials)) = Grant::read(body.as_bytes()) else {
                panic!("{body}")
            };
            credentials.code().map(str::to_owned)
        };
        assert_eq!(read("&otp=287+082").as_deref(), Some("287 082"));
        assert_eq!(read(""), None);
        assert_eq!(read("&otp="), None);
        let twice = "grant_type=password&username=ann&password=x&otp=1&otp=2";
        assert_eq!(errors(twice), [("/otp".to_owned(), "once")]);
    }

    #[test]
    fn members_that_nobody_asked_for_are_ignored() {
        let body =
            "scope=&client_id=web&client_id=other&grant_type=refresh_token&refresh_token=abc";
        let Ok(Grant::RefreshToken(token)) = Grant::read(body.as_bytes()) else { panic!("{body}") };
        assert_eq!(token, "abc");
    }

    #[test]
    fn what_is_missing_or_stands_twice_is_named() {
        let named = |pointer: &str, rule| (pointer.to_owned(), rule);
        assert_eq!(errors(""), [named("/grant_type", "required")]);
        assert_eq!(errors("grant_type=&username=ann"), [named("/grant_type", "required")]);
        assert_eq!(
            errors("grant_type=password"),
            [named("/username", "required"), named("/password", "required")]
        );
        assert_eq!(
            errors("grant_type=refresh_token&refresh_token=a&refresh_token=b"),
            [named("/refresh_token", "once")]
        );
        assert!(errors("grant_type=%ff").is_empty(), "it is no form");
    }

    #[test]
    fn another_type_is_told_from_a_faulty_one() {
        let problem = Grant::read(b"grant_type=client_credentials").err().unwrap();
        assert_eq!(problem.kind(), ProblemType::UnsupportedGrantType);
    }
}
