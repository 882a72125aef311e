//! Where the mail server is, as a URL says it.

use std::fmt;

use http::Uri;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::{SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};

use crate::percent_encoding;

/// How such a URL is written.
pub(in crate::mail) const FORM: &str =
    "smtp://[user:password@]host[:port][/our-name][?tls=required|none] or the same with smtps://";

/// From when on what is said to the server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mail) enum Encryption {
    /// Nothing goes before it.
    FromTheBeginning,
    /// The server must offer it, and nothing of ours goes before it.
    StartTls,
    /// Never.
    None,
}

/// The mail server and who we are to it.
#[derive(Clone, PartialEq)]
pub(in crate::mail) struct Server {
    pub(in crate::mail) host: String,
    pub(super) port: u16,
    pub(in crate::mail) encryption: Encryption,
    pub(in crate::mail) credentials: Option<Credentials>,
    /// What we call ourselves.
    pub(super) hello: Option<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("encryption", &self.encryption)
            .field("credentials", &self.credentials.as_ref().map(|_| "[redacted]"))
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Takes a URL of the [form](FORM).
    pub(in crate::mail) fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok().filter(|_| !url.contains('#'))?;
        let (encryption, usual_port) = match (uri.scheme_str()?, uri.query()) {
            ("smtps", None) => (Encryption::FromTheBeginning, SUBMISSIONS_PORT),
            ("smtp", None | Some("tls=required")) => (Encryption::StartTls, SUBMISSION_PORT),
            ("smtp", Some("tls=none")) => (Encryption::None, SMTP_PORT),
            _ => return None,
        };
        let authority = uri.authority()?;
        let (userinfo, address) = match authority.as_str().rsplit_once('@') {
            Some((userinfo, address)) => (Some(userinfo), address),
            None => (None, authority.as_str()),
        };
        let credentials = match userinfo {
            Some(userinfo) => Some(credentials(userinfo)?),
            None => None,
        };
        // A port that is written must be one: the URL's own reading passes over what is too large.
        let port = match address.strip_prefix(authority.host())? {
            "" => usual_port,
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = uri.path().trim_matches('/');
        if host.is_empty() || !name.bytes().all(is_of_a_name) {
            return None;
        }
        let hello = (!name.is_empty()).then(|| name.to_owned());
        Some(Self { host: host.to_owned(), port, encryption, credentials, hello })
    }
}

/// User and password, both of them.
fn credentials(userinfo: &str) -> Option<Credentials> {
    let (user, password) = userinfo.split_once(':')?;
    let decoded = |text: &str| {
        let text = String::from_utf8(percent_encoding::decoded(text.as_bytes())?).ok()?;
        (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
    };
    Some(Credentials::new(decoded(user)?, decoded(password)?))
}

/// Of a host's name or, in brackets, its address.
fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_encryption_and_who_we_are() {
        use Encryption::{FromTheBeginning, None as Plain, StartTls};
        let ann = |password: &str| Some(Credentials::new("ann@ex".into(), password.into()));
        for (url, host, port, encryption, credentials, hello) in [
            ("smtp://mail.example.com", "mail.example.com", 587, StartTls, None, None),
            ("smtp://mail:25?tls=required", "mail", 25, StartTls, None, None),
            ("smtp://127.0.0.1?tls=none", "127.0.0.1", 25, Plain, None, None),
            ("smtp://127.0.0.1:2525/?tls=none", "127.0.0.1", 2525, Plain, None, None),
            (
                "smtps://ann%40ex:p%3A%2f%40%C3%BC@mail",
                "mail",
                465,
                FromTheBeginning,
                ann("p:/@ü"),
                None,
            ),
            (
                "smtps://ann%40ex:p:w@[::1]:1465/app.example.com",
                "::1",
                1465,
                FromTheBeginning,
                ann("p:w"),
                Some("app.example.com"),
            ),
        ] {
            let hello = hello.map(str::to_owned);
            let expected = Server { host: host.to_owned(), port, encryption, credentials, hello };
            assert_eq!(Server::parse(url), Some(expected), "{url}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for url in [
            "",
            "mail",
            "mail:25",
            "http://mail",
            "smtp://",
            "smtp://:25",
            "smtp://mail?tls=opportunistic",
            "smtp://mail?tls=wrapper",
            "smtp://mail?TLS=none",
            "smtp://mail?tls=none&tls=required",
            "smtps://mail?tls=none",
            "smtp://ann@mail",
            "smtp://ann:@mail",
            "smtp://:pw@mail",
            "smtp://ann:p%00w@mail",
            "smtp://ann:p%0aw@mail",
            "smtp://ann:p%zz@mail",
            "smtp://mail:99999",
            "smtp://mail:x",
            "smtp://mail:",
            "smtp://ann:pw@mail:70000",
            "smtp://mail/a%20b",
            "smtp://mail/a/b",
            "smtp://mail#a",
        ] {
            assert_eq!(Server::parse(url), None, "{url}");
        }
    }

    #[test]
    fn name_and_password_are_not_printed() {
        let shown = format!("{:?}", Server::parse("smtp://ann:hunter2@mail").unwrap());
        assert!(shown.contains("mail") && !shown.contains("hunter2") && !shown.contains("ann"));
    }
}
