//! What a token claims, and which claims are believed.

use std::fmt;

use domain::device::DeviceId;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::actor::ActorKey;
use crate::caller::Revocable;
use crate::{Caller, Role, Roles, Unauthenticated};

/// The claims that are read; others are ignored, a claim that stands twice is not.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    jti: Option<String>,
    sid: Option<String>,
    user_version: Option<u64>,
    #[serde(default)]
    roles: Names,
    device_id: Option<String>,
}

/// What a token must claim.
#[derive(Debug, Clone)]
pub(crate) struct ClaimRules {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// Seconds.
    pub(crate) leeway: i64,
    /// Whether `iss`, `aud`, `iat`, `jti` and `sid` may be absent; present, they must be right.
    pub(crate) may_be_absent: bool,
    /// How long an access token lives that is given out here, in seconds.
    pub(crate) own_lifetime: i64,
    /// What hides subjects.
    pub(crate) actors: ActorKey,
}

/// Longest text that is taken as a claim.
const MAX_TEXT_BYTES: usize = 255;

/// Bound of a device id in a claim, in characters: no setting allows a longer one.
const MAX_DEVICE_ID: usize = 512;

impl ClaimRules {
    /// Believes the claims or says which one is wrong; `now` in seconds since 1970.
    pub(crate) fn caller(&self, claims: Claims, now: i64) -> Result<Caller, Unauthenticated> {
        self.must_be_now(&claims, now)?;
        self.must_match("iss", claims.iss.as_deref().map(|iss| iss == self.issuer))?;
        self.must_match("aud", claims.aud.map(|Audience(aud)| aud.contains(&self.audience)))?;
        self.must_match("jti", claims.jti.as_deref().map(is_text))?;
        self.must_match("sid", claims.sid.as_deref().map(is_text))?;
        let subject = claims.sub.filter(|sub| is_text(sub)).ok_or(wrong("sub"))?;
        let device_id = claims
            .device_id
            .map(|id| DeviceId::parse(id, MAX_DEVICE_ID).map_err(|_| wrong("device_id")))
            .transpose()?;
        Ok(Caller {
            actor: self.actors.actor(&self.issuer, &subject),
            revocable: Revocable::of(&subject, claims.sid.as_deref(), claims.user_version),
            subject,
            issuer: self.issuer.clone(),
            roles: claims.roles.0,
            device_id,
            session_id: claims.sid,
            token_id: claims.jti,
            expires_at: claims.exp.map(|exp| exp.0).unwrap_or_default(),
        })
    }

    /// The same of a token that was given out here: it says by what it can be taken back, and lives no longer
    /// than those of today, whoever wrote what into it.
    pub(crate) fn caller_of_ours(
        &self,
        mut claims: Claims,
        now: i64,
    ) -> Result<Caller, Unauthenticated> {
        let issued_at = claims.iat.ok_or(wrong("iat"))?.0;
        let latest = issued_at.saturating_add(self.own_lifetime);
        claims.exp = claims.exp.map(|exp| NumericDate(exp.0.min(latest)));
        let caller = self.caller(claims, now)?;
        if caller.revocable.is_none() {
            return Err(wrong("user_version"));
        }
        Ok(caller)
    }

    fn must_be_now(&self, claims: &Claims, now: i64) -> Result<(), Unauthenticated> {
        let exp = claims.exp.ok_or(wrong("exp"))?.0;
        self.must_match("iat", claims.iat.map(|iat| iat.0 <= now + self.leeway))?;
        if exp <= now - self.leeway {
            return Err(Unauthenticated::Expired);
        }
        match claims.nbf {
            Some(nbf) if nbf.0 > now + self.leeway => Err(Unauthenticated::NotYetValid),
            _ => Ok(()),
        }
    }

    fn must_match(
        &self,
        claim: &'static str,
        is_right: Option<bool>,
    ) -> Result<(), Unauthenticated> {
        if is_right.unwrap_or(self.may_be_absent) { Ok(()) } else { Err(wrong(claim)) }
    }
}

fn wrong(claim: &'static str) -> Unauthenticated {
    Unauthenticated::WrongClaim(claim)
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control)
}

/// Seconds since 1970; a fraction is cut off, and what is no such time is refused.
#[derive(Debug, Clone, Copy)]
struct NumericDate(i64);

/// The end of the year 9999: a time beyond it is a mistake of units or an attempt to overflow.
const LAST_SECOND: i64 = 253_402_300_799;

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = NumericDate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970 up to the year 9999")
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
                i64::try_from(seconds)
                    .ok()
                    .filter(|seconds| *seconds <= LAST_SECOND)
                    .map(NumericDate)
                    .ok_or_else(|| E::custom("time out of range"))
            }
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
                if (0.0..=253_402_300_799.0).contains(&seconds) {
                    Ok(NumericDate(seconds as i64))
                } else {
                    Err(E::custom("time out of range"))
                }
            }
        }
        from.deserialize_any(Seconds)
    }
}

/// One audience or several.
#[derive(Debug)]
struct Audience(Vec<String>);

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match OneOrMany::deserialize(from)? {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }))
    }
}

/// The roles we know among those an array names.
#[derive(Debug, Default)]
struct Names(Roles);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of role names")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Names, A::Error> {
                let mut roles = Roles::default();
                while let Some(name) = names.next_element::<String>()? {
                    roles = Role::parse(&name).map_or(roles, |role| roles.with(role));
                }
                Ok(Names(roles))
            }
        }
        from.deserialize_seq(Array)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn rules(may_be_absent: bool) -> ClaimRules {
        let (issuer, audience) = ("issuer".to_owned(), "audience".to_owned());
        let actors = ActorKey::from_settings(&mut settings::Settings::new([]));
        ClaimRules { issuer, audience, leeway: 30, may_be_absent, own_lifetime: 900, actors }
    }

    fn complete() -> serde_json::Value {
        json!({"iss": "issuer", "aud": ["other", "audience"], "sub": "ann", "exp": NOW + 60,
            "iat": NOW, "jti": "1", "sid": "s", "roles": ["user", "of-another-system"]})
    }

    fn believed(rules: &ClaimRules, claims: serde_json::Value) -> Result<Caller, Unauthenticated> {
        let claims = serde_json::from_value(claims).map_err(|_| Unauthenticated::Malformed)?;
        rules.caller(claims, NOW)
    }

    fn with(name: &str, value: serde_json::Value) -> serde_json::Value {
        let mut claims = complete();
        claims[name] = value;
        claims
    }

    fn without(name: &str) -> serde_json::Value {
        let mut claims = complete();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    #[test]
    fn a_complete_token_names_its_caller() {
        let caller = believed(&rules(false), complete()).unwrap();
        assert_eq!((caller.subject.as_str(), caller.issuer.as_str()), ("ann", "issuer"));
        assert_eq!(caller.roles, [Role::User].into_iter().collect());
        assert_eq!(caller.expires_at, NOW + 60);
    }

    #[test]
    fn what_may_be_absent_in_development_may_not_be_elsewhere() {
        for claim in ["iss", "aud", "iat", "jti", "sid"] {
            assert!(believed(&rules(true), without(claim)).is_ok(), "{claim}");
            assert_eq!(
                believed(&rules(false), without(claim)),
                Err(Unauthenticated::WrongClaim(claim))
            );
        }
    }

    #[test]
    fn what_is_present_must_be_right_everywhere() {
        let long = "x".repeat(256);
        for (claim, value) in [
            ("iss", json!("other")),
            ("aud", json!("other")),
            ("aud", json!(["other"])),
            ("aud", json!([])),
            ("iat", json!(NOW + 31)),
            ("sub", json!("")),
            ("sub", json!(long)),
            ("sub", json!("a\nb")),
            ("jti", json!("")),
            ("device_id", json!("not visible")),
        ] {
            for rules in [rules(true), rules(false)] {
                let refused = believed(&rules, with(claim, value.clone()));
                assert_eq!(refused, Err(Unauthenticated::WrongClaim(claim)), "{value}");
            }
        }
        for claim in ["sub", "exp"] {
            let refused = believed(&rules(true), without(claim));
            assert_eq!(refused, Err(Unauthenticated::WrongClaim(claim)));
        }
    }

    #[test]
    fn a_claim_of_another_type_is_malformed() {
        for (claim, value) in [
            ("exp", json!("1900000000")),
            ("exp", json!(1e308)),
            ("exp", json!(-1)),
            ("exp", json!(u64::MAX)),
            ("exp", json!([1])),
            ("nbf", json!("0")),
            ("iat", json!({})),
            ("sub", json!(7)),
            ("aud", json!(7)),
            ("aud", json!([7])),
            ("roles", json!("admin")),
            ("roles", json!([1])),
            ("roles", json!({"admin": true})),
            ("user_version", json!("1")),
            ("user_version", json!(-1)),
            ("user_version", json!(1.5)),
            ("user_version", json!([1])),
        ] {
            let refused = believed(&rules(true), with(claim, value.clone()));
            assert_eq!(refused, Err(Unauthenticated::Malformed), "{claim} {value}");
        }
    }

    #[test]
    fn a_token_is_taken_from_nbf_to_exp_with_leeway_on_both_sides() {
        for (claim, seconds, expected) in [
            ("exp", -29, Ok(())),
            ("exp", -30, Err(Unauthenticated::Expired)),
            ("nbf", 30, Ok(())),
            ("nbf", 31, Err(Unauthenticated::NotYetValid)),
        ] {
            let claims = with(claim, json!(NOW + seconds));
            assert_eq!(believed(&rules(false), claims).map(|_| ()), expected, "{claim} {seconds}");
        }
        assert!(believed(&rules(false), with("exp", json!(1_800_000_060.5))).is_ok());
    }
}
