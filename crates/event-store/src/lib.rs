//! Decisions: appended at the version that they were made on, published to the log in their order.
//!
//! Kafka cannot append on a condition, so a decision is made in one Postgres transaction and published
//! from there:
//!
//! - [`EventStore::append`] takes the events of a decision if the stream still stands where the decision
//!   was made, and with them, in the same transaction, its [claims](claim), the
//!   [answer](request) to its request and [what is written beside](beside);
//! - the [`relay`] publishes events, each stream's in their order and one at a time;
//! - a store that was not [compared](compare) with the log since it began to run takes nothing.
//!
//! It knows bytes, not aggregates: what events mean, how states are folded and values normalised is for
//! its callers. [`memory`] and [`postgres`] are two stores with one conformance suite.

pub mod append;
pub mod beside;
pub mod claim;
pub mod compare;
pub mod event;
pub mod memory;
pub mod pending_registration;
pub mod postgres;
pub mod publications;
pub mod relay;
pub mod request;
pub mod second_factor;
mod store;

pub use append::{Append, AppendError, Closed, State};
pub use event::{Event, LogPlace};
pub use store::{
    Account, Ends, EventStore, Found, Nobody, Outbox, StoreError, StoredStream, Uncompared,
};
