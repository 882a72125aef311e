//! What containers, pipelines and the cloud are told, checked without any of them: `deploy/checks/`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{front_doors, none, succeed, tools};

/// Checks every file that deploys something.
pub(super) fn check(checkout: &Path) -> Result<()> {
    none(front_doors::faults(checkout)?)?;
    run(checkout, "check.py", &[])
}

/// Runs a program of `deploy/checks/` with the tools that it needs.
fn run(checkout: &Path, program: &str, arguments: &[&OsStr]) -> Result<()> {
    let tools = tools::deploy_checks(checkout)?;
    succeed(
        Command::new(tools.join("python/bin/python"))
            .arg("-B")
            .arg(checkout.join("deploy/checks").join(program))
            .arg("--tools")
            .arg(&tools)
            .args(arguments)
            .current_dir(checkout),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout;
    use crate::stack::local_dir::LocalDir;
    use crate::stack::parts::Parts;

    #[test]
    fn each_check_finds_the_faults_that_it_is_for() {
        run(&checkout::find().unwrap(), "seeded_faults.py", &[]).unwrap();
    }

    #[test]
    fn a_service_is_updated_only_once_a_revision_with_the_new_digest_is_registered() {
        run(&checkout::find().unwrap(), "rehearsal.py", &[]).unwrap();
    }

    #[test]
    fn an_image_runs_as_nobody_without_a_shell_and_tells_its_health() {
        // The binaries that were built with this test lie two floors above it.
        let test = std::env::current_exe().unwrap();
        let binaries = test.ancestors().nth(2).unwrap().as_os_str();
        let arguments = [OsStr::new("--binaries"), binaries];
        run(&checkout::find().unwrap(), "images.py", &arguments).unwrap();
    }

    #[test]
    fn roles_for_containers_are_those_of_the_local_stack() {
        let local = LocalDir::find(Path::new(".local")).unwrap();
        let postgres = Parts::fetch(&local).unwrap().postgres("");
        let arguments = [OsStr::new("--postgres"), postgres.as_os_str()];
        run(&local.checkout, "roles.py", &arguments).unwrap();
    }
}
