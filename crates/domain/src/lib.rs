//! What can happen to the things Millrace knows, and the rules they obey: pure, without I/O, clock,
//! randomness or log.

pub mod decision;
pub mod device;
pub mod json_text;
pub mod role;
pub mod session;
pub mod user;

mod characters;
mod revoked;
mod timestamp;

pub use revoked::Revoked;
pub use timestamp::Timestamp;
