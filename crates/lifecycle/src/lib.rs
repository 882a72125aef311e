//! The life of a process: start, serve, be asked for its health, drain, stop.
