//! Record headers: written without detours, read without trusting their names.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

/// A header by itself: its name, and its value if it has one.
pub type OwnedHeader = (String, Option<Vec<u8>>);

/// The headers of a record to be sent.
#[derive(Debug)]
pub struct RecordHeaders(Option<OwnedHeaders>);

/// A header has a name that is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of header {index} is not UTF-8")]
pub struct HeaderNameError {
    /// Its place, counted from 0.
    pub index: usize,
}

impl RecordHeaders {
    /// No headers, with room for some.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Some(OwnedHeaders::new_with_capacity(capacity)))
    }

    /// Adds a header.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.insert(name, Some(value));
    }

    /// The same headers in the same order, absent values kept.
    pub(crate) fn copy_of(headers: &[OwnedHeader]) -> Self {
        let mut copy = Self::with_capacity(headers.len());
        for (name, value) in headers {
            copy.insert(name, value.as_deref());
        }
        copy
    }

    fn insert(&mut self, name: &str, value: Option<&[u8]>) {
        let headers = self.0.take().unwrap_or_default();
        self.0 = Some(headers.insert(Header { key: name, value }));
    }

    pub(crate) fn into_client(self) -> OwnedHeaders {
        self.0.unwrap_or_default()
    }
}

impl Default for RecordHeaders {
    fn default() -> Self {
        Self::with_capacity(16)
    }
}

/// Every header of a received record, in order.
pub(crate) fn own_headers(
    record: &BorrowedMessage<'_>,
) -> Result<Vec<OwnedHeader>, HeaderNameError> {
    let mut owned = Vec::new();
    read_headers(record, |name, value| {
        owned.push((name.to_owned(), value.map(<[u8]>::to_vec)));
    })?;
    Ok(owned)
}

/// Calls `each` with every header of a received record, in order.
///
/// The client panics on a name that is not UTF-8, and anyone may have written the record: the panic
/// is caught and becomes the error. The panic's own message still reaches the process's panic hook.
pub fn read_headers<'a>(
    record: &'a BorrowedMessage<'_>,
    each: impl FnMut(&'a str, Option<&'a [u8]>),
) -> Result<(), HeaderNameError> {
    record.headers().map_or(Ok(()), |headers| read_guarded(headers, each))
}

fn read_guarded<'a, H: Headers>(
    headers: &'a H,
    mut each: impl FnMut(&'a str, Option<&'a [u8]>),
) -> Result<(), HeaderNameError> {
    for index in 0..headers.count() {
        // Reading a header changes nothing, so there is nothing a panic could leave half done.
        let header = catch_unwind(AssertUnwindSafe(|| headers.try_get(index)))
            .map_err(|_| HeaderNameError { index })?;
        if let Some(header) = header {
            each(header.key, header.value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &OwnedHeaders) -> Result<Vec<OwnedHeader>, HeaderNameError> {
        let mut read = Vec::new();
        read_guarded(headers, |name, value| {
            read.push((name.to_owned(), value.map(<[u8]>::to_vec)));
        })?;
        Ok(read)
    }

    #[test]
    fn headers_read_back_in_the_order_they_were_written() {
        let mut headers = RecordHeaders::with_capacity(1);
        headers.push("ce_id", b"1");
        headers.push("empty", b"");
        headers.push("ce_id", &[0xff, 0]);
        let read = read(&headers.into_client()).unwrap();
        let value = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(read[0], ("ce_id".to_owned(), value(b"1")));
        assert_eq!(read[1], ("empty".to_owned(), value(b"")));
        assert_eq!(read[2], ("ce_id".to_owned(), value(&[0xff, 0])));
    }

    #[test]
    fn a_header_without_a_value_is_told_from_an_empty_one() {
        let none: Option<&[u8]> = None;
        let headers = OwnedHeaders::new().insert(Header { key: "gone", value: none });
        assert_eq!(read(&headers), Ok(vec![("gone".to_owned(), None)]));
    }

    #[test]
    fn a_copy_has_the_same_headers_in_the_same_order() {
        let header =
            |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
        let headers = vec![
            header("b", Some(b"1")),
            header("a", None),
            header("b", Some(b"")),
            header("", Some(&[0xff, 0])),
        ];
        let copy = RecordHeaders::copy_of(&headers).into_client();
        assert_eq!(read(&copy), Ok(headers));
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_an_error_and_no_panic() {
        struct Hostile;
        impl Headers for Hostile {
            fn count(&self) -> usize {
                2
            }
            fn try_get(&self, index: usize) -> Option<Header<'_, &[u8]>> {
                assert_eq!(index, 0, "the client unwraps here");
                Some(Header { key: "fine", value: None })
            }
        }
        assert_eq!(read_guarded(&Hostile, |_, _| {}), Err(HeaderNameError { index: 1 }));
    }
}
