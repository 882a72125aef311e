//! What happens at a step.

use std::sync::Once;
use std::time::Duration;

use fail::FailScenario;
use rustix::process::{Signal, getpid, kill_process};

/// What is to happen at a step.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    End,
    Wait(Duration),
}

/// Does what the variable `FAILPOINTS` says of the step, which is nothing for most.
pub async fn reach(step: &'static str) {
    match asked(step).map(Action::of) {
        None => {}
        Some(Action::End) => end(step),
        Some(Action::Wait(time)) => tokio::time::sleep(time).await,
    }
}

impl Action {
    /// Of the argument of `return`: milliseconds, or none.
    fn of(argument: Option<String>) -> Self {
        let millis = argument.and_then(|millis| millis.parse().ok());
        millis.map_or(Self::End, |millis| Self::Wait(Duration::from_millis(millis)))
    }
}

/// The argument of the `return` that is due, if one is.
fn asked(step: &str) -> Option<Option<String>> {
    static READ: Once = Once::new();
    // Dropped, it would forget what it has read.
    READ.call_once(|| std::mem::forget(FailScenario::setup()));
    fail::fail_point!(step, Some);
    None
}

/// Ends the process as `kill -9` does: nothing is dropped, flushed or said to anybody.
fn end(step: &str) -> ! {
    eprintln!("failpoint {step}: the process ends here");
    // It does not return; the other is for a system that refuses.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_number_is_a_time_to_wait_and_anything_else_the_end() {
        let of = |argument: &str| Action::of(Some(argument.to_owned()));
        assert_eq!(of("20"), Action::Wait(Duration::from_millis(20)));
        assert_eq!(of("now"), Action::End);
        assert_eq!(Action::of(None), Action::End);
    }

    #[tokio::test]
    async fn a_step_waits_where_it_is_told_to_after_it_was_passed() {
        let _before = asked("read the environment first");
        fail::cfg("a step", "2*off->return(30)").unwrap();
        let began = Instant::now();
        reach("a step").await;
        reach("another step").await;
        reach("a step").await;
        assert!(began.elapsed() < Duration::from_millis(30), "{:?}", began.elapsed());
        reach("a step").await;
        assert!(began.elapsed() >= Duration::from_millis(30), "{:?}", began.elapsed());
    }
}
