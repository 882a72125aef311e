//! The signed token by which a reader asks to see a write: positions in the log that an answer must
//! have reached.
//!
//! A write answers with a [`Token`]; a reader sends it along, and may first merge those of several
//! writes. It names records of the log, never rows of a view, so it stays true through rebuilds.
//! The same key signs what else readers send back unread ([`SignedTextKey`]).

mod key;
mod signed_text;
mod token;
mod wire;

pub use key::TokenKey;
pub use signed_text::SignedTextKey;
pub use token::{Entry, MAX_ENTRIES, Token, TooManyEntries};
pub use wire::TokenError;

#[cfg(test)]
mod tests;
