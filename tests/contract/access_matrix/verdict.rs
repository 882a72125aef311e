//! Whether an answer is what the table says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::super::api_description::must_be_protected;
use super::Asked;
use super::caller::Unknown;
use super::stage::Stage;
use super::table::{Outcome, ROWS, Row};

/// What is asked for of whoever may not.
const INSUFFICIENT: &str = r#"Bearer realm="millrace", error="insufficient_scope""#;

/// What is wrong with an answer, if anything is.
pub(super) fn fault(stage: &Stage, asked: &Asked<'_>) -> Option<String> {
    let expected = asked.expected();
    let found = match expected {
        Outcome::Allowed => must_be_allowed(asked),
        Outcome::InPart => {
            must_be_allowed(asked).and_then(|()| must_be_shown_in_part(stage, asked))
        }
        Outcome::Forbidden => must_be_refused(stage, asked, 403, "forbidden", Some(INSUFFICIENT)),
        Outcome::Hidden => must_be_refused(stage, asked, 404, "not-found", None),
        Outcome::Unauthenticated(why) => {
            must_be_refused(stage, asked, 401, "unauthenticated", Some(why.challenge()))
        }
    };
    let error = found.err()?;
    Some(format!("{} should be {expected:?}: {error:#}: {}", asked.name(), asked.answer))
}

fn must_be_allowed(asked: &Asked<'_>) -> Result<()> {
    let status = asked.answer.status;
    ensure!(!matches!(status, 401 | 403 | 429 | 500..), "it is refused");
    ensure!(asked.cell.operation.describes(status), "{status} is not described");
    Ok(())
}

fn must_be_shown_in_part(stage: &Stage, asked: &Asked<'_>) -> Result<()> {
    ensure!(!shows_all(stage, asked), "it shows what is not for everybody");
    Ok(())
}

/// Whether it holds what only some are shown: somebody's address, or that there is their device.
fn shows_all(stage: &Stage, asked: &Asked<'_>) -> bool {
    let text = &asked.answer.text;
    text.contains(&stage.ann.email) || text.contains(&stage.ann.device)
}

/// It is answered so, and tells nothing of whom it was about.
fn must_be_refused(
    stage: &Stage,
    asked: &Asked<'_>,
    status: u16,
    problem: &str,
    challenge: Option<&str>,
) -> Result<()> {
    let answer = &asked.answer;
    ensure!(answer.status == status && answer.problem() == problem, "it is not {status} {problem}");
    let told = answer.header("www-authenticate");
    ensure!(told == challenge, "the challenge is {told:?}");
    must_be_protected(answer)?;
    for told in [&stage.ann.id, &stage.ann.name, &stage.ann.session] {
        ensure!(!answer.text.contains(told.as_str()), "it tells {told}");
        let is_told = answer
            .headers
            .iter()
            .any(|(_, value)| value.to_str().is_ok_and(|value| value.contains(told.as_str())));
        ensure!(!is_told, "its headers tell {told}: {:?}", answer.headers);
    }
    if let Some(of_nobody) = &asked.of_nobody {
        let is_same = (of_nobody.status, &of_nobody.text) == (answer.status, &answer.text);
        ensure!(is_same, "of what there is not it is {of_nobody}");
    }
    Ok(())
}

impl Unknown {
    /// Which credentials are asked for. Two say why, to whoever has had a token of ours.
    fn challenge(self) -> &'static str {
        match self {
            Self::Missing => r#"Bearer realm="millrace""#,
            Self::Invalid => r#"Bearer realm="millrace", error="invalid_token""#,
            Self::Expired => {
                r#"Bearer realm="millrace", error="invalid_token", error_description="the access token has expired""#
            }
            Self::Revoked => {
                r#"Bearer realm="millrace", error="invalid_token", error_description="the access token was revoked; log in again""#
            }
        }
    }
}

/// Callers of whom nobody knows who they are and who are told different things, by what they ask for or by
/// what is wrong with their token.
pub(super) fn told_apart(asked: &[Asked<'_>]) -> Vec<String> {
    let mut texts: BTreeMap<Unknown, BTreeSet<&str>> = BTreeMap::new();
    for asked in asked.iter().filter(|asked| asked.answer.status == 401) {
        if let Outcome::Unauthenticated(why) = asked.expected() {
            texts.entry(why).or_default().insert(&asked.answer.text);
        }
    }
    let apart = texts.into_iter().filter(|(_, texts)| texts.len() != 1);
    apart.map(|(why, texts)| format!("{why:?} is told in several ways: {texts:?}")).collect()
}

/// Rows that say nothing: of which nobody is answered what is answered to whoever may, or what is shown in
/// part is shown whole to nobody.
pub(super) fn vacuous(stage: &Stage, asked: &[Asked<'_>]) -> Vec<String> {
    let fault = |row: &Row| {
        let error = must_say_something(stage, row, asked).err()?;
        Some(format!("{}: {error:#}", row.operation))
    };
    ROWS.iter().filter_map(fault).collect()
}

fn must_say_something(stage: &Stage, row: &Row, asked: &[Asked<'_>]) -> Result<()> {
    let may: Vec<&Asked<'_>> = asked
        .iter()
        .filter(|it| it.cell.row.operation == row.operation)
        .filter(|it| matches!(it.expected(), Outcome::Allowed | Outcome::InPart))
        .collect();
    let is_done = may.iter().any(|it| it.answer.status == row.done);
    ensure!(is_done, "nobody is answered {}", row.done);
    let whole: Vec<_> = may.iter().filter(|it| it.expected() == Outcome::Allowed).collect();
    let is_hidden = row.is_shown_in_part() && !whole.is_empty();
    let is_shown = whole.iter().any(|it| shows_all(stage, it));
    ensure!(is_shown || !is_hidden, "nobody is shown all of it");
    Ok(())
}
