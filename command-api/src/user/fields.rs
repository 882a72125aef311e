//! What a request says of a user, each field read from its text: pure.

use domain::user::{
    Bio, BioError, Email, EmailError, FullName, FullNameError, ImageUrl, ImageUrlError, Username,
    UsernameError,
};
use problem_details::Problem;

use crate::fields::{Broken, Faults};
use crate::password::{Owner, Password, PasswordError, PasswordRules};

pub(super) fn username(text: String) -> Result<Username, Broken> {
    Username::parse(text).map_err(|error| {
        let broken = |rule| Broken::new(rule, error.to_string());
        match error {
            UsernameError::TooShort { limit, .. } => {
                broken("min-characters").with_limit(limit as u64)
            }
            UsernameError::TooLong { limit, .. } => {
                broken("max-characters").with_limit(limit as u64)
            }
            UsernameError::NotAllowed { .. } => broken("username-characters"),
            UsernameError::OuterSign => broken("username-ends"),
        }
    })
}

pub(super) fn email(text: String) -> Result<Email, Broken> {
    Email::parse(text).map_err(|error| {
        let broken = |rule| Broken::new(rule, error.to_string());
        match error {
            EmailError::TooLong { limit, .. } => broken("max-characters").with_limit(limit as u64),
            EmailError::NotOneAt { .. }
            | EmailError::NotAllowed { .. }
            | EmailError::Local
            | EmailError::Domain => broken("email"),
        }
    })
}

pub(super) fn full_name(text: String) -> Result<FullName, Broken> {
    FullName::parse(text).map_err(|error| {
        let broken = |rule| Broken::new(rule, error.to_string());
        match error {
            FullNameError::Empty => broken("min-characters").with_limit(1),
            FullNameError::TooLong { limit, .. } => {
                broken("max-characters").with_limit(limit as u64)
            }
            FullNameError::NotVisible { .. } | FullNameError::OuterSpace => {
                broken("visible-characters")
            }
        }
    })
}

pub(super) fn bio(text: String) -> Result<Bio, Broken> {
    Bio::parse(text).map_err(|error| {
        let broken = |rule| Broken::new(rule, error.to_string());
        match error {
            BioError::Blank => broken("min-characters").with_limit(1),
            BioError::TooLong { limit, .. } => broken("max-characters").with_limit(limit as u64),
            BioError::Control { .. } => broken("visible-characters"),
        }
    })
}

pub(super) fn image(text: String) -> Result<ImageUrl, Broken> {
    ImageUrl::parse(text).map_err(|error| {
        let broken = |rule| Broken::new(rule, error.to_string());
        match error {
            ImageUrlError::TooLong { limit, .. } => {
                broken("max-characters").with_limit(limit as u64)
            }
            ImageUrlError::OtherScheme
            | ImageUrlError::NotAllowed { .. }
            | ImageUrlError::NoHost
            | ImageUrlError::Credentials => broken("image-url"),
        }
    })
}

/// A password as somebody says it: any text, which is to be compared.
pub(super) fn entered(text: String) -> Result<Password, Broken> {
    Ok(Password::entered(text))
}

/// A password that somebody chooses.
pub(super) fn password(
    entered: Password,
    rules: PasswordRules,
    owner: Owner<'_>,
) -> Result<Password, Broken> {
    rules.choose(entered, owner).map_err(|error| {
        let broken = |rule| Broken::new(rule, error.to_string());
        match error {
            PasswordError::TooShort { limit } => broken("min-characters").with_limit(limit as u64),
            PasswordError::TooLong { limit } => broken("max-characters").with_limit(limit as u64),
            PasswordError::TooManyBytes { limit } => broken("max-bytes").with_limit(limit as u64),
            PasswordError::Common => broken("common"),
        }
    })
}

/// The same of a body that says nothing else which could be wrong.
///
/// # Errors
/// A problem that names the rule.
pub(super) fn new_password(
    entered: Password,
    rules: PasswordRules,
    owner: Owner<'_>,
) -> Result<Password, Problem> {
    let mut faults = Faults::of_body();
    let chosen = faults.unless("/new_password", password(entered, rules, owner));
    chosen.ok_or_else(|| faults.refuse())
}
