"""docker-compose.yml: the schema, a linter, and what we hold ourselves to."""

import re

from tools import complaints, read_yaml

FILE = "docker-compose.yml"

# The ports that the documents promise.
PORTS = {
    "front-door": 8000, "kafka-ui": 8080, "postgres": 5432, "redis": 6379, "kafka": 9092, "registry": 8085,
}

# A process gives up a stop that is not finished this long after its drain budget.
STOP_MARGIN_SECONDS = 2

# A variable without which nothing starts.
ASKED = r"\$\{\w+:\?\}"

VARIABLE = re.compile(r"\$\{(\w+)([^}]*)\}")


def schema(tree, tools):
    """What does not fit the compose specification."""
    return complaints(
        tools.module("check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE), tree
    )


def lint(tree, tools):
    """What dclint finds."""
    script = str(tools.package("dclint") / "bin/dclint.cjs")
    config = "deploy/checks/dclint.json"
    return complaints(tools.node(script, "--config", config, "--max-warnings", "0", FILE), tree)


def rules(tree, _tools):
    """What breaks the rules that no tool knows."""
    compose = read_yaml(tree / FILE)
    services = compose["services"]
    found = []
    for name, service in services.items():
        found += [f"{FILE}: {name} {fault}" for fault in _service(service, services)]
        found += [f"{FILE}: {name} {fault}" for fault in _sources(tree, service)]
    for name, port in PORTS.items():
        published = services.get(name, {}).get("ports", [])
        if published != [f"127.0.0.1:{port}:{port}"]:
            found.append(f"{FILE}: {name} is not published on {port} of this machine alone, but {published}")
    volumes = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}
    for volume in compose["volumes"]:
        if volume not in volumes:
            found.append(f"{FILE}: nobody uses the volume {volume}")
    return [*found, *_drain(tree, services), *_variables(tree)]


def _service(service, services):
    if not service.get("read_only"):
        yield "can write to its root"
    if service.get("cap_drop") != ["ALL"]:
        yield "keeps capabilities"
    if service.get("security_opt") != ["no-new-privileges:true"]:
        yield "may gain privileges"
    if "max-size" not in service.get("logging", {}).get("options", {}):
        yield "writes a log without end"
    if "memory" not in service.get("deploy", {}).get("resources", {}).get("limits", {}):
        yield "has no limit of memory"
    if not re.search(r":[\w.-]*\d[\w.-]*$|:dev$", service["image"]):
        yield f"runs {service['image']}, which is no version"
    for port in service.get("ports", []):
        if not port.startswith("127.0.0.1:"):
            yield f"publishes {port} to other machines"
    check = service.get("healthcheck", {})
    if service["restart"] != "no" and not {"test", "start_interval", "start_period"} <= set(check):
        yield "has no healthcheck that is quick at the start"
    for other, how in service.get("depends_on", {}).items():
        condition = how["condition"]
        ends = services[other]["restart"] == "no"
        if condition != ("service_completed_successfully" if ends else "service_healthy"):
            yield f"waits for {other} until {condition}"
    for name, value in service.get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|CLUSTER_ID", name) and value and not re.fullmatch(ASKED, value):
            yield f"is told {name}, and not by ${{...:?}}"
        for password in re.findall(r"://[^/@:\s]*:([^@/\s]+)@", str(value)):
            if not re.fullmatch(ASKED, password):
                yield f"is told a password in {name}"


def _sources(tree, service):
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("./") and not (tree / source).exists():
            yield f"mounts {source}, which does not exist"
        if source.startswith("./") and not mount.endswith(":ro"):
            yield f"may write to {source}"


def _drain(tree, services):
    """A process that is killed before it has drained."""
    text = (tree / "docs/configuration.md").read_text()
    (default,) = re.findall(r"`MILLRACE_DRAIN_TIMEOUT_MS` \| `(\d+)`", text)
    for name in ("command-api", "query-api", "projector"):
        drain = int(services[name]["environment"].get("MILLRACE_DRAIN_TIMEOUT_MS") or default) / 1000
        grace = services[name].get("stop_grace_period", "10s")
        if int(grace.removesuffix("s")) <= drain + STOP_MARGIN_SECONDS:
            yield f"{FILE}: {name} is killed after {grace}, and drains for {drain} s"


def _variables(tree):
    """Variables that .env.example does not have, or has in vain; other than what has a default."""
    asked = {name for name, rest in VARIABLE.findall((tree / FILE).read_text()) if rest.startswith(":?")}
    lines = (tree / ".env.example").read_text().splitlines()
    offered = {line.split("=")[0] for line in lines if line and not line.startswith("#")}
    for name in sorted(asked - offered):
        yield f".env.example does not have {name}"
    for name in sorted(offered - asked):
        yield f".env.example has {name}, which nothing asks for"
