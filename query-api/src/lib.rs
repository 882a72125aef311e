//! The query API: serves the read models.
