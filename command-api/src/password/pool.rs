//! Work for threads of its own, so much of it at once and so much waiting.

use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, oneshot};

/// How nice such a thread is to all others, as `nice(1)` counts it. It keeps a core busy for tens of milliseconds
/// at a time: whoever guesses passwords is not to slow those down who read and decide.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// A bound on work that keeps a core busy, and gives way to all other work. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// For what runs or waits.
    places: Arc<Semaphore>,
    /// For what runs.
    turns: Arc<Semaphore>,
}

/// Why work was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PoolError {
    /// All places are taken.
    Full,
    /// It panicked, or there is no thread for it.
    BrokeOff,
}

impl Pool {
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        let places = Arc::new(Semaphore::new(at_once + waiting));
        Self { places, turns: Arc::new(Semaphore::new(at_once)) }
    }

    /// Does it once it is its turn, in the order of these calls.
    ///
    /// Whoever stops waiting for work that has begun leaves it its place and its turn until it is
    /// done: threads that nobody waits for count as well.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| PoolError::Full)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| PoolError::BrokeOff)?;
        let (tell, told) = oneshot::channel();
        // A thread that has become nice may not become anything else again, so it serves nobody else.
        let thread = thread::Builder::new().name("password".to_owned()).spawn(move || {
            let held = (place, turn);
            give_way();
            let done = work();
            // Before it is told: whoever comes back then finds them free.
            drop(held);
            // Whoever has stopped waiting needs no answer.
            let _ = tell.send(done);
        });
        thread.map_err(|_| PoolError::BrokeOff)?;
        told.await.map_err(|_| PoolError::BrokeOff)
    }
}

/// Makes this thread nice. Where that is not allowed, the work is done all the same.
fn give_way() {
    // Elsewhere a thread has no niceness of its own.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Work that counts itself, lasts until it is told to end, and says how many ran beside it.
    #[derive(Clone)]
    struct Counted {
        running: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    impl Counted {
        fn new() -> Self {
            Self { running: Arc::default(), most: Arc::default() }
        }

        fn work(&self) -> (impl FnOnce() + Send + 'static, mpsc::Sender<()>) {
            let (end, ended) = mpsc::channel::<()>();
            let Self { running, most } = self.clone();
            let work = move || {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                // Ends with a word or once nobody can say it any more.
                let _ = ended.recv();
                running.fetch_sub(1, Ordering::SeqCst);
            };
            (work, end)
        }

        async fn runs(&self, count: usize) {
            let begun = async {
                while self.running.load(Ordering::SeqCst) != count {
                    tokio::task::yield_now().await;
                }
            };
            let waited = tokio::time::timeout(Duration::from_secs(20), begun).await;
            assert!(waited.is_ok(), "{count} never run at once, but {:?}", self.running);
        }
    }

    #[tokio::test]
    async fn no_more_runs_at_once_than_may_and_all_of_it_is_done() {
        let (pool, counted) = (Pool::new(3, 61), Counted::new());
        let (works, ends): (Vec<_>, Vec<_>) = (0..64).map(|_| counted.work()).unzip();
        let running: Vec<_> = works
            .into_iter()
            .map(|work| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.run(work).await })
            })
            .collect();
        for (ended, end) in ends.into_iter().enumerate() {
            counted.runs((64 - ended).min(3)).await;
            drop(end);
        }
        for work in running {
            assert_eq!(work.await.unwrap(), Ok(()));
        }
        assert_eq!(counted.most.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn what_finds_no_place_is_refused_at_once() {
        let (pool, counted) = (Pool::new(1, 1), Counted::new());
        let ((first, end_first), (second, end_second)) = (counted.work(), counted.work());
        let mut first = Box::pin(pool.run(first));
        let mut second = Box::pin(pool.run(second));
        for waiting in [&mut first as &mut (dyn Future<Output = _> + Unpin), &mut second] {
            std::future::poll_fn(|context| {
                assert!(std::pin::Pin::new(&mut *waiting).poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        counted.runs(1).await;
        let refused = tokio::time::timeout(Duration::ZERO, pool.run(|| ())).await;
        assert_eq!(refused, Ok(Err(PoolError::Full)), "it is not told at once");
        drop((end_first, end_second));
        assert_eq!((first.await, second.await), (Ok(()), Ok(())));
        assert_eq!(pool.run(|| 7).await, Ok(7), "a place was not given back");
    }

    #[tokio::test]
    async fn whoever_stops_waiting_gives_up_a_place_in_the_queue_and_no_turn_that_is_used() {
        let (pool, counted) = (Pool::new(1, 1), Counted::new());
        let (work, end) = counted.work();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(work).await }
        });
        counted.runs(1).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let queued = tokio::time::timeout(Duration::from_millis(20), pool.run(|| ())).await;
        assert!(queued.is_err(), "it ran beside work that nobody waits for");
        let queued = tokio::time::timeout(Duration::from_millis(20), pool.run(|| ())).await;
        assert!(queued.is_err(), "the queue kept the place of who left it");
        drop(end);
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_gives_way_to_whoever_waits_for_it() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let ours = niceness();
        let theirs = Pool::new(1, 0).run(niceness).await;
        assert_eq!(theirs, Ok(NICENESS.max(ours)));
        assert_eq!(niceness(), ours);
    }

    #[tokio::test]
    async fn a_panic_gives_back_place_and_turn() {
        let pool = Pool::new(1, 0);
        assert_eq!(pool.run(|| panic!("as a test wants")).await, Err::<(), _>(PoolError::BrokeOff));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }
}
