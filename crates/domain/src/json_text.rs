//! Which JSON texts are accepted as free-form payloads.
