//! How mails leave, as the settings say it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use settings::{Authorities, Setting, Settings, table};

use super::smtp::{Encryption, FORM, Server, SmtpMailer};
use super::{Mail, MailError, Mailer, OutboxDirectory, PublicUrl};

/// Whom mails come from where nobody says, which only files do without.
const LOCAL_SENDER: &str = "Millrace <no-reply@localhost>";

/// How mails leave, and what their links begin with.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// What sends them; `None` where they are to wait.
    pub mailer: Option<ConfiguredMailer>,
    /// What links begin with.
    pub public_url: PublicUrl,
}

/// The mailer that the settings name.
#[derive(Debug, Clone)]
pub enum ConfiguredMailer {
    /// Into a directory.
    Outbox(OutboxDirectory),
    /// By way of a mail server.
    Smtp(SmtpMailer),
}

impl Mailer for ConfiguredMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        match self {
            Self::Outbox(outbox) => outbox.send(mail).await,
            Self::Smtp(smtp) => smtp.send(mail).await,
        }
    }
}

impl MailConfig {
    /// Reads the settings; faults are noted there. What is not used by the way that mails leave is
    /// read all the same, so that a mistake in it is told.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let is_dev = settings.text(&table::PROFILE) == "dev";
        let way = settings.optional_text(&table::MAIL);
        let way = way.as_deref().unwrap_or(if is_dev { "outbox" } else { "off" });
        let is_smtp = way == "smtp";
        let sender = sender(settings, is_smtp);
        let public_url = public_url(settings, is_smtp);
        let directory = PathBuf::from(settings.text(&table::MAIL_OUTBOX));
        let relay = Relay::from_settings(settings, is_smtp, is_dev);
        let mailer = match (way, sender, relay) {
            ("outbox", Some(sender), _) => {
                Some(ConfiguredMailer::Outbox(OutboxDirectory::new(directory, sender)))
            }
            ("smtp", Some(sender), Some(Relay { server, tls, timeout })) => {
                Some(ConfiguredMailer::Smtp(SmtpMailer::new(server, tls, sender, timeout)))
            }
            _ => None,
        };
        Self { mailer, public_url }
    }

    /// The directory that mails are written into, where they leave that way.
    pub fn outbox(&self) -> Option<&Path> {
        match &self.mailer {
            Some(ConfiguredMailer::Outbox(outbox)) => Some(outbox.directory()),
            Some(ConfiguredMailer::Smtp(_)) | None => None,
        }
    }
}

fn sender(settings: &mut Settings, is_needed: bool) -> Option<Mailbox> {
    let setting = &table::MAIL_FROM;
    let text = optional(settings, setting, is_needed);
    let sender: Option<Mailbox> = text.as_deref().unwrap_or(LOCAL_SENDER).parse().ok();
    let is_usable = |sender: &Mailbox| {
        let name = sender.name.as_deref().unwrap_or_default();
        AsRef::<str>::as_ref(&sender.email).chars().all(|c| c.is_ascii_graphic() && c != '"')
            && !name.contains(char::is_control)
    };
    let sender = sender.filter(is_usable);
    if sender.is_none() {
        settings.fault(format!("{} must be `name@host` or `Name <name@host>`", setting.name));
    }
    sender
}

fn public_url(settings: &mut Settings, is_needed: bool) -> PublicUrl {
    let setting = &table::PUBLIC_URL;
    // Only files do without one.
    let Some(text) = optional(settings, setting, is_needed) else { return PublicUrl::local() };
    PublicUrl::parse(&text).unwrap_or_else(|| {
        let form = "http:// or https:// with a host, perhaps a port and a path, and nothing else";
        settings.fault(format!("{} must be {form}", setting.name));
        PublicUrl::local()
    })
}

/// The mail server and whom we believe to be it.
struct Relay {
    server: Server,
    tls: Option<TlsParameters>,
    timeout: Duration,
}

impl Relay {
    fn from_settings(settings: &mut Settings, is_needed: bool, is_dev: bool) -> Option<Self> {
        let name = table::SMTP_URL.name;
        let timeout = settings.millis(&table::SMTP_TIMEOUT);
        let authorities = Authorities::from_settings(settings);
        let url = optional(settings, &table::SMTP_URL, is_needed)?;
        let Some(server) = Server::parse(&url) else {
            // Without the text: it may hold a password.
            settings.fault(format!("{name} must be {FORM}"));
            return None;
        };
        if server.encryption == Encryption::None {
            if server.credentials.is_some() && !is_dev {
                settings.fault(format!("{name} must not send a password without TLS"));
            }
            return Some(Self { server, tls: None, timeout });
        }
        match believing(&server.host, authorities.as_ref()) {
            Ok(tls) => Some(Self { server, tls: Some(tls), timeout }),
            Err(error) => {
                settings.fault(format!("{}: {error}", table::TLS_CA_PATH.name));
                None
            }
        }
    }
}

/// TLS that believes these authorities and no others, or those of the system.
fn believing(host: &str, authorities: Option<&Authorities>) -> Result<TlsParameters, SmtpError> {
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(authorities) = authorities {
        tls = tls.certificate_store(CertificateStore::None);
        for certificate in authorities.certificates() {
            tls = tls.add_root_certificate(Certificate::from_pem(certificate.as_bytes())?);
        }
    }
    tls.build()
}

/// The text of a setting, whose absence is a fault where it is needed.
fn optional(settings: &mut Settings, setting: &'static Setting, is_needed: bool) -> Option<String> {
    let text = settings.optional_text(setting);
    if text.is_none() && is_needed {
        let mail = table::MAIL.name;
        settings
            .fault(format!("{} is required where {mail} is smtp: {}", setting.name, setting.about));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<MailConfig, Vec<String>> {
        let mut settings =
            Settings::new(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let config = MailConfig::from_settings(&mut settings);
        settings.finish(config).map_err(|error| error.0)
    }

    const DEV: (&str, &str) = ("MILLRACE_PROFILE", "dev");
    const SMTP: [(&str, &str); 4] = [
        ("MILLRACE_MAIL", "smtp"),
        ("MILLRACE_SMTP_URL", "smtps://ann:hunter2@mail.example.com"),
        ("MILLRACE_MAIL_FROM", "Millrace <no-reply@example.com>"),
        ("MILLRACE_PUBLIC_URL", "https://app.example.com/"),
    ];

    #[test]
    fn where_nothing_is_said_mails_wait_in_production_and_are_files_in_dev() {
        assert!(read(&[]).unwrap().mailer.is_none());
        assert!(read(&[DEV, ("MILLRACE_MAIL", "off")]).unwrap().mailer.is_none());
        for pairs in [&[DEV][..], &[("MILLRACE_MAIL", "outbox")]] {
            let config = read(pairs).unwrap();
            assert!(matches!(config.mailer, Some(ConfiguredMailer::Outbox(_))), "{config:?}");
            assert_eq!(config.public_url.to_string(), "http://127.0.0.1:8000");
        }
    }

    #[test]
    fn a_mail_server_is_taken_and_its_password_not_printed() {
        let config = read(&SMTP).unwrap();
        assert!(matches!(config.mailer, Some(ConfiguredMailer::Smtp(_))), "{config:?}");
        assert_eq!(config.public_url.at("/a"), "https://app.example.com/a");
        let shown = format!("{config:?}");
        assert!(shown.contains("mail.example.com") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_mail_server_needs_a_url_a_sender_and_what_links_begin_with() {
        let faults = read(&[("MILLRACE_MAIL", "smtp")]).unwrap_err();
        for name in ["MILLRACE_SMTP_URL", "MILLRACE_MAIL_FROM", "MILLRACE_PUBLIC_URL"] {
            assert!(faults.iter().any(|fault| fault.starts_with(name)), "{name}: {faults:?}");
        }
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn a_mistake_is_told_by_name_and_never_with_a_password() {
        for (pair, told) in [
            (("MILLRACE_MAIL", "post"), "MILLRACE_MAIL must be one of off, outbox, smtp"),
            (
                ("MILLRACE_SMTP_URL", "smtp://ann:hunter2@mail?tls=no"),
                "MILLRACE_SMTP_URL must be smtp",
            ),
            (
                ("MILLRACE_SMTP_URL", "smtp://ann:hunter2@mail?tls=none"),
                "MILLRACE_SMTP_URL must not",
            ),
            (("MILLRACE_MAIL_FROM", "nobody"), "MILLRACE_MAIL_FROM must be"),
            (("MILLRACE_MAIL_FROM", "a@b.c\r\nBcc: d@e.f"), "MILLRACE_MAIL_FROM must be"),
            (("MILLRACE_MAIL_FROM", "A\r\nBcc: d@e.f <a@b.c>"), "MILLRACE_MAIL_FROM must be"),
            (("MILLRACE_MAIL_FROM", "jürgen@b.c"), "MILLRACE_MAIL_FROM must be"),
            (("MILLRACE_PUBLIC_URL", "app.example.com"), "MILLRACE_PUBLIC_URL must be"),
            (("MILLRACE_SMTP_TIMEOUT_MS", "0"), "MILLRACE_SMTP_TIMEOUT_MS must be"),
            (("MILLRACE_TLS_CA_PATH", "/nowhere"), "MILLRACE_TLS_CA_PATH cannot be read"),
        ] {
            let pairs: Vec<_> =
                SMTP.into_iter().filter(|(name, _)| *name != pair.0).chain([pair]).collect();
            let faults = read(&pairs).unwrap_err();
            assert!(faults.len() == 1 && faults[0].starts_with(told), "{pair:?}: {faults:?}");
            assert!(!faults[0].contains("hunter2"), "{faults:?}");
        }
        assert!(read(&[DEV, ("MILLRACE_SMTP_URL", "smtp://ann:pw@mail?tls=none")]).is_ok());
    }
}
