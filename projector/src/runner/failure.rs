//! What a failed attempt means: whether to try again, and what to say.

use std::fmt;

/// What kind of failure it is, which decides what is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The database or the registry is away or full: the same attempt succeeds later.
    Transient,
    /// Somebody else holds a lock: the same attempt succeeds soon.
    Contention,
    /// The record itself is at fault: no attempt succeeds.
    Poison,
    /// Tables or rights are not what this program needs: it succeeds after a deployment.
    DeployFault,
    /// This program is at fault.
    Bug,
}

impl FailureClass {
    /// Stable label for metrics and health.
    pub fn label(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Contention => "contention",
            Self::Poison => "poison",
            Self::DeployFault => "deploy-fault",
            Self::Bug => "bug",
        }
    }
}

/// What a fold finds that it cannot read although it has all that reading takes: the record itself is
/// at fault. A fold returns it as an error of the database, of which every other kind is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {what} does not open")]
pub struct Unreadable {
    /// The name of the part, never its value.
    pub what: &'static str,
}

impl From<Unreadable> for sqlx::Error {
    fn from(unreadable: Unreadable) -> Self {
        Self::Decode(Box::new(unreadable))
    }
}

/// A failure that can be told to operators: its text holds codes and names, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is done about it.
    pub class: FailureClass,
    /// Stable name: an SQLSTATE or a kind.
    pub code: String,
    /// What was being done, and which constraint or limit stood in the way.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.message, self.class.label(), self.code)
    }
}

impl Failure {
    /// A failure of a database call; `doing` completes "while ...".
    pub fn of_database(error: &sqlx::Error, doing: &str) -> Self {
        let Some(database) = error.as_database_error() else { return of_client(error, doing) };
        let code = database.code().unwrap_or_default().into_owned();
        if code == NO_PARTITION && database.constraint().is_none() {
            return Self {
                class: FailureClass::DeployFault,
                code,
                message: format!("a table has no partition for a row while {doing}"),
            };
        }
        let constraint =
            database.constraint().map(|name| format!(" by constraint {name}")).unwrap_or_default();
        Self {
            class: class_of(&code),
            message: format!("the database refused{constraint} while {doing}"),
            code,
        }
    }

    /// The same failure of a statement that holds nothing of a record, whose fault it cannot be.
    pub fn without_record(mut self) -> Self {
        if matches!(self.class, FailureClass::Poison | FailureClass::Bug) {
            self.class = FailureClass::DeployFault;
        }
        self
    }

    /// The database answered later than it may.
    pub fn overdue(doing: &str) -> Self {
        Self {
            class: FailureClass::Transient,
            code: "overdue".to_owned(),
            message: format!("the database did not answer in time while {doing}"),
        }
    }

    /// An identity was used before with another body.
    pub fn id_reused() -> Self {
        Self {
            class: FailureClass::Poison,
            code: "id-reused".to_owned(),
            message: "the client's id was used before with another body".to_owned(),
        }
    }

    /// Whether it is that: a client's doing, which no later attempt mends.
    pub(crate) fn is_id_reused(&self) -> bool {
        self.code == "id-reused"
    }

    /// An event waits behind a letter of its stream.
    pub(crate) fn blocked() -> Self {
        Self {
            class: FailureClass::Poison,
            code: "blocked".to_owned(),
            message: "an earlier event of the stream could not be folded".to_owned(),
        }
    }

    /// A decided event came before an earlier version of its stream.
    pub(crate) fn version_gap() -> Self {
        Self {
            class: FailureClass::Poison,
            code: VERSION_GAP.to_owned(),
            message: "a version of the stream before this one is missing".to_owned(),
        }
    }

    /// Whether it is that: it is mended by the missing version alone.
    pub(crate) fn is_version_gap(&self) -> bool {
        self.code == VERSION_GAP
    }

    /// A decided event contradicts what was folded of its stream.
    pub(crate) fn stream_fork() -> Self {
        Self {
            class: FailureClass::Poison,
            code: STREAM_FORK.to_owned(),
            message: "another event of the stream was folded under this version or before it"
                .to_owned(),
        }
    }

    /// Whether it is that: no wait mends it.
    pub(crate) fn is_stream_fork(&self) -> bool {
        self.code == STREAM_FORK
    }

    /// A fold panicked; the panic's text stays in the process' own output, since it may hold values.
    pub fn panicked() -> Self {
        Self {
            class: FailureClass::Bug,
            code: "panic".to_owned(),
            message: "the fold panicked".to_owned(),
        }
    }
}

/// Code of a decided event before which a version of its stream is missing.
pub(crate) const VERSION_GAP: &str = "version-gap";

/// Code of a decided event that contradicts what was folded of its stream.
pub(crate) const STREAM_FORK: &str = "stream-fork";

/// A check that a row breaks; where it names no constraint, no partition of the table takes the row.
const NO_PARTITION: &str = "23514";

/// Classes of SQLSTATE codes (Postgres manual, appendix A).
fn class_of(code: &str) -> FailureClass {
    match code {
        // serialization failure, deadlock, lock not available, query cancelled by a time-out
        "40001" | "40P01" | "55P03" | "57014" => FailureClass::Contention,
        // read only: a primary that became a standby
        "25006" => FailureClass::Transient,
        // undefined table, column, function, schema; insufficient privilege; wrong object type
        "42P01" | "42703" | "42883" | "3F000" | "42501" | "42809" | "42804" | "42P10" => {
            FailureClass::DeployFault
        }
        // time-outs that end the session
        "25P03" | "25P04" => FailureClass::Transient,
        _ => match code.get(..2) {
            // connection, authorization, resources, operator intervention, system, database gone
            Some("08" | "28" | "53" | "57" | "58" | "3D" | "XX") => FailureClass::Transient,
            // data exceptions and integrity constraints
            Some("22" | "23" | "44") => FailureClass::Poison,
            Some("42") => FailureClass::DeployFault,
            _ => FailureClass::Bug,
        },
    }
}

/// A failure that the server did not report: it is away, or its answer is of another shape than
/// this program was built for.
fn of_client(error: &sqlx::Error, doing: &str) -> Failure {
    let code = match error {
        sqlx::Error::Io(_) => "io",
        sqlx::Error::Tls(_) => "tls",
        sqlx::Error::Protocol(_) => "protocol",
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => "pool",
        sqlx::Error::Decode(source) if source.is::<Unreadable>() => {
            return Failure {
                class: FailureClass::Poison,
                code: "unreadable".to_owned(),
                message: format!("{source} while {doing}"),
            };
        }
        _ => {
            return Failure {
                class: FailureClass::DeployFault,
                code: "client".to_owned(),
                message: format!("the database's answer was not understood while {doing}"),
            };
        }
    };
    Failure {
        class: FailureClass::Transient,
        code: code.to_owned(),
        message: format!("the database did not answer while {doing}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_class_that_says_what_to_do() {
        for (code, class) in [
            ("08006", FailureClass::Transient),
            ("53100", FailureClass::Transient),
            ("57P01", FailureClass::Transient),
            ("25006", FailureClass::Transient),
            ("25P04", FailureClass::Transient),
            ("40P01", FailureClass::Contention),
            ("55P03", FailureClass::Contention),
            ("22P05", FailureClass::Poison),
            ("23514", FailureClass::Poison),
            ("42703", FailureClass::DeployFault),
            ("42501", FailureClass::DeployFault),
            ("P0001", FailureClass::Bug),
        ] {
            assert_eq!(class_of(code), class, "{code}");
        }
    }

    #[test]
    fn a_statement_without_a_record_is_never_a_records_fault() {
        let closed = Failure {
            class: class_of("55000"),
            code: "55000".to_owned(),
            message: "the database refused while connecting".to_owned(),
        };
        assert_eq!(closed.class, FailureClass::Bug);
        assert_eq!(closed.without_record().class, FailureClass::DeployFault);
    }

    #[test]
    fn an_answer_of_another_shape_is_a_fault_of_the_deployment() {
        let failure = Failure::of_database(&sqlx::Error::RowNotFound, "reading the generation");
        assert_eq!(failure.class, FailureClass::DeployFault);
    }

    #[test]
    fn what_does_not_open_is_the_record_s_fault_and_is_told_by_name() {
        let failure = Failure::of_database(&Unreadable { what: "email" }.into(), "writing rows");
        assert_eq!(
            failure.to_string(),
            "the email does not open while writing rows (poison unreadable)"
        );
        let other = sqlx::Error::Decode("another shape".into());
        assert_eq!(Failure::of_database(&other, "x").class, FailureClass::DeployFault);
    }

    #[test]
    fn a_connection_that_broke_is_transient() {
        let error = sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        let failure = Failure::of_database(&error, "moving the position");
        assert_eq!(failure.class, FailureClass::Transient);
        assert_eq!(
            failure.to_string(),
            "the database did not answer while moving the position (transient io)"
        );
    }
}
