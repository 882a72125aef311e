//! The broker's part, by two requests of Kafka's protocol that no client here can make.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, ensure};
use kafka_io::topic::{ConsumerGroup, Topic};
use settings::Prefix;

use super::super::ready::connect;

/// How long an answer may take, and a right from its acceptance until it holds: a machine that runs all
/// tests at once is slow.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// What somebody may do with something.
struct Right {
    name: &'static str,
    on: On,
    may: May,
}

/// What a right is on.
#[derive(Clone)]
enum On {
    Topic(String),
    GroupsThatBegin(String),
    Cluster,
}

/// What is allowed, by its number in Kafka's protocol.
#[derive(Clone, Copy)]
enum May {
    Read = 3,
    Write = 4,
    Create = 5,
    Describe = 8,
    DescribeConfigs = 10,
}

/// Gives all of them and waits until they hold.
///
/// A broker that has just started takes requests before it can hand these to its controller, and then
/// drops the connection; it is asked again.
pub(super) fn give(plain_port: u16, prefix: &Prefix) -> Result<()> {
    let rights = rights(prefix);
    let until = Instant::now() + PATIENCE;
    loop {
        match give_at_once(plain_port, &rights) {
            Err(error) if is_of_the_connection(&error) && Instant::now() < until => {
                thread::sleep(PAUSE);
            }
            given => return given,
        }
    }
}

fn is_of_the_connection(error: &Error) -> bool {
    error.chain().any(|cause| cause.is::<io::Error>())
}

fn give_at_once(plain_port: u16, rights: &[Right]) -> Result<()> {
    let stream = connect(plain_port)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut broker = Broker(stream);
    let written: Vec<Vec<u8>> = rights.iter().map(Right::written).collect::<Result<_>>()?;
    let request = [&count(rights.len())?[..], &written.concat()].concat();
    must_be_given(rights, &broker.ask(CREATE_ACLS, &request)?)?;
    let until = Instant::now() + PATIENCE;
    for (right, written) in rights.iter().zip(&written) {
        // A right that is written as itself is the filter that finds it.
        while !finds(&broker.ask(DESCRIBE_ACLS, written)?)? {
            ensure!(Instant::now() < until, "{}: a right was given and does not hold", right.name);
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn rights(prefix: &Prefix) -> Vec<Right> {
    let events = On::Topic(Topic::EventsInput.name(prefix));
    let decisions =
        [Topic::IdentityUser, Topic::IdentitySession].map(|topic| On::Topic(topic.name(prefix)));
    let letters = On::Topic(Topic::EventsDlq.name(prefix));
    let groups = On::GroupsThatBegin(ConsumerGroup::EventsProcessor.name(prefix));
    let users = On::GroupsThatBegin(ConsumerGroup::ProjectorUser.name(prefix));
    let sessions = On::GroupsThatBegin(ConsumerGroup::ProjectorSession.name(prefix));
    let right = |name, on: &On, may| Right { name, on: on.clone(), may };
    let mut rights = vec![
        // It appends, and its doctor looks at the topic's and the brokers' settings.
        right("command_api", &events, May::Write),
        right("command_api", &events, May::DescribeConfigs),
        right("command_api", &On::Cluster, May::DescribeConfigs),
        // It reads as a member of groups, and appends copies of letters.
        right("projector", &events, May::Read),
        right("projector", &groups, May::Read),
        right("projector", &users, May::Read),
        right("projector", &sessions, May::Read),
        right("projector", &letters, May::Write),
        right("deploy", &On::Cluster, May::Describe),
        right("deploy", &On::Cluster, May::DescribeConfigs),
    ];
    for topic in &decisions {
        // It publishes decisions, and compares the end of the log with them.
        for may in [May::Write, May::Read, May::DescribeConfigs] {
            rights.push(right("command_api", topic, may));
        }
        rights.push(right("projector", topic, May::Read));
    }
    for topic in [&events, &letters].into_iter().chain(&decisions) {
        for may in [May::Create, May::Describe, May::DescribeConfigs] {
            rights.push(right("deploy", topic, may));
        }
    }
    rights
}

impl Right {
    /// As the protocol has it.
    fn written(&self) -> Result<Vec<u8>> {
        const LITERAL: u8 = 3;
        const PREFIXED: u8 = 4;
        const ALLOW: u8 = 3;
        let (kind, on, pattern) = match &self.on {
            On::Topic(name) => (2, name.as_str(), LITERAL),
            On::GroupsThatBegin(begin) => (3, begin.as_str(), PREFIXED),
            On::Cluster => (4, "kafka-cluster", LITERAL),
        };
        let who = format!("User:{}", self.name);
        let (on, who, from_anywhere) = (text(on)?, text(&who)?, text("*")?);
        Ok([&[kind][..], &on, &[pattern], &who, &from_anywhere, &[self.may as u8, ALLOW]].concat())
    }
}

/// The number and the version of a request.
type Api = (i16, i16);

const DESCRIBE_ACLS: Api = (29, 1);
const CREATE_ACLS: Api = (30, 1);

struct Broker(TcpStream);

impl Broker {
    /// The answer behind its correlation and how long it was throttled.
    fn ask(&mut self, (api, version): Api, body: &[u8]) -> Result<Vec<u8>> {
        const HEAD: usize = 8;
        let correlation = [0; 4];
        let request =
            [&api.to_be_bytes()[..], &version.to_be_bytes(), &correlation, &text("xtask")?, body]
                .concat();
        let length = u32::try_from(request.len()).context("a request that is too long")?;
        self.0.write_all(&[&length.to_be_bytes()[..], &request].concat())?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length).context("reading the broker's answer")?;
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length))?];
        self.0.read_exact(&mut answer).context("reading the broker's answer")?;
        ensure!(answer.len() >= HEAD, "the broker's answer breaks off");
        Ok(answer.split_off(HEAD))
    }
}

/// The answer to the first request: for each right an error, with a text or none.
fn must_be_given(rights: &[Right], answer: &[u8]) -> Result<()> {
    let mut rest = answer.get(4..).context("the answer breaks off")?;
    for Right { name, .. } in rights {
        let (error, why, after) = error_of(rest)?;
        ensure!(error == 0, "{name}: error {error}, {why}");
        rest = after;
    }
    Ok(())
}

/// The answer to the second: an error, with a text or none, and what was found.
fn finds(answer: &[u8]) -> Result<bool> {
    let (error, why, found) = error_of(answer)?;
    ensure!(error == 0, "asking for rights: error {error}, {why}");
    Ok(found.get(..4).context("the answer breaks off")? != [0; 4])
}

/// An error's number, its text, and what comes behind.
fn error_of(answer: &[u8]) -> Result<(i16, String, &[u8])> {
    let (head, rest) = answer.split_at_checked(4).context("the answer breaks off")?;
    let error = i16::from_be_bytes([head[0], head[1]]);
    // A text that is none has the length -1.
    let length = usize::try_from(i16::from_be_bytes([head[2], head[3]])).unwrap_or(0);
    let (text, rest) = rest.split_at_checked(length).context("the answer breaks off")?;
    Ok((error, String::from_utf8_lossy(text).into_owned(), rest))
}

fn text(text: &str) -> Result<Vec<u8>> {
    let length = i16::try_from(text.len()).context("a text that is too long")?;
    Ok([&length.to_be_bytes()[..], text.as_bytes()].concat())
}

fn count(number: usize) -> Result<[u8; 4]> {
    Ok(i32::try_from(number).context("a list that is too long")?.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// Takes a request and answers it, in as many connections as there are answers; with none, hangs up.
    fn broker(answers: Vec<Vec<Vec<u8>>>) -> (u16, thread::JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = thread::spawn(move || {
            for of_connection in answers {
                let (mut stream, _) = listener.accept().unwrap();
                for answer in of_connection {
                    let mut length = [0; 4];
                    stream.read_exact(&mut length).unwrap();
                    let mut request = vec![0; u32::from_be_bytes(length) as usize];
                    stream.read_exact(&mut request).unwrap();
                    let answer = [&[0; 8][..], &answer].concat();
                    let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
                    stream.write_all(&[&length[..], &answer].concat()).unwrap();
                }
            }
        });
        (port, serving)
    }

    #[test]
    fn a_broker_that_hangs_up_while_it_starts_is_asked_again() {
        let number = rights(&Prefix::default()).len();
        let found = [&[0, 0, 0xff, 0xff][..], &count(1).unwrap()].concat();
        let all = [vec![answer_of(&vec![0; number])], vec![found; number]].concat();
        let (port, serving) = broker(vec![vec![], vec![answer_of(&vec![0; number])], all]);
        give(port, &Prefix::default()).unwrap();
        serving.join().unwrap();
    }

    #[test]
    fn a_broker_that_refuses_is_asked_once() {
        let number = rights(&Prefix::default()).len();
        let (port, serving) = broker(vec![vec![answer_of(&vec![31; number])]]);
        let error = format!("{:#}", give(port, &Prefix::default()).unwrap_err());
        assert_eq!(error, "command_api: error 31, no");
        serving.join().unwrap();
    }

    fn answer_of(errors: &[i16]) -> Vec<u8> {
        let error = |error: &i16| {
            let why = if *error == 0 { Ok((-1_i16).to_be_bytes().to_vec()) } else { text("no") };
            [&error.to_be_bytes()[..], &why.unwrap()].concat()
        };
        count(errors.len()).unwrap().into_iter().chain(errors.iter().flat_map(error)).collect()
    }

    #[test]
    fn a_right_that_is_not_given_is_told_with_its_name() {
        let rights = rights(&Prefix::default());
        let mut errors = vec![0; rights.len()];
        assert!(must_be_given(&rights, &answer_of(&errors)).is_ok());
        let of_projector = rights.iter().position(|right| right.name == "projector").unwrap();
        errors[of_projector] = 31;
        let error = format!("{:#}", must_be_given(&rights, &answer_of(&errors)).unwrap_err());
        assert_eq!(error, "projector: error 31, no");
        assert!(must_be_given(&rights, &answer_of(&[0; 2])).is_err());
    }

    #[test]
    fn a_right_holds_once_it_is_found() {
        let answer = |found: usize| [&[0, 0, 0xff, 0xff][..], &count(found).unwrap()].concat();
        assert!(!finds(&answer(0)).unwrap());
        assert!(finds(&answer(1)).unwrap());
        assert!(finds(&[0, 54, 0, 2, b'n', b'o', 0, 0, 0, 0]).is_err());
        assert!(finds(&[0]).is_err());
    }

    #[test]
    fn a_right_is_on_what_one_deployment_owns() {
        let acme = rights(&Prefix::parse("acme").unwrap());
        let groups = acme.iter().find(|right| matches!(right.on, On::GroupsThatBegin(_)));
        let written = groups.unwrap().written().unwrap();
        assert_eq!(
            written,
            [&b"\x03\0\x15acme.events-processor\x04"[..], b"\0\x0eUser:projector\0\x01*\x03\x03"]
                .concat()
        );
    }
}
