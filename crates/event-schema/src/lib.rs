//! The events as bytes: Avro schemas, wire format, headers and the schema registry. The only crate that knows Avro.
