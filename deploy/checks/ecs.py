"""ECS task definitions: what the service itself would refuse, and what we hold ourselves to."""

import importlib.util
import re

import botocore.loaders
import botocore.model
import botocore.validate

from tools import read_json, read_yaml

FOLDER = "deploy/ecs/task-definitions"

# Megabytes that Fargate has for each number of CPU units.
FARGATE = {
    "256": {512, 1024, 2048},
    "512": set(range(1024, 4097, 1024)),
    "1024": set(range(2048, 8193, 1024)),
    "2048": set(range(4096, 16385, 1024)),
    "4096": set(range(8192, 30721, 1024)),
}

STOP_MARGIN_SECONDS = 2
LONGEST_STOP_SECONDS = 120

# Run to their end when somebody calls them.
TOOLS = {"deploy", "dlq-replayer"}


def script(tree, path):
    """A program of the checkout as a module."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), tree / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rendered(tree):
    """Each task definition as it would be registered, by its name."""
    program = script(tree, "deploy/ecs/deploy.py")
    outputs = read_yaml(tree / "deploy/ecs/foundation.yaml")["Outputs"]
    targets = {each for unit in script(tree, "deploy/docker/push.py").UNITS.values() for each in unit}
    values = {name: f"value-of-{name}" for name in outputs}
    values |= {program.image_name(each): f"registry/{each}@sha256:{'0' * 64}" for each in targets}
    names = [path.stem for path in sorted((tree / FOLDER).glob("*.json"))]
    return {name: program.task_definition(name, values) for name in names}


def placeholders(tree, _tools):
    """Names that nothing fills in."""
    try:
        rendered(tree)
    except (KeyError, ValueError) as error:
        return [f"{FOLDER}: nothing gives {error}"]
    return []


def parameters(tree, _tools):
    """What RegisterTaskDefinition would refuse."""
    service = botocore.loaders.Loader().load_service_model("ecs", "service-2")
    shape = botocore.model.ServiceModel(service).operation_model("RegisterTaskDefinition").input_shape
    found = []
    for name, definition in rendered(tree).items():
        report = botocore.validate.ParamValidator().validate(definition, shape)
        found += [f"{FOLDER}/{name}.json: {line}" for line in report.generate_report().splitlines()]
    return found


def rules(tree, _tools):
    """What breaks the rules that the service does not know."""
    found = []
    for name, definition in rendered(tree).items():
        faults = [*_task(definition)]
        for container in definition["containerDefinitions"]:
            faults += [f"{container['name']} {fault}" for fault in _container(container)]
        found += [f"{FOLDER}/{name}.json: {fault}" for fault in faults]
    return [*found, *_architecture(tree), *_secrets(tree)]


def _task(definition):
    if int(definition["memory"]) not in FARGATE.get(definition["cpu"], set()):
        yield f"Fargate has no {definition['memory']} MB for {definition['cpu']} CPU units"
    if definition["executionRoleArn"] == definition["taskRoleArn"]:
        yield "what starts a task and the task itself have one role"
    limits = sum(container.get("memory", 0) for container in definition["containerDefinitions"])
    if limits > int(definition["memory"]):
        yield f"its containers may take {limits} MB of {definition['memory']}"
    mounted = {
        point["sourceVolume"] for container in definition["containerDefinitions"]
        for point in container.get("mountPoints", [])
    }
    if mounted != {volume["name"] for volume in definition.get("volumes", [])}:
        yield "volumes and mount points differ"


def _container(container):
    if not container.get("readonlyRootFilesystem"):
        yield "can write to its root"
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", container.get("user", "")):
        yield "does not run as a number other than root's"
    linux = container.get("linuxParameters", {})
    if linux.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "keeps capabilities"
    if not linux.get("initProcessEnabled"):
        yield "has no init process"
    environment = {each["name"]: each["value"] for each in container.get("environment", [])}
    drain = int(environment.get("MILLRACE_DRAIN_TIMEOUT_MS", 0)) / 1000
    if not drain + STOP_MARGIN_SECONDS < container["stopTimeout"] <= LONGEST_STOP_SECONDS:
        yield f"has {container['stopTimeout']} s to stop and drains for {drain} s"
    for name in environment:
        if re.search(r"PASSWORD|SECRET|TOKEN|_URL$|USERNAME", name):
            yield f"is told {name} openly"
    for secret in container.get("secrets", []):
        if not re.match(r"value-of-\w+SecretArn(:\w+::)?$", secret["valueFrom"]):
            yield f"gets {secret['name']} from {secret['valueFrom']}, which is no secret of the foundation"
    if container["essential"] and container["name"] not in TOOLS and "healthCheck" not in container:
        yield "has no healthcheck"
    # A tag may move between push and pull; other people's images have a version.
    if not re.search(r"@sha256:[0-9a-f]{64}$|aws-otel-collector:v\d+\.\d+\.\d+$", container["image"]):
        yield f"runs {container['image']}, which is no digest"
    if container["logConfiguration"]["options"].get("mode") != "non-blocking":
        yield "stands still when its log does"


def _architecture(tree):
    """Images are built for the machines on which the tasks run, on such a machine."""
    platform = script(tree, "deploy/docker/push.py").PLATFORM
    built = {"linux/arm64": "ARM64", "linux/amd64": "X86_64"}[platform]
    for name, definition in rendered(tree).items():
        if definition["runtimePlatform"]["cpuArchitecture"] != built:
            yield f"{FOLDER}/{name}.json: runs on another architecture than {platform}"
    for unit in ("api", "worker"):
        job = read_yaml(tree / f".github/workflows/{unit}-ci-cd.yml")["jobs"]["deploy"]
        if job["runs-on"].endswith("-arm") != (built == "ARM64"):
            yield f"{unit}-ci-cd.yml: builds on {job['runs-on']} for {platform}"


def _secrets(tree):
    """Each key of a secret that a container asks for is named where the secret is made."""
    resources = read_yaml(tree / "deploy/ecs/foundation.yaml")["Resources"]
    for name, definition in rendered(tree).items():
        for container in definition["containerDefinitions"]:
            for secret in container.get("secrets", []):
                resource, _, key = secret["valueFrom"].removeprefix("value-of-").partition("Arn")
                key = key.strip(":")
                if key and key not in resources.get(resource, {}).get("Properties", {}).get("Description", ""):
                    yield f"foundation.yaml: {resource} does not say that {name} asks for its {key}"
