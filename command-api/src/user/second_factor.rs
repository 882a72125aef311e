//! Second factors of users: `POST /api/v1/users/{id}/second-factor` hands one out, `POST .../confirm` with its
//! first code makes it count, and `DELETE` takes it away.

mod confirm;
mod enrol;
mod remove;
mod request;

use std::sync::Arc;

use api_description::Described;
use domain::user::User;
use event_store::EventStore;
use problem_details::{FieldError, Problem, ProblemType};

use super::Slice;
use super::mailing::Notice;
use crate::decision::Beside;

/// A user's second factor.
pub(super) const PATH: &str = "/api/v1/users/{id}/second-factor";

/// Where its first code is shown.
pub(super) const CONFIRM: &str = "/api/v1/users/{id}/second-factor/confirm";

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    remove::on(confirm::on(enrol::on(to)))
}

/// What is written beside a removal: that there is none any more, and a mail to whoever had it, who may not be
/// the one that removes it.
pub(crate) fn beside_removal(before: Option<&User<String>>) -> Vec<Beside> {
    let notice = Notice::SecondFactorRemoved.beside(before);
    [Beside::NoSecondFactor].into_iter().chain(notice).collect()
}

/// What somebody has shown is good for nothing here.
fn not_good(kind: ProblemType, pointer: &str, rule: &'static str, detail: &'static str) -> Problem {
    let (pointer, told) = (pointer.to_owned(), "is not good, or no more".to_owned());
    let error = FieldError { pointer, rule, limit: None, detail: told };
    Problem::new(kind, detail).with_errors(vec![error])
}

/// The same whether the code is wrong, was used, or has lapsed.
fn no_code(kind: ProblemType) -> Problem {
    let detail = "the code is not good, or no more; nothing was changed";
    not_good(kind, "/code", "second-factor", detail)
}
