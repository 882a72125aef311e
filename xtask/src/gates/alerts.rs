//! Alerts and dashboards: each alert has a page for who is woken by it and tests in which it fires and
//! does not, and whatever asks Prometheus asks for metrics and for security events that exist.

mod projections;
mod security_events;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use telemetry::{Kind, Metric};

use super::{none, sources};

const PAGE: &str = "docs/operations/alerts.md";
const CONFIG: &str = "deploy/prometheus/prometheus.yml";
const RULES: &str = "deploy/prometheus/rules/";
const TESTS: &str = "deploy/prometheus/tests/";
const DASHBOARDS: &str = "deploy/grafana/dashboards/";

/// Checks the texts, then lets Prometheus' own tool check the rules and run their tests.
pub(super) fn check(checkout: &Path) -> Result<()> {
    none(faults(checkout)?)?;
    let promtool = || {
        let mut promtool = Command::new("promtool");
        promtool.current_dir(checkout);
        promtool
    };
    let missing = "promtool runs the tests of the rules: make tools";
    quietly(promtool().args(["check", "config", CONFIG])).context(missing)?;
    let mut tests = promtool();
    tests.args(["test", "rules"]);
    for file in in_folder(checkout, TESTS, ".yml")? {
        tests.arg(file);
    }
    quietly(&mut tests)
}

/// What it says is for the reader only where it fails.
fn quietly(program: &mut Command) -> Result<()> {
    let output = program.output().with_context(|| format!("running {program:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    bail!("{program:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&said))
}

fn faults(checkout: &Path) -> Result<Vec<String>> {
    let rules = texts(checkout, RULES, ".yml")?;
    let tests = texts(checkout, TESTS, ".yml")?;
    let page = sources::read(checkout, PAGE)?;
    let mut faults = of_alerts(&alerts(&rules), &tests, &page);
    faults.extend(projections::faults(&rules));
    let recorded: BTreeSet<&str> = values(&rules, "- record: ").collect();
    faults.extend(security_events::faults(PAGE, &page));
    for (file, text) in rules.iter().chain(&tests) {
        faults.extend(security_events::faults(file, text));
        for line in text.lines().filter(|line| !is_for_people(line)) {
            faults.extend(unknown(line, &recorded).map(|name| of_metric(file, name)));
        }
    }
    for (file, text) in texts(checkout, DASHBOARDS, ".json")? {
        let dashboard: Value =
            serde_json::from_str(&text).with_context(|| format!("reading {file}"))?;
        faults.extend(of_dashboard(&file, &dashboard));
        for expression in expressions(&dashboard) {
            faults.extend(security_events::faults(&file, expression));
            faults.extend(unknown(expression, &recorded).map(|name| of_metric(&file, name)));
        }
    }
    Ok(faults)
}

/// Whether a line of a rule or test names things rather than asks for them.
fn is_for_people(line: &str) -> bool {
    let words = ["#", "- name:", "- alert:", "- record:", "labels:", "summary:", "runbook:"];
    words.iter().any(|word| line.trim_start().starts_with(word))
}

fn of_metric(file: &str, name: &str) -> String {
    format!("{file} asks for {name}, which no process tells and no rule records")
}

/// An alert as its rule declares it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Alert {
    name: String,
    runbook: String,
    is_graded: bool,
}

fn alerts(rules: &[(String, String)]) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    for line in rules.iter().flat_map(|(_, text)| text.lines()).map(str::trim_start) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push(Alert { name: name.to_owned(), ..Alert::default() });
        }
        let Some(alert) = alerts.last_mut() else { continue };
        if let Some(runbook) = line.strip_prefix("runbook: ") {
            runbook.clone_into(&mut alert.runbook);
        }
        alert.is_graded |=
            matches!(line, "labels: {severity: page}" | "labels: {severity: ticket}");
    }
    alerts
}

fn of_alerts(alerts: &[Alert], tests: &[(String, String)], page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let sections = sections(page);
    for Alert { name, runbook, is_graded } in alerts {
        match sections.get(name.as_str()) {
            None => faults.push(format!("{PAGE} has no section for the alert {name}")),
            Some(false) => faults.push(format!("{PAGE} gives no command for the alert {name}")),
            Some(true) => {}
        }
        let expected = format!("{PAGE}#{}", name.to_lowercase());
        if *runbook != expected {
            faults.push(format!("the alert {name} must name {expected} as its runbook"));
        }
        if !is_graded {
            faults.push(format!("the alert {name} is neither a page nor a ticket"));
        }
        let (fires, rests) = tested(tests, name);
        for (is_there, what) in [(fires, "fires"), (rests, "does not fire")] {
            if !is_there {
                faults.push(format!("{TESTS} has no test in which {name} {what}"));
            }
        }
    }
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    let strays = sections.keys().filter(|section| !names.contains(**section));
    faults.extend(strays.map(|section| format!("{PAGE} tells of {section}, which is no alert")));
    faults
}

/// The page's sections by their headings, and whether each gives a command: an indented line that is
/// no comment.
fn sections(page: &str) -> BTreeMap<&str, bool> {
    let mut sections = BTreeMap::new();
    let mut heading = None;
    for line in page.lines() {
        if line.starts_with("## ") || line.starts_with("### ") {
            heading = line.strip_prefix("### ");
            sections.extend(heading.map(|heading| (heading, false)));
        } else if line.starts_with("    ") && !line.trim_start().starts_with('#') {
            sections.extend(heading.map(|heading| (heading, true)));
        }
    }
    sections
}

/// Whether there is a check that finds the alert firing, and one that does not.
fn tested(tests: &[(String, String)], name: &str) -> (bool, bool) {
    let asked = format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\"");
    let checks = || tests.iter().flat_map(|(_, text)| text.split("- expr: ").skip(1));
    let of_it = || checks().filter(|check| check.contains(&asked));
    let finds_none = |check: &&str| check.contains("exp_samples: []");
    (!of_it().all(|check| finds_none(&check)), of_it().any(|check| finds_none(&check)))
}

/// Panels say in words what they show, in which unit, and leave to the reader where to ask.
fn of_dashboard(file: &str, dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let mut faults: Vec<String> = panels
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap_or("a panel");
            let has_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            [
                (has_text(&panel["description"]), "no description"),
                (has_text(&panel["fieldConfig"]["defaults"]["unit"]), "no unit"),
                (panel["datasource"]["uid"] == "${datasource}", "a data source of its own"),
            ]
            .into_iter()
            .filter(|(is_right, _)| !is_right)
            .map(move |(_, what)| format!("{file}: \"{title}\" has {what}"))
        })
        .collect();
    if dashboard["editable"] != false {
        faults.push(format!("{file} can be changed where it is shown"));
    }
    for expression in expressions(dashboard).filter(|expression| expression.contains("rate(")) {
        if !expression.contains("[$__rate_interval]") {
            faults.push(format!("{file}: {expression} has a fixed interval"));
        }
    }
    faults
}

fn expressions(dashboard: &Value) -> impl Iterator<Item = &str> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.filter_map(|target| target["expr"].as_str())
}

/// Names in an expression that look like ours and are none.
fn unknown<'a>(expression: &'a str, recorded: &BTreeSet<&str>) -> impl Iterator<Item = &'a str> {
    let ours: BTreeSet<&str> =
        Metric::ALL.iter().map(|metric| first_word(metric.describe().name)).collect();
    names(expression).filter(move |name| {
        let is_ours = ours.contains(first_word(name)) && name.contains('_');
        let is_recorded = name.starts_with("slo:") && !recorded.contains(name);
        (is_ours && !is_metric(name)) || is_recorded
    })
}

fn is_metric(name: &str) -> bool {
    Metric::ALL.iter().any(|metric| {
        let description = metric.describe();
        let is_histogram = matches!(description.kind, Kind::Seconds | Kind::Sizes);
        match name.strip_prefix(description.name) {
            Some("") => true,
            Some(part) => is_histogram && matches!(part, "_bucket" | "_sum" | "_count"),
            None => false,
        }
    })
}

fn first_word(name: &str) -> &str {
    name.split('_').next().unwrap_or(name)
}

/// Names outside quotes and outside the braces of labels.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let outside_quotes = expression.split('"').step_by(2);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    outside_quotes
        .flat_map(move |part| part.split(move |c| !is_part(c)))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

fn values<'a>(texts: &'a [(String, String)], key: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = texts.iter().flat_map(|(_, text)| text.lines());
    lines.filter_map(move |line| line.trim_start().strip_prefix(key))
}

fn texts(checkout: &Path, folder: &str, ending: &str) -> Result<Vec<(String, String)>> {
    let files = in_folder(checkout, folder, ending)?.into_iter();
    files.map(|file| Ok((file.clone(), sources::read(checkout, &file)?))).collect()
}

fn in_folder(checkout: &Path, folder: &str, ending: &str) -> Result<Vec<String>> {
    let files = sources::files(checkout)?.into_iter();
    Ok(files.filter(|file| file.starts_with(folder) && file.ends_with(ending)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout;

    const RULE: &str = "rules:\n  - alert: Late\n    expr: a > 1\n    labels: {severity: page}\n    \
                        annotations:\n      runbook: docs/operations/alerts.md#late\n";
    const TEST: &str = "- expr: count(ALERTS{alertname=\"Late\",alertstate=\"firing\"})\n  exp_samples: []\n\
                        - expr: count(ALERTS{alertname=\"Late\",alertstate=\"firing\"})\n  exp_samples:\n";
    const SECTION: &str = "### Late\n\nPage. Too late.\n\n    date\n";

    fn file(text: &str) -> Vec<(String, String)> {
        vec![("a.yml".to_owned(), text.to_owned())]
    }

    #[test]
    fn an_alert_with_a_section_and_both_tests_is_whole() {
        assert!(of_alerts(&alerts(&file(RULE)), &file(TEST), SECTION).is_empty());
    }

    #[test]
    fn what_an_alert_lacks_is_named() {
        let lacks = |rule: &str, test: &str, page: &str, what: &str| {
            let faults = of_alerts(&alerts(&file(rule)), &file(test), page);
            assert!(faults.iter().any(|fault| fault.contains(what)), "{what}: {faults:?}");
        };
        lacks(RULE, TEST, "## Late", "no section for the alert Late");
        lacks(RULE, TEST, &format!("{SECTION}### Gone"), "tells of Gone");
        lacks(&RULE.replace("#late", "#soon"), TEST, SECTION, "as its runbook");
        lacks(&RULE.replace("page}", "noise}"), TEST, SECTION, "neither a page nor a ticket");
        let (never, always) = TEST.split_at(TEST.rfind("- expr").unwrap());
        lacks(RULE, never, SECTION, "in which Late fires");
        lacks(RULE, always, SECTION, "in which Late does not fire");
    }

    #[test]
    fn a_section_without_a_command_of_its_own_is_found() {
        let faults = |page: &str| of_alerts(&alerts(&file(RULE)), &file(TEST), page);
        let fault = [format!("{PAGE} gives no command for the alert Late")];
        assert_eq!(faults("### Late\n\nLook at it.\n"), fault);
        assert_eq!(faults("### Late\n\n    # look at it\n"), fault);
        assert_eq!(faults("### Late\n## Others\n\n    date\n"), fault);
        assert_eq!(faults("    date\n\n### Late\n"), fault);
    }

    #[test]
    fn a_metric_that_nobody_tells_is_found() {
        let recorded = BTreeSet::from(["slo:burn:rate1h"]);
        let unknown = |text| unknown(text, &recorded).collect::<Vec<_>>();
        assert!(
            unknown("sum by (job) (rate(command_api_append_seconds_bucket{job=\"x_y\"}[5m]))")
                .is_empty()
        );
        assert!(unknown("slo:burn:rate1h > 14.4 and node_filesystem_size_bytes > 0").is_empty());
        assert_eq!(unknown("projection_lags_seconds > 1"), ["projection_lags_seconds"]);
        assert_eq!(unknown("projection_braked_bucket"), ["projection_braked_bucket"]);
        assert_eq!(unknown("slo:burn:rate9h"), ["slo:burn:rate9h"]);
    }

    #[test]
    fn a_panel_without_words_or_with_a_fixed_interval_is_found() {
        let dashboard = serde_json::json!({ "panels": [{
            "title": "a", "datasource": { "uid": "prometheus" },
            "targets": [{ "expr": "rate(projection_applied_total[5m])" }],
        }]});
        let faults = of_dashboard("d.json", &dashboard);
        assert_eq!(faults.len(), 5, "{faults:?}");
    }

    #[test]
    fn rules_tests_pages_and_dashboards_agree() {
        assert_eq!(faults(&checkout::find().unwrap()).unwrap(), Vec::<String>::new());
    }
}
