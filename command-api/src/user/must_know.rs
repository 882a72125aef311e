//! Whether whoever asks knows the user's password, for what an access token alone does not allow: whoever has
//! found or stolen one does not make the account theirs by it. And guessing does not help them: what is wrong
//! counts as logging in does.

use std::net::IpAddr;

use domain::user::{User, UserId};
use event_store::EventStore;
use problem_details::{FieldError, Problem, ProblemType, RefusedCaller};

use super::{Slice, occurrence};
use crate::decision::closed;
use crate::password::{HashedPassword, Password};
use crate::throttle::Attempt;

impl<S: EventStore> Slice<S> {
    /// Lets whoever knows the user's password go on. Failures count as those of logging in by the user's name
    /// do, and make both wait.
    ///
    /// # Errors
    /// They do not know it, have to wait, or nobody can say now.
    pub(super) async fn must_know(
        &self,
        user: UserId,
        state: Option<&User<String>>,
        password: Password,
        client: IpAddr,
    ) -> Result<(), Problem> {
        let deciding = self.commands().deciding();
        let name = state.and_then(|user| user.username.as_deref()).unwrap_or_default();
        let attempt = Attempt::of_username(&deciding.claim_key, name, client);
        let admitted = self.deciding.throttle.admit(attempt).await?;
        let hash = deciding.store.password_hash(&user.to_string()).await;
        let hash = hash.map_err(closed::store_problem)?.map(HashedPassword::from_phc);
        let passwords = self.deciding.passwords.clone();
        let comparing = async move {
            let verified = passwords.compare(password, hash).await.map_err(Problem::from);
            verified.map(|verified| verified.is_right().then_some(()))
        };
        let failed = move || occurrence::password_not_known(user);
        let (admitted, right) = admitted.tried(comparing, failed).await?;
        if right.is_none() {
            return Err(not_known(user));
        }
        admitted.let_in().await
    }
}

fn not_known(user: UserId) -> Problem {
    let error = FieldError {
        pointer: "/current_password".to_owned(),
        rule: "current-password",
        limit: None,
        detail: "is not the password".to_owned(),
    };
    let detail = "the current password is another one; nothing was changed";
    let refused = RefusedCaller { reason: "current-password", actor: Some(user.to_string()) };
    Problem::new(ProblemType::Forbidden, detail)
        .with_errors(vec![error])
        .with_refused_caller(refused)
}
