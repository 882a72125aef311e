//! Every route is described: one that is not has no row in the access matrix, where it is said and tried who may use
//! it.

use std::path::Path;

use anyhow::Result;

use super::sources;

/// How a router is told of a route, or of what answers where there is none.
const MAKE_ROUTES: [&str; 6] =
    ["route", "route_service", "nest", "nest_service", "fallback", "fallback_service"];

/// Where that is done for all, and how many times: of what is described, for probes and metrics, and for the page of
/// the description.
const ALLOWED: [(&str, usize); 4] = [
    ("crates/api-description/src/described.rs", 3),
    ("crates/lifecycle/src/health/routes.rs", 3),
    ("crates/lifecycle/src/server.rs", 2),
    ("query-api/src/api_docs.rs", 2),
];

/// What serves tests and benches alone.
const NOT_DEPLOYED: [&str; 2] = ["benches/", "crates/test-support/"];

/// Routes that nobody describes.
pub(super) fn faults(checkout: &Path) -> Result<Vec<String>> {
    let files = sources::files(checkout)?;
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| is_deployed(file)) {
        faults.extend(undescribed(file, &sources::read(checkout, file)?));
    }
    let gone = ALLOWED.iter().filter(|(file, _)| !files.iter().any(|it| it.as_str() == *file));
    faults.extend(gone.flat_map(|(file, _)| undescribed(file, "")));
    Ok(faults)
}

/// Whether the file may be part of a process that is deployed.
fn is_deployed(file: &str) -> bool {
    let is_code = file.ends_with(".rs") && file.contains("/src/");
    let is_test = file.split('/').any(|part| matches!(part, "tests" | "tests.rs"));
    is_code && !is_test && !NOT_DEPLOYED.iter().any(|folder| file.starts_with(folder))
}

fn undescribed(file: &str, text: &str) -> Vec<String> {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().zip(1..).map(|(line, number)| (number, routes_in(line)));
    let making: Vec<(usize, usize)> = lines.filter(|(_, routes)| *routes > 0).collect();
    if let Some((_, allowed)) = ALLOWED.iter().find(|(allowed, _)| *allowed == file) {
        let made: usize = making.iter().map(|(_, routes)| routes).sum();
        let told = format!(
            "{file} makes {made} routes that nobody describes, and not {allowed}: serve others by \
             `Described::on`, or tell the gate how many it makes"
        );
        return if made == *allowed { Vec::new() } else { vec![told] };
    }
    let told = |(line, _): (usize, usize)| {
        format!("{file}:{line} makes a route that nobody describes: serve it by `Described::on`")
    };
    making.into_iter().map(told).collect()
}

/// How many times a router is told of something on this line.
fn routes_in(line: &str) -> usize {
    if line.trim_start().starts_with("//") {
        return 0;
    }
    let calls = |name: &&str| -> usize {
        [".", "::"].iter().map(|before| line.matches(&format!("{before}{name}(")).count()).sum()
    };
    MAKE_ROUTES.iter().map(calls).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "command-api/src/device.rs";

    /// Described routes with one more, on the fourth line.
    const WITH_ANOTHER: &str = "fn routes() -> Router {
    // Another one would be made by .route(\"/quiet\", get(tell)).
    described().into_router()
        .route(\"/secret\", get(tell))
}
";

    #[test]
    fn a_route_beside_the_described_ones_is_named() {
        let named =
            format!("{FILE}:4 makes a route that nobody describes: serve it by `Described::on`");
        assert_eq!(undescribed(FILE, WITH_ANOTHER), [named]);
        for line in [
            "router.route_service(path, service)",
            "Router::nest(router, path, other)",
            "Router::new().fallback(tell)",
        ] {
            assert_eq!(undescribed(FILE, line).len(), 1, "{line}");
        }
        assert!(undescribed(FILE, "described.on(operation, tell).merge(others)").is_empty());
    }

    #[test]
    fn who_makes_routes_for_all_makes_so_many_and_no_more_or_fewer() {
        for (file, allowed) in ALLOWED {
            assert!(is_deployed(file), "{file}");
            let whole = "        .route(PATH, get(tell))\n".repeat(allowed);
            assert!(undescribed(file, &whole).is_empty(), "{file}");
            let one_less = "        .route(PATH, get(tell))\n".repeat(allowed - 1);
            for (made, text) in [(allowed + 1, whole + WITH_ANOTHER), (allowed - 1, one_less)] {
                let named = undescribed(file, &text);
                let begin =
                    format!("{file} makes {made} routes that nobody describes, and not {allowed}:");
                assert!(named.len() == 1 && named[0].starts_with(&begin), "{named:?}");
            }
        }
    }

    #[test]
    fn every_call_on_a_line_counts() {
        assert_eq!(routes_in("Router::new().route(PATH, page).route(OTHER, get(file))"), 2);
        assert_eq!(routes_in("Router::nest(router, path, other).fallback_service(tell)"), 2);
        assert_eq!(routes_in("// Router::new().route(PATH, page)"), 0);
        assert_eq!(routes_in("router.merge(others).layer(route(PATH))"), 0);
    }

    #[test]
    fn what_is_not_deployed_may_make_routes() {
        for file in [
            "benches/src/read.rs",
            "command-api/tests/it/world.rs",
            "crates/access/src/tests/revoked.rs",
            "crates/lifecycle/src/server/tests.rs",
            "crates/test-support/src/lib.rs",
        ] {
            assert!(!is_deployed(file), "{file}");
        }
        let tested = format!("fn nothing() {{}}\n\n#[cfg(test)]\nmod tests {{\n{WITH_ANOTHER}}}\n");
        assert!(is_deployed(FILE) && undescribed(FILE, &tested).is_empty());
    }
}
