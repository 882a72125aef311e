//! How fast letters are replayed.

use std::time::Duration;

/// Letters in a second, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    per_second: u32,
}

impl Rate {
    /// Takes `20/s` or `20`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("/s").unwrap_or(text);
        match number.parse() {
            Ok(per_second @ 1..=10_000) => Ok(Self { per_second }),
            _ => Err("take a number of letters in a second from 1/s to 10000/s".to_owned()),
        }
    }

    /// How long so many letters take at this rate.
    pub(crate) fn time_of(self, letters: usize) -> Duration {
        let letters = u32::try_from(letters).unwrap_or(u32::MAX);
        Duration::from_secs(1) * letters / self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_letters_in_a_second() {
        assert_eq!(Rate::parse("20/s"), Ok(Rate { per_second: 20 }));
        assert_eq!(Rate::parse("20"), Ok(Rate { per_second: 20 }));
        assert_eq!(Rate::parse("20/s").unwrap().time_of(50), Duration::from_millis(2500));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "0", "-1", "20/m", "fast", "10001"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }
}
