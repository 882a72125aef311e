//! What the records of a batch are part of; nothing is looked at where nothing is traced.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Timestamp;
use telemetry::trace;
use tracing::Span;

use super::super::Event;
use super::super::freshness::age_of;
use super::super::occurrence::Origins;
use super::super::partition::Partition;
use super::super::plan::Part;
use super::super::positions::Scope;

/// The step of the traces that records of the batch are part of.
pub(super) fn traced<E: Event>(
    partitions: &BTreeMap<i32, Partition<E>>,
    parts: &[Part],
    records: usize,
    scope: &Scope,
) -> Span {
    if !trace::is_on() {
        return Span::none();
    }
    let held = |part: &Part| Some(partitions.get(&part.partition())?.origins(part.count));
    let origins = parts.iter().filter_map(held).flatten().map(|(_, origin)| origin);
    let oldest = |part: &Part| partitions.get(&part.partition())?.oldest_log_time_ms();
    let oldest = parts.iter().filter_map(oldest).min();
    let age = oldest.map_or(Duration::ZERO, |oldest| age_of(Timestamp::from_millis(oldest)));
    trace::process(scope.projection, &scope.topic, records, age, origins)
}

/// What the records of a part are to be told of with.
pub(super) fn of_records<E: Event>(held: &Partition<E>, part: &Part) -> Origins {
    if !trace::is_on() {
        return Origins::new();
    }
    let by_offset = held.origins(part.count);
    by_offset.map(|(offset, origin)| ((part.partition(), offset), *origin)).collect()
}
