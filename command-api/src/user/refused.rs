//! Why commands to users are refused.

use domain::user::{
    NoSuchUser, RegisterUserError, RequestEmailVerificationError, VerifyEmailError,
};
use problem_details::{Problem, ProblemType};

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

fn erased() -> Problem {
    Problem::new(ProblemType::Erased, "the user was erased")
}

fn conflict(detail: &'static str) -> Problem {
    Problem::new(ProblemType::StateConflict, detail)
}
