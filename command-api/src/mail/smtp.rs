//! Mails by way of a mail server (RFC 5321, 6409).

mod server;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::message::{Rendered, render};
use super::{Mail, MailError, MailFault, Mailer};

pub(super) use server::{Encryption, FORM, Server};

/// Codes by which a server does not take us although it answers to a mail (RFC 4954): a name, a
/// password or TLS is missing, which somebody mends.
const ABOUT_US: [u16; 4] = [530, 534, 535, 538];

/// How long a server may take to say good-bye to somebody whose mail it has.
const FAREWELL: Duration = Duration::from_secs(1);

/// Sends each mail over a connection of its own.
#[derive(Clone)]
pub struct SmtpMailer(Arc<Relay>);

struct Relay {
    server: Server,
    /// `None` where nothing is encrypted.
    tls: Option<TlsParameters>,
    hello: ClientId,
    sender: Mailbox,
    timeout: Duration,
}

impl SmtpMailer {
    /// `tls` says who is believed to be the server, unless nothing is encrypted.
    pub(super) fn new(
        server: Server,
        tls: Option<TlsParameters>,
        sender: Mailbox,
        timeout: Duration,
    ) -> Self {
        let name = server.hello.clone().unwrap_or_else(|| sender.email.domain().to_owned());
        let hello = ClientId::Domain(name);
        Self(Arc::new(Relay { server, tls, hello, sender, timeout }))
    }
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Relay { server, hello, sender, timeout, tls: _ } = &*self.0;
        f.debug_struct("SmtpMailer")
            .field("server", server)
            .field("hello", hello)
            .field("sender", sender)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

impl Mailer for SmtpMailer {
    /// Where the answer to the mail's last line is lost or late, the mail may have been sent.
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let relay = &*self.0;
        let rendered = render(mail, &relay.sender)?;
        let sending = async {
            let mut connection = relay.connect().await.map_err(MailError::Temporary)?;
            deliver(&mut connection, &rendered).await?;
            Ok(connection)
        };
        let sent = timeout(relay.timeout, sending).await;
        let mut connection = sent.map_err(|_| MailError::Temporary(MailFault::NoAnswer))??;
        // The server has the mail, whatever becomes of the connection.
        let _ = timeout(FAREWELL, connection.quit()).await;
        Ok(())
    }
}

impl Relay {
    /// A connection on which mails may be sent: encrypted as it must be, and signed in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, MailFault> {
        let Server { host, port, encryption, credentials, .. } = &self.server;
        let (wrapped, upgraded) = match encryption {
            Encryption::FromTheBeginning => (self.tls.clone(), None),
            Encryption::StartTls => (None, self.tls.clone()),
            Encryption::None => (None, None),
        };
        let address = (host.as_str(), *port);
        let connecting = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(self.timeout),
            &self.hello,
            wrapped,
            None,
        );
        let mut connection = connecting.await.map_err(before_the_mail)?;
        if let Some(tls) = upgraded {
            if !connection.can_starttls() {
                return Err(MailFault::NoStartTls);
            }
            connection.starttls(tls, &self.hello).await.map_err(before_the_mail)?;
        }
        if let Some(credentials) = credentials {
            let signed_in = connection.auth(DEFAULT_MECHANISMS, credentials).await;
            signed_in.map_err(before_the_mail)?;
        }
        Ok(connection)
    }
}

async fn deliver(connection: &mut AsyncSmtpConnection, mail: &Rendered) -> Result<(), MailError> {
    connection.send(&mail.envelope, &mail.bytes).await.map(drop).map_err(of_the_mail)
}

/// What an error means before the server has heard of a mail: it is about us or about the server.
fn before_the_mail(error: SmtpError) -> MailFault {
    match error.status() {
        Some(code) => MailFault::NotTaken { code: code.into() },
        // Of ours, only signing in has errors here.
        None if error.is_client() => MailFault::NoSignIn,
        None => of_the_connection(error),
    }
}

/// What an error means to a mail that the server was told of.
fn of_the_mail(error: SmtpError) -> MailError {
    match error.status().map(u16::from) {
        Some(code) if ABOUT_US.contains(&code) => {
            MailError::Temporary(MailFault::NotTaken { code })
        }
        Some(code) if error.is_permanent() => MailError::Permanent(MailFault::Refused { code }),
        Some(code) => MailError::Temporary(MailFault::Refused { code }),
        // An address beyond ASCII, which the server does not know how to write.
        None if error.is_client() => MailError::Permanent(MailFault::Recipient),
        None => MailError::Temporary(of_the_connection(error)),
    }
}

fn of_the_connection(error: SmtpError) -> MailFault {
    if error.is_timeout() {
        MailFault::NoAnswer
    } else if error.is_response() {
        // Without the error: it holds what was answered.
        MailFault::NotSmtp
    } else {
        MailFault::Connection(error)
    }
}
