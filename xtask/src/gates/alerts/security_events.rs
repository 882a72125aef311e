//! Whoever asks for a security event by its name asks for one that there is.

use telemetry::{Metric, SecurityEventName};

/// What a text asks for that never happens.
pub(super) fn faults(file: &str, text: &str) -> Vec<String> {
    let selector = format!("{}{{", Metric::SecurityEvents.describe().name);
    text.split(&selector)
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .flat_map(|(labels, _)| labels.split(','))
        .filter_map(names)
        .flat_map(|names| names.split('|'))
        .filter(|name| !is_known(name))
        .map(|name| format!("{file} asks for the security event {name}, which nothing tells"))
        .collect()
}

/// The names in a condition on the label `event`, one or several of them.
fn names(condition: &str) -> Option<&str> {
    let value = condition.trim().strip_prefix("event")?.split_once('"')?.1;
    value.strip_suffix('"')
}

fn is_known(name: &str) -> bool {
    SecurityEventName::ALL.iter().any(|event| event.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_never_happens_is_found() {
        let faults = |text| faults("a.yml", text);
        for right in [
            "sum(increase(security_events_total[15m]))",
            "security_events_total{reason=\"login\", event=\"logged-in\"} offset 1h",
            "security_events_total{event=~\"login-refused|login-throttled\"}",
            "the counter `security_events_total{event,reason}`",
            "other_total{event=\"login\"}",
        ] {
            assert!(faults(right).is_empty(), "{right}");
        }
        let twice = "security_events_total{event=~\"login-refused|login\",job=\"a\"} \
                     or security_events_total{event!=\"out\"}";
        let found = faults(twice);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("event login,") && found[1].contains("event out,"), "{found:?}");
    }
}
