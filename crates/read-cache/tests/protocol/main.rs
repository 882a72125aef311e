//! The protocol over a real Redis: every transition of a key, what each call refuses, what becomes
//! of readers and writers when Redis is gone, and random interleavings against a reference; and the
//! buckets of callers beside it.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which the lint does not know as such")]

mod bench;
mod buckets;
mod commit;
mod faults;
mod fill;
mod interleavings;
mod server;
mod sharing;
mod sweep;
mod trust;
mod window;
