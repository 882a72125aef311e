//! What Redis holds under the deployment's prefix.

use std::collections::HashSet;
use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use domain::user::{UserId, field};
use read_cache::{CacheConfig, State, Sweep, SweepError};
use serde_json::Value;
use settings::table;

use super::needle::Needles;
use super::report::{Found, Place};

const NAME: &str = "the keys of Redis";

/// Looks at what is cached of a person and, where texts are looked for, at everything.
pub(super) async fn look(
    config: Option<&CacheConfig>,
    user: UserId,
    needles: &Needles,
    places: &mut Vec<Place>,
) {
    let of_user = "what Redis holds of the user";
    let names = [Some(of_user), (!needles.is_empty()).then_some(NAME)];
    let opened = match config {
        // Another one would be looked at than processes use.
        None => Err(format!("{} is not set", table::REDIS_URL.name)),
        Some(config) => {
            config.sweep().await.map(|sweep| (config, sweep)).map_err(|error| why(&error))
        }
    };
    match opened {
        Err(why) => {
            places.extend(names.into_iter().flatten().map(|name| Place::not_looked_at(name, &why)));
        }
        Ok((config, sweep)) => {
            places.push(body(config, &sweep, user, of_user).await);
            if !needles.is_empty() {
                everything(&sweep, needles, places).await;
            }
            sweep.close().await;
        }
    }
}

async fn body(config: &CacheConfig, sweep: &Sweep, user: UserId, name: &str) -> Place {
    let key = config.keys.of("user", &user.to_string());
    let shown = |is_personal: bool| {
        let found = [Found::new(u64::from(is_personal), "with a personal field")];
        Place::looked_at(name, 1, "key", found)
    };
    match sweep.state(&key).await {
        Err(error) => Place::not_looked_at(name, why(&error)),
        Ok(State::Absent) => Place::looked_at(name, 0, "key", []),
        Ok(State::Lease | State::Tombstone) => shown(false),
        Ok(State::Body(body)) if body.is_missing() => shown(false),
        Ok(State::Body(body)) => match is_personal(&body.json) {
            Some(is_personal) => shown(is_personal),
            None => Place::not_looked_at(name, "what is cached is no JSON"),
        },
        Ok(State::Foreign) => Place::not_looked_at(name, "what is cached is nothing of ours"),
    }
}

/// Whether a body says anything in a field that is personal, wherever it stands in it; `None` where it is
/// no JSON.
fn is_personal(json: &Bytes) -> Option<bool> {
    fn says(value: &Value) -> bool {
        match value {
            Value::Object(members) => members.iter().any(|(name, value)| {
                (field::ALL.contains(&name.as_str()) && !value.is_null()) || says(value)
            }),
            Value::Array(items) => items.iter().any(says),
            _ => false,
        }
    }
    serde_json::from_slice(json).ok().map(|value| says(&value))
}

async fn everything(sweep: &Sweep, needles: &Needles, places: &mut Vec<Place>) {
    let (mut tally, mut no_texts) = (needles.tally(), 0_u64);
    // Redis may show a key twice.
    let (mut seen, hash) = (HashSet::new(), RandomState::new());
    let shown = sweep.entries(|key, text| {
        if seen.insert(hash.hash_one(key)) {
            no_texts += u64::from(text.is_none());
            tally.look([key].into_iter().chain(text));
        }
    });
    match shown.await {
        Err(error) => places.push(Place::not_looked_at(NAME, why(&error))),
        Ok(()) => {
            places.push(tally.place(NAME, "key"));
            if no_texts > 0 {
                let why = format!("{no_texts} of them hold no text, which nothing of ours writes");
                places.push(Place::not_looked_at(NAME, why));
            }
        }
    }
}

/// Errors of Redis name neither keys nor texts.
fn why(error: &SweepError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_personal_where_a_personal_field_says_something() {
        let of = |json: &'static str| is_personal(&Bytes::from_static(json.as_bytes()));
        for json in [
            r#"{"generation":1,"row":{"public":{"username":"ann"},"private":{}}}"#,
            r#"{"row":{"private":{"email":"ann@example.org"}}}"#,
            r#"{"rows":[{"bio":""}]}"#,
        ] {
            assert_eq!(of(json), Some(true), "{json}");
        }
        for json in [
            r#"{"generation":1,"epoch":1,"offset":3,"row":{"erased":true}}"#,
            r#"{"row":{"public":{"username":null,"image":null},"private":{"roles":[]}}}"#,
        ] {
            assert_eq!(of(json), Some(false), "{json}");
        }
        assert_eq!(of("{"), None);
    }
}
