//! Every projection is missed where nobody runs it, and has a budget for being late.

use settings::table::PROJECTOR_PROJECTIONS;

/// What the rules lack of a projection. A projector runs all of them unless it is told otherwise.
pub(super) fn faults(rules: &[(String, String)]) -> Vec<String> {
    let names = PROJECTOR_PROJECTIONS.default.unwrap_or_default().split(',');
    names.flat_map(|name| of(name, rules)).collect()
}

fn of(name: &str, rules: &[(String, String)]) -> Vec<String> {
    let is_said = |text: &String| rules.iter().any(|(_, rules)| rules.contains(text.as_str()));
    let needed = [
        format!("absent(projection_partitions{{projection=\"{name}\"}})"),
        format!("labels: {{slo: freshness-{name}}}"),
    ];
    let lacks = needed.into_iter().filter(|text| !is_said(text));
    lacks.map(|text| format!("the rules lack {text}, since there is a projection {name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_that_no_rule_knows_is_named() {
        let rules = [(
            "a.yml".to_owned(),
            "or absent(projection_partitions{projection=\"user\"})\n\
             labels: {slo: freshness-user}\nlabels: {slo: freshness-label}"
                .to_owned(),
        )];
        assert!(of("user", &rules).is_empty());
        let faults = of("label", &rules);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("absent("), "{faults:?}");
        assert_eq!(of("lab", &rules).len(), 2);
    }
}
