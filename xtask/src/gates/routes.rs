//! Every route is described: one that is not has no row in the access matrix, where it is said and tried who may use
//! it.

use std::path::Path;

use anyhow::Result;

use super::sources;

/// How a router is told of a route, or of what answers where there is none.
const MAKE_ROUTES: [&str; 6] =
    ["route", "route_service", "nest", "nest_service", "fallback", "fallback_service"];

/// Where that is done for all: of what is described, for probes and metrics, and for the page of the description.
const ALLOWED: [&str; 4] = [
    "crates/api-description/src/described.rs",
    "crates/lifecycle/src/health/routes.rs",
    "crates/lifecycle/src/server.rs",
    "query-api/src/api_docs.rs",
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
    Ok(faults)
}

/// Whether the file may be part of a process that is deployed.
fn is_deployed(file: &str) -> bool {
    let is_code = file.ends_with(".rs") && file.contains("/src/");
    let is_test = file.split('/').any(|part| matches!(part, "tests" | "tests.rs"));
    is_code && !is_test && !NOT_DEPLOYED.iter().any(|folder| file.starts_with(folder))
}

fn undescribed(file: &str, text: &str) -> Vec<String> {
    if ALLOWED.contains(&file) {
        return Vec::new();
    }
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().enumerate().filter(|(_, line)| makes_route(line));
    lines
        .map(|(before, _)| {
            let line = before + 1;
            format!(
                "{file}:{line} makes a route that nobody describes: serve it by `Described::on`"
            )
        })
        .collect()
}

fn makes_route(line: &str) -> bool {
    let is_called =
        |name: &&str| [".", "::"].iter().any(|before| line.contains(&format!("{before}{name}(")));
    !line.trim_start().starts_with("//") && MAKE_ROUTES.iter().any(is_called)
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
    fn who_makes_routes_for_all_and_who_tries_them_may() {
        for file in ALLOWED {
            assert!(is_deployed(file) && undescribed(file, WITH_ANOTHER).is_empty(), "{file}");
        }
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
