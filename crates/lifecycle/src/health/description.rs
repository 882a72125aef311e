//! What the health of a process is over HTTP, for the description of the API.

use api_description::{Answer, Description, Example, Operation, Verb, schema};
use serde_json::json;

/// The paths under which a process tells its health, and the names that programs have for them.
#[derive(Debug, Clone, Copy)]
pub struct HealthPaths {
    /// Whether a restart helps.
    pub live: (&'static str, &'static str),
    /// Whether it does its work.
    pub ready: (&'static str, &'static str),
}

impl HealthPaths {
    /// What they are.
    pub fn description(self) -> Description {
        let live = operation(self.live, "Whether the process lives", "503 where a restart helps.");
        let ready = operation(
            self.ready,
            "Whether the process does its work",
            "503 where it does not, with every reason.",
        );
        let report = json!({
            "type": "object",
            "required": ["live", "ready", "draining", "faults", "components"],
            "properties": {
                "live": {"type": "boolean", "description": "Whether a restart would not help."},
                "ready": {"type": "boolean", "description": "Whether the process does its work."},
                "draining": {"type": "boolean", "description": "Whether it is about to end."},
                "faults": {
                    "type": "object", "additionalProperties": {"type": "string"},
                    "description": "Why it is not ready or not alive, by the component's name.",
                },
                "components": {"type": "array", "items": {"type": "string"}},
            },
        });
        Description::default().with(live).with(ready).with_schema("Health", report)
    }
}

fn operation(
    (path, id): (&'static str, &'static str),
    summary: &'static str,
    description: &'static str,
) -> Operation {
    let report = || schema::named("Health");
    Operation::new(Verb::Get, path, id, summary)
        .description(description)
        .tag("Health")
        .not_limited()
        .answer(Answer::new(200, "Yes.").json(report()))
        .answer(Answer::new(503, "No.").json(report()))
        .example(Example::new("asked", "Asked", 200))
}
