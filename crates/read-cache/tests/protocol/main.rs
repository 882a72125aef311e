//! The protocol over a real Redis.
