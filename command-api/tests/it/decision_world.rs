//! Users' and sessions' routes over a store in memory, with a relay and a log that do as they are told.

mod call;
mod test_failures;
mod test_log;
mod test_mailer;
mod test_store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use access::{AccessConfig, Caller, KeySet, Verifier};
use axum::Router;
use command_api::access_token::{AccessTokenConfig, Minter};
use command_api::decision::{Commands, Deciding, status};
use command_api::deployment::{Deployed, DeployedFamily, Known};
use command_api::jwks;
use command_api::mail::PublicUrl;
use command_api::password::{PasswordConfig, PasswordHasher, Scheme};
use command_api::refresh_token::RefreshTokens;
use command_api::second_factor::SecondFactors;
use command_api::session::{self, SessionConfig};
use command_api::signing_keys::{Key, Keys, SigningKeys};
use command_api::throttle::Throttle;
use command_api::user::{self, Mailing, Registrations};
use consistency_token::{Entry, Token, TokenKey};
use domain::Timestamp;
use event_schema::decode::{Decoder, EventFamily};
use event_store::claim::ClaimKey;
use event_store::publications::Publications;
use event_store::relay::{Occurrence, Relay, RelayConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use kafka_io::topic::Topic;
use parking_lot::Mutex;
use problem_details::BodyLimits;
use serde_json::json;
use settings::{Prefix, Settings, TokenSecret};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::world::now;

pub(crate) use call::{Call, PASSWORD, Person, admin, of_device, of_user, registration};
pub(crate) use test_failures::TestFailures;
pub(crate) use test_log::{Logged, PARTITION, TestLog};
pub(crate) use test_mailer::TestMailer;
pub(crate) use test_store::TestStore;

/// Users' events.
pub(crate) const TOPIC: &str = "identity.user";

/// What links in mails begin with.
pub(crate) const PUBLIC_URL: &str = "https://app.example.com";

/// How long there may be an access token that is taken no more.
pub(crate) const REVOCATIONS_HOLD: Duration = Duration::from_secs(17 * 60);

/// What a test may want otherwise.
pub(crate) struct Setup {
    /// How long an unverified address is kept.
    pub(crate) claim_term: Duration,
    /// How long an answer waits for the log.
    pub(crate) wait: Duration,
    /// Whether somebody publishes, so that the store is compared.
    pub(crate) has_relay: bool,
    /// What the log holds before anything happens.
    pub(crate) log: TestLog,
    /// Whether there is a key that signs access tokens.
    pub(crate) has_signing_key: bool,
    /// What passwords are hashed with.
    pub(crate) scheme: Scheme,
    /// Who has to have a second factor.
    pub(crate) second_factor_roles: Option<&'static str>,
    /// Whether whoever registers is told that name or address are somebody else's.
    pub(crate) reveals_accounts: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let hour = Duration::from_secs(3_600);
        // Nobody waits so long but where something hangs.
        let wait = Duration::from_secs(20);
        Self {
            claim_term: hour,
            wait,
            has_relay: true,
            log: TestLog::default(),
            has_signing_key: true,
            scheme: Scheme::default(),
            second_factor_roles: None,
            reveals_accounts: true,
        }
    }
}

/// Two instances of users' and sessions' routes, and what they work with.
pub(crate) struct World {
    router: Router,
    other_router: Router,
    pub(crate) store: TestStore,
    pub(crate) log: Arc<TestLog>,
    pub(crate) mailer: TestMailer,
    pub(crate) failures: TestFailures,
    /// By the clock of sessions, which goes as tests turn it.
    passed: Arc<Mutex<Duration>>,
    verifier: Arc<Verifier>,
    pub(crate) refresh_tokens: RefreshTokens,
    registrations: Registrations,
    pub(crate) commands: Commands<TestStore>,
    pub(crate) token_key: TokenKey,
    pub(crate) mail_link_key: TokenKey,
    publications: Publications,
    wake_mailing: Arc<Notify>,
    /// Ended when dropped.
    background: Mutex<JoinSet<()>>,
}

impl World {
    /// One in which all is well.
    pub(crate) async fn new() -> Self {
        Self::of(Setup::default()).await
    }

    /// One that a test wants otherwise; with a relay, store and log were compared.
    pub(crate) async fn of(setup: Setup) -> Self {
        let roles = setup.second_factor_roles.map(|roles| ("MILLRACE_SECOND_FACTOR_ROLES", roles));
        // What lets people in is known to command-api alone.
        let session_secret = ("MILLRACE_SESSION_SECRET", "of the sessions of these tests");
        let reveals = if setup.reveals_accounts { "true" } else { "false" };
        let reveals = ("REGISTRATION_REVEALS_ACCOUNTS", reveals);
        let pairs = [("MILLRACE_PROFILE", "dev"), session_secret, reveals].into_iter().chain(roles);
        let mut settings = Settings::new(pairs.map(|(name, value)| (name.into(), value.into())));
        let verifier = Arc::new(Verifier::new(&AccessConfig::from_settings(&mut settings)));
        let token_key = TokenKey::from_settings(&mut settings);
        let mail_link_key = TokenKey::derive(TokenSecret::of_sessions(&mut settings).as_bytes());
        let claim_key = ClaimKey::from_settings(&mut settings);
        let refresh_tokens = RefreshTokens::from_settings(&mut settings);
        let registrations = Registrations::from_settings(&mut settings);
        let sessions = SessionConfig::from_settings(&mut settings);
        let passed = Arc::new(Mutex::new(Duration::ZERO));
        let minter = minter(&mut settings, &verifier, setup.has_signing_key);
        let failures = TestFailures::default();
        let (store, log) = (TestStore::default(), Arc::new(setup.log));
        let mut background = JoinSet::new();
        let mut instance = || {
            let publications = Publications::default();
            let is_away = Arc::clone(&log);
            let commands = Commands::new(Deciding {
                store: store.clone(),
                publications: publications.clone(),
                known: known(),
                claim_key: claim_key.clone(),
                token_key: token_key.clone(),
                claim_term: setup.claim_term,
                revocations_hold: REVOCATIONS_HOLD,
                wait: setup.wait,
                log_is_away: Arc::new(move || event_store::relay::Log::is_away(&*is_away)),
            });
            let (waiting, looked_up) = (publications.clone(), store.clone());
            background.spawn(async move { waiting.look_up(&looked_up).await });
            let passwords = PasswordConfig { scheme: setup.scheme, hashes: 2, queued: 64 };
            let passwords = PasswordHasher::new(passwords);
            let throttle = Throttle::new(failures.clone());
            let second_factors = SecondFactors::from_settings(&mut settings);
            let of_sessions = session::routes(session::Deciding {
                commands: commands.clone(),
                verifier: Arc::clone(&verifier),
                minter: minter.clone(),
                refresh_tokens: refresh_tokens.clone(),
                passwords: passwords.clone(),
                second_factors: second_factors.clone(),
                throttle: throttle.clone(),
                sessions,
                clock: clock(&passed),
                body: BodyLimits { bytes: 100_000, timeout: Duration::from_secs(10) },
                origins: Vec::new(),
            });
            let router = status::routes(commands.clone()).merge(user::routes(user::Deciding {
                commands: commands.clone(),
                verifier: Arc::clone(&verifier),
                passwords,
                second_factors,
                registrations: registrations.clone(),
                throttle,
                mail_link_key: mail_link_key.clone(),
                body: BodyLimits { bytes: 100_000, timeout: Duration::from_secs(10) },
            }));
            (router.merge(of_sessions), commands, publications)
        };
        let ((router, commands, publications), (other_router, ..)) = (instance(), instance());
        let world = Self {
            router,
            other_router,
            store,
            log,
            mailer: TestMailer::default(),
            failures,
            passed,
            verifier,
            refresh_tokens,
            registrations,
            commands,
            token_key,
            mail_link_key,
            publications,
            wake_mailing: Arc::default(),
            background: Mutex::new(background),
        };
        if setup.has_relay {
            world.starts_to_publish().await;
        }
        world
    }

    /// From now on the first instance has a relay; returns once that has compared log and store.
    pub(crate) async fn starts_to_publish(&self) {
        let compared = Arc::new(Notify::new());
        let tells = Arc::clone(&compared);
        let memory = self.store.memory();
        let config = RelayConfig {
            topics: vec![TOPIC.to_owned()],
            longest_delivery: Duration::from_secs(1),
        };
        let relay = Relay::new(
            memory.clone(),
            Arc::clone(&self.log),
            self.publications.clone(),
            memory.wake(),
            config,
            move |occurrence| {
                if let Occurrence::Compared(_) = occurrence {
                    tells.notify_one();
                }
            },
        );
        self.background.lock().spawn(async move { relay.run().await });
        timeout(Duration::from_secs(20), compared.notified()).await.unwrap();
    }

    /// Mails are sent from now on, however many to one person, until the handle is told otherwise.
    pub(crate) fn starts_to_send_mails(&self) -> AbortHandle {
        self.starts_to_send_a_mail_every(Duration::ZERO)
    }

    /// The same, to one person in this time one at most.
    pub(crate) fn starts_to_send_a_mail_every(&self, time: Duration) -> AbortHandle {
        let public_url = PublicUrl::parse(PUBLIC_URL).unwrap();
        let (commands, mailer) = (self.commands.clone(), self.mailer.clone());
        let (link_key, registrations) = (&self.mail_link_key, self.registrations.clone());
        let mailing = Mailing::new(commands, mailer, public_url, link_key, registrations);
        let mailing = mailing.at_most_every(time);
        let wake = Arc::clone(&self.wake_mailing);
        self.background.lock().spawn(async move { mailing.run(&wake).await })
    }

    /// Waits until something is so of mails, which are looked at again and again.
    pub(crate) async fn mails_come_to(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        eventually(what, async || {
            self.wake_mailing.notify_one();
            is_so(self)
        })
        .await;
    }

    /// So much time passes for sessions.
    pub(crate) fn pass(&self, time: Duration) {
        *self.passed.lock() += time;
    }

    /// A request to be sent.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        Call::new(self.router.clone(), method, path)
    }

    /// A request to be sent to the other instance.
    pub(crate) fn call_other(&self, method: &str, path: &str) -> Call {
        Call::new(self.other_router.clone(), method, path)
    }

    /// Somebody who has registered under this name.
    pub(crate) async fn registered(&self, name: &str) -> Person {
        let register = self.call("POST", "/api/v1/auth/register").saying(&registration(name));
        let answer = register.send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Person::new(answer.body["id"].as_str().unwrap())
    }

    /// Somebody says their name and this password.
    pub(crate) fn log_in(&self, name: &str, password: &str) -> Call {
        let body = json!({"username": name, "password": password});
        self.call("POST", "/api/v1/auth/login").saying(&body)
    }

    /// Whom an access token that was given makes of its bearer.
    pub(crate) fn caller(&self, access_token: &str) -> Arc<Caller> {
        let bearer = format!("Bearer {access_token}").parse().unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
        self.verifier.verify(&headers, now()).unwrap()
    }

    /// The offset that a token names.
    pub(crate) fn offset(&self, token: &str) -> u64 {
        let token = Token::decode(token, &self.token_key).unwrap();
        let entries: Vec<_> = token.entries().collect();
        let [Entry::Log { topic, epoch, partition, offset }] = entries[..] else {
            panic!("{entries:?}")
        };
        assert_eq!((topic, epoch, partition), (TOPIC, 1, PARTITION.cast_unsigned()));
        offset
    }
}

fn clock(passed: &Arc<Mutex<Duration>>) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    let passed = Arc::clone(passed);
    Arc::new(move || Timestamp(0).after(*passed.lock()))
}

/// Signs with a key that the verifier knows, or with none. The verifier knows that nothing was revoked.
fn minter(settings: &mut Settings, verifier: &Verifier, has_signing_key: bool) -> Minter {
    let keys = has_signing_key.then(|| Key::generate(Timestamp(0)));
    let keys = Keys::new(keys.into_iter().collect(), Timestamp(0));
    verifier.use_own_keys(KeySet::from_jwks(&jwks::document(&keys).to_string()).unwrap());
    verifier.revocations().take([], 0, Instant::now() + Duration::from_secs(3_600));
    Minter::new(AccessTokenConfig::from_settings(settings), SigningKeys::new(keys))
}

/// What was deployed.
pub(crate) fn known() -> Known {
    Known::new(Deployed::new(|family| DeployedFamily {
        topic: Topic::of(family).name(&Prefix::default()),
        epoch: 1,
        schema_ids: family.schemas().zip(7 + 100 * family as u32..).collect(),
    }))
}

/// What a record of the log says.
pub(crate) fn decoded<F: EventFamily>(record: &Logged) -> F {
    let known = known();
    let ids = known.get().unwrap().of_family(F::FAMILY).known_ids().collect::<Vec<_>>();
    Decoder::<F>::new(ids).decode(&record.value).unwrap()
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "it never came true that {what}");
}
