//! The command API: takes what happened and answers once it is in the log.
