//! A cache in Redis that is never older than what any reader has seen.
