//! A cache in Redis that is never older than what any reader has seen.
//!
//! A key is in one of four states: absent, *lease* (somebody loads), *tombstone* (a commit is under
//! way) or *body*; [`State`] shows their texts. Each partition of a projection has a *trust key*, which its
//! owner renews: bodies count only while it stands, and only if they carry its cache generation. While
//! its *window* stands, a lane's commit is under way in the partition and no lease is given there.
//!
//! - A writer sets tombstones before its commit and ends them after it ([`Writer`]). So a body or a lease
//!   that is older than a commit is gone before the commit can be seen. A lane, which has locked the
//!   positions of its partitions, sets their windows first: then keys that hold nothing need no tombstone,
//!   and a batch of cold keys costs Redis next to nothing. A replay has not, and sets every tombstone.
//! - A reader takes a body and the trust key in one call. On a miss one reader holds the lease, loads
//!   from the primary, and stores what it found iff no writer has come meanwhile ([`Reader`],
//!   [`ReadThrough`]).
//! - A writer that cannot reach Redis waits until the trust key must have lapsed ([`TrustClock`]), and
//!   raises the cache generation with its commit: what stands in Redis is not trusted any more.
//! - A cache generation is agreed with one Redis, its [`Home`], which stands beside it in Postgres.
//!   Another Redis, or the same after it was emptied, is given no trust until the generation is raised.
//!
//! Redis holds nothing that cannot be lost. The times are in [`times`]; they hang together.
//!
//! Beside the cache stand the buckets of callers, which processes share ([`Buckets`]): no part of this
//! protocol, and in a connection of their own.
//!
//! # Sharing a load
//! Reads of one key in one process load one at a time. A read that waits shares what another has
//! loaded only if that load began after the read asked, or if Redis took the loaded body for its
//! live lease, in a call sent after the read asked, while the trust key stood. Otherwise it could be
//! shown less than it has seen elsewhere. So a thousand reads of a cold key cost one load, or two
//! where the first cannot be stored.
//!
//! # What Redis must be
//! One primary of version 7 or newer (scripts touch several keys, bodies carry absolute times), with
//! `INFO` allowed to scripts. It does not evict keys that are younger than a tombstone lives, and its
//! clock does not step by more than [`times::MARGIN`].

mod breaker;
mod buckets;
mod chunks;
mod config;
mod flight;
mod gather;
mod home;
mod key;
mod outcome;
mod probe;
mod read_through;
mod reader;
mod redis;
mod script;
mod sweep;
pub mod times;
mod tombstones;
mod trust_clock;
mod value;
mod writer;

pub use ::failpoint::failpoint;
pub use breaker::{Breaker, BreakerCounts, BreakerState};
pub use buckets::Buckets;
pub use config::CacheConfig;
pub use home::{Home, Identity, NotAHome};
pub use key::{CacheKey, Keys, TrustKey};
pub use outcome::{Forward, Outcome};
pub use probe::Refused;
pub use read_through::{Answer, Entry, ReadThrough, Row};
pub use reader::{Lease, Leased, Read, Reader, ReaderCounts};
pub use redis::CallError;
pub use sweep::{Sweep, SweepError};
pub use tombstones::Tombstones;
pub use trust_clock::{TrustClock, WithoutRedis};
pub use value::{BatchId, Body, CacheGeneration, LeaseId, State};
pub use writer::{Cover, IdentityChanges, RenewError, Renewed, Trust, Writer};
