//! The protocol as a model.
