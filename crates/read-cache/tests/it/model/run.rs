//! Runs the checker.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::NO_STALE_HIT;
use super::rules::{Mistake, Setting};

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

/// With this rule broken the checker finds a stale hit. Prints a short way to it.
pub(super) fn fails(mistake: Mistake, setting: Setting) {
    fails_by(NO_STALE_HIT, mistake, setting);
}

/// With this rule broken the checker finds that the property does not hold.
pub(super) fn fails_by(property: &'static str, mistake: Mistake, setting: Setting) {
    let setting = Setting { mistake: Some(mistake), ..setting };
    let enough = HasDiscoveries::AnyOf([property].into());
    let checker = setting.checker().finish_when(enough).spawn_bfs().join();
    println!("{mistake:?}: {} states", checker.unique_state_count());
    let path = checker.discovery(property);
    let path = path.unwrap_or_else(|| panic!("{mistake:?} was not found out"));
    for step in path.into_actions() {
        println!("  {step:?}");
    }
}
