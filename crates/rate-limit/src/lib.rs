//! How much each caller may ask for: rules without I/O, to which the time and what others know are brought.
//!
//! For each [`Quota`] a caller has a *bucket*. It is full at first, a request takes what it costs out of it,
//! and it fills again evenly, in the quota's window. So in any time nobody is let through with more than one
//! bucket holds and what has flowed into it meanwhile; and who rests has a whole bucket again.
//!
//! Processes of a deployment share the buckets ([`SharedBuckets`]), and no request waits for them. A
//! [`Limiter`] lets requests through by what it was told of a bucket last, and by what it has let through
//! since. In the background the shared bucket is *charged* with that, and tells how far it is from full:
//! [`Limiter::take`], [`Limiter::charged`]. What it has not been charged with yet is a process's *credit*, and
//! is bounded. So however many processes there are, together they let through no more than one bucket and one
//! credit for each of them. Nothing is reserved ahead: what a caller does not use is never gone, and nothing
//! has to be given back.
//!
//! While the shared buckets do not answer ([`Limiter::not_charged`]), or where there are none, each process
//! keeps to its *share*: a bucket that is smaller, and fills more slowly, by the number of processes that the
//! caller is assumed to reach. What a process lets through is taken out of its share at all times, so that
//! nobody has a second burst when the shared buckets go away.
//!
//! Callers are remembered in slots that are laid out once, and one more takes the place of the one whose
//! buckets are full soonest. A caller who was forgotten begins with full buckets, of which no more than a credit
//! can be used before the shared ones are asked.

mod decision;
mod key;
mod limiter;
mod outbox;
mod profile;
mod rule;
mod shared_buckets;
mod slot;
mod table;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use decision::{Decision, Told};
pub use key::{LimitKey, Moment};
pub use limiter::{Limiter, Limits};
pub use profile::{
    APP, Class, EDGE, HEAVIEST, MAX_QUOTAS, PerClass, Profile, Quota, Rated, STRICT, Unit,
};
pub use shared_buckets::{Charge, Debts, NotCharged, SharedBuckets};
