#!/usr/bin/env python3
"""Brings new images of the API or the worker into service, by digest.

First the deploy steps run as a task of their own. Then new revisions of the task definitions are
registered, and only then the service is told to run the new one, so that it is these images that it
pulls. A deployment that does not come to its end is rolled back by the service; its revision is
deregistered, so that no later update of the stack takes it for the newest.

Needs the AWS CLI with credentials and AWS_REGION, and:
  ECS_CLUSTER, ECS_SERVICE, ECS_TASK_DEFINITION   where it runs, and as what
  images.json                                     what push.py wrote
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from string import Template

HERE = Path(__file__).parent

# The task definition of each service, and those that are registered with it.
UNITS = {"api": ("api", []), "worker": ("worker", ["dlq-replayer"])}

# The task that runs the deploy steps.
STEPS = "deploy"


class Refused(Exception):
    """The deployment did not take place, and why."""


def aws(*arguments):
    """What the AWS CLI answers."""
    answer = subprocess.run(
        ["aws", *arguments, "--output", "json"], stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    return json.loads(answer) if answer.strip() else None


def filled(value, values):
    """A JSON value with every ${Name} in its texts replaced; one without a value is an error."""
    if isinstance(value, str):
        return Template(value).substitute(values)
    if isinstance(value, list):
        return [filled(item, values) for item in value]
    if isinstance(value, dict):
        return {name: filled(item, values) for name, item in value.items()}
    return value


def image_name(target):
    """The placeholder of a target's image: ImageCommandApi for command-api."""
    return "Image" + "".join(part.capitalize() for part in target.split("-"))


def task_definition(name, values):
    """A task definition as it is registered."""
    text = (HERE / "task-definitions" / f"{name}.json").read_text()
    collector = Template((HERE / "collector.yaml").read_text()).safe_substitute(values)
    return filled(json.loads(text), {**values, "CollectorConfig": collector})


def outputs(stack):
    """What the foundation says of itself, by name."""
    (found,) = aws("cloudformation", "describe-stacks", "--stack-name", stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def register(name, values):
    """Registers a revision; returns its ARN."""
    definition = task_definition(name, values)
    answer = aws("ecs", "register-task-definition", "--cli-input-json", json.dumps(definition))
    arn = answer["taskDefinition"]["taskDefinitionArn"]
    print(f"registered {arn}", flush=True)
    return arn


def run_steps(cluster, values):
    """Runs the deploy steps to their end."""
    network = {
        "awsvpcConfiguration": {
            "assignPublicIp": "DISABLED",
            "subnets": values["PrivateSubnets"].split(","),
            "securityGroups": [values["WorkerSecurityGroup"]],
        }
    }
    answer = aws(
        "ecs", "run-task", "--cluster", cluster, "--launch-type", "FARGATE",
        "--task-definition", register(STEPS, values),
        "--network-configuration", json.dumps(network),
    )
    if answer["failures"]:
        raise Refused(f"the deploy steps do not start: {answer['failures']}")
    task = answer["tasks"][0]["taskArn"]
    aws("ecs", "wait", "tasks-stopped", "--cluster", cluster, "--tasks", task)
    (ended,) = aws("ecs", "describe-tasks", "--cluster", cluster, "--tasks", task)["tasks"]
    codes = [container.get("exitCode") for container in ended["containers"]]
    if codes != [0]:
        reason = ended.get("stoppedReason", "no reason given")
        raise Refused(f"the deploy steps ended with {codes}: {reason}; see the log group of deploy")
    print("the deploy steps are done", flush=True)


def replace(cluster, service, revision):
    """Has the service run a revision and waits until it does."""
    where = ("--cluster", cluster, "--service", service)
    aws("ecs", "update-service", *where, "--task-definition", revision)
    try:
        aws("ecs", "wait", "services-stable", "--cluster", cluster, "--services", service)
    except subprocess.CalledProcessError as error:
        raise Refused(f"{service} did not become stable") from error
    (found,) = aws("ecs", "describe-services", "--cluster", cluster, "--services", service)["services"]
    (primary,) = [each for each in found["deployments"] if each["status"] == "PRIMARY"]
    if primary["taskDefinition"] != revision:
        raise Refused(f"{service} was rolled back to {primary['taskDefinition']}")


def deploy(unit, values, cluster, service, family, register_only):
    """Everything, in its order; before there is a service, all but what concerns it."""
    name, others = UNITS[unit]
    expected = task_definition(name, values)["family"]
    if family != expected:
        raise Refused(f"ECS_TASK_DEFINITION is {family}, and the {unit}'s family is {expected}")
    run_steps(cluster, values)
    for other in others:
        register(other, values)
    revision = register(name, values)
    if register_only:
        return
    try:
        replace(cluster, service, revision)
    except Refused:
        aws("ecs", "deregister-task-definition", "--task-definition", revision)
        raise
    print(f"{service} runs {revision}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("unit", choices=UNITS)
    parser.add_argument("--stack", default="millrace-foundation", help="of foundation.yaml")
    parser.add_argument("--images", type=Path, default=Path("images.json"))
    parser.add_argument("--register-only", action="store_true", help="before there is a service")
    arguments = parser.parse_args()
    images = json.loads(arguments.images.read_text())
    values = outputs(arguments.stack) | {image_name(target): image for target, image in images.items()}
    where = [os.environ[name] for name in ("ECS_CLUSTER", "ECS_SERVICE", "ECS_TASK_DEFINITION")]
    try:
        deploy(arguments.unit, values, *where, arguments.register_only)
    except Refused as refused:
        sys.exit(f"error: {refused}")


if __name__ == "__main__":
    main()
