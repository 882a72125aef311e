//! A row as it stands in the cache: its body, and what the headers of its answer need.
//!
//! `{"generation":1,"epoch":1,"offset":993,"row":{...}}`, beside its version. Whoever reads it takes the body out as it
//! stands, without looking into it.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::recorded::LogPosition;

/// A row that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedRow {
    /// The build of the projection that it is of.
    pub generation: i32,
    /// Its version, from 1.
    pub version: u64,
    /// The record that it was folded from last.
    pub position: LogPosition,
    /// The row as readers are shown it: a JSON object.
    pub body: Bytes,
}

impl CachedRow {
    /// The JSON that stands in the cache, beside the version.
    pub fn to_json(&self) -> Bytes {
        let Self { generation, position: LogPosition { epoch, offset }, body, .. } = self;
        let mut head = String::with_capacity(64);
        // Writing to a text cannot fail.
        let _ =
            write!(head, r#"{{"generation":{generation},"epoch":{epoch},"offset":{offset},"row":"#);
        let mut json = Vec::with_capacity(head.len() + body.len() + 1);
        json.extend_from_slice(head.as_bytes());
        json.extend_from_slice(body);
        json.push(b'}');
        json.into()
    }

    /// Reads what [`Self::to_json`] wrote, without copying the body; `None` for anything else, such
    /// as what another release wrote.
    pub fn from_json(version: u64, json: &Bytes) -> Option<Self> {
        let (generation, rest) = member(json, b"{\"generation\":")?;
        let (epoch, rest) = member(rest, b",\"epoch\":")?;
        let (offset, rest) = member(rest, b",\"offset\":")?;
        let row = rest.strip_prefix(b",\"row\":")?.strip_suffix(b"}")?;
        let is_object = row.first() == Some(&b'{') && row.last() == Some(&b'}');
        is_object.then(|| Self {
            generation,
            version,
            position: LogPosition { epoch, offset },
            body: json.slice_ref(row),
        })
    }
}

/// The number behind a member's name, and what follows it.
fn member<'a, N: std::str::FromStr>(text: &'a [u8], name: &[u8]) -> Option<(N, &'a [u8])> {
    let text = text.strip_prefix(name)?;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
    let (number, rest) = text.split_at(digits);
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_reads_as_json() {
        let position = LogPosition { epoch: 1, offset: 993 };
        let row = CachedRow { generation: 2, version: 7, position, body: r#"{"id":"a"}"#.into() };
        assert_eq!(row.to_json(), r#"{"generation":2,"epoch":1,"offset":993,"row":{"id":"a"}}"#);
    }

    #[test]
    fn what_is_none_is_not_read() {
        for text in [
            "",
            "{}",
            r#"{"generation":1,"epoch":1,"offset":2}"#,
            r#"{"generation":1,"epoch":1,"offset":2,"row":7}"#,
            r#"{"generation":1,"epoch":1,"offset":x,"row":{}}"#,
            r#"{"generation":1,"epoch":1,"offset":2,"row":{"#,
            r#"{"generation":99999999999,"epoch":1,"offset":2,"row":{}}"#,
        ] {
            assert_eq!(CachedRow::from_json(7, &Bytes::from(text)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_back(
            generation: i32, version: u64, epoch: i32, offset: i64, inner in ".*",
        ) {
            let position = LogPosition { epoch, offset };
            let body = Bytes::from(format!("{{{inner}}}"));
            let row = CachedRow { generation, version, position, body };
            prop_assert_eq!(CachedRow::from_json(version, &row.to_json()), Some(row));
        }
    }
}
