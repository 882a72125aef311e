//! What open letters mean for a read: records behind the view's position that it does not show.

use std::time::Duration;

use consistency_token::Token;

use super::Settled;
use crate::positions::map::LogPartition;
use crate::prefer::Handling;
use crate::refused::Refused;

/// Open letters of one partition that concern a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenLetters {
    pub(crate) log: LogPartition,
    /// How many hold what the token asks for: at its offset or below.
    pub(crate) lacking: u64,
    /// The one with the lowest offset, perhaps above what the token asks for.
    pub(crate) oldest: OldestLetter,
}

/// The first of some letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OldestLetter {
    pub(crate) offset: u64,
    /// `retrying`, `parked` or `blocked`.
    pub(crate) state: String,
    /// Time since its record was logged.
    pub(crate) age: Duration,
}

impl Settled {
    /// Judges the read by the letters that were found with the row. Where they hold what the token
    /// asks for, a strict read is refused and a lenient one is stale, as old as the oldest of them.
    pub(crate) fn despite(mut self, letters: Vec<OpenLetters>) -> Result<Self, Refused> {
        let lacking: u64 = letters.iter().map(|letters| letters.lacking).sum();
        let oldest = letters
            .iter()
            .filter(|letters| letters.lacking > 0)
            .map(|letters| &letters.oldest)
            .max_by_key(|oldest| oldest.age);
        if let Some(oldest) = oldest {
            if self.handling != Some(Handling::Lenient) {
                return Err(Refused::parked(lacking, &oldest.state));
            }
            self.age = match self.age {
                Some(age) if self.is_stale => Some(age.max(oldest.age)),
                None if self.is_stale => None,
                _ => Some(oldest.age),
            };
            self.is_stale = true;
        }
        self.letters = letters;
        Ok(self)
    }

    /// The token of a record that is shown, lowered to before the first record of its partition
    /// that is not: no token promises what a letter holds.
    pub(super) fn promised(&self, shown: Shown) -> Option<Token> {
        let Shown { log: LogPartition { topic, epoch, partition }, offset } = &shown;
        let first = self
            .letters
            .iter()
            .filter(|letters| letters.log == shown.log)
            .map(|letters| letters.oldest.offset)
            .min();
        let offset = match first {
            Some(first) => (*offset).min(first.checked_sub(1)?),
            None => *offset,
        };
        Some(Token::of_record(topic, *epoch, *partition, offset))
    }
}

/// The last record folded into a row that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) log: LogPartition,
    pub(crate) offset: u64,
}

#[cfg(test)]
mod tests {
    use axum::http::header::{AGE, RETRY_AFTER};
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::IntoResponse as _;
    use consistency_token::TokenKey;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;
    use crate::consistency::CONSISTENCY_TOKEN;

    fn log(partition: u32) -> LogPartition {
        LogPartition { topic: "events-input".into(), epoch: 1, partition }
    }

    fn token(offset: u64) -> Token {
        Token::of_record("events-input", 1, 0, offset)
    }

    /// A read whose position is reached.
    fn reached(asked: u64, handling: Option<Handling>) -> Settled {
        let age = Some(Duration::ZERO);
        Settled { token: Some(token(asked)), handling, age, ..Settled::default() }
    }

    fn open(lacking: u64, offset: u64, state: &str, seconds: u64) -> OpenLetters {
        let age = Duration::from_secs(seconds);
        let oldest = OldestLetter { offset, state: state.into(), age };
        OpenLetters { log: log(0), lacking, oldest }
    }

    fn out(settled: Settled, offset: u64) -> HeaderMap {
        let key = TokenKey::derive(b"a secret");
        let shown = Shown { log: log(0), offset };
        settled.onto(StatusCode::OK.into_response(), Some(shown), &key).headers().clone()
    }

    fn encoded(token: &Token) -> String {
        token.encode(&TokenKey::derive(b"a secret"))
    }

    #[tokio::test]
    async fn a_strict_read_is_told_how_many_records_are_set_aside_and_where_the_oldest_stands() {
        for (state, seconds) in [("retrying", "2"), ("parked", "30"), ("blocked", "30")] {
            for handling in [None, Some(Handling::Strict)] {
                let letters = vec![open(3, 2, state, 60)];
                let refused = reached(7, handling).despite(letters).unwrap_err().into_response();
                assert_eq!(refused.status(), 503);
                assert_eq!(refused.headers()[RETRY_AFTER], seconds, "{state}");
                let body = refused.into_body().collect().await.unwrap().to_bytes();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["type"], "/problems/projection-parked");
                let detail = body["detail"].as_str().unwrap();
                assert!(detail.contains("lacks 3 records"), "{detail}");
                assert!(detail.contains(&format!("the oldest is {state}")), "{detail}");
            }
        }
    }

    #[test]
    fn a_lenient_read_is_as_old_as_the_oldest_letter_and_promises_nothing_from_there_on() {
        let lenient = reached(7, Some(Handling::Lenient));
        let settled = lenient.despite(vec![open(2, 5, "parked", 60)]).unwrap();
        // A newer record than the letter is shown: the token is lowered all the same.
        let out = out(settled, 6);
        assert_eq!(out[AGE], "60");
        assert_eq!(out[CONSISTENCY_TOKEN], encoded(&token(4)));
    }

    #[test]
    fn where_the_first_record_of_all_is_set_aside_there_is_nothing_to_promise() {
        let lenient = reached(7, Some(Handling::Lenient));
        let settled = lenient.despite(vec![open(1, 0, "parked", 60)]).unwrap();
        assert!(!out(settled, 6).contains_key(CONSISTENCY_TOKEN));
    }

    #[test]
    fn letters_above_what_the_token_asks_for_refuse_nothing_and_are_not_promised() {
        let settled = reached(3, None).despite(vec![open(0, 5, "parked", 60)]).unwrap();
        let out = out(settled, 9);
        assert!(!out.contains_key(AGE));
        assert_eq!(out[CONSISTENCY_TOKEN], encoded(&token(4)));
    }

    #[test]
    fn a_read_without_letters_is_as_it_was() {
        for handling in [None, Some(Handling::Strict), Some(Handling::Lenient)] {
            let settled = reached(3, handling).despite(Vec::new()).unwrap();
            assert_eq!(settled, reached(3, handling));
        }
    }

    #[test]
    fn a_read_that_was_stale_already_is_as_old_as_the_older_reason() {
        for (behind, letter, expected) in
            [(Some(9), 60, Some(60)), (Some(90), 60, Some(90)), (None, 60, None)]
        {
            let age = behind.map(Duration::from_secs);
            let stale = Settled { is_stale: true, age, ..reached(7, Some(Handling::Lenient)) };
            let settled = stale.despite(vec![open(1, 5, "parked", letter)]).unwrap();
            assert!(settled.is_stale);
            assert_eq!(settled.age, expected.map(Duration::from_secs));
        }
    }

    proptest! {
        /// Whoever sends an answer's token again, with the letters still as they are, is answered.
        #[test]
        fn no_answer_s_token_asks_for_a_letter_that_was_open(
            offsets in prop::collection::btree_set(0_u64..12, 0..4),
            asked in 0_u64..12,
            last in 0_u64..12,
        ) {
            let lacking = |asked| offsets.iter().filter(|offset| **offset <= asked).count() as u64;
            let found = offsets.first().map(|oldest| open(lacking(asked), *oldest, "parked", 60));
            let read = reached(asked, Some(Handling::Lenient));
            let settled = read.despite(found.into_iter().collect()).unwrap();
            if let Some(token) = out(settled, last).get(CONSISTENCY_TOKEN) {
                let key = TokenKey::derive(b"a secret");
                let token = Token::decode(token.to_str().unwrap(), &key).unwrap();
                for entry in token.entries() {
                    let consistency_token::Entry::Log { offset, .. } = entry else { continue };
                    prop_assert_eq!(lacking(offset), 0);
                }
            }
        }
    }
}
