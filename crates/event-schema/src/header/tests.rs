use proptest::option::of;
use proptest::prelude::*;

use super::*;

type Owned = Vec<(&'static str, Vec<u8>)>;

fn written(headers: &Headers<'_>) -> Owned {
    let mut written = Vec::new();
    headers.write(|name, value| written.push((name, value.to_vec())));
    written
}

fn read<'a>(headers: &'a [(&'static str, Vec<u8>)]) -> Result<Headers<'a>, HeaderError> {
    Headers::read(headers.iter().map(|(name, value)| (*name, Some(value.as_slice()))))
}

fn a_report() -> Headers<'static> {
    Headers {
        id: Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001),
        source: SOURCE_COMMAND_API,
        event_type: "millrace.device.event-reported.v1",
        stream_id: "device-123",
        time: Some(Timestamp(1_772_366_400_123_456)),
        stream_version: None,
        previous_id: None,
        correlation_id: None,
        causation_id: None,
        actor: Some("device-tester"),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    }
}

#[test]
fn a_report_is_written_as_cloud_events_says() {
    let written = written(&a_report());
    let text: Vec<_> =
        written.iter().map(|(name, value)| (*name, std::str::from_utf8(value).unwrap())).collect();
    assert_eq!(
        text,
        [
            ("ce_specversion", "1.0"),
            ("ce_id", "01920000-0000-7000-8000-000000000001"),
            ("ce_source", "/millrace/command-api"),
            ("ce_type", "millrace.device.event-reported.v1"),
            ("ce_subject", "device-123"),
            ("ce_time", "2026-03-01T12:00:00.123456Z"),
            ("content-type", "application/avro"),
            ("ce_partitionkey", "device-123"),
            ("ce_actor", "device-tester"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ]
    );
}

#[test]
fn what_another_cloud_events_sdk_writes_is_read() {
    // Another order, milliseconds with an offset, an extension of its own, no partition key.
    let foreign: Owned = [
        ("content-type", "application/avro"),
        ("ce_time", "2026-03-01T13:00:00.123+01:00"),
        ("ce_type", "millrace.device.event-reported.v1"),
        ("ce_source", "urn:gateway:7"),
        ("ce_sequence", "4"),
        ("ce_id", "01920000-0000-7000-8000-000000000001"),
        ("ce_subject", "device-123"),
        ("ce_specversion", "1.0"),
    ]
    .map(|(name, value)| (name, value.as_bytes().to_vec()))
    .to_vec();
    let time = Some(Timestamp(1_772_366_400_123_000));
    let source = "urn:gateway:7";
    let expected = Headers { source, time, actor: None, traceparent: None, ..a_report() };
    assert_eq!(read(&foreign), Ok(expected));
}

#[test]
fn a_time_without_a_spelling_is_left_out() {
    for time in [i64::MIN, -100_000_000_000_000_000, 300_000_000_000_000_000, i64::MAX] {
        let headers = Headers { time: Some(Timestamp(time)), ..a_report() };
        let written = written(&headers);
        assert!(written.iter().all(|(name, _)| *name != TIME), "{time}");
        assert_eq!(read(&written), Ok(Headers { time: None, ..a_report() }));
    }
}

#[test]
fn each_fault_is_named_with_its_header() {
    let with = |name: &'static str, value: &[u8]| {
        let mut headers = written(&a_report());
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value.to_vec()));
        read(&headers).unwrap_err()
    };
    assert_eq!(with(SPEC_VERSION, b"0.3"), HeaderError::OtherSpecVersion);
    assert_eq!(with(ID, b"7"), HeaderError::Malformed(ID));
    assert_eq!(with(ID, b""), HeaderError::Missing(ID));
    assert_eq!(with(SOURCE, &[0xff]), HeaderError::NotText(SOURCE));
    assert_eq!(with(TIME, b"yesterday"), HeaderError::Malformed(TIME));
    assert_eq!(with(STREAM_VERSION, b"-1"), HeaderError::Malformed(STREAM_VERSION));
    assert_eq!(with(PREVIOUS_ID, b"x"), HeaderError::Malformed(PREVIOUS_ID));
    assert_eq!(with(PARTITION_KEY, b"device-124"), HeaderError::TwoStreams);
    assert_eq!(with(CONTENT_TYPE, b"text/plain"), HeaderError::Malformed(CONTENT_TYPE));

    for name in [SPEC_VERSION, ID, SOURCE, TYPE, SUBJECT] {
        let mut headers = written(&a_report());
        headers.retain(|(known, _)| *known != name);
        assert_eq!(read(&headers), Err(HeaderError::Missing(name)));
        let none = headers.iter().map(|(name, value)| (*name, Some(value.as_slice())));
        assert_eq!(Headers::read(none.chain([(name, None)])), Err(HeaderError::Missing(name)));
    }
    for name in [ID, ACTOR] {
        let mut headers = written(&a_report());
        headers.push((name, b"again".to_vec()));
        assert_eq!(read(&headers), Err(HeaderError::Twice(name)));
    }
}

proptest! {
    #[test]
    fn headers_read_back_as_written(
        id: u128, source in ".+", event_type in ".+", stream_id in ".+",
        // The years 0 to 9999.
        time in of(-62_167_219_200_000_000..253_402_300_800_000_000_i64),
        stream_version: Option<u64>, previous_id: Option<u128>, correlation_id in of(".*"),
        causation_id in of(".*"), actor in of(".*"), traceparent in of(".*"),
    ) {
        let headers = Headers {
            id: Uuid::from_u128(id),
            source: &source,
            event_type: &event_type,
            stream_id: &stream_id,
            time: time.map(Timestamp),
            stream_version,
            previous_id: previous_id.map(Uuid::from_u128),
            correlation_id: correlation_id.as_deref(),
            causation_id: causation_id.as_deref(),
            actor: actor.as_deref(),
            traceparent: traceparent.as_deref(),
        };
        let written = written(&headers);
        prop_assert!(written.len() <= MAX_COUNT);
        prop_assert_eq!(read(&written), Ok(headers));
    }

    #[test]
    fn hostile_headers_are_an_error_and_no_panic(
        headers in proptest::collection::vec(
            (0..MAX_COUNT, of(proptest::collection::vec(any::<u8>(), 0..40))), 0..20),
    ) {
        let headers = headers.iter().map(|(place, value)| (NAMES[*place], value.as_deref()));
        let _ = Headers::read(headers);
    }
}
