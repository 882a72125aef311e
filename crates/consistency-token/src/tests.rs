use proptest::prelude::*;
use settings::Settings;

use super::*;

fn key() -> TokenKey {
    TokenKey::derive(b"a secret")
}

fn merged(tokens: &[Token]) -> Result<Token, TooManyEntries> {
    let mut all = Token::default();
    tokens.iter().try_for_each(|token| all.merge(token)).map(|()| all)
}

#[test]
fn a_token_of_one_record_is_short_enough_for_a_header() {
    let token = Token::of_record("events-input", 1, 11, 4_000_000_000);
    assert!(token.encode(&key()).len() <= 60, "{}", token.encode(&key()));
    let few: Vec<_> =
        (0..12).map(|p| Token::of_record("events-input", 1, p, 10_000_000_000)).collect();
    assert!(merged(&few).unwrap().encode(&key()).len() <= 200);
}

#[test]
fn of_two_offsets_of_one_partition_the_later_is_kept() {
    let of = |offset| Token::of_record("t", 0, 3, offset);
    let token = merged(&[of(5), of(9), of(7)]).unwrap();
    let entry = Entry::Log { topic: "t", epoch: 0, partition: 3, offset: 9 };
    assert_eq!(token.entries().collect::<Vec<_>>(), [entry]);
}

#[test]
fn a_token_is_not_extended_past_its_limit() {
    let full: Vec<_> = (0..64).map(|p| Token::of_record("t", 0, p, 1)).collect();
    let mut token = merged(&full).unwrap();
    assert_eq!(token.merge(&Token::of_stream("s", 1)), Err(TooManyEntries));
    assert_eq!(token.len(), MAX_ENTRIES);
    assert_eq!(token.merge(&Token::of_record("t", 0, 63, 2)), Ok(()));
    assert_eq!(Token::decode(&token.encode(&key()), &key()), Ok(token));
}

#[test]
fn a_text_that_is_no_token_is_refused() {
    let other = TokenKey::derive(b"another secret");
    let foreign = Token::of_stream("s", 1).encode(&other);
    for (text, error) in [
        ("", TokenError::Unreadable),
        ("AQ", TokenError::Unreadable),
        ("not base64!", TokenError::Unreadable),
        (foreign.as_str(), TokenError::WrongSignature),
        (&"A".repeat(30_000), TokenError::Unreadable),
    ] {
        assert_eq!(Token::decode(text, &key()), Err(error), "{text}");
    }
}

#[test]
fn only_the_dev_profile_does_without_a_secret() {
    let read = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut settings = Settings::new(pairs);
        let key = TokenKey::from_settings(&mut settings);
        settings.finish(key).map(|key| Token::default().encode(&key)).map_err(|error| error.0)
    };
    let dev = ("MILLRACE_PROFILE", "dev");
    assert!(read(&[dev]).is_ok());
    assert!(read(&[]).unwrap_err()[0].starts_with("MILLRACE_TOKEN_SECRET is required"));
    assert!(read(&[("MILLRACE_TOKEN_SECRET", "short")]).unwrap_err()[0].contains("32 bytes"));
    let long = ("MILLRACE_TOKEN_SECRET", "0123456789abcdef0123456789abcdef");
    assert_ne!(read(&[long]), read(&[dev]));
}

#[test]
fn a_key_is_never_printed() {
    assert_eq!(format!("{:?}", TokenKey::derive(b"a secret")), "TokenKey([redacted])");
}

#[test]
fn the_record_of_an_event_takes_its_place() {
    let (event, record) = (Token::of_stream("user-1", 3), Token::of_record("t", 0, 5, 9));
    let mut token = event.clone();
    token.place("user-1", 3, &record);
    assert_eq!(token, record);
    // Many streams of one partition are one entry.
    let streams: Vec<_> = (0..63).map(|n| Token::of_stream(&format!("user-{n}"), 3)).collect();
    let mut token = merged(&[merged(&streams).unwrap(), Token::of_record("t", 0, 5, 70)]).unwrap();
    for n in 0..63 {
        token.place(&format!("user-{n}"), 3, &Token::of_record("t", 0, 5, 10 + n));
    }
    assert_eq!(token, merged(&[record.clone(), Token::of_record("t", 0, 5, 72)]).unwrap());
    // What was not asked for, or of a later event, is left.
    for (id, version) in [("user-1", 2), ("user-2", 3)] {
        let mut token = event.clone();
        token.place(id, version, &record);
        assert_eq!(token, event);
    }
}

fn token() -> impl Strategy<Value = Token> {
    let number = prop_oneof![0..4_u64, any::<u64>()];
    let log = ("[a-c]{0,2}", 0..3_u32, prop_oneof![0..4_u32, any::<u32>()], number.clone())
        .prop_map(|(topic, epoch, partition, offset)| {
            Token::of_record(&topic, epoch, partition, offset)
        });
    let stream = ("[a-cé]{0,3}", number).prop_map(|(id, version)| Token::of_stream(&id, version));
    prop::collection::vec(prop_oneof![log, stream], 0..10)
        .prop_map(|tokens| merged(&tokens).unwrap())
}

proptest! {
    #[test]
    fn a_token_reads_back_as_written(token in token()) {
        prop_assert_eq!(Token::decode(&token.encode(&key()), &key()), Ok(token));
    }

    #[test]
    fn the_order_of_merging_does_not_matter(a in token(), b in token(), c in token()) {
        let all = [[&a, &b, &c], [&c, &a, &b], [&b, &c, &a], [&c, &b, &a]]
            .map(|order| merged(&order.map(Clone::clone)).unwrap());
        prop_assert!(all.iter().all(|token| *token == all[0]));
        let bc = merged(&[b.clone(), c.clone()]).unwrap();
        prop_assert_eq!(&merged(&[a.clone(), bc]).unwrap(), &all[0]);
        prop_assert_eq!(merged(&[a.clone(), a.clone()]).unwrap(), a);
    }

    #[test]
    fn a_text_with_any_bit_flipped_is_refused(token in token(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut text = token.encode(&key()).into_bytes();
        let at = at.index(text.len());
        text[at] ^= 1_u8 << bit;
        if let Ok(text) = String::from_utf8(text) {
            prop_assert!(Token::decode(&text, &key()).is_err());
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "[A-Za-z0-9_-]{0,120}") {
        prop_assert!(Token::decode(&text, &key()).is_err());
    }
}
