//! What can happen to the things Millrace knows, and the rules they obey: pure, without I/O, clock,
//! randomness or log.

pub mod device;
pub mod json_text;

mod timestamp;

pub use timestamp::Timestamp;
