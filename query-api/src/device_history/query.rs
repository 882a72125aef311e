//! What of a device's history is asked for.

use domain::Timestamp;
use read_models::device_history::HistoryPlace;

use crate::parameters::{FAR_FUTURE, FAR_PAST, Fault, Parameters, time};

/// Parameters of a page.
pub(super) const OF_PAGES: [&str; 5] = ["from", "to", "order", "limit", "cursor"];

/// Parameters of an export.
pub(super) const OF_EXPORTS: [&str; 3] = ["from", "to", "order"];

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    NewestFirst,
    OldestFirst,
}

/// Events of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryQuery {
    pub(super) device_id: String,
    /// Taken at this time or later.
    pub(super) from: Timestamp,
    /// Taken before this time.
    pub(super) to: Timestamp,
    pub(super) order: Order,
    /// Only those behind this one, in the order.
    pub(super) after: Option<HistoryPlace>,
}

impl HistoryQuery {
    /// Reads the parameters but for the cursor; faults are noted there.
    pub(super) fn read(parameters: &mut Parameters, device_id: String) -> Self {
        let from = parameters.read("from", time);
        let to = parameters.read("to", time);
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            parameters.fault("to", Fault::new("range", "must not be before `from`"));
        }
        let order = parameters.read("order", order).unwrap_or(Order::NewestFirst);
        let (from, to) = (from.unwrap_or(FAR_PAST), to.unwrap_or(FAR_FUTURE));
        Self { device_id, from, to, order, after: None }
    }
}

fn order(text: &str) -> Result<Order, Fault> {
    match text {
        "desc" => Ok(Order::NewestFirst),
        "asc" => Ok(Order::OldestFirst),
        _ => Err(Fault::new("one-of", "must be `desc` or `asc`")),
    }
}

/// A place as a cursor holds it.
type Written = (i64, i32, i32, i64);

pub(super) fn written(place: HistoryPlace) -> Written {
    (place.recorded_at.micros(), place.epoch, place.partition, place.offset)
}

pub(super) fn place((micros, epoch, partition, offset): Written) -> HistoryPlace {
    HistoryPlace { recorded_at: Timestamp(micros), epoch, partition, offset }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<HistoryQuery, Vec<String>> {
        let uri = format!("/api/v1/resources/d/history?{query}").parse().unwrap();
        let mut parameters = Parameters::of(&uri, &OF_EXPORTS);
        let query = HistoryQuery::read(&mut parameters, "d".into());
        parameters.check().map(|()| query).map_err(|problem| {
            problem
                .parameter_errors()
                .iter()
                .map(|e| format!("{} {}", e.parameter, e.rule))
                .collect()
        })
    }

    #[test]
    fn everything_newest_first_unless_something_else_is_asked_for() {
        let all = read("").unwrap();
        assert_eq!((all.from, all.to, all.order), (FAR_PAST, FAR_FUTURE, Order::NewestFirst));
        let some = read("order=asc&from=2026-03-01T00:00:00Z&to=2026-03-01T01:00:00%2B01:00");
        let some = some.unwrap();
        assert_eq!((some.order, some.from), (Order::OldestFirst, some.to));
    }

    #[test]
    fn what_is_no_order_or_range_is_named() {
        assert_eq!(read("order=ASC").unwrap_err(), ["order one-of"]);
        let backwards = "from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z";
        assert_eq!(read(backwards).unwrap_err(), ["to range"]);
        assert_eq!(read("limit=3").unwrap_err(), ["limit known-parameters"]);
    }

    #[test]
    fn a_place_is_carried_by_a_cursor_unchanged() {
        let some = HistoryPlace { recorded_at: Timestamp(5), epoch: 1, partition: 2, offset: 3 };
        assert_eq!(place(written(some)), some);
    }
}
