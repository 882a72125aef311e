//! Cursors: where a page ends, as the client carries it to the next one.
//!
//! A cursor names the last row that was shown, so that pages neither repeat nor leave out a row
//! while others come and go. It is signed and bound to its query: changed, or sent with another
//! query, it is refused. It never expires.

use consistency_token::{SignedTextKey, TokenKey};
use problem_details::{Problem, ProblemType};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the key is for. The number rises when a cursor means something else.
const PURPOSE: &str = "page-cursor.1";

/// Makes cursors and reads them.
#[derive(Debug, Clone)]
pub(crate) struct Cursors(SignedTextKey);

impl Cursors {
    /// Cursors of the deployment that signs these tokens.
    pub(crate) fn new(tokens: &TokenKey) -> Self {
        Self(tokens.for_texts(PURPOSE))
    }

    /// The cursor of a place in the answers to a query.
    pub(crate) fn write(&self, query: &[u8], place: &impl Serialize) -> String {
        // A place is made of numbers and texts, which are always written.
        let place = serde_json::to_vec(place).unwrap_or_default();
        self.0.sign(query, &place)
    }

    /// The place that a cursor of this query names.
    pub(crate) fn read<P: DeserializeOwned>(&self, query: &[u8], text: &str) -> Result<P, Problem> {
        let place = self.0.read(query, text).and_then(|place| serde_json::from_slice(&place).ok());
        place.ok_or_else(|| {
            let detail = "the cursor was not made here, was changed, or is of another query; begin \
                          again without one";
            Problem::new(ProblemType::InvalidCursor, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors() -> Cursors {
        Cursors::new(&TokenKey::derive(b"a secret"))
    }

    #[test]
    fn a_place_reads_back_in_its_own_query_only() {
        let text = cursors().write(b"query", &("gerät", 7));
        assert_eq!(cursors().read::<(String, i64)>(b"query", &text).unwrap(), ("gerät".into(), 7));
        for (query, text) in [(&b"another"[..], text.as_str()), (b"query", "x"), (b"query", "")] {
            let refused = cursors().read::<(String, i64)>(query, text).unwrap_err();
            assert_eq!(refused.kind(), ProblemType::InvalidCursor);
        }
        // Signed, and of another shape.
        assert!(cursors().read::<(i64, i64)>(b"query", &text).is_err());
    }
}
