use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse as _;

use super::*;

fn password(text: &str) -> Password {
    Password::parse(text.to_owned()).unwrap()
}

fn hasher(hashes: usize, queued: usize) -> PasswordHasher {
    PasswordHasher::new(PasswordConfig { hashes, queued })
}

#[test]
fn a_password_is_counted_in_characters() {
    let parse = |text: String| Password::parse(text).map(drop);
    for text in ["        ".to_owned(), "ü".repeat(8), "p".repeat(256), "😀".repeat(256)] {
        assert_eq!(parse(text), Ok(()));
    }
    for text in ["", "1234567", "üüüüüüü"] {
        assert_eq!(parse(text.to_owned()), Err(PasswordError::TooShort { limit: 8 }), "{text}");
    }
    for length in [257, 1_000_000] {
        assert_eq!(parse("p".repeat(length)), Err(PasswordError::TooLong { limit: 256 }));
    }
    let error = Password::parse("p".repeat(7)).unwrap_err();
    assert_eq!(error.to_string(), "must have at least 8 characters");
}

#[tokio::test]
async fn a_hash_is_a_phc_string_with_a_salt_of_its_own() {
    let hasher = hasher(1, 0);
    let hash = hasher.hash(password("correct horse")).await.unwrap();
    let parts: Vec<_> = hash.as_phc().split('$').collect();
    assert_eq!(parts[..4], ["", "argon2id", "v=19", "m=19456,t=2,p=1"]);
    assert!(parts.len() == 6 && parts[4].len() == 22 && parts[5].len() == 43, "{parts:?}");
    let again = hasher.hash(password("correct horse")).await.unwrap();
    assert_ne!(hash, again);
}

#[tokio::test]
async fn a_password_is_known_again_and_no_other_one_is() {
    let hasher = hasher(1, 0);
    let hash = hasher.hash(password("correct horse")).await.unwrap();
    assert!(hasher.verify(password("correct horse"), hash.clone()).await.unwrap());
    for other in ["correct horse ", "Correct horse", "correct hors"] {
        assert!(!hasher.verify(password(other), hash.clone()).await.unwrap(), "{other}");
    }
}

#[tokio::test]
async fn a_password_is_known_again_from_a_keyboard_that_writes_its_letters_in_parts() {
    let hasher = hasher(1, 0);
    let hash = hasher.hash(password("Viele Gr\u{fc}\u{df}e \u{1ee9}")).await.unwrap();
    for same in ["Viele Gru\u{308}\u{df}e u\u{31b}\u{301}", "Viele Gr\u{fc}\u{df}e \u{1b0}\u{301}"]
    {
        assert!(hasher.verify(password(same), hash.clone()).await.unwrap(), "{same}");
    }
    // Alike for readers, and yet something else.
    for other in [
        "Viele Gru\u{df}e \u{1ee9}",
        "Viele Gr\u{fc}sse \u{1ee9}",
        "\u{ff36}iele Gr\u{fc}\u{df}e \u{1ee9}",
    ] {
        assert!(!hasher.verify(password(other), hash.clone()).await.unwrap(), "{other}");
    }
}

#[test]
fn a_letter_is_one_character_however_it_is_written() {
    let parse = |text: String| Password::parse(text).map(drop);
    assert_eq!(parse("u\u{308}".repeat(7)), Err(PasswordError::TooShort { limit: 8 }));
    assert_eq!(parse("u\u{308}".repeat(256)), Ok(()));
    assert_eq!(parse("u\u{308}".repeat(257)), Err(PasswordError::TooLong { limit: 256 }));
    // What has no letter that it belongs to stays a character.
    assert_eq!(parse("\u{308}".repeat(10_000)), Err(PasswordError::TooLong { limit: 256 }));
}

/// As another program wrote it, at another cost.
#[tokio::test]
async fn a_hash_is_compared_at_the_cost_that_stands_in_it() {
    let foreign =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let hash = HashedPassword::from_phc(foreign.to_owned());
    assert!(hasher(1, 0).verify(password("password"), hash).await.unwrap());
}

#[tokio::test]
async fn what_is_no_hash_is_a_fault_and_no_wrong_password() {
    for text in ["", "hunter22", "$2b$10$abc", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ"] {
        let hash = HashedPassword::from_phc(text.to_owned());
        let compared = hasher(1, 0).verify(password("correct horse"), hash).await;
        assert!(matches!(compared, Err(PasswordHashError::Unreadable(_))), "{text}: {compared:?}");
    }
}

#[tokio::test]
async fn past_the_queue_it_is_refused_with_a_time_to_come_back() {
    let hasher = hasher(1, 0);
    let (one, two) = tokio::join!(
        hasher.hash(password("correct horse")),
        hasher.hash(password("battery staple"))
    );
    assert!(one.is_ok());
    let problem = Problem::from(two.unwrap_err());
    assert_eq!(problem.kind(), ProblemType::NotReady);
    assert_eq!(problem.into_response().headers()[RETRY_AFTER], "1");
}

#[tokio::test]
async fn as_many_as_have_a_place_are_hashed() {
    let hasher = hasher(2, 2);
    let hashing: Vec<_> = (0..4)
        .map(|number| {
            let (hasher, password) = (hasher.clone(), password(&format!("password {number}")));
            tokio::spawn(async move { hasher.hash(password).await })
        })
        .collect();
    for hash in hashing {
        assert!(hash.await.unwrap().is_ok());
    }
}

#[test]
fn neither_password_nor_hash_is_printed() {
    assert_eq!(format!("{:?}", password("hunter22")), "Password([redacted])");
    let hash = HashedPassword::from_phc("$argon2id$...".to_owned());
    assert_eq!(format!("{hash:?}"), "HashedPassword([redacted])");
}

#[test]
fn the_settings_bound_it() {
    let mut settings = Settings::new([]);
    let config = PasswordConfig::from_settings(&mut settings);
    assert_eq!(config, PasswordConfig { hashes: 2, queued: 64 });
    settings.finish(()).unwrap();
}
