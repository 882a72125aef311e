//! Logs and metrics: one struct per occurrence, whose log line and metric leave from one place.
