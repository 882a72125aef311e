//! What can happen to the things Millrace knows, and the rules they obey: pure, without I/O, clock, randomness or log.
