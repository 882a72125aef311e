//! The front door in containers: `deploy/nginx/nginx.conf`, filled in for each place where it runs.

use std::path::Path;

use anyhow::{Context, Result};

use super::sources;
use crate::stack::edge_limits::EdgeLimits;
use crate::stack::ports::{Listener, Ports};
use crate::stack::template;

const TEMPLATE: &str = "deploy/nginx/nginx.conf";

/// A place where nginx runs in a container.
struct Place {
    file: &'static str,
    /// What stands in `http` beside what every front door has.
    surroundings: &'static str,
    command_api: &'static str,
    query_api: &'static str,
    /// How a server of an upstream is followed when it moves.
    follow: &'static str,
}

const PLACES: [Place; 2] = [
    // Containers come and go under one name, which the engine's own resolver knows.
    Place {
        file: "deploy/docker/nginx.conf",
        surroundings: "    resolver 127.0.0.11 valid=5s ipv6=off;\n    \
            # What is mounted there, such as whose X-Forwarded-For is true: docs/operations/containers.md.\n    \
            include /etc/millrace/front-door.d/*.conf;\n",
        command_api: "command-api",
        query_api: "query-api",
        follow: " resolve",
    },
    // One task is one machine. Only the load balancer reaches it, whose last word on who called is true.
    Place {
        file: "deploy/ecs/nginx.conf",
        surroundings: "    set_real_ip_from 0.0.0.0/0;\n    real_ip_header X-Forwarded-For;\n",
        command_api: "127.0.0.1",
        query_api: "127.0.0.1",
        follow: "",
    },
];

/// How the files differ from the template.
pub(super) fn faults(checkout: &Path) -> Result<Vec<String>> {
    let template = sources::read(checkout, TEMPLATE)?;
    let mut faults = Vec::new();
    for place in &PLACES {
        if sources::read(checkout, place.file)? != place.render(&template)? {
            faults.push(format!(
                "{} is not what {TEMPLATE} makes of it: cargo xtask write-front-doors",
                place.file
            ));
        }
    }
    Ok(faults)
}

/// Writes the files.
pub(super) fn write(checkout: &Path) -> Result<()> {
    let template = sources::read(checkout, TEMPLATE)?;
    for place in &PLACES {
        std::fs::write(checkout.join(place.file), place.render(&template)?)
            .with_context(|| format!("writing {}", place.file))?;
    }
    Ok(())
}

impl Place {
    fn render(&self, template: &str) -> Result<String> {
        let ports = Ports::default();
        let server = |host: &str, listener| {
            let port = ports.of(listener);
            format!("        server {host}:{port} max_fails=0{};", self.follow)
        };
        let [counted, general, auth] = EdgeLimits::USUAL.values();
        let filled = template::render(
            template,
            &[
                counted,
                general,
                auth,
                // The image's own user, who may write nowhere else.
                ("user", String::new()),
                ("run", "/tmp".to_owned()),
                ("data", "/tmp".to_owned()),
                ("access_log", "/dev/stdout".to_owned()),
                ("listen", format!("0.0.0.0:{}", ports.of(Listener::Nginx))),
                ("surroundings", self.surroundings.to_owned()),
                ("command_api_servers", server(self.command_api, Listener::CommandApi)),
                ("query_api_servers", server(self.query_api, Listener::QueryApi)),
            ],
        )
        .with_context(|| format!("filling {TEMPLATE} for {}", self.file))?;
        let head = format!("# Written by `cargo xtask write-front-doors` from {TEMPLATE}.\n#\n");
        Ok(head + &filled)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::checkout;

    /// The machine's nginx may be older than that of the images, and knows none of the names around it.
    fn for_this_machine(place: &Place, dir: &Path) -> String {
        let template = sources::read(&checkout::find().unwrap(), TEMPLATE).unwrap();
        let text = place.render(&template).unwrap();
        text.replace(&format!("{};\n", place.follow), ";\n")
            .replace(&format!("server {}:", place.command_api), "server 127.0.0.1:")
            .replace(&format!("server {}:", place.query_api), "server 127.0.0.1:")
            .replace("/tmp", &dir.to_string_lossy())
    }

    #[test]
    fn nginx_takes_every_front_door() {
        let dir = std::env::temp_dir().join(format!("millrace-front-doors-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for place in &PLACES {
            let conf = dir.join("nginx.conf");
            std::fs::write(&conf, for_this_machine(place, &dir)).unwrap();
            let output = Command::new("nginx")
                .args(["-t", "-e", "stderr", "-c"])
                .arg(&conf)
                .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", place.file);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_front_door_follows_containers_by_name_and_a_task_by_address() {
        let template = sources::read(&checkout::find().unwrap(), TEMPLATE).unwrap();
        let [containers, task] = PLACES.map(|place| place.render(&template).unwrap());
        assert!(containers.contains("        server command-api:8001 max_fails=0 resolve;\n"));
        assert!(containers.contains("resolver 127.0.0.11 "));
        // Whoever says who called is believed where somebody has said so.
        assert!(containers.contains("    include /etc/millrace/front-door.d/*.conf;\n"));
        assert!(!containers.contains("real_ip") && !task.contains("include"));
        assert!(containers.contains("zone=general:10m rate=50r/s;\n"));
        assert!(task.contains("        server 127.0.0.1:8002 max_fails=0;\n"));
        assert!(task.contains("real_ip_header X-Forwarded-For;\n") && !task.contains("resolver"));
    }
}
