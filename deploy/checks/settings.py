"""Variables that containers are told exist in docs/configuration.md: a misspelt one stops the start."""

import re

from tools import read_json, read_yaml

# What no table of settings has: the operator whom dlq-replayer's audit names, and a collector's own.
FOREIGN = {"USER", "AOT_CONFIG_CONTENT"}

# Other people's images have names of their own.
OURS = {"command-api", "query-api", "projector", "dlq-replayer", "deploy", "migrate", "topics", "schemas"}


def rules(tree, _tools):
    """Variables that no process of ours reads."""
    page = (tree / "docs/configuration.md").read_text()
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    known = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    told = [*_dockerfile(tree), *_compose(tree), *_tasks(tree), *_example(tree)]
    return [
        f"{where}: {name} is not in docs/configuration.md"
        for where, name in told
        if name not in known | FOREIGN and name.removesuffix("_FILE") not in known
    ]


def _dockerfile(tree):
    text = (tree / "deploy/docker/Dockerfile").read_text()
    return [("deploy/docker/Dockerfile", name) for name in re.findall(r"\b(MILLRACE_\w+)", text)]


def _compose(tree):
    services = read_yaml(tree / "docker-compose.yml")["services"]
    for service in OURS & set(services):
        for name in services[service].get("environment", {}):
            yield f"docker-compose.yml, {service}", name


def _tasks(tree):
    for path in sorted((tree / "deploy/ecs/task-definitions").glob("*.json")):
        for container in read_json(path)["containerDefinitions"]:
            for each in container.get("environment", []) + container.get("secrets", []):
                yield f"{path.name}, {container['name']}", each["name"]


def _example(tree):
    text = (tree / ".env.example").read_text()
    return [(".env.example", name) for name in re.findall(r"\b(MILLRACE_\w+)", text)]
