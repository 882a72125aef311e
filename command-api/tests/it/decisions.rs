//! Decisions, whatever they are about: requests that come again, versions that are expected, a log or a store
//! that is away, and programs that fold otherwise.

mod closed;
mod log_away;
mod refolded;
mod repeated;
mod versions;
