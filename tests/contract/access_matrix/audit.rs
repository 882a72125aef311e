//! What the processes write of callers who were refused, and of what happened to accounts and sessions.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use test_support::PASSWORD;

use super::Asked;
use super::stage::Stage;

/// The line of a request that was answered 401 or 403.
const MESSAGE: &str = "request refused";

/// The line of what happened to an account or a session.
const HAPPENED: &str = "security event";

/// Requests that were refused and of which there is not one line that says by whom and what, others of which
/// there is one, lines of what happened that do not say by which request, and secrets that a log tells.
pub(super) fn faults(stage: &Stage, asked: &[Asked<'_>]) -> Result<Vec<String>> {
    let logs = stage.logs()?;
    let lines = lines_by_request(&logs);
    let mut faults = of_no_request(&logs, asked)?;
    for asked in asked {
        let lines = lines.get(&asked.request_id).map_or(&[][..], Vec::as_slice);
        if let Err(error) = must_be_told(stage, asked, lines) {
            faults.push(format!("{} in the audit: {error:#}", asked.name()));
        }
        // What follows the last full stop says nothing but by whom it was signed, and opens everything.
        let signature = asked.token.as_deref().and_then(|token| token.rsplit('.').next());
        let is_in_log = |secret: &str| logs.iter().any(|log| log.contains(secret));
        if signature.is_some_and(is_in_log) {
            faults.push(format!("the token of {} is in a log", asked.name()));
        }
    }
    for secret in [PASSWORD, stage.ann.refresh_token.as_str()] {
        if logs.iter().any(|log| log.contains(secret)) {
            faults.push(format!("{secret} is in a log"));
        }
    }
    Ok(faults)
}

fn lines_by_request(logs: &[String]) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in lines_of(logs, MESSAGE) {
        let request_id = line["request.id"].as_str().unwrap_or_default().to_owned();
        found.entry(request_id).or_default().push(line);
    }
    found
}

fn lines_of<'a>(logs: &'a [String], message: &'a str) -> impl Iterator<Item = Value> + 'a {
    let lines = logs.iter().flat_map(|log| log.lines()).filter(move |line| line.contains(message));
    lines.filter_map(|line| serde_json::from_str::<Value>(line).ok())
}

/// Lines of what happened by which neither the request is found nor its trace, and those that stand twice.
fn of_no_request(logs: &[String], asked: &[Asked<'_>]) -> Result<Vec<String>> {
    let traces: BTreeMap<&str, &str> =
        asked.iter().map(|it| (it.request_id.as_str(), it.trace_id.as_str())).collect();
    let (mut told, mut of_ours, mut faults) = (BTreeSet::new(), 0, Vec::new());
    // Keys are published by no request.
    for line in lines_of(logs, HAPPENED).filter(|line| line["key.id"].is_null()) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let (request, trace) = (text("request.id"), text("trace_id"));
        let expected = traces.get(request.as_str());
        of_ours += usize::from(expected.is_some());
        let is_found = !request.is_empty()
            && trace.len() == 32
            && expected.is_none_or(|expected| *expected == trace);
        if !is_found {
            faults.push(format!("it does not say of which request and trace it is: {line}"));
        }
        if !told.insert((request, text("security.event"))) {
            faults.push(format!("it is told twice: {line}"));
        }
    }
    ensure!(of_ours > 0, "nothing happened to anybody");
    Ok(faults)
}

fn must_be_told(stage: &Stage, asked: &Asked<'_>, lines: &[Value]) -> Result<()> {
    if !asked.is_refused() {
        ensure!(lines.is_empty(), "it was not refused: {lines:?}");
        return Ok(());
    }
    let [line] = lines else { bail!("{} lines tell of it: {lines:?}", lines.len()) };
    let operation = asked.cell.operation;
    for (name, expected) in [
        ("message", json!(MESSAGE)),
        ("level", json!("INFO")),
        ("http.method", json!(operation.method)),
        ("http.route", json!(operation.path)),
        ("http.status", json!(asked.answer.status)),
        ("trace_id", json!(asked.trace_id)),
    ] {
        ensure!(line[name] == expected, "{name} is not {expected}: {line}");
    }
    ensure!(line["access.reason"].is_string(), "it does not say why: {line}");
    let knows_who = asked.answer.status == 403;
    ensure!(line["access.actor"].is_string() == knows_who, "it does not say by whom: {line}");
    for told in [&stage.ann.name, &stage.ann.session] {
        ensure!(!line.to_string().contains(told.as_str()), "it tells {told}: {line}");
    }
    Ok(())
}
