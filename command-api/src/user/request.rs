//! What requests about users hold, read from their bodies: pure.

use std::collections::BTreeSet;

use domain::role::Role;
use domain::user::{Email, RegisterUser, UpdateProfile, Username};
use problem_details::Problem;

use super::fields::{bio, email, entered, full_name, image, password, username};
use super::form;
use crate::fields::{members, only, read, read_or_null};
use crate::password::{Owner, Password, PasswordRules};

pub(super) use crate::fields::nothing;

/// Who registers.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) command: RegisterUser,
    pub(super) password: Password,
}

impl Registration {
    /// Reads `{username, email, password, full_name?, bio?, image?}`.
    ///
    /// # Errors
    /// A problem that names every fault.
    pub(super) fn read(body: &[u8], rules: PasswordRules) -> Result<Self, Problem> {
        let names = ["username", "email", "password", "full_name", "bio", "image"];
        let (members, mut faults) = members(body, &names, &names[..3])?;
        let username = read(&members, "username", &mut faults, username);
        let email = read(&members, "email", &mut faults, email);
        let owner = Owner {
            username: username.as_ref().map(Username::as_str),
            email: email.as_ref().map(Email::as_str),
        };
        let chosen = |text| password(Password::entered(text), rules, owner);
        let password = read(&members, "password", &mut faults, chosen);
        let full_name = read_or_null(&members, "full_name", &mut faults, full_name).flatten();
        let bio = read_or_null(&members, "bio", &mut faults, bio).flatten();
        let image = read_or_null(&members, "image", &mut faults, image).flatten();
        match (username, email, password) {
            (Some(username), Some(email), Some(password)) if faults.is_empty() => {
                let roles = BTreeSet::from([Role::User]);
                let command = RegisterUser { username, email, full_name, bio, image, roles };
                Ok(Self { command, password })
            }
            _ => Err(faults.refuse()),
        }
    }
}

/// Reads `{full_name?, bio?, image?}`: what is absent is cleared (`PUT`) or left (`PATCH`).
///
/// # Errors
/// A problem that names every fault.
pub(super) fn profile(body: &[u8], is_whole: bool) -> Result<UpdateProfile, Problem> {
    let (members, mut faults) = members(body, &["full_name", "bio", "image"], &[])?;
    let full_name = read_or_null(&members, "full_name", &mut faults, full_name);
    let bio = read_or_null(&members, "bio", &mut faults, bio);
    let image = read_or_null(&members, "image", &mut faults, image);
    if !faults.is_empty() {
        return Err(faults.refuse());
    }
    Ok(UpdateProfile {
        full_name: full_name.or(is_whole.then_some(None)),
        bio: bio.or(is_whole.then_some(None)),
        image: image.or(is_whole.then_some(None)),
    })
}

/// Reads `{email}`.
///
/// # Errors
/// A problem that names every fault.
pub(super) fn only_email(body: &[u8]) -> Result<Email, Problem> {
    only(body, "email", email)
}

/// Another address, and where it is somebody's own, the password as they have entered it.
pub(super) struct EmailChange {
    pub(super) email: Email,
    pub(super) current: Option<Password>,
}

impl EmailChange {
    /// Reads `{email, current_password}` of one's own, and `{email}` of somebody else's.
    ///
    /// # Errors
    /// A problem that names every fault.
    pub(super) fn read(body: &[u8], is_own: bool) -> Result<Self, Problem> {
        let names = ["email", "current_password"];
        let names = if is_own { &names[..] } else { &names[..1] };
        let (members, mut faults) = members(body, names, names)?;
        let email = read(&members, "email", &mut faults, email);
        let current = read(&members, "current_password", &mut faults, entered);
        match email {
            Some(email) if faults.is_empty() => Ok(Self { email, current }),
            _ => Err(faults.refuse()),
        }
    }
}

/// Who changes their password: as they have entered both.
pub(super) struct PasswordChange {
    pub(super) current: Password,
    pub(super) new: Password,
}

impl PasswordChange {
    /// Reads `{current_password, new_password}`.
    ///
    /// # Errors
    /// A problem that names every fault.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let names = ["current_password", "new_password"];
        let (members, mut faults) = members(body, &names, &names)?;
        let current = read(&members, names[0], &mut faults, entered);
        let new = read(&members, names[1], &mut faults, entered);
        match (current, new) {
            (Some(current), Some(new)) if faults.is_empty() => Ok(Self { current, new }),
            _ => Err(faults.refuse()),
        }
    }
}

/// Who has forgotten it: what the mail says, and what they have entered.
pub(super) struct NewPassword {
    pub(super) token: String,
    pub(super) new: Password,
}

impl NewPassword {
    /// Reads `{token, new_password}`.
    ///
    /// # Errors
    /// A problem that names every fault.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let (token, new) = token_beside(body, "new_password")?;
        Ok(Self { token, new })
    }

    /// Reads `token=...&new_password=...`.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn read_form(body: &[u8]) -> Result<Self, Problem> {
        let (token, new) = token_beside_in_form(body, "new_password")?;
        Ok(Self { token, new })
    }
}

/// Who confirms a registration: what the mail says, and the password as they have entered it.
pub(super) struct Confirming {
    pub(super) token: String,
    pub(super) password: Password,
}

impl Confirming {
    /// Reads `{token, password}`.
    ///
    /// # Errors
    /// A problem that names every fault.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let (token, password) = token_beside(body, "password")?;
        Ok(Self { token, password })
    }

    /// Reads `token=...&password=...`.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn read_form(body: &[u8]) -> Result<Self, Problem> {
        let (token, password) = token_beside_in_form(body, "password")?;
        Ok(Self { token, password })
    }
}

/// Reads a token, and beside it a password that is called so.
fn token_beside(body: &[u8], password: &str) -> Result<(String, Password), Problem> {
    let names = ["token", password];
    let (members, mut faults) = members(body, &names, &names)?;
    let token = read(&members, names[0], &mut faults, Ok);
    let password = read(&members, names[1], &mut faults, entered);
    match token.zip(password) {
        Some(both) if faults.is_empty() => Ok(both),
        _ => Err(faults.refuse()),
    }
}

/// The same of a form.
fn token_beside_in_form(body: &[u8], password: &str) -> Result<(String, Password), Problem> {
    let [token, password] = form::said(body, ["token", password])?;
    Ok((token, Password::entered(password)))
}

/// Reads `{token}`.
///
/// # Errors
/// A problem that names every fault.
pub(super) fn token(body: &[u8]) -> Result<String, Problem> {
    only(body, "token", Ok)
}

/// Reads `token=...`.
///
/// # Errors
/// It is something else.
pub(super) fn token_of_form(body: &[u8]) -> Result<String, Problem> {
    let [token] = form::said(body, ["token"])?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::password::Scheme;

    fn errors(problem: &Problem) -> Vec<(&str, &str)> {
        problem.errors().iter().map(|error| (error.pointer.as_str(), error.rule)).collect()
    }

    #[test]
    fn every_fault_of_a_registration_is_named() {
        let body = json!({"username": "-a", "email": "nobody", "password": "short", "image": "x",
                          "bio": 7, "roles": ["admin"]});
        let rules = PasswordRules::default();
        let problem = Registration::read(body.to_string().as_bytes(), rules).unwrap_err();
        assert_eq!(
            errors(&problem),
            [
                ("/roles", "known-members"),
                ("/username", "min-characters"),
                ("/email", "email"),
                ("/password", "min-characters"),
                ("/bio", "string"),
                ("/image", "image-url"),
            ]
        );
        let problem = Registration::read(b"{}", rules).unwrap_err();
        let required =
            [("/username", "required"), ("/email", "required"), ("/password", "required")];
        assert_eq!(errors(&problem), required);
    }

    #[test]
    fn whoever_registers_is_a_user_and_nothing_more() {
        let body = json!({"username": "ann", "email": "ann@example.org", "password": "correct horse",
                          "full_name": null});
        let rules = PasswordRules::default();
        let registration = Registration::read(body.to_string().as_bytes(), rules).unwrap();
        assert_eq!(registration.command.roles, BTreeSet::from([Role::User]));
        assert_eq!(registration.command.full_name, None);
    }

    #[test]
    fn nobody_takes_a_password_that_is_tried_first_or_that_they_are_called_by() {
        let refused = |password: &str, rules| {
            let body = json!({"username": "annabelle", "email": "ann.smith@example.org",
                              "password": password});
            let problem = Registration::read(body.to_string().as_bytes(), rules).unwrap_err();
            assert!(!format!("{problem:?}").contains(password), "{problem:?}");
            let error = &problem.errors()[0];
            assert_eq!((problem.errors().len(), error.pointer.as_str()), (1, "/password"));
            error.rule
        };
        for password in ["Annabelle", "Ann.Smith", "ANN.smith@example.org", "iloveyou"] {
            assert_eq!(refused(password, PasswordRules::default()), "common");
        }
        let bcrypt = PasswordRules::of(Scheme::Bcrypt { rounds: 10 });
        assert_eq!(refused(&"correct horse ".repeat(6), bcrypt), "max-bytes");
    }

    #[test]
    fn both_passwords_are_asked_for_and_neither_is_told() {
        let read = |body: &[u8]| PasswordChange::read(body).map(drop).unwrap_err();
        let problem = read(br#"{"new_password": 7, "password": "hunter22"}"#);
        assert_eq!(
            errors(&problem),
            [
                ("/password", "known-members"),
                ("/current_password", "required"),
                ("/new_password", "string"),
            ]
        );
        assert!(!format!("{problem:?}").contains("hunter22"));
        let body = br#"{"current_password": "", "new_password": "whatever it is"}"#;
        assert!(PasswordChange::read(body).is_ok(), "rules are for those who choose");
    }

    #[test]
    fn the_password_is_asked_for_where_the_address_is_ones_own_and_nowhere_else() {
        let read = |body: &[u8], is_own| EmailChange::read(body, is_own).map(|read| read.current);
        let alone = br#"{"email": "ann@example.org"}"#;
        let both = br#"{"email": "ann@example.org", "current_password": "hunter22"}"#;
        assert!(matches!(read(both, true), Ok(Some(_))));
        assert!(matches!(read(alone, false), Ok(None)));
        let problem = read(alone, true).map(drop).unwrap_err();
        assert_eq!(errors(&problem), [("/current_password", "required")]);
        let problem = read(both, false).map(drop).unwrap_err();
        assert_eq!(errors(&problem), [("/current_password", "known-members")]);
        assert!(!format!("{problem:?}").contains("hunter22"));
        let required = [("/email", "required"), ("/current_password", "required")];
        assert_eq!(errors(&read(b"{}", true).map(drop).unwrap_err()), required);
    }

    #[test]
    fn a_new_password_comes_with_the_token_of_a_mail_from_programs_and_from_forms() {
        let read = NewPassword::read(br#"{"token": "aZ0-_", "new_password": "correct horse"}"#);
        assert_eq!(read.map(|read| read.token).unwrap(), "aZ0-_");
        let read = NewPassword::read_form(b"token=aZ0-_&new_password=correct+horse");
        assert_eq!(read.map(|read| read.token).unwrap(), "aZ0-_");
        let required = [("/token", "required"), ("/new_password", "required")];
        assert_eq!(errors(&NewPassword::read(b"{}").map(drop).unwrap_err()), required);
        assert_eq!(errors(&NewPassword::read_form(b"token=a").map(drop).unwrap_err()), required);
    }

    #[test]
    fn whoever_confirms_a_registration_enters_any_text_as_its_password() {
        for password in ["correct+horse", "x", ""] {
            let body = json!({"token": "aZ0-_", "password": password}).to_string();
            let read = Confirming::read(body.as_bytes());
            assert_eq!(read.map(|read| read.token).unwrap(), "aZ0-_");
            let read = Confirming::read_form(format!("token=aZ0-_&password={password}").as_bytes());
            assert_eq!(read.map(|read| read.token).unwrap(), "aZ0-_");
        }
        let without = br#"{"token": "aZ0-_", "new_password": "hunter22"}"#;
        let problem = Confirming::read(without).map(drop).unwrap_err();
        let expected = [("/new_password", "known-members"), ("/password", "required")];
        assert_eq!(errors(&problem), expected);
        assert!(!format!("{problem:?}").contains("hunter22"));
        let required = [("/token", "required"), ("/password", "required")];
        assert_eq!(errors(&Confirming::read(b"{}").map(drop).unwrap_err()), required);
        assert_eq!(errors(&Confirming::read_form(b"token=a").map(drop).unwrap_err()), required);
    }

    #[test]
    fn what_a_whole_profile_leaves_out_is_cleared_and_what_a_part_leaves_out_is_kept() {
        let body = br#"{"bio": "Hi", "image": null}"#;
        let (whole, part) = (profile(body, true).unwrap(), profile(body, false).unwrap());
        assert_eq!((whole.full_name, whole.image.clone()), (Some(None), Some(None)));
        assert_eq!((part.full_name, part.image), (None, Some(None)));
        assert!(matches!(whole.bio, Some(Some(_))) && matches!(part.bio, Some(Some(_))));
    }
}
