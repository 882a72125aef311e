//! Mails at a mail server: what arrives, and what becomes of a mail that does not.

mod server;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use command_api::mail::{Mail, MailConfig, MailError, MailFault, Mailer, PublicUrl, texts};
use serde_json::{Value, json};
use settings::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use uuid::Uuid;
use xtask::stack::pki::{Authority, Validity};

use server::MailServer;

/// What the server knows us by, as it stands in a URL.
const SIGN_IN: &str = "ann%40ex:p%3A%2F%40w@";

/// A directory of a test's own with an authority and what it has certified.
struct Scratch {
    directory: PathBuf,
    authority: Authority,
}

impl Scratch {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("millrace-mail-{}", Uuid::now_v7()));
        std::fs::create_dir(&directory).unwrap();
        let authority = Authority::new().unwrap();
        std::fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
        Self { directory, authority }
    }

    /// The file of the authority that is believed.
    fn ca(&self) -> String {
        self.directory.join("ca.pem").to_str().unwrap().to_owned()
    }

    /// A file with a certificate of this name, signed by the authority or by another one, and its key.
    fn certificate(&self, name: &str, authority: &Authority) -> String {
        let certified = authority.certify(&[name], Validity::Current).unwrap();
        let path = self.directory.join(format!("{}.pem", Uuid::now_v7()));
        std::fs::write(&path, certified.certificate + &certified.key).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn localhost(&self) -> String {
        self.certificate("localhost", &self.authority)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The mailer that the settings name.
fn mailer(url: &str, pairs: &[(&str, &str)]) -> impl Mailer + use<> {
    let fixed = [
        ("MILLRACE_PROFILE", "dev"),
        ("MILLRACE_MAIL", "smtp"),
        ("MILLRACE_SMTP_URL", url),
        ("MILLRACE_MAIL_FROM", "Müllrace <no-reply@mail.example.com>"),
        ("MILLRACE_PUBLIC_URL", "https://app.example.com"),
    ];
    let pairs = fixed.iter().chain(pairs).map(|(name, value)| ((*name).into(), (*value).into()));
    let mut settings = Settings::new(pairs);
    let config = MailConfig::from_settings(&mut settings);
    settings.finish(config).unwrap().mailer.unwrap()
}

/// One that sends in the clear and gives up soon.
fn plain(port: u16) -> impl Mailer + use<> {
    mailer(&format!("smtp://127.0.0.1:{port}?tls=none"), &[("MILLRACE_SMTP_TIMEOUT_MS", "300")])
}

fn a_mail() -> Mail {
    let text = "Grüße\n\n.\n..\nMAIL FROM:<bob@example.com>\nFrom here\n".to_owned()
        + &"a".repeat(2_000)
        + "\n";
    Mail {
        id: Uuid::from_u128(7),
        to: "Bob.C+d@example.org".to_owned(),
        subject: "Grüße, und einen Text, der nicht auf eine Zeile geht, weil er zu lang ist"
            .to_owned(),
        text,
    }
}

fn header<'a>(given: &'a Value, name: &str) -> &'a str {
    let headers = given["headers"].as_array().unwrap();
    let mut values = headers.iter().filter(|header| header[0] == name);
    let value = values.next().unwrap_or_else(|| panic!("{name} is not in {given}"));
    assert!(values.next().is_none(), "{name} stands twice in {given}");
    value[1].as_str().unwrap()
}

fn must_be_the_mail(given: &Value, mail: &Mail) {
    assert_eq!(given["sender"], "no-reply@mail.example.com");
    assert_eq!(given["recipients"], json!([mail.to]));
    assert_eq!(header(given, "From"), "Müllrace <no-reply@mail.example.com>");
    assert_eq!(header(given, "To"), mail.to);
    assert_eq!(header(given, "Subject"), mail.subject);
    assert_eq!(header(given, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(given, "Message-ID"), format!("<{}@mail.example.com>", mail.id));
    let text = given["text"].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(text.trim_end(), mail.text.trim_end());
}

#[tokio::test]
async fn a_mail_arrives_over_starttls_and_signed_in() {
    let scratch = Scratch::new();
    let certificate = scratch.localhost();
    let mut server = MailServer::start(&["--certificate", &certificate, "--sign-in"]).await;
    let url = format!("smtp://{SIGN_IN}localhost:{}", server.port);
    let mailer = mailer(&url, &[("MILLRACE_TLS_CA_PATH", &scratch.ca())]);
    let mail = a_mail();
    mailer.send(&mail).await.unwrap();
    assert_eq!(server.given().await["login"], "ann@ex");
    let given = server.given().await;
    must_be_the_mail(&given, &mail);
    assert_eq!((&given["encrypted"], &given["hello"]), (&json!(true), &json!("mail.example.com")));
    assert!(server.given_besides().await.is_empty());
}

#[tokio::test]
async fn a_mail_arrives_over_tls_from_the_beginning_and_under_the_name_that_the_url_gives_us() {
    let scratch = Scratch::new();
    let certificate = scratch.localhost();
    let arguments = ["--certificate", &certificate, "--wrapped", "--sign-in"];
    let mut server = MailServer::start(&arguments).await;
    let url = format!("smtps://{SIGN_IN}localhost:{}/app.example.com", server.port);
    let mailer = mailer(&url, &[("MILLRACE_TLS_CA_PATH", &scratch.ca())]);
    let mail = a_mail();
    mailer.send(&mail).await.unwrap();
    server.given().await;
    let given = server.given().await;
    must_be_the_mail(&given, &mail);
    assert_eq!(given["hello"], "app.example.com");
}

#[tokio::test]
async fn the_link_of_a_verification_arrives_whole() {
    let mut server = MailServer::start(&[]).await;
    let url = PublicUrl::parse("https://app.example.com").unwrap();
    let (token, term) = ("t".repeat(200), Duration::from_secs(86_400));
    let mail = texts::verify_email(Uuid::now_v7(), "bob@example.org".into(), &url, &token, term);
    plain(server.port).send(&mail).await.unwrap();
    let given = server.given().await;
    must_be_the_mail(&given, &mail);
    let link = format!("https://app.example.com/api/v1/auth/verify-email?token={token}");
    let text = given["text"].as_str().unwrap();
    assert!(text.lines().any(|line| line == link), "{text}");
}

#[tokio::test]
async fn without_starttls_neither_password_nor_mail_is_sent() {
    let server = MailServer::start(&[]).await;
    let url = format!("smtp://{SIGN_IN}127.0.0.1:{}", server.port);
    let error = mailer(&url, &[]).send(&a_mail()).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(MailFault::NoStartTls)), "{error:?}");
    assert!(server.given_besides().await.is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_believed_is_given_nothing() {
    let scratch = Scratch::new();
    let stranger = Authority::new().unwrap();
    for (case, certificate) in [
        ("another authority", scratch.certificate("localhost", &stranger)),
        ("another name", scratch.certificate("mail.example.com", &scratch.authority)),
    ] {
        for (scheme, arguments) in [
            ("smtp", &["--certificate", &certificate, "--sign-in"][..]),
            ("smtps", &["--certificate", &certificate, "--sign-in", "--wrapped"]),
        ] {
            let server = MailServer::start(arguments).await;
            let url = format!("{scheme}://{SIGN_IN}localhost:{}", server.port);
            let mailer = mailer(&url, &[("MILLRACE_TLS_CA_PATH", &scratch.ca())]);
            let error = mailer.send(&a_mail()).await.unwrap_err();
            assert!(
                matches!(error, MailError::Temporary(MailFault::Connection(_))),
                "{case}, {scheme}: {error:?}"
            );
            assert!(server.given_besides().await.is_empty(), "{case}, {scheme}");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_us_may_be_tried_again() {
    let scratch = Scratch::new();
    let certificate = scratch.localhost();
    let server = MailServer::start(&["--certificate", &certificate, "--sign-in"]).await;
    for (sign_in, expected) in [("ann:wrong@", 535), ("", 530)] {
        let url = format!("smtp://{sign_in}localhost:{}", server.port);
        let mailer = mailer(&url, &[("MILLRACE_TLS_CA_PATH", &scratch.ca())]);
        match mailer.send(&a_mail()).await.unwrap_err() {
            MailError::Temporary(MailFault::NotTaken { code }) => assert_eq!(code, expected),
            other => panic!("{sign_in}: {other:?}"),
        }
    }
    let unknown = MailServer::start(&[]).await;
    let url = format!("smtp://{SIGN_IN}127.0.0.1:{}?tls=none", unknown.port);
    let error = mailer(&url, &[]).send(&a_mail()).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(MailFault::NoSignIn)), "{error:?}");
}

#[tokio::test]
async fn an_answer_of_400_may_be_tried_again_and_one_of_500_never() {
    for step in ["MAIL", "RCPT", "DATA"] {
        for (expected, is_temporary) in [(450, true), (550, false)] {
            let answer = format!("{step}={expected} <Bob.C+d@example.org> as a test wants");
            let server = MailServer::start(&["--answer", &answer]).await;
            let error = plain(server.port).send(&a_mail()).await.unwrap_err();
            assert_eq!(error.is_temporary(), is_temporary, "{step} {expected}: {error:?}");
            assert!(
                matches!(error.fault(), MailFault::Refused { code } if *code == expected),
                "{step} {expected}: {error:?}"
            );
            let shown = format!("{error:?} {error} {}", error.fault());
            assert!(!shown.contains("Bob"), "the recipient is told: {shown}");
        }
    }
}

#[tokio::test]
async fn an_address_that_the_server_cannot_write_is_never_sent_to() {
    let server = MailServer::start(&[]).await;
    let mail = Mail { to: "jürgen@example.org".to_owned(), ..a_mail() };
    let error = plain(server.port).send(&mail).await.unwrap_err();
    assert!(matches!(error, MailError::Permanent(MailFault::Recipient)), "{error:?}");
    assert!(server.given_besides().await.is_empty());
}

/// Sends to something that lets a client connect and then says this and nothing more.
async fn send_to_one_that_says(said: &'static str) -> (MailError, Duration) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let began = Instant::now();
    let error = plain(port).send(&a_mail()).await.unwrap_err();
    silent.abort();
    (error, began.elapsed())
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    for said in ["", "220 hello\r\n", "220-hello"] {
        let (error, after) = send_to_one_that_says(said).await;
        assert!(matches!(error, MailError::Temporary(MailFault::NoAnswer)), "{said}: {error:?}");
        assert!(after < Duration::from_secs(5), "{said}: after {after:?}");
    }
    for step in ["MAIL", "RCPT", "DATA"] {
        let server = MailServer::start(&["--silent", step]).await;
        let error = plain(server.port).send(&a_mail()).await.unwrap_err();
        assert!(matches!(error, MailError::Temporary(MailFault::NoAnswer)), "{step}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_has_the_mail_need_not_say_good_bye() {
    let mut server = MailServer::start(&["--silent", "QUIT"]).await;
    plain(server.port).send(&a_mail()).await.unwrap();
    must_be_the_mail(&server.given().await, &a_mail());
}

#[tokio::test]
async fn what_is_no_mail_server_may_become_one() {
    let (error, _) = send_to_one_that_says("HTTP/1.1 400 Bob.C+d@example.org\r\n\r\n").await;
    assert!(matches!(error, MailError::Temporary(MailFault::NotSmtp)), "{error:?}");
    let (error, _) = send_to_one_that_says("554 no service for Bob.C+d@example.org\r\n").await;
    assert!(matches!(error, MailError::Temporary(MailFault::NotTaken { code: 554 })), "{error:?}");
    assert!(!format!("{error:?}").contains("Bob"));
    let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let error = plain(free).send(&a_mail()).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(MailFault::Connection(_))), "{error:?}");
}
