//! A mailer that keeps what it is given, and fails as it is told.

use std::collections::VecDeque;
use std::sync::Arc;

use command_api::mail::{Mail, MailError, Mailer};
use parking_lot::Mutex;

/// Mails in memory. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct TestMailer(Arc<Kept>);

#[derive(Default)]
struct Kept {
    tried: Mutex<Vec<Mail>>,
    sent: Mutex<Vec<Mail>>,
    faults: Mutex<VecDeque<MailError>>,
}

impl TestMailer {
    /// What becomes of the next mails, one after another; then all are sent.
    pub(crate) fn fails(&self, faults: impl IntoIterator<Item = MailError>) {
        self.0.faults.lock().extend(faults);
    }

    /// Mails that were sent.
    pub(crate) fn sent(&self) -> Vec<Mail> {
        self.0.sent.lock().clone()
    }

    /// Mails that it was given, each as often as it was.
    pub(crate) fn tried(&self) -> Vec<Mail> {
        self.0.tried.lock().clone()
    }
}

impl Mailer for TestMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.0.tried.lock().push(mail.clone());
        if let Some(fault) = self.0.faults.lock().pop_front() {
            return Err(fault);
        }
        self.0.sent.lock().push(mail.clone());
        Ok(())
    }
}
