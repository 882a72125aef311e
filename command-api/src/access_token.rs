//! The access tokens that are given out at login: JSON Web Tokens, signed with the deployment's own keys.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use domain::role::Role;
use domain::session::SessionId;
use domain::user::UserId;
use problem_details::{Problem, ProblemType};
use serde_json::{Value, json};
use settings::{Settings, TokenSecret, table};
use uuid::Uuid;

use crate::signing_keys::{SealingKey, SigningKeys};

/// The most that a verifier may overlook of a difference between clocks, whatever ours are set to: its setting
/// takes no more.
const MOST_LEEWAY: Duration = Duration::from_secs(300);

/// What clocks may differ beside the leeway that verifiers have, and what a verifier may take to learn of
/// something.
const MARGIN: Duration = Duration::from_secs(90);

/// When somebody may come back while nothing can be signed.
const SOON: Duration = Duration::from_secs(1);

/// How access tokens are made.
#[derive(Debug, Clone)]
pub struct AccessTokenConfig {
    /// How long one is taken.
    pub lifetime: Duration,
    /// Who gives them out: `iss`.
    pub issuer: String,
    /// For whom they are: `aud`.
    pub audience: String,
    /// How long a new signing key is published before it signs.
    pub key_lead: Duration,
    /// Seals the keys that sign.
    pub sealing: SealingKey,
}

impl AccessTokenConfig {
    /// Reads the settings; faults are noted there.
    pub fn from_settings(settings: &mut Settings) -> Self {
        Self {
            lifetime: settings.seconds(&table::ACCESS_TOKEN_LIFETIME),
            issuer: settings.text(&table::JWT_ISSUER),
            audience: settings.text(&table::JWT_AUDIENCE),
            key_lead: settings.seconds(&table::SIGNING_KEY_LEAD),
            sealing: SealingKey::derive(TokenSecret::of_sessions(settings).as_bytes()),
        }
    }

    /// How long after it was given out an access token may still be taken, whatever the clocks of those who
    /// look at it. As long, a revocation must be known, and a key be published after another one took over.
    pub fn revocations_hold(&self) -> Duration {
        self.lifetime + MOST_LEEWAY + MARGIN
    }
}

/// Makes access tokens; cheap to clone.
#[derive(Debug, Clone)]
pub struct Minter(Arc<Minting>);

#[derive(Debug)]
struct Minting {
    config: AccessTokenConfig,
    keys: SigningKeys,
}

/// What an access token says of its bearer.
#[derive(Debug, Clone, Copy)]
pub struct BearerClaims<'a> {
    /// Who: `sub`.
    pub user: UserId,
    /// The version of the user's stream, by which older tokens of theirs are revoked: `user_version`.
    pub user_version: u64,
    /// What they may be: `roles`.
    pub roles: &'a BTreeSet<Role>,
    /// In which session: `sid`.
    pub session: SessionId,
}

/// An access token. Never printed.
pub struct MintedToken {
    /// The token, as it stands in `Authorization` behind `Bearer`.
    pub text: String,
    /// Seconds until it expires.
    pub expires_in: u64,
}

impl Minter {
    /// A minter that signs with these keys.
    pub fn new(config: AccessTokenConfig, keys: SigningKeys) -> Self {
        Self(Arc::new(Minting { config, keys }))
    }

    /// A token that is taken from now on, until its lifetime is over or it is revoked. Each has an id of its
    /// own (`jti`). `now` is no later than what it says was looked up: whatever is revoked afterwards is known for
    /// as long as the token may live.
    ///
    /// # Errors
    /// There is no key that signs: 503 `not-ready`.
    pub fn mint(&self, bearer: BearerClaims<'_>, now: Timestamp) -> Result<MintedToken, Problem> {
        let Minting { config, keys } = &*self.0;
        let keys = keys.get();
        let signer = keys.as_deref().and_then(|keys| keys.signer_at(now));
        let (kid, private) = signer.ok_or_else(nothing_signs)?;
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
        let claims = config.claims(bearer, Uuid::now_v7(), now);
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(private.sign(message.as_bytes()));
        let text = format!("{message}.{signature}");
        Ok(MintedToken { text, expires_in: config.lifetime.as_secs() })
    }
}

impl AccessTokenConfig {
    fn claims(&self, bearer: BearerClaims<'_>, token_id: Uuid, now: Timestamp) -> Value {
        let BearerClaims { user, user_version, roles, session } = bearer;
        let seconds = |time: Timestamp| time.micros().div_euclid(1_000_000);
        let roles: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": user.to_string(),
            "iat": seconds(now),
            "exp": seconds(now.after(self.lifetime)),
            "jti": token_id.to_string(),
            "sid": session.to_string(),
            "roles": roles,
            "user_version": user_version,
        })
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn nothing_signs() -> Problem {
    let detail = "no access token can be signed now; send it again";
    Problem::new(ProblemType::NotReady, detail).with_retry_after(SOON)
}

impl fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MintedToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use access::{AccessConfig, Caller, KeySet, Revocable, Unauthenticated, Verifier};
    use http::HeaderMap;
    use http::header::AUTHORIZATION;

    use super::*;
    use crate::jwks;
    use crate::signing_keys::{Key, Keys};

    const NOW: Timestamp = Timestamp(1_800_000_000_900_000);
    const SECONDS: i64 = 1_800_000_000;
    const USER: UserId = UserId(Uuid::from_u128(0x0190_a0b0_c0d0_7000_8000_0000_0000_abcd));
    const SESSION: SessionId =
        SessionId(Uuid::from_u128(0x0190_a0b0_c0d0_7000_8000_0000_0000_ef01));

    fn settings() -> Settings {
        let secret = "fedcba9876543210fedcba9876543210".to_owned();
        Settings::new([("MILLRACE_SESSION_SECRET".to_owned(), secret)])
    }

    fn config() -> AccessTokenConfig {
        AccessTokenConfig::from_settings(&mut settings())
    }

    fn one_key() -> Keys {
        Keys::new(vec![Key::generate(NOW)], NOW)
    }

    fn mint(keys: Keys) -> Result<MintedToken, Problem> {
        let roles = BTreeSet::from([Role::User, Role::Analyst]);
        let bearer = BearerClaims { user: USER, user_version: 7, roles: &roles, session: SESSION };
        Minter::new(config(), SigningKeys::new(keys)).mint(bearer, NOW)
    }

    /// A verifier of the production profile that has read the published keys.
    fn verifier(keys: &Keys) -> Verifier {
        let verifier = Verifier::new(&AccessConfig::from_settings(&mut settings()));
        let document = jwks::document(keys).to_string();
        verifier.use_own_keys(KeySet::from_jwks(&document).unwrap());
        verifier
    }

    fn verified(verifier: &Verifier, text: &str, now: i64) -> Result<Arc<Caller>, Unauthenticated> {
        let value = format!("Bearer {text}").parse().unwrap();
        verifier.verify(&HeaderMap::from_iter([(AUTHORIZATION, value)]), now)
    }

    fn read(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn what_is_minted_is_taken_as_it_was_meant() {
        let keys = one_key();
        let verifier = verifier(&keys);
        let token = mint(keys).unwrap();
        let caller = verified(&verifier, &token.text, SECONDS).unwrap();
        assert_eq!((&caller.subject, caller.issuer.as_str()), (&USER.to_string(), "millrace"));
        assert_eq!(caller.roles, [Role::User, Role::Analyst].into_iter().collect());
        assert_eq!(caller.session_id, Some(SESSION.to_string()));
        let revocable = Revocable { session: SESSION.0, user: USER.0, user_version: 7 };
        assert_eq!(caller.revocable, Some(revocable));
        assert_eq!((caller.expires_at, token.expires_in), (SECONDS + 900, 900));
        assert_eq!(
            verified(&verifier, &token.text, SECONDS + 930).unwrap_err(),
            Unauthenticated::Expired
        );
    }

    #[test]
    fn every_claim_is_there() {
        let keys = one_key();
        let kid = keys.all()[0].kid.clone();
        let token = mint(keys).unwrap();
        let parts: Vec<&str> = token.text.split('.').collect();
        let [header, claims, _] = parts[..] else { panic!("{} parts", parts.len()) };
        assert_eq!(read(header), json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}));
        let mut claims = read(claims);
        let id: Uuid = claims["jti"].take().as_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
        let expected = json!({
            "iss": "millrace",
            "aud": "millrace",
            "sub": "0190a0b0-c0d0-7000-8000-00000000abcd",
            "iat": SECONDS,
            "exp": SECONDS + 900,
            "jti": null,
            "sid": "0190a0b0-c0d0-7000-8000-00000000ef01",
            "roles": ["user", "analyst"],
            "user_version": 7,
        });
        assert_eq!(claims, expected);
    }

    #[test]
    fn no_two_tokens_are_the_same() {
        let minter = Minter::new(config(), SigningKeys::new(one_key()));
        let roles = BTreeSet::new();
        let bearer = BearerClaims { user: USER, user_version: 1, roles: &roles, session: SESSION };
        let mint = || minter.mint(bearer, NOW).unwrap().text;
        assert_ne!(mint(), mint());
    }

    #[test]
    fn a_token_of_a_key_that_was_revoked_is_taken_no_more() {
        let (gone, left) = (one_key(), one_key());
        let verifier = verifier(&gone);
        let token = mint(gone).unwrap();
        assert!(verified(&verifier, &token.text, SECONDS).is_ok());
        verifier.use_own_keys(KeySet::from_jwks(&jwks::document(&left).to_string()).unwrap());
        let refused = verified(&verifier, &token.text, SECONDS).unwrap_err();
        assert_eq!(refused, Unauthenticated::UnknownKey);
    }

    #[test]
    fn without_a_key_whoever_logs_in_is_told_to_come_back() {
        let sealed_by_another = Key { private: None, ..Key::generate(NOW) };
        let late = Key::generate(NOW.after(Duration::from_secs(1)));
        for keys in [vec![], vec![sealed_by_another], vec![late]] {
            let problem = mint(Keys::new(keys, NOW)).unwrap_err();
            assert_eq!(problem.kind(), ProblemType::NotReady);
        }
        let minter = Minter::new(config(), SigningKeys::default());
        let roles = BTreeSet::new();
        let bearer = BearerClaims { user: USER, user_version: 1, roles: &roles, session: SESSION };
        assert_eq!(minter.mint(bearer, NOW).unwrap_err().kind(), ProblemType::NotReady);
    }

    #[test]
    fn a_lifetime_may_be_said_as_other_systems_do() {
        let of = |name: &str, value: &str| {
            let mut settings = Settings::new([(name.to_owned(), value.to_owned())]);
            AccessTokenConfig::from_settings(&mut settings).lifetime
        };
        assert_eq!(config().lifetime, Duration::from_secs(900));
        assert_eq!(of("MILLRACE_ACCESS_TOKEN_LIFETIME_S", "60"), Duration::from_secs(60));
        assert_eq!(of("JWT_EXPIRES_IN", "1h"), Duration::from_secs(3_600));
    }

    #[test]
    fn a_revocation_holds_longer_than_any_token_that_it_is_about() {
        assert_eq!(config().revocations_hold(), Duration::from_secs(900 + 390));
        let settings::Kind::Millis { max, .. } = table::ACCESS_TOKEN_LEEWAY.kind else {
            panic!("{:?}", table::ACCESS_TOKEN_LEEWAY)
        };
        assert_eq!(MOST_LEEWAY, Duration::from_millis(max), "whatever a verifier is set to");
    }

    #[test]
    fn a_new_key_is_published_long_enough_for_whoever_reads_keys_as_often_as_we_do() {
        let refresh = settings().millis(&table::JWKS_REFRESH);
        assert!(config().key_lead >= 2 * refresh);
    }

    #[test]
    fn neither_token_nor_key_is_printed() {
        let token = mint(one_key()).unwrap();
        assert_eq!(format!("{token:?}"), "MintedToken([redacted])");
        let printed = format!("{:?}", Minter::new(config(), SigningKeys::new(one_key())));
        assert!(printed.contains("[redacted]") && !printed.contains("fedcba"), "{printed}");
    }
}
