//! The events as bytes: Avro schemas, wire format, headers and the schema registry. The only crate that knows Avro.

pub mod compatibility;
pub mod decode;
pub mod device;
pub mod header;
pub mod personal;
pub mod registry;
pub mod schema;
pub mod session;
pub mod user;

mod datum;
mod decided;
mod wire;

/// The most bytes that one length inside a datum may ask for.
pub const ALLOCATION_LIMIT: usize = 4 * 1024 * 1024;

/// Sets [`ALLOCATION_LIMIT`] for the process; called once at start, before the first decoding. A
/// later call changes nothing. Returns the limit that holds.
pub fn limit_allocations() -> usize {
    apache_avro::util::max_allocation_bytes(ALLOCATION_LIMIT)
}
