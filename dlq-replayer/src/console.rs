//! Where a call writes and asks.

use std::io::{BufRead, Write};

use serde_json::Value;

use crate::trouble::Trouble;

/// The streams of a call. What is asked for goes to `out`; questions, notes and progress to `err`.
pub struct Console<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// Where answers come from.
    pub answers: &'a mut dyn BufRead,
    /// Whether a person sits there who can be asked and shown progress.
    pub is_terminal: bool,
}

impl Console<'_> {
    /// A line of what was asked for.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result<(), Trouble> {
        Ok(writeln!(self.out, "{}", line.as_ref())?)
    }

    /// Lines of what was asked for.
    pub(crate) fn lines(&mut self, lines: impl IntoIterator<Item = String>) -> Result<(), Trouble> {
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    /// The one document of a call with `--json`.
    pub(crate) fn document(&mut self, document: &Value) -> Result<(), Trouble> {
        serde_json::to_writer_pretty(&mut *self.out, document)
            .map_err(|error| Trouble::Output(error.into()))?;
        Ok(writeln!(self.out)?)
    }

    /// A line beside what was asked for. One that cannot be written changes nothing.
    pub(crate) fn note(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.err, "{}", line.as_ref());
    }

    /// Asks before something is done to letters.
    ///
    /// # Errors
    /// [`Trouble::Refused`] where the answer is not yes, or there is nobody to ask.
    pub(crate) fn confirm(&mut self, question: &str, yes: bool) -> Result<(), Trouble> {
        if yes {
            return Ok(());
        }
        if !self.is_terminal {
            return Err(Trouble::Refused(format!(
                "{question} Nobody can be asked here: say --yes to go on"
            )));
        }
        let _ = write!(self.err, "{question} [y/N] ");
        let _ = self.err.flush();
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Trouble::Refused("not confirmed; nothing was done".to_owned())),
        }
    }

    /// How far a long action has come, for a person who waits: one line that is written over.
    pub(crate) fn progress(&mut self, done: usize, of: usize, failed: usize) {
        if self.is_terminal {
            let _ = write!(self.err, "\r{}\u{1b}[K", bar(done, of, failed));
            let _ = self.err.flush();
        }
    }

    /// Takes the line of progress away.
    pub(crate) fn progress_ends(&mut self) {
        if self.is_terminal {
            let _ = write!(self.err, "\r\u{1b}[K");
            let _ = self.err.flush();
        }
    }
}

const BAR: usize = 30;

fn bar(done: usize, of: usize, failed: usize) -> String {
    let filled = (done * BAR).checked_div(of).unwrap_or(BAR).min(BAR);
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    format!("[{}{}] {done} of {of}{failed}", "#".repeat(filled), " ".repeat(BAR - filled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exit;

    fn confirm(is_terminal: bool, yes: bool, answer: &str) -> (Result<(), Trouble>, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut answers = answer.as_bytes();
        let mut console =
            Console { out: &mut out, err: &mut err, answers: &mut answers, is_terminal };
        let confirmed = console.confirm("replay 12 letters?", yes);
        assert!(out.is_empty(), "a question is no output");
        (confirmed, String::from_utf8(err).unwrap())
    }

    #[test]
    fn only_a_yes_goes_on() {
        for (answer, goes_on) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("no\n", false)]
        {
            let (confirmed, asked) = confirm(true, false, answer);
            assert_eq!(confirmed.is_ok(), goes_on, "{answer:?}");
            assert_eq!(asked, "replay 12 letters? [y/N] ");
        }
    }

    #[test]
    fn without_a_terminal_nothing_is_asked_and_yes_must_be_said() {
        let (refused, asked) = confirm(false, false, "y\n");
        assert_eq!(refused.unwrap_err().exit(), Exit::Refused);
        assert_eq!(asked, "");
        assert!(confirm(false, true, "").0.is_ok());
    }

    #[test]
    fn progress_is_for_people_only() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut answers: &[u8] = b"";
        let mut console =
            Console { out: &mut out, err: &mut err, answers: &mut answers, is_terminal: false };
        console.progress(1, 2, 0);
        console.progress_ends();
        assert!(err.is_empty());
        assert_eq!(
            bar(1, 2, 1),
            format!("[{}{}] 1 of 2, 1 failed", "#".repeat(15), " ".repeat(15))
        );
        assert_eq!(bar(0, 0, 0), format!("[{}] 0 of 0", "#".repeat(30)));
    }
}
