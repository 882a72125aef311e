//! A mail as it goes over the wire (RFC 5322).

use std::fmt;

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::{Address, Message};

use super::{Mail, MailError, MailFault};

/// That nobody wrote it by hand: no machine answers it (RFC 3834).
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// A mail as it goes over the wire. Whom it goes to and what it says is never printed.
pub(super) struct Rendered {
    /// Whom it comes from and goes to.
    pub(super) envelope: Envelope,
    /// Headers and body.
    pub(super) bytes: Vec<u8>,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rendered([redacted])")
    }
}

/// Writes the mail, from this sender.
///
/// Whatever recipient and subject hold, no header or command comes of it: an address is parsed, and
/// what has control characters is refused first.
pub(super) fn render(mail: &Mail, sender: &Mailbox) -> Result<Rendered, MailError> {
    let recipient = |_| MailError::Permanent(MailFault::Recipient);
    let to: Address = mail.to.parse().map_err(recipient)?;
    if mail.subject.chars().any(char::is_control) {
        return Err(MailError::Permanent(MailFault::Subject));
    }
    let message_id = format!("<{}@{}>", mail.id, sender.email.domain());
    let message = Message::builder()
        .from(sender.clone())
        .to(Mailbox::new(None, to))
        .subject(mail.subject.as_str())
        .message_id(Some(message_id))
        .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()))
        .singlepart(SinglePart::plain(mail.text.clone()))
        .map_err(|_| MailError::Permanent(MailFault::Recipient))?;
    Ok(Rendered { envelope: message.envelope().clone(), bytes: message.formatted() })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn mail(to: &str, subject: &str, text: &str) -> Mail {
        Mail { id: Uuid::from_u128(7), to: to.into(), subject: subject.into(), text: text.into() }
    }

    fn rendered(mail: &Mail) -> Result<String, MailError> {
        let sender = "Millrace <no-reply@mail.example.com>".parse().unwrap();
        render(mail, &sender).map(|rendered| String::from_utf8(rendered.bytes).unwrap())
    }

    fn header_names(text: &str) -> Vec<&str> {
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        head.split("\r\n").filter_map(|line| Some(line.split_once(": ")?.0)).collect()
    }

    #[test]
    fn a_mail_has_the_headers_that_it_needs_and_no_others() {
        let text = rendered(&mail("ann@example.com", "Hello", "One\nTwo\n")).unwrap();
        assert_eq!(
            header_names(&text),
            [
                "From",
                "To",
                "Subject",
                "Message-ID",
                "Auto-Submitted",
                "MIME-Version",
                "Date",
                "Content-Type",
                "Content-Transfer-Encoding",
            ]
        );
        for line in [
            "From: Millrace <no-reply@mail.example.com>",
            "To: ann@example.com",
            "Subject: Hello",
            "Message-ID: <00000000-0000-0000-0000-000000000007@mail.example.com>",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "One\r\nTwo",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line} is not in {text}");
        }
    }

    #[test]
    fn no_recipient_becomes_a_header_or_a_command() {
        for to in [
            "",
            "ann",
            "ann@",
            "@example.com",
            "ann@example.com\r\nBcc: bob@example.com",
            "ann@example.com\nBcc: bob@example.com",
            "ann\r\n@example.com",
            "ann@exam\rple.com",
            "\"ann\r\nRCPT TO:<bob@example.com>\"@example.com",
            "\"ann b\"@example.com",
            "ann@example.com>\u{0}",
            "ann@example.com, bob@example.com",
            "Ann <ann@example.com>",
            "ann@example.com> SIZE=1",
            "ann@exam\u{85}ple.com",
            "ann bob@example.com",
        ] {
            let error = rendered(&mail(to, "Hello", "")).unwrap_err();
            assert!(matches!(error, MailError::Permanent(MailFault::Recipient)), "{to:?}");
        }
        assert!(rendered(&mail("Ann.B+c_d@example.com", "Hello", "")).is_ok());
    }

    #[test]
    fn no_subject_becomes_a_header() {
        for subject in ["Hello\r\nBcc: bob@example.com", "a\nb", "a\rb", "a\u{0}", "a\u{85}b"] {
            let error = rendered(&mail("ann@example.com", subject, "")).unwrap_err();
            assert!(matches!(error, MailError::Permanent(MailFault::Subject)), "{subject:?}");
        }
        let text = rendered(&mail("ann@example.com", "Grüße: =?utf-8?q?x?= \u{2028}", "")).unwrap();
        assert!(text.is_ascii() && header_names(&text).len() == 9, "{text}");
    }

    #[test]
    fn neither_recipient_nor_text_is_printed() {
        let mail = mail("ann@example.com", "Hello", "a secret link");
        let rendered = render(&mail, &"no-reply@mail.example.com".parse().unwrap()).unwrap();
        assert_eq!(format!("{rendered:?}"), "Rendered([redacted])");
    }

    #[test]
    fn no_text_ends_the_head_or_the_mail() {
        let text = "\r\n.\r\nMAIL FROM:<bob@example.com>\r\n\u{0}ü".repeat(40);
        let text = rendered(&mail("ann@example.com", "Hello", &text)).unwrap();
        assert!(text.is_ascii() && text.lines().all(|line| line.len() <= 76), "{text}");
        assert_eq!(header_names(&text).len(), 9);
    }
}
