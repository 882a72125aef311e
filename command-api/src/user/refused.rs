//! Why commands to users are refused.

use domain::user::{
    ChangePasswordError, EnrolSecondFactorError, NoSuchUser, RegisterUserError,
    RemoveSecondFactorError, RequestEmailVerificationError, ResetPasswordError, VerifyEmailError,
};
use problem_details::{Problem, ProblemType};

use super::mail_link::not_ours;
use crate::decision::Refusal;

impl Refusal for NoSuchUser {
    fn refuse(self) -> Problem {
        match self {
            Self::NotFound => Problem::new(ProblemType::NotFound, "there is no such user"),
            Self::Erased => erased(),
        }
    }
}

impl Refusal for RegisterUserError {
    fn refuse(self) -> Problem {
        match self {
            Self::AlreadyRegistered => conflict("the user is registered already"),
            Self::Erased => erased(),
        }
    }
}

impl Refusal for VerifyEmailError {
    fn refuse(self) -> Problem {
        match self {
            Self::NoSuchUser(error) => error.refuse(),
            Self::AnotherAddress => {
                conflict("the e-mail address was changed after this mail was sent")
            }
        }
    }
}

impl Refusal for RequestEmailVerificationError {
    fn refuse(self) -> Problem {
        match self {
            Self::NoSuchUser(error) => error.refuse(),
            Self::AlreadyVerified => conflict("the e-mail address is verified already"),
        }
    }
}

impl Refusal for ChangePasswordError {
    fn refuse(self) -> Problem {
        match self {
            Self::NoSuchUser(error) => error.refuse(),
            Self::Overtaken => conflict("the password or the sessions were changed meanwhile"),
        }
    }
}

impl Refusal for EnrolSecondFactorError {
    fn refuse(self) -> Problem {
        match self {
            Self::NoSuchUser(error) => error.refuse(),
            Self::AlreadyEnrolled => {
                conflict("the user has a second factor already; remove it before you enrol another")
            }
            Self::Overtaken => conflict("all sessions were ended meanwhile; log in again"),
        }
    }
}

impl Refusal for RemoveSecondFactorError {
    fn refuse(self) -> Problem {
        match self {
            Self::NoSuchUser(error) => error.refuse(),
            Self::Overtaken => conflict("all sessions were ended meanwhile; log in again"),
        }
    }
}

impl Refusal for ResetPasswordError {
    fn refuse(self) -> Problem {
        match self {
            Self::NoSuchUser(error) => error.refuse(),
            Self::Overtaken => not_ours(),
        }
    }
}

fn erased() -> Problem {
    Problem::new(ProblemType::Erased, "the user was erased")
}

fn conflict(detail: &'static str) -> Problem {
    Problem::new(ProblemType::StateConflict, detail)
}
