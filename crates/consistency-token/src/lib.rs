//! The signed token by which a reader asks to see a write: positions in the log that an answer must have reached.
