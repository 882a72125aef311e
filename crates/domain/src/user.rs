//! Users: who they are, what can happen to them and what they may ask for.
//!
//! What tells who a person is has a type of its own, `P`: plain text where a decision is made,
//! sealed in the log and in stored states, and `Option<String>` once it was opened, where `None`
//! means that the person was erased.

mod change_email;
mod change_password;
mod claims;
mod deactivate_user;
mod email;
mod end_sessions;
mod enrol_second_factor;
mod erase_user;
mod event;
mod grant_role;
mod id;
mod profile;
mod reactivate_user;
mod register_user;
mod register_verified_user;
mod remove_second_factor;
mod request_email_verification;
mod reset_password;
mod revoke_role;
mod state;
mod update_profile;
mod username;
mod verify_email;

#[cfg(test)]
mod scenario;
#[cfg(test)]
mod tests;

pub use change_email::ChangeEmail;
pub use change_password::{ChangePassword, ChangePasswordError};
pub use deactivate_user::DeactivateUser;
pub use email::{Email, EmailError};
pub use end_sessions::EndSessions;
pub use enrol_second_factor::{EnrolSecondFactor, EnrolSecondFactorError};
pub use erase_user::EraseUser;
pub use event::{ProfileChange, UserEvent};
pub use grant_role::GrantRole;
pub use id::{STREAM_PREFIX, UserId, UserIdError};
pub use profile::{Bio, BioError, FullName, FullNameError, ImageUrl, ImageUrlError};
pub use reactivate_user::ReactivateUser;
pub use register_user::{RegisterUser, RegisterUserError};
pub use register_verified_user::RegisterVerifiedUser;
pub use remove_second_factor::{RemoveSecondFactor, RemoveSecondFactorError};
pub use request_email_verification::{RequestEmailVerification, RequestEmailVerificationError};
pub use reset_password::{ResetPassword, ResetPasswordError};
pub use revoke_role::RevokeRole;
pub use state::{NoSuchUser, STATE_REVISION, User, evolve};
pub use update_profile::UpdateProfile;
pub use username::{Username, UsernameError};
pub use verify_email::{VerifyEmail, VerifyEmailError};

/// The names of the personal fields: of events, of states, of schemas and of views alike.
pub mod field {
    /// The user name.
    pub const USERNAME: &str = "username";
    /// The e-mail address.
    pub const EMAIL: &str = "email";
    /// The full name.
    pub const FULL_NAME: &str = "full_name";
    /// What they say of themselves.
    pub const BIO: &str = "bio";
    /// The address of their picture.
    pub const IMAGE: &str = "image";
    /// Every one of them.
    pub const ALL: [&str; 5] = [USERNAME, EMAIL, FULL_NAME, BIO, IMAGE];
}
