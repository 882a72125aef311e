//! Passwords that whoever guesses tries first.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::Owner;

/// What is known to be used by many: of 8 and more characters, in lower case, one a line, sorted by bytes.
static COMMON: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("common.txt").lines().collect());

/// Keys, letters and digits in the order in which fingers and heads find them; each goes on at its
/// beginning.
const RUNS: [&str; 5] = [
    "1234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
];

/// Whether the password is used by many, is what its owner is called, or is no more than a row of keys.
pub(super) fn is_tried_first(password: &str, owner: Owner<'_>) -> bool {
    let password = lowered(password);
    let common: &[&str] = &COMMON;
    common.binary_search(&password.as_str()).is_ok()
        || is_of_owner(&password, owner)
        || is_one_character(&password)
        || RUNS.iter().any(|run| goes_along(run, &password))
}

fn is_of_owner(password: &str, owner: Owner<'_>) -> bool {
    let local = owner.email.and_then(|email| Some(email.split_once('@')?.0));
    let names = [owner.username, owner.email, local].into_iter().flatten();
    names.map(lowered).any(|name| name.as_str() == password)
}

fn is_one_character(text: &str) -> bool {
    text.chars().all(|c| text.starts_with(c))
}

/// Whether each character is the next of the run, or each the one before.
fn goes_along(run: &str, text: &str) -> bool {
    follows(run, text.chars()) || follows(run, text.chars().rev())
}

fn follows(run: &str, text: impl Iterator<Item = char> + Clone) -> bool {
    let place = |c: char| run.chars().position(|of| of == c);
    text.clone().zip(text.skip(1)).all(|(one, next)| match (place(one), place(next)) {
        (Some(one), Some(next)) => (one + 1) % run.len() == next,
        _ => false,
    })
}

/// The text in normal form C and lower case. It is wiped from memory, whole: no letter is longer than twice
/// as long in lower case, so that it never moves while it is written.
fn lowered(text: &str) -> Zeroizing<String> {
    let mut lowered = Zeroizing::new(String::with_capacity(2 * text.len()));
    lowered.extend(text.nfc().flat_map(char::to_lowercase));
    lowered
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Owner<'_> =
        Owner { username: Some("Ann.Example"), email: Some("Ann.Smith@Example.org") };

    fn is_refused(password: &str) -> bool {
        is_tried_first(password, ANN)
    }

    #[test]
    fn what_many_use_is_known_in_whatever_case() {
        for password in ["password", "PassWord1", "iloveyou", "1q2w3e4r", "Contrasen\u{303}a"] {
            assert!(is_refused(password), "{password}");
        }
        for password in ["correct horse", "password of mine", "zebra7 horse", "žluťoučký"] {
            assert!(!is_refused(password), "{password}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_holds_nothing_that_would_not_be_found_or_is_too_short_anyway() {
        assert!(COMMON.len() > 2_000, "{}", COMMON.len());
        for pair in COMMON.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
        for line in COMMON.iter() {
            assert_eq!(*line, lowered(line).as_str());
            assert!(line.chars().count() >= 8 && line.trim() == *line, "{line}");
        }
    }

    #[test]
    fn what_its_owner_is_called_is_no_password() {
        for password in ["ann.example", "ANN.SMITH", "ann.smith@example.ORG"] {
            assert!(is_refused(password), "{password}");
        }
        assert!(!is_refused("ann.example1") && !is_refused("example.org"));
        assert!(!is_tried_first("ann.example", Owner::default()));
    }

    #[test]
    fn a_row_of_keys_letters_or_digits_is_no_password_and_neither_is_one_character() {
        for password in [
            "        ",
            "üüüüüüüüü",
            "34567890",
            "890123456789",
            "09876543",
            "CDEFGHIJ",
            "vwxyzabc",
            "zyxwvuts",
            "ertyuiop",
            "asdfghjklzxc",
            "poiuytre",
            "qsdfghjklm",
            "yxcvbnmq",
        ] {
            assert!(is_refused(password), "{password:?}");
        }
        for password in ["üüüüüüüüo", "13579024", "qwertuzu", "abcdefgi", "asdfghj;"] {
            assert!(!is_refused(password), "{password}");
        }
    }
}
