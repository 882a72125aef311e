//! Attempts that may be made now.

use std::sync::Arc;

use problem_details::{Problem, ProblemType};
use telemetry::RequestIds;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use super::{Attempt, Before, LoginFailures, too_many};

/// An attempt that may be made now. It has its place until it is dropped: keep it until all is answered.
pub(crate) struct Admitted {
    pub(super) failures: Arc<dyn LoginFailures>,
    pub(super) attempt: Attempt,
    pub(super) before: Before,
    /// The place of its name.
    pub(super) _of_name: Option<OwnedSemaphorePermit>,
    /// That of its account, until it is known what became of it.
    pub(super) of_account: Option<OwnedSemaphorePermit>,
}

impl Admitted {
    /// Finds out whether what somebody says is right, which `trying` answers with `Some`. Where it is not, the
    /// failure is counted, and then `failed` is called. All of it is done to its end once it has begun: whoever hangs
    /// up before they are answered has failed all the same.
    ///
    /// # Errors
    /// It cannot be found out, or the failure cannot be counted now.
    pub(crate) async fn tried<T: Send + 'static>(
        mut self,
        trying: impl Future<Output = Result<Option<T>, Problem>> + Send + 'static,
        failed: impl FnOnce() + Send + 'static,
    ) -> Result<(Self, Option<T>), Problem> {
        let to_its_end = async move {
            let right = trying.await?;
            if right.is_none() {
                self.count().await?;
                failed();
            }
            // Whoever has waited here sees what became of it.
            self.of_account = None;
            Ok::<_, Problem>((self, right))
        };
        let ended = tokio::spawn(RequestIds::go_on(to_its_end).in_current_span()).await;
        ended.unwrap_or_else(|_| Err(broke_off()))
    }

    /// Counts its failure. Of whoever is known, while strangers have to wait there, for the name alone: by how long
    /// strangers have to wait from then on nobody is to learn that it was counted.
    async fn count(&self) -> Result<(), Problem> {
        let strangers_wait = !self.before.of_strangers.is_zero();
        let attempt = if strangers_wait { self.attempt.for_its_name_alone() } else { self.attempt };
        self.failures.count(&attempt).await.map_err(Problem::from)
    }

    /// What strangers are answered, while they have to wait there: whoever is known and has failed is answered the
    /// same, so that behind an address that has to wait a wrong password does not tell who comes in there.
    pub(crate) fn told_to_strangers(&self) -> Option<Problem> {
        (!self.before.of_strangers.is_zero()).then(|| too_many(self.before.told()))
    }

    /// Forgets failures before it, and notes from where somebody has come in, unless that is known.
    ///
    /// # Errors
    /// That cannot be written now.
    pub(crate) async fn let_in(&self) -> Result<(), Problem> {
        if self.before.is_noted {
            return Ok(());
        }
        self.failures.let_in(&self.attempt).await.map_err(Problem::from)
    }
}

/// It has panicked, or the process ends.
fn broke_off() -> Problem {
    Problem::new(ProblemType::InternalError, "it could not be found out whether that is right")
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::BoxFuture;
    use tokio::sync::{Notify, oneshot};
    use tokio::time::timeout;

    use super::*;
    use crate::throttle::{FailuresUnknown, RULE_OF_NAME, Throttle};

    const SECOND: Duration = Duration::from_secs(1);

    const ANN: Attempt = Attempt {
        of_name: [1; 32],
        rule: RULE_OF_NAME,
        of_address: Some([2; 32]),
        of_site: None,
        of_account: Some([3; 32]),
    };

    /// Nobody has to wait but strangers, so long; and for what failures count.
    #[derive(Default)]
    struct Kept {
        of_strangers: Duration,
        is_known: bool,
        counted_for: AtomicUsize,
        was_counted: Notify,
    }

    impl LoginFailures for Arc<Kept> {
        fn before<'a>(&'a self, _: &'a Attempt) -> BoxFuture<'a, Result<Before, FailuresUnknown>> {
            let (of_strangers, is_known) = (self.of_strangers, self.is_known);
            let before = Before { of_strangers, is_known, ..Before::default() };
            Box::pin(async move { Ok(before) })
        }

        fn count<'a>(&'a self, attempt: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
            self.counted_for.fetch_add(attempt.counts().count(), Ordering::Relaxed);
            self.was_counted.notify_one();
            Box::pin(async { Ok(()) })
        }

        fn let_in<'a>(&'a self, _: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
            Box::pin(async { Ok(()) })
        }
    }

    async fn admitted(kept: &Arc<Kept>) -> Admitted {
        Throttle::new(Arc::clone(kept)).admit(ANN).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_right_is_no_failure_and_what_is_wrong_counts_for_all_that_it_is() {
        let kept = Arc::new(Kept::default());
        let right = admitted(&kept).await.tried(ready(Ok(Some(7))), || panic!("it has not failed"));
        assert_eq!(right.await.unwrap().1, Some(7));
        assert_eq!(kept.counted_for.load(Ordering::Relaxed), 0);
        let (tell, told) = oneshot::channel();
        let failed = move || {
            let _ = tell.send(());
        };
        let wrong = admitted(&kept).await.tried(ready(Ok(None::<()>)), failed).await.unwrap();
        assert!(wrong.1.is_none() && wrong.0.told_to_strangers().is_none());
        assert_eq!((kept.counted_for.load(Ordering::Relaxed), told.await), (3, Ok(())));
    }

    #[tokio::test]
    async fn while_strangers_wait_who_is_known_and_fails_is_answered_as_they_are() {
        let kept = Kept { of_strangers: 32 * SECOND, is_known: true, ..Kept::default() };
        let kept = Arc::new(kept);
        let tried = admitted(&kept).await.tried(ready(Ok(None::<()>)), || ()).await;
        let told = tried.unwrap().0.told_to_strangers();
        assert_eq!(told, Some(too_many(32 * SECOND)));
        assert_eq!(kept.counted_for.load(Ordering::Relaxed), 1, "it tells by the wait of others");
    }

    #[tokio::test]
    async fn whoever_hangs_up_has_failed_all_the_same() {
        let kept = Arc::new(Kept::default());
        let (tell, told) = oneshot::channel::<()>();
        let trying = async move {
            let _ = told.await;
            Ok(None::<()>)
        };
        let trying = admitted(&kept).await.tried(trying, || ());
        assert!(timeout(SECOND / 100, trying).await.is_err(), "nobody has hung up");
        tell.send(()).unwrap();
        let counted = timeout(20 * SECOND, kept.was_counted.notified()).await;
        assert!(counted.is_ok(), "it was never counted");
    }
}
