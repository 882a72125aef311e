//! What reads and writes a datum of each schema, made once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;

use crate::schema::Schema;

/// Writes datums in the schema.
pub(crate) fn writer(schema: Schema) -> &'static GenericDatumWriter<'static> {
    static WRITERS: LazyLock<BTreeMap<Schema, GenericDatumWriter<'static>>> =
        LazyLock::new(|| Schema::ALL.iter().map(|schema| (*schema, new_writer(*schema))).collect());
    &WRITERS[&schema]
}

/// Reads datums that were written in the schema.
pub(crate) fn reader(schema: Schema) -> &'static GenericDatumReader<'static> {
    static READERS: LazyLock<BTreeMap<Schema, GenericDatumReader<'static>>> =
        LazyLock::new(|| Schema::ALL.iter().map(|schema| (*schema, new_reader(*schema))).collect());
    &READERS[&schema]
}

#[expect(
    clippy::expect_used,
    reason = "the schema is part of the program and a test writes with it"
)]
fn new_writer(schema: Schema) -> GenericDatumWriter<'static> {
    GenericDatumWriter::builder(schema.parsed()).build().expect("a schema refers to a missing name")
}

#[expect(
    clippy::expect_used,
    reason = "the schema is part of the program and a test reads with it"
)]
fn new_reader(schema: Schema) -> GenericDatumReader<'static> {
    GenericDatumReader::builder(schema.parsed()).build().expect("a schema refers to a missing name")
}
