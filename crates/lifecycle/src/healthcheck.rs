//! `<process> healthcheck`: asks the process beside it for its health. An image without a shell has
//! no other program that could.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long the process may take to answer: less than whoever asks gives the check.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is read of an answer, at most.
const LARGEST_ANSWER: u64 = 64 * 1024;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether a restart would not help: for who restarts what is unhealthy.
    Live,
    /// Whether the process does its work: for who waits for it.
    Ready,
}

/// Why a process is not healthy.
#[derive(Debug)]
pub(crate) enum Unhealthy {
    Silent { address: SocketAddr, error: io::Error },
    Said(String),
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Live => "/health/live",
            Self::Ready => "/health/ready",
        }
    }

    /// Asks the process that listens on `bind`; what it says of itself is the error.
    pub(crate) fn ask(self, bind: SocketAddr) -> Result<(), Unhealthy> {
        let address = reachable(bind);
        let answer = request(address, self.path(), Instant::now() + PATIENCE)
            .map_err(|error| Unhealthy::Silent { address, error })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        match head.split(' ').nth(1) {
            Some("200") => Ok(()),
            Some(status) => Err(Unhealthy::Said(format!("{status} {body}"))),
            None => Err(Unhealthy::Said(head.to_owned())),
        }
    }
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { address, error } => write!(f, "no answer from {address}: {error}"),
            Self::Said(answer) => write!(f, "not healthy: {}", answer.trim_end()),
        }
    }
}

/// Where one reaches from the same machine who listens on `bind`.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

fn request(address: SocketAddr, path: &str, deadline: Instant) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    let mut rest = stream.take(LARGEST_ANSWER);
    let mut piece = [0; 4096];
    loop {
        // Each read has what is left, so that an answer by drops ends too.
        rest.get_ref().set_read_timeout(Some(left(deadline)?))?;
        match rest.read(&mut piece)? {
            0 => return Ok(String::from_utf8_lossy(&answer).into_owned()),
            read => answer.extend_from_slice(&piece[..read]),
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What `question` makes of a server that answers its one request so.
    fn asked(question: Question, answer: &'static str) -> (String, Result<(), Unhealthy>) {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let bind = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = vec![0; 1024];
            let read = stream.read(&mut head).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(head[..read].to_vec()).unwrap()
        });
        let found = question.ask(bind);
        (server.join().unwrap(), found)
    }

    #[test]
    fn a_process_that_answers_200_is_healthy() {
        let (request, found) = asked(Question::Live, "HTTP/1.1 200 OK\r\n\r\n{}");
        assert!(found.is_ok(), "{found:?}");
        assert!(request.starts_with("GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
    }

    #[test]
    fn a_process_that_is_not_ready_says_why() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"faults\":[\"kafka\"]}";
        let (request, found) = asked(Question::Ready, answer);
        assert!(request.starts_with("GET /health/ready "), "{request}");
        assert_eq!(found.unwrap_err().to_string(), "not healthy: 503 {\"faults\":[\"kafka\"]}");
    }

    #[test]
    fn an_answer_that_is_no_http_is_not_healthy() {
        let (_, found) = asked(Question::Live, "+PONG\r\n");
        assert_eq!(found.unwrap_err().to_string(), "not healthy: +PONG");
    }

    #[test]
    fn a_port_on_which_nobody_listens_is_named() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let found = Question::Live.ask(address).unwrap_err().to_string();
        assert!(found.starts_with(&format!("no answer from {address}: ")), "{found}");
    }

    #[test]
    fn a_process_that_accepts_and_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let found = request(listener.local_addr().unwrap(), "/health/live", deadline);
        let kind = found.unwrap_err().kind();
        assert!(matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{kind}");
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_this_machine() {
        let asked_at = |bind: &str| reachable(bind.parse().unwrap()).to_string();
        assert_eq!(asked_at("0.0.0.0:8001"), "127.0.0.1:8001");
        assert_eq!(asked_at("[::]:8001"), "[::1]:8001");
        assert_eq!(asked_at("10.0.0.7:8001"), "10.0.0.7:8001");
    }
}
