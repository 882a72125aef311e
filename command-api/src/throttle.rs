//! How long whoever has failed to log in has to wait: [rules](Rule) without I/O, where failures are kept, and the
//! one way ([`Throttle`]) that every attempt takes, wherever a password or a code is said.
//!
//! Failures are counted in several ways. Of one name from one address: whoever guesses a password there waits
//! ever longer, and whoever has the right one comes in from elsewhere, so that nobody can be locked out by
//! others. Of one address, and of the site around one of the newer kind, whatever the names: more of them cost
//! nothing, since many people may share one, and they are forgotten one by one. And of one name wherever it is
//! tried, which holds back many who guess together, and nobody for long. The last three are for strangers:
//! whoever has come in by a name from an address within [`KNOWN_FOR`] is held back there by failures of their own
//! alone, whoever else is behind that address. Names and addresses are kept as keyed hashes.
//!
//! Codes of a second factor are counted by their user in place of the name, wherever they are tried from: there
//! are few of them, and only who knows the password or is in can fail with one.
//!
//! Passwords of registrations that wait are counted by the registration, wherever they are tried from: only who has its
//! mail can fail with one.
//!
//! A failure is counted once it is known, so whoever makes many attempts at once would have as many before the first
//! is. So they pass gates: those of one name from one address wait for each other there, and so do strangers who try
//! one name from wherever.

mod admitted;
mod attempt;
mod gates;
mod occurrence;
mod remembered;
mod rule;
mod storage;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use problem_details::{Problem, ProblemType};

use gates::Gates;

pub(crate) use admitted::Admitted;
pub use attempt::Attempt;
pub use remembered::Remembered;
pub use rule::{RULE_OF_ACCOUNT, RULE_OF_ADDRESS, RULE_OF_CODE, RULE_OF_NAME, Rule};
pub use storage::PostgresFailures;

/// How long it is known that a name has come in from an address.
pub const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How long that need not be noted again.
pub const NOTED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Attempts of one name from one address at once: as many as cost nothing.
const OF_A_NAME: usize = 3;

/// Of strangers who try one name, and of codes of one user: a failure more is one too many.
const ONE: usize = 1;

/// When somebody may come back while failures cannot be read or counted.
const SOON: Duration = Duration::from_secs(1);

/// What stands in the way of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Before {
    /// How long failures of its own name hold it back.
    pub of_name: Duration,
    /// How long failures of others, or under other names, hold strangers back there.
    pub of_strangers: Duration,
    /// Whether it is [known](KNOWN_FOR) that the name has come in from there, so that it is no stranger's.
    pub is_known: bool,
    /// Whether a success changes nothing: no failure of the name is kept, and it was [noted](NOTED_FOR) lately
    /// that it has come in from there.
    pub is_noted: bool,
}

impl Before {
    /// How long it has to wait.
    pub fn wait(&self) -> Duration {
        if self.is_known { self.of_name } else { self.told() }
    }

    /// What is said of that: to whoever is known no less than to strangers, so that none learns who is known.
    pub fn told(&self) -> Duration {
        self.of_name.max(self.of_strangers)
    }

    /// The same after so much time.
    fn after(self, time: Duration) -> Self {
        let (of_name, of_strangers) =
            (self.of_name.saturating_sub(time), self.of_strangers.saturating_sub(time));
        Self { of_name, of_strangers, ..self }
    }
}

/// It cannot be known or kept how often logging in has failed.
#[derive(Debug, thiserror::Error)]
#[error("failures to log in cannot be read or counted")]
pub struct FailuresUnknown(#[source] pub sqlx::Error);

/// Where failures are kept, for every process.
pub trait LoginFailures: Send + Sync + 'static {
    /// What stands in the way of an attempt now.
    fn before<'a>(&'a self, attempt: &'a Attempt)
    -> BoxFuture<'a, Result<Before, FailuresUnknown>>;

    /// Counts its failure for [all that it counts for](Attempt::counts).
    fn count<'a>(&'a self, attempt: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>>;

    /// Forgets failures of its name, as many as [its rule](Attempt::rule) has it, and notes that the name has come in
    /// from there.
    fn let_in<'a>(&'a self, attempt: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>>;
}

/// Holds back whoever guesses. Clones are the same: whoever guesses has no more attempts by making them in several
/// ways.
#[derive(Clone)]
pub struct Throttle {
    failures: Arc<dyn LoginFailures>,
    /// Where those wait who say passwords of one name from one address.
    names: Gates,
    /// Where strangers wait who say passwords of one name, wherever they come from.
    accounts: Gates,
    /// Where those wait who say codes of one user.
    codes: Gates,
}

// Places are taken in the order of these fields, and each array is its own: among the same places some would wait for
// each other for ever, since whoever logs in has a place of their name while they wait for one of their codes.
impl Throttle {
    /// By the failures that are kept there.
    pub fn new(failures: impl LoginFailures) -> Self {
        let (names, accounts, codes) = (Gates::new(OF_A_NAME), Gates::new(ONE), Gates::new(ONE));
        Self { failures: Arc::new(failures), names, accounts, codes }
    }

    /// Waits until a password may be tried, which is under way until what is returned is dropped.
    ///
    /// # Errors
    /// It comes too early, or nobody can say now.
    pub(crate) async fn admit(&self, attempt: Attempt) -> Result<Admitted, Problem> {
        let mut admitted = self.admit_through(&self.names, attempt).await?;
        // Nobody who is known waits behind strangers.
        if let Some(of_account) = attempt.of_account
            && !admitted.before.is_known
        {
            admitted.of_account = self.accounts.of(&of_account).await;
            // Others may have failed meanwhile.
            admitted.before = self.may_be_tried(&attempt).await?;
        }
        Ok(admitted)
    }

    /// The same of a code of a second factor.
    ///
    /// # Errors
    /// It comes too early, or nobody can say now.
    pub(crate) async fn admit_code(&self, attempt: Attempt) -> Result<Admitted, Problem> {
        self.admit_through(&self.codes, attempt).await
    }

    async fn admit_through(&self, gates: &Gates, attempt: Attempt) -> Result<Admitted, Problem> {
        // First: whoever has waited here sees what became of those before.
        let place = gates.of(&attempt.of_name).await;
        let before = self.may_be_tried(&attempt).await?;
        let failures = Arc::clone(&self.failures);
        Ok(Admitted { failures, attempt, before, _of_name: place, of_account: None })
    }

    async fn may_be_tried(&self, attempt: &Attempt) -> Result<Before, Problem> {
        let before = self.failures.before(attempt).await?;
        if before.wait().is_zero() {
            return Ok(before);
        }
        occurrence::came_too_early();
        Err(too_many(before.told()))
    }
}

/// The answer while nobody knows: whoever guesses must not profit by it.
impl From<FailuresUnknown> for Problem {
    fn from(error: FailuresUnknown) -> Self {
        let source = &error as &(dyn std::error::Error + 'static);
        match &error.0 {
            sqlx::Error::Database(_) => {
                tracing::error!(error = source, "failures to log in are not kept");
            }
            _ => tracing::debug!(error = source, "failures to log in are not kept"),
        }
        let detail = "nobody can log in now, since failures cannot be counted; come back later";
        Self::new(ProblemType::DatabaseUnavailable, detail).with_retry_after(SOON)
    }
}

/// The answer to an attempt that comes too early; the same whether there is anybody of the name.
fn too_many(wait: Duration) -> Problem {
    let detail =
        "logging in has failed too often; `Retry-After` says when the next attempt is taken";
    Problem::new(ProblemType::TooManyAttempts, detail).with_retry_after(wait)
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Strangers have to wait once somebody has failed.
    #[derive(Default)]
    struct Failures {
        is_known: bool,
        has_failed: AtomicBool,
    }

    impl LoginFailures for Failures {
        fn before<'a>(&'a self, _: &'a Attempt) -> BoxFuture<'a, Result<Before, FailuresUnknown>> {
            let has_failed = self.has_failed.load(Ordering::Relaxed);
            let of_strangers = if has_failed { SECOND } else { Duration::ZERO };
            let before = Before { of_strangers, is_known: self.is_known, ..Before::default() };
            Box::pin(async move { Ok(before) })
        }

        fn count<'a>(&'a self, _: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
            self.has_failed.store(true, Ordering::Relaxed);
            Box::pin(async { Ok(()) })
        }

        fn let_in<'a>(&'a self, _: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
            Box::pin(async { Ok(()) })
        }
    }

    /// One of the same name from another address, or of another user.
    fn attempt(number: u8) -> Attempt {
        Attempt {
            of_name: [number; 32],
            rule: RULE_OF_NAME,
            of_address: Some([number; 32]),
            of_site: None,
            of_account: Some([7; 32]),
        }
    }

    /// Whether what is waited for comes to an end.
    async fn ends(waiting: impl Future<Output = Result<Admitted, Problem>>) -> bool {
        timeout(SECOND, waiting).await.is_ok_and(|admitted| admitted.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_says_a_password_waits_for_nobody_who_does_with_their_code() {
        let throttle = Throttle::new(Failures { is_known: true, ..Failures::default() });
        let (attempt, elsewhere) = (attempt(1), throttle.clone());
        let mut under_way = Vec::new();
        for _ in 0..3 {
            under_way.push(throttle.admit(attempt).await.unwrap());
        }
        assert!(!ends(elsewhere.admit(attempt)).await);
        assert!(ends(throttle.admit_code(attempt)).await);
        drop(under_way.pop());
        assert!(ends(elsewhere.admit(attempt)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_user_one_code_is_looked_at_at_once() {
        let throttle = Throttle::new(Failures::default());
        let first = throttle.admit_code(attempt(1)).await.unwrap();
        assert!(!ends(throttle.admit_code(attempt(1))).await);
        drop(first);
        assert!(ends(throttle.admit_code(attempt(1))).await);
    }

    #[tokio::test(start_paused = true)]
    async fn of_strangers_who_try_one_name_one_is_looked_at_at_once_wherever_they_come_from() {
        let throttle = Throttle::new(Failures::default());
        let first = throttle.admit(attempt(1)).await.unwrap();
        assert!(!ends(throttle.admit(attempt(2))).await);
        // Once it is known what became of it, the next one may try, whoever is still to be answered.
        let (first, _) = first.tried(ready(Ok(Some(()))), || ()).await.unwrap();
        assert!(ends(throttle.admit(attempt(2))).await);
        drop(first);
    }

    #[tokio::test]
    async fn those_who_have_waited_are_refused_once_the_first_has_failed() {
        let throttle = Throttle::new(Failures::default());
        let first = throttle.admit(attempt(1)).await.unwrap();
        let (first, second, third) = tokio::join!(
            first.tried(ready(Ok(None::<()>)), || ()),
            throttle.admit(attempt(2)),
            throttle.admit(attempt(3)),
        );
        assert!(first.is_ok_and(|(_, right)| right.is_none()));
        for refused in [second, third] {
            assert_eq!(refused.err(), Some(too_many(SECOND)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_who_is_known_waits_behind_strangers() {
        let throttle = Throttle::new(Failures { is_known: true, ..Failures::default() });
        let _stranger = throttle.accounts.of(&[7; 32]).await;
        assert!(ends(throttle.admit(attempt(1))).await);
    }

    #[test]
    fn whoever_is_known_waits_for_their_own_failures_and_is_told_no_less_than_strangers() {
        let before = |is_known| Before {
            of_name: SECOND,
            of_strangers: 4 * SECOND,
            is_known,
            is_noted: false,
        };
        assert_eq!((before(true).wait(), before(true).told()), (SECOND, 4 * SECOND));
        assert_eq!((before(false).wait(), before(false).told()), (4 * SECOND, 4 * SECOND));
        let later = before(true).after(2 * SECOND);
        assert_eq!((later.wait(), later.told()), (Duration::ZERO, 2 * SECOND));
    }

    #[test]
    fn the_answer_says_when_to_come_back() {
        use axum::response::IntoResponse as _;
        let response = too_many(Duration::from_millis(1_200)).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
    }
}
