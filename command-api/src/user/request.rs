//! What requests about users hold, read from their bodies: pure.

use std::collections::BTreeSet;

use domain::role::Role;
use domain::user::{Email, RegisterUser, UpdateProfile};
use problem_details::Problem;

use super::fields::{bio, email, full_name, image, password, username};
use crate::fields::{members, read, read_or_null};
use crate::password::Password;

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
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let names = ["username", "email", "password", "full_name", "bio", "image"];
        let (members, mut faults) = members(body, &names, &names[..3])?;
        let username = read(&members, "username", &mut faults, username);
        let email = read(&members, "email", &mut faults, email);
        let password = read(&members, "password", &mut faults, password);
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
pub(super) fn new_email(body: &[u8]) -> Result<Email, Problem> {
    let (members, mut faults) = members(body, &["email"], &["email"])?;
    let email = read(&members, "email", &mut faults, email);
    email.filter(|_| faults.is_empty()).ok_or_else(|| faults.refuse())
}

/// Reads `{token}`.
///
/// # Errors
/// A problem that names every fault.
pub(super) fn token(body: &[u8]) -> Result<String, Problem> {
    let (members, mut faults) = members(body, &["token"], &["token"])?;
    let token = read(&members, "token", &mut faults, Ok);
    token.filter(|_| faults.is_empty()).ok_or_else(|| faults.refuse())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(problem: &Problem) -> Vec<(&str, &str)> {
        problem.errors().iter().map(|error| (error.pointer.as_str(), error.rule)).collect()
    }

    #[test]
    fn every_fault_of_a_registration_is_named() {
        let body = json!({"username": "-a", "email": "nobody", "password": "short", "image": "x",
                          "bio": 7, "roles": ["admin"]});
        let problem = Registration::read(body.to_string().as_bytes()).unwrap_err();
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
        let problem = Registration::read(b"{}").unwrap_err();
        let required =
            [("/username", "required"), ("/email", "required"), ("/password", "required")];
        assert_eq!(errors(&problem), required);
    }

    #[test]
    fn whoever_registers_is_a_user_and_nothing_more() {
        let body = json!({"username": "ann", "email": "ann@example.org", "password": "correct horse",
                          "full_name": null});
        let registration = Registration::read(body.to_string().as_bytes()).unwrap();
        assert_eq!(registration.command.roles, BTreeSet::from([Role::User]));
        assert_eq!(registration.command.full_name, None);
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
