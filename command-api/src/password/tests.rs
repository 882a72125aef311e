use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse as _;

use super::*;

fn password(text: &str) -> Password {
    Password::parse(text.to_owned()).unwrap()
}

fn hasher(hashes: usize, queued: usize) -> PasswordHasher {
    PasswordHasher::new(PasswordConfig { scheme: Scheme::Argon2id, hashes, queued })
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
    let verified = hasher.verify(password("correct horse"), hash.clone()).await.unwrap();
    assert_eq!((verified, verified.is_right()), (Verified::Right, true));
    for other in ["correct horse ", "Correct horse", "correct hors"] {
        let verified = hasher.verify(password(other), hash.clone()).await.unwrap();
        assert_eq!((verified, verified.is_right()), (Verified::Wrong, false), "{other}");
    }
}

#[tokio::test]
async fn a_password_is_known_again_from_a_keyboard_that_writes_its_letters_in_parts() {
    let hasher = hasher(1, 0);
    let hash = hasher.hash(password("Viele Gr\u{fc}\u{df}e \u{1ee9}")).await.unwrap();
    for same in ["Viele Gru\u{308}\u{df}e u\u{31b}\u{301}", "Viele Gr\u{fc}\u{df}e \u{1b0}\u{301}"]
    {
        assert!(hasher.verify(password(same), hash.clone()).await.unwrap().is_right(), "{same}");
    }
    // Alike for readers, and yet something else.
    for other in [
        "Viele Gru\u{df}e \u{1ee9}",
        "Viele Gr\u{fc}sse \u{1ee9}",
        "\u{ff36}iele Gr\u{fc}\u{df}e \u{1ee9}",
    ] {
        assert!(!hasher.verify(password(other), hash.clone()).await.unwrap().is_right(), "{other}");
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
    let verified = hasher(1, 0).verify(password("password"), hash).await.unwrap();
    assert_eq!(verified, Verified::Right, "it costs no less than ours");
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
async fn where_nothing_is_kept_that_can_be_read_nobody_knows_the_password() {
    // The place of one comparison may be held for a moment longer than its answer takes.
    let hasher = hasher(1, 1);
    let kept = |text: &str| Some(HashedPassword::from_phc(text.to_owned()));
    for hash in [None, kept(""), kept("$2b$10$abc")] {
        let verified = hasher.compare(password("correct horse"), hash).await.unwrap();
        assert_eq!(verified, Verified::Wrong);
    }
    let hash = hasher.hash(password("correct horse")).await.unwrap();
    for (text, expected) in [("correct horse", Verified::Right), ("battery", Verified::Wrong)] {
        let entered = Password::entered(text.to_owned());
        assert_eq!(hasher.compare(entered, Some(hash.clone())).await.unwrap(), expected);
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

#[tokio::test]
async fn bcrypt_is_used_where_it_is_configured_and_known_everywhere() {
    let scheme = Scheme::Bcrypt { rounds: 10 };
    let legacy = PasswordHasher::new(PasswordConfig { scheme, hashes: 1, queued: 0 });
    let hash = legacy.hash(password("Gr\u{fc}\u{df}e an alle")).await.unwrap();
    assert!(hash.as_phc().starts_with("$2b$10$"));
    for (hasher, expected) in
        [(legacy, Verified::Right), (hasher(1, 0), Verified::RightButOutdated)]
    {
        let entered = Password::entered("Gru\u{308}\u{df}e an alle".to_owned());
        assert_eq!(hasher.verify(entered, hash.clone()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn what_is_entered_is_compared_even_where_it_could_never_be_chosen() {
    let hasher = hasher(1, 0);
    let hash = hasher.hash(password("correct horse")).await.unwrap();
    for text in [String::new(), "short".to_owned(), "p".repeat(1_000_000)] {
        let entered = Password::entered(text);
        assert_eq!(hasher.verify(entered, hash.clone()).await.unwrap(), Verified::Wrong);
    }
    let longest = hasher.hash(password(&"p".repeat(256))).await.unwrap();
    let longer = Password::entered("p".repeat(257));
    assert_eq!(hasher.verify(longer, longest).await.unwrap(), Verified::Wrong);
}

#[tokio::test]
async fn nobody_takes_a_place_like_everybody_else() {
    let hasher = hasher(1, 0);
    let nobody = || hasher.verify_nobody(Password::entered("correct horse".to_owned()));
    assert!(nobody().await.is_ok());
    let (one, two) = tokio::join!(nobody(), nobody());
    assert!(one.is_ok());
    assert!(matches!(two, Err(PasswordHashError::Busy)));
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
    assert_eq!(config, PasswordConfig { scheme: Scheme::Argon2id, hashes: 2, queued: 64 });
    settings.finish(()).unwrap();
}
