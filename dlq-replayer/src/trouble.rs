//! Why a call stops before it has done what was asked.

use crate::Exit;

/// Why a call stops. Messages hold codes and names, never values of records or secrets.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The arguments or settings are wrong.
    #[error("{0}")]
    Usage(String),
    /// It must not be done as it was asked.
    #[error("{0}")]
    Refused(String),
    /// A database call failed.
    #[error("{doing}: {}", told(source))]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What came of it; its own text may hold values and is not repeated.
        source: sqlx::Error,
    },
    /// Something else that a replay needs cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The output cannot be written.
    #[error("writing the output")]
    Output(#[from] std::io::Error),
}

impl Trouble {
    /// A function for `map_err`, with what was being done.
    pub fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }

    /// How the call ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Refused(_) => Exit::Refused,
            Self::Database { .. } | Self::Unreachable(_) => Exit::Unreachable,
            // Whoever reads has seen enough: `dlq-replayer list | head`.
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) => Exit::Unreachable,
        }
    }

    /// Whether there is somebody left to tell.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// A database error without the values that its own text may hold, and what to do about it.
pub(crate) fn told(error: &sqlx::Error) -> String {
    let Some(database) = error.as_database_error() else {
        return match error {
            sqlx::Error::Io(error) => format!("the database cannot be reached ({error})"),
            sqlx::Error::Tls(_) => "the database cannot be reached (TLS)".to_owned(),
            sqlx::Error::PoolTimedOut => "the database did not answer in time".to_owned(),
            _ => "the database's answer was not understood: run the deploy steps of this release"
                .to_owned(),
        };
    };
    let code = database.code().unwrap_or_default();
    let constraint =
        database.constraint().map(|name| format!(" by constraint {name}")).unwrap_or_default();
    format!("the database refused{constraint} ({code}){}", advice(&code))
}

fn advice(code: &str) -> &'static str {
    match code {
        "28P01" | "28000" => ": look at user and password in DATABASE_URL",
        "3D000" => ": look at the database's name in DATABASE_URL",
        "42501" => {
            ": the role has not the rights; run the deploy step migrate, or connect as dlq_replayer"
        }
        "42P01" | "42703" | "3F000" => ": a table is missing; run the deploy step migrate",
        "55P03" => ": somebody else holds the lock; try again",
        "40P01" | "40001" => ": it met somebody else's transaction; try again",
        "57014" | "25P04" => ": it took longer than it may; ask for less at a time",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_its_exit_code() {
        let io = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let database = Trouble::database("connecting")(sqlx::Error::Io(io()));
        assert_eq!(database.exit(), Exit::Unreachable);
        assert_eq!(Trouble::Usage(String::new()).exit(), Exit::Usage);
        assert_eq!(Trouble::Refused(String::new()).exit(), Exit::Refused);
        assert_eq!(Trouble::Unreachable(String::new()).exit(), Exit::Unreachable);
        assert_eq!(Trouble::Output(io()).exit(), Exit::Unreachable);
    }

    #[test]
    fn a_reader_who_has_gone_is_no_failure() {
        let gone = Trouble::Output(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(gone.exit(), Exit::Done);
        assert!(gone.is_silent());
    }

    #[test]
    fn an_unreachable_database_is_said_with_what_was_being_done() {
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let text = Trouble::database("connecting")(sqlx::Error::Io(io)).to_string();
        assert_eq!(text, "connecting: the database cannot be reached (connection refused)");
    }
}
