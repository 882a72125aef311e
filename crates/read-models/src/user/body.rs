//! The row as readers are shown it. Whoever is known to us may see the public profile; they and admins
//! see the full one, which holds more. In the cache both parts stand apart, so that the public one is
//! taken out as it is and never made by leaving something out:
//! `{"public":{"id", "username", "full_name", "bio", "image", "version", "created_at", "updated_at"},
//! "private":{"email", "email_verified", "active", "roles"}}`, or `{"erased":true}`.

use domain::user::UserId;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::UserRow;
use crate::json_object::JsonObject;

/// The row as it stands in the cache.
pub fn body(id: UserId, row: &UserRow) -> String {
    let mut object = JsonObject::with_capacity(1_024);
    if row.erased {
        object.plain("erased", true);
    } else {
        object.json("public", &public(id, row));
        object.json("private", &private(row));
    }
    object.finish()
}

/// What a user and admins are shown of that user.
pub fn full_profile(id: UserId, row: &UserRow) -> String {
    joined(&public(id, row), &private(row))
}

/// A body as it was read.
#[derive(Debug, Clone, Copy)]
pub enum UserBody<'a> {
    /// Of somebody who is forgotten.
    Erased,
    /// Of somebody who may be shown.
    Profile(Profile<'a>),
}

/// What there is to show of a user.
#[derive(Debug, Clone, Copy)]
pub struct Profile<'a> {
    public: &'a str,
    private: &'a str,
}

/// A body's members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    #[serde(default)]
    erased: bool,
    #[serde(borrow)]
    public: Option<&'a RawValue>,
    #[serde(borrow)]
    private: Option<&'a RawValue>,
}

impl<'a> UserBody<'a> {
    /// Reads what [`body`] wrote; `None` for anything else, such as what another release wrote.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        match serde_json::from_slice(body).ok()? {
            Members { erased: true, public: None, private: None } => Some(Self::Erased),
            Members { erased: false, public: Some(public), private: Some(private) } => {
                Some(Self::Profile(Profile { public: public.get(), private: private.get() }))
            }
            Members { .. } => None,
        }
    }
}

impl<'a> Profile<'a> {
    /// What everybody is shown.
    pub fn public(self) -> &'a str {
        self.public
    }

    /// What the user and admins are shown.
    pub fn full(self) -> String {
        joined(self.public, self.private)
    }
}

fn public(id: UserId, row: &UserRow) -> String {
    let mut object = JsonObject::with_capacity(512);
    object.plain("id", format_args!("\"{id}\""));
    object.json("username", &text_or_null(row.username.as_deref()));
    object.json("full_name", &text_or_null(row.full_name.as_deref()));
    object.json("bio", &text_or_null(row.bio.as_deref()));
    object.json("image", &text_or_null(row.image.as_deref()));
    object.plain("version", row.version);
    object.time("created_at", Some(row.created_at));
    object.time("updated_at", Some(row.updated_at));
    object.finish()
}

fn private(row: &UserRow) -> String {
    let roles: Vec<&str> = row.roles.iter().map(|role| role.name()).collect();
    let mut object = JsonObject::with_capacity(192);
    object.json("email", &text_or_null(row.email.as_deref()));
    object.plain("email_verified", row.email_verified);
    object.plain("active", row.active);
    object.json("roles", &Value::from(roles).to_string());
    object.finish()
}

fn text_or_null(text: Option<&str>) -> String {
    Value::from(text).to_string()
}

/// The members of both objects, of which neither is empty.
fn joined(one: &str, other: &str) -> String {
    let members =
        |object: &'_ str| object.get(1..object.len().saturating_sub(1)).map(str::to_owned);
    match (members(one), members(other)) {
        (Some(one), Some(other)) => format!("{{{one},{other}}}"),
        _ => one.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::Timestamp;
    use domain::role::Role;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::recorded::LogPosition;

    const ID: UserId = UserId(Uuid::from_u128(7));

    fn ann() -> UserRow {
        UserRow {
            username: Some("Ann".to_owned()),
            email: Some("ann@example.org".to_owned()),
            full_name: Some("Ann \"A\" Smith".to_owned()),
            bio: Some("one\ntwo".to_owned()),
            image: None,
            roles: BTreeSet::from([Role::Admin, Role::User]),
            email_verified: false,
            active: true,
            erased: false,
            session_epoch: 0,
            version: 3,
            created_at: Timestamp(1_772_366_400_123_456),
            updated_at: Timestamp(1_772_366_401_000_000),
            position: LogPosition { epoch: 1, offset: 3 },
        }
    }

    fn profile(body: &str) -> Profile<'_> {
        match UserBody::read(body.as_bytes()) {
            Some(UserBody::Profile(profile)) => profile,
            other => panic!("{body} reads as {other:?}"),
        }
    }

    fn names(json: &str) -> Vec<String> {
        let value: Value = serde_json::from_str(json).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn members_stand_in_the_order_of_the_contract() {
        let body = body(ID, &ann());
        let public = "{\"id\":\"00000000-0000-0000-0000-000000000007\",\"username\":\"Ann\",\
             \"full_name\":\"Ann \\\"A\\\" Smith\",\"bio\":\"one\\ntwo\",\"image\":null,\"version\":3,\
             \"created_at\":\"2026-03-01T12:00:00.123456Z\",\
             \"updated_at\":\"2026-03-01T12:00:01.000000Z\"}";
        assert_eq!(profile(&body).public(), public);
        let private = ",\"email\":\"ann@example.org\",\"email_verified\":false,\"active\":true,\
             \"roles\":[\"user\",\"admin\"]}";
        let full = format!("{}{private}", public.strip_suffix('}').unwrap());
        assert_eq!(profile(&body).full(), full);
        assert_eq!(full_profile(ID, &ann()), full);
    }

    #[test]
    fn of_who_is_erased_nothing_is_said() {
        let erased = UserRow { erased: true, ..ann() };
        assert_eq!(body(ID, &erased), r#"{"erased":true}"#);
        assert!(matches!(UserBody::read(br#"{"erased":true}"#), Some(UserBody::Erased)));
    }

    #[test]
    fn what_is_no_body_is_not_read() {
        for text in [
            "",
            "{}",
            "7",
            r#"{"public":{}}"#,
            r#"{"private":{}}"#,
            r#"{"erased":true,"public":{},"private":{}}"#,
            r#"{"public":{},"private":{},"other":{}}"#,
            r#"{"id":"x","username":"Ann","email":"ann@example.org"}"#,
        ] {
            assert!(UserBody::read(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        /// Whatever people write of themselves, and whatever their address is.
        #[test]
        fn the_public_profile_never_holds_what_is_private(
            texts in prop::array::uniform4(any::<Option<String>>()), address: String,
        ) {
            let [username, full_name, bio, image] = texts;
            let row = UserRow {
                email: Some(address.clone()), username, full_name, bio: bio.clone(), image, ..ann()
            };
            let body = body(ID, &row);
            let (public, full) = (profile(&body).public(), profile(&body).full());
            let everybody_s =
                ["bio", "created_at", "full_name", "id", "image", "updated_at", "username", "version"];
            prop_assert_eq!(names(public), everybody_s);
            let mut theirs = [&everybody_s[..], &["email", "email_verified", "active", "roles"]].concat();
            theirs.sort_unstable();
            prop_assert_eq!(names(&full), theirs);
            let full: Value = serde_json::from_str(&full).unwrap();
            prop_assert_eq!(full["email"].as_str(), Some(address.as_str()));
            prop_assert_eq!(full["bio"].as_str(), bio.as_deref());
        }
    }
}
