//! Second factors: a code of an authenticator app beside the password, and recovery codes for whoever has lost
//! the app.
//!
//! That somebody has one is said by their stream, and the roles that ask for one by a setting. The secret stands
//! sealed in the table `second_factors`, beside keyed hashes of the recovery codes: a copy of the database makes no
//! code. Each code is good once, whichever process it comes to, since using it is one conditional statement.

mod base32;
mod code;
mod enrolment;
mod occurrence;
mod secret;
mod totp;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use domain::role::Role;
use domain::user::{User, UserId};
use event_store::EventStore;
use event_store::claim::ClaimKey;
use event_store::second_factor::{SecondFactor, UsedCode};
use problem_details::Problem;
use settings::{Settings, TokenSecret, table};

use crate::decision::{Deciding, closed, now};
use crate::sealing::Sealing;
use crate::throttle::{Attempt, Throttle};
use code::Code;
use secret::Secret;

pub(crate) use enrolment::{Enrolment, HandedOut};

/// How long what was handed out may be brought back.
const HOLDS_FOR: Duration = Duration::from_secs(15 * 60);

/// Characters of the longest enrolment token that is looked at; ours are shorter.
const LONGEST_TOKEN: usize = 512;

/// Where an enrolment belongs while it is sealed: whose it is stands in it.
const ANYWHERE: &[u8] = b"";

/// Hands second factors out and checks their codes. Clones are the same; never printed.
#[derive(Clone)]
pub struct SecondFactors {
    secrets: Sealing,
    enrolments: Sealing,
    /// Whoever is one of these comes in with a second factor alone.
    asked_of: Arc<BTreeSet<Role>>,
    /// What apps show codes by.
    issuer: Arc<str>,
}

impl SecondFactors {
    /// Reads the settings; faults are noted there. All is sealed under the secret of sessions: whoever opens it makes
    /// anybody's codes.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let secret = TokenSecret::of_sessions(settings);
        Self {
            secrets: Sealing::derive(secret.as_bytes(), "second-factors"),
            enrolments: Sealing::derive(secret.as_bytes(), "second-factor-enrolments"),
            asked_of: Arc::new(roles(settings)),
            issuer: settings.text(&table::JWT_ISSUER).into(),
        }
    }

    /// Whether a user has to enrol one before they come in.
    pub(crate) fn must_enrol(&self, user: &User<String>) -> bool {
        !user.second_factor && !self.asked_of.is_disjoint(&user.roles)
    }

    /// A new second factor for whoever has just shown their password. It counts once its first code is shown.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub(crate) fn hand_out(&self, id: UserId, user: &User<String>) -> HandedOut {
        let enrolment = Enrolment::new(id, user.session_epoch, now().after(HOLDS_FOR));
        let sealed = self.enrolments.seal(ANYWHERE, &enrolment.to_bytes());
        let account = user.username.as_deref().unwrap_or_default();
        let token = URL_SAFE_NO_PAD.encode(sealed);
        enrolment.handed_out(token, HOLDS_FOR.as_secs(), &self.issuer, account)
    }

    /// What was handed out with a token, if it is one of ours that still holds.
    pub(crate) fn brought_back(&self, token: &str, now: Timestamp) -> Option<Enrolment> {
        if token.len() > LONGEST_TOKEN {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        let content = self.enrolments.open(ANYWHERE, &sealed)?;
        Enrolment::from_bytes(&content).filter(|enrolment| now <= enrolment.until)
    }

    /// What is kept of a second factor whose first code, of this step, was shown.
    pub(crate) fn kept(&self, enrolment: &Enrolment, key: &ClaimKey, step: u64) -> SecondFactor {
        enrolment.kept(&self.secrets, key, step)
    }

    /// Whether somebody of whom that is asked has entered a code that is good, which is used up then. Wrong ones
    /// are counted for the user, wherever they come from, and for the address, and the next ones have to wait.
    ///
    /// # Errors
    /// They have to wait, or nobody can say now.
    pub(crate) async fn is_shown<S: EventStore>(
        &self,
        deciding: &Deciding<S>,
        throttle: &Throttle,
        user: UserId,
        client: IpAddr,
        entered: &str,
    ) -> Result<bool, Problem> {
        let attempt = Attempt::of_code(&deciding.claim_key, user, client);
        let admitted = throttle.admit_code(attempt).await?;
        let (second_factors, store) = (self.clone(), deciding.store.clone());
        let (key, code) = (deciding.claim_key.clone(), Code::entered(entered));
        let using = async move {
            let Some(code) = code else { return Ok(None) };
            let is_used = second_factors.use_up(&store, &key, user, code).await;
            is_used.map(|is_used| is_used.then_some(()))
        };
        let failed = move || occurrence::code_refused(user);
        let (admitted, used) = admitted.tried(using, failed).await?;
        if used.is_none() {
            return Ok(false);
        }
        admitted.let_in().await?;
        Ok(true)
    }

    async fn use_up<S: EventStore>(
        &self,
        store: &S,
        key: &ClaimKey,
        user: UserId,
        code: Code,
    ) -> Result<bool, Problem> {
        let subject = user.to_string();
        let found = store.second_factor(&subject).await.map_err(closed::store_problem)?;
        let Some(factor) = found else {
            tracing::error!(user.id = subject, "the second factor of a user is lost");
            return Ok(false);
        };
        let used = match &code {
            Code::OfApp(code) => self.step_of(user, &factor, *code).map(UsedCode::Step),
            Code::Recovery(code) => Some(UsedCode::Recovery(code.digest(key, user))),
        };
        let Some(used) = used else { return Ok(false) };
        let using = store.use_second_factor(&subject, &factor.sealed_secret, used);
        let is_used = using.await.map_err(closed::store_problem)?;
        if let (true, Code::Recovery(_)) = (is_used, &code) {
            occurrence::recovery_code_used(user);
        }
        Ok(is_used)
    }

    /// The step that a code of the app is of.
    fn step_of(&self, user: UserId, factor: &SecondFactor, code: u32) -> Option<u64> {
        let opened = self.secrets.open(user.0.as_bytes(), &factor.sealed_secret);
        let bytes: Option<&[u8; Secret::LENGTH]> =
            opened.as_ref().and_then(|bytes| bytes.as_slice().try_into().ok());
        let Some(bytes) = bytes else {
            let id = user.to_string();
            tracing::error!(user.id = id, "another secret has sealed the second factor of a user");
            return None;
        };
        Secret::from_bytes(bytes).step_of(code, now(), factor.last_step)
    }
}

/// Those of `MILLRACE_SECOND_FACTOR_ROLES`.
fn roles(settings: &mut Settings) -> BTreeSet<Role> {
    let setting = &table::SECOND_FACTOR_ROLES;
    let text = settings.text(setting);
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let read: Vec<_> = names.map(|name| Role::parse(name).ok_or(name)).collect();
    read.into_iter()
        .filter_map(|role| {
            role.map_err(|name| {
                let names = Role::ALL.map(Role::name).join(", ");
                settings.fault(format!(
                    "{} names no role with \"{name}\"; there are {names}",
                    setting.name
                ));
            })
            .ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ANN: UserId = UserId(Uuid::from_u128(7));

    fn read(pairs: &[(&str, &str)]) -> Result<SecondFactors, Vec<String>> {
        let profile = ("MILLRACE_PROFILE".to_owned(), "dev".to_owned());
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut settings = Settings::new(pairs.chain([profile]));
        let second_factors = SecondFactors::from_settings(&mut settings);
        settings.finish(second_factors).map_err(|error| error.0)
    }

    fn asking(roles: &str) -> SecondFactors {
        read(&[("MILLRACE_SECOND_FACTOR_ROLES", roles)]).ok().unwrap()
    }

    fn ann(roles: &[Role], second_factor: bool) -> User<String> {
        User {
            username: Some("ann".to_owned()),
            email: Some("ann@example.org".to_owned()),
            full_name: None,
            bio: None,
            image: None,
            email_number: 1,
            email_verified: true,
            active: true,
            roles: roles.iter().copied().collect(),
            session_epoch: 3,
            second_factor,
            erased: false,
        }
    }

    #[test]
    fn nobody_has_to_enrol_unless_a_role_of_theirs_asks_for_it() {
        let nobody = read(&[]).ok().unwrap();
        assert!(!nobody.must_enrol(&ann(&Role::ALL, false)));
        let admins = asking("approver, admin");
        assert!(admins.must_enrol(&ann(&[Role::User, Role::Admin], false)));
        assert!(admins.must_enrol(&ann(&[Role::Approver], false)));
        assert!(!admins.must_enrol(&ann(&[Role::User, Role::Admin], true)));
        assert!(!admins.must_enrol(&ann(&[Role::User], false)));
        assert!(!admins.must_enrol(&ann(&[], false)));
    }

    #[test]
    fn a_role_that_there_is_not_is_refused_by_name() {
        let faults = read(&[("MILLRACE_SECOND_FACTOR_ROLES", "admin,root,king")]).err().unwrap();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults[0].contains("MILLRACE_SECOND_FACTOR_ROLES") && faults[0].contains("\"root\"")
        );
        assert!(faults[1].contains("\"king\"") && faults[1].contains("approver"), "{faults:?}");
    }

    #[test]
    fn a_token_is_good_until_it_lapses_and_where_it_was_handed_out() {
        let second_factors = asking("admin");
        let handed_out = second_factors.hand_out(ANN, &ann(&[Role::Admin], false));
        assert_eq!((handed_out.user_id, handed_out.expires_in), (ANN.0, 900));
        let token = &handed_out.enrolment_token;
        assert!(token.len() < LONGEST_TOKEN, "{} characters", token.len());
        let back = second_factors.brought_back(token, now()).unwrap();
        assert_eq!((back.user, back.session_epoch), (ANN, 3));
        assert!(second_factors.brought_back(token, now().after(2 * HOLDS_FOR)).is_none());
        let another = read(&[("MILLRACE_SESSION_SECRET", "another secret")]).ok().unwrap();
        assert!(another.brought_back(token, now()).is_none());
        for none in ["", "bm9uZQ", &token[1..], &format!("{token}A"), &"A".repeat(100_000)] {
            assert!(second_factors.brought_back(none, now()).is_none(), "{none}");
        }
    }

    #[test]
    fn whoever_has_the_secret_of_all_processes_alone_reads_no_token() {
        let own = ("MILLRACE_SESSION_SECRET", "of sessions");
        let of_all = ("MILLRACE_TOKEN_SECRET", "of all");
        let token = read(&[own, of_all]).ok().unwrap().hand_out(ANN, &ann(&[], false));
        let token = token.enrolment_token;
        let is_read = |pairs: &[(&str, &str)]| {
            read(pairs).ok().unwrap().brought_back(&token, now()).is_some()
        };
        assert!(is_read(&[own, ("MILLRACE_TOKEN_SECRET", "another")]));
        assert!(!is_read(&[of_all, ("MILLRACE_SESSION_SECRET", "another")]));
        assert!(!is_read(&[("MILLRACE_SESSION_SECRET", "of all"), of_all]));
    }

    #[test]
    fn what_is_kept_is_no_enrolment_and_an_enrolment_is_not_kept() {
        let second_factors = asking("admin");
        let user = ann(&[], false);
        let token = second_factors.hand_out(ANN, &user).enrolment_token;
        let enrolment = second_factors.brought_back(&token, now()).unwrap();
        let key = ClaimKey::derive(b"a secret");
        let kept = second_factors.kept(&enrolment, &key, 9);
        let as_token = URL_SAFE_NO_PAD.encode(&kept.sealed_secret);
        assert!(second_factors.brought_back(&as_token, now()).is_none());
        let sealed = URL_SAFE_NO_PAD.decode(&token).unwrap();
        assert!(second_factors.secrets.open(ANN.0.as_bytes(), &sealed).is_none());
        // Each is sealed anew.
        assert_ne!(second_factors.kept(&enrolment, &key, 9).sealed_secret, kept.sealed_secret);
        assert_ne!(second_factors.hand_out(ANN, &user).enrolment_token, token);
    }
}
