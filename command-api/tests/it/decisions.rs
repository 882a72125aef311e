//! Decisions, whatever they are about: requests that come again, versions that are expected, a log or a store
//! that is away, answers that wait for neither, what is revoked, and programs that fold otherwise.

mod at_once;
mod closed;
mod log_away;
mod of_new;
mod refolded;
mod repeated;
mod revoked;
mod standing;
mod versions;
