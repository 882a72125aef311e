//! Runs the checker.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::rules::{Mistake, Setting};
use super::{NO_STALE_READ, READ_YOUR_WRITES};

/// Explores every state that can be reached: the invariants hold in each, and everything that is
/// said to happen sometimes happens.
pub(super) fn holds(name: &str, setting: Setting) {
    let begun = Instant::now();
    let checker = setting.checker().spawn_bfs().join();
    println!(
        "{name}: {} states, {} steps, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f32(),
    );
    assert!(checker.is_done(), "{name} was not explored to its end");
    checker.assert_properties();
}

/// With this rule broken the checker finds a stale read. Prints the shortest way to it.
pub(super) fn fails(mistake: Mistake, setting: Setting) {
    let setting = Setting { mistake: Some(mistake), ..setting };
    let checker = setting.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{mistake:?}: {} states", checker.unique_state_count());
    let found = [NO_STALE_READ, READ_YOUR_WRITES].map(|name| checker.discovery(name));
    let path = found.into_iter().flatten().next();
    let path = path.unwrap_or_else(|| panic!("{mistake:?} was not found out"));
    for step in path.into_actions() {
        println!("  {step:?}");
    }
}
