//! Sends the mails that decisions about users cause.
//!
//! What is kept of a mail is which event caused it. Whom it goes to and what it says is read from the
//! user's state when it is sent: of somebody who was erased meanwhile, nothing is left to send.
//!
//! Whoever has registered may have given somebody else's address, and may ask for its mail again and again.
//! So a mail that another one of the user follows is not sent, no more than one is in a time, and none is
//! once the address is no longer the user's. The store knows all that, for every process.

mod attempted;

use std::time::Duration;

use domain::Timestamp;
use domain::user::{User, UserId};
use event_store::EventStore;
use event_store::beside::{DueMail, MailsBeside, SENT};
use problem_details::ProblemType;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Users;
use super::verification::{Verification, VerificationKey};
use crate::decision::{Commands, now};
use crate::mail::{Mail, MailError, MailFault, Mailer, PublicUrl, texts};
use crate::occurrence::mail_settled;
use attempted::Attempted;

/// The mail by which somebody shows that an address is theirs.
pub const VERIFY_EMAIL: &str = "verify-email";

/// Mails that are taken over at once: one that waited for another one to be sent would need a longer
/// lease, and wait for longer where its process ends.
const AT_ONCE: u32 = 1;

/// How long taking over a mail and reading what it needs may take together.
const READING: Duration = Duration::from_secs(20);

/// How long sending a mail may take: longer than the patience with a mail server can be set to.
const SENDING: Duration = Duration::from_secs(125);

/// How long it is tried to write down that a mail was settled.
const NOTING: Duration = Duration::from_secs(20);

/// Between two tries to write that down.
const NOTE_AGAIN: Duration = Duration::from_millis(500);

/// How long a mail belongs to whoever took it over: for as long as all that is done with it can take, so
/// that nobody else sends it meanwhile.
const LEASE: Duration = READING.saturating_add(SENDING).saturating_add(NOTING);

/// How long the worker relies on being woken.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The first wait before a mail is tried again; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Attempts after which a mail is given up: those of about a day.
const MOST_ATTEMPTS: i32 = 32;

/// The time in which one mail to a user is sent at most.
const AT_MOST_EVERY: Duration = Duration::from_secs(300);

/// What is at fault where nobody can say whom a mail goes to.
const STATE: &str = "state";

/// Sends mails.
pub struct Mailing<S, M> {
    commands: Commands<S>,
    mailer: M,
    public_url: PublicUrl,
    key: VerificationKey,
    at_most_every: Duration,
}

impl<S: EventStore, M: Mailer> Mailing<S, M> {
    /// A worker whose links begin with the address.
    pub fn new(commands: Commands<S>, mailer: M, public_url: PublicUrl) -> Self {
        let key = VerificationKey::new(&commands.deciding().token_key);
        Self { commands, mailer, public_url, key, at_most_every: AT_MOST_EVERY }
    }

    /// The same with another time in which one mail to a user is sent at most.
    #[must_use]
    pub fn at_most_every(self, at_most_every: Duration) -> Self {
        Self { at_most_every, ..self }
    }

    /// Sends what is due whenever it is woken, and now and then. Never returns.
    pub async fn run(&self, wake: &Notify) {
        loop {
            let until = Instant::now() + READING;
            let store = &self.commands.deciding().store;
            // While the store does not answer, mails wait.
            let due = store.due_mails(AT_ONCE, LEASE).await.unwrap_or_default();
            for mail in &due {
                let attempted = self.attempt(mail, until).await;
                mail_settled(mail, &attempted.outcome, attempted.fault);
                self.note(mail, &attempted).await;
            }
            if due.is_empty() {
                let _ = timeout(LOOK_AGAIN, wake.notified()).await;
            }
        }
    }

    async fn attempt(&self, due: &DueMail, read_until: Instant) -> Attempted {
        let later = || Attempted::failed(wait_after(due.attempts));
        let mail = match timeout_at(read_until, self.prepare(due)).await {
            Ok(Ok(mail)) => mail,
            Ok(Err(attempted)) => return attempted,
            Err(_) => return later().by_fault(STATE),
        };
        let sending = timeout(SENDING, self.mailer.send(&mail)).await;
        let sent = sending.unwrap_or(Err(MailError::Temporary(MailFault::NoAnswer)));
        let Err(error) = sent else { return Attempted::settled(SENT) };
        let attempted = match &error {
            MailError::Permanent(_) => Attempted::settled("refused"),
            MailError::Temporary(_) if due.attempts >= MOST_ATTEMPTS => {
                Attempted::settled("given-up")
            }
            MailError::Temporary(_) => later(),
        };
        attempted.by_fault(error.fault().kind())
    }

    /// What is to be sent now.
    ///
    /// # Errors
    /// Nothing is, or nobody can say.
    async fn prepare(&self, due: &DueMail) -> Result<Mail, Attempted> {
        let cannot_say = || Attempted::failed(wait_after(due.attempts)).by_fault(STATE);
        let not_needed = || Attempted::settled("not-needed");
        let Some(user) = UserId::from_stream_id(&due.stream_id) else {
            return Err(Attempted::settled("unknown"));
        };
        let mail = match self.commands.state::<Users>(user.0).await {
            Ok(state) => state.and_then(|state| self.mail(due, user, &state)),
            Err(problem) if problem.kind() == ProblemType::Erased => None,
            Err(_) => return Err(cannot_say()),
        };
        let mail = mail.ok_or_else(not_needed)?;
        // After the state: of an address that was changed since, there is a newer mail.
        let beside = self.commands.deciding().store.mails_beside(due).await;
        let MailsBeside { has_newer, last_sent, holds_claim } = beside.map_err(|_| cannot_say())?;
        if has_newer || !holds_claim {
            return Err(not_needed());
        }
        match last_sent.map(|ago| self.at_most_every.saturating_sub(ago)) {
            Some(left) if !left.is_zero() => Err(Attempted::put_off(left)),
            Some(_) | None => Ok(mail),
        }
    }

    /// Writes down what became of a mail.
    async fn note(&self, mail: &DueMail, attempted: &Attempted) {
        let store = &self.commands.deciding().store;
        // What could not be written down is tried again once the lease is over.
        let _ = match attempted.outcome {
            Ok(outcome) => {
                // A mail that was sent would be so again.
                let noting = async {
                    while store.settle_mail(mail.id, Ok(outcome)).await.is_err() {
                        sleep(NOTE_AGAIN).await;
                    }
                };
                timeout(NOTING, noting).await.is_ok()
            }
            Err(wait) if attempted.is_tried => store.settle_mail(mail.id, Err(wait)).await.is_ok(),
            Err(wait) => store.put_off_mail(mail.id, wait).await.is_ok(),
        };
    }

    /// The mail, if there is still somebody to send it to and a reason.
    fn mail(&self, due: &DueMail, user: UserId, state: &User<String>) -> Option<Mail> {
        let to = state.email.clone()?;
        if due.kind != VERIFY_EMAIL || state.email_verified {
            return None;
        }
        let term = self.commands.deciding().claim_term;
        let until = Timestamp(now().micros() + i64::try_from(term.as_micros()).ok()?);
        let verification = Verification { user, email_number: state.email_number, until };
        let token = self.key.seal(verification);
        Some(texts::verify_email(due.id, to, &self.public_url, &token, term))
    }
}

fn wait_after(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or_default().min(16);
    (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use settings::{Kind, table};

    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        let seconds: Vec<u64> = [1, 2, 3, 20].map(|n| wait_after(n).as_secs()).to_vec();
        assert_eq!(seconds, [2, 4, 8, 3_600]);
    }

    #[test]
    fn a_mail_server_may_take_its_time_while_the_mail_is_ours() {
        let Kind::Millis { max, .. } = table::SMTP_TIMEOUT.kind else { panic!("no time") };
        // Beside it there is the good-bye.
        assert!(SENDING > Duration::from_millis(max) + Duration::from_secs(1));
        assert!(LEASE >= AT_ONCE * (READING + SENDING + NOTING));
    }
}
