#!/usr/bin/env python3
"""Rehearses a deployment: push.py and deploy.py run against programs that stand in for docker and AWS.

What is asked of AWS is held against botocore's model of it, so that an option or a field that the real
one does not know fails here too.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import botocore.loaders
import botocore.model
import botocore.validate
from botocore import xform_name

from tools import read_yaml

TREE = Path.cwd()
STATE = "REHEARSAL_STATE"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def arn(family, revision):
    return f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{family}:{revision}"


# --- The programs that stand in.

def as_docker(state, arguments):
    """A docker that pushes whatever it is told to build."""
    options = dict(zip(arguments, arguments[1:]))
    if arguments[:2] == ["buildx", "build"]:
        tags = [value for name, value in zip(arguments, arguments[1:]) if name == "--tag"]
        digest = "sha256:" + hashlib.sha256(f"{options['--target']} {len(state['calls'])}".encode()).hexdigest()
        state["images"] |= {tag: digest for tag in tags}
        Path(options["--metadata-file"]).write_text(json.dumps({"containerimage.digest": digest}))
        return None
    assert arguments[:3] == ["buildx", "imagetools", "inspect"], arguments
    if arguments[3] not in state["images"]:
        sys.exit(1)
    return json.dumps(state["images"][arguments[3]])


def request(service, operation, arguments):
    """What the CLI makes of its options; a name or a type that AWS does not know is an error."""
    model = botocore.loaders.Loader().load_service_model(service, "service-2")
    shape = botocore.model.ServiceModel(model).operation_model(
        "".join(part.capitalize() for part in operation.split("-"))
    ).input_shape
    members = {xform_name(name, "-"): (name, member) for name, member in shape.members.items()}
    parameters = {}
    while arguments:
        option, value, arguments = arguments[0].removeprefix("--"), arguments[1], arguments[2:]
        if option == "cli-input-json":
            parameters |= json.loads(value)
        elif option != "output":
            name, member = members[option]
            parameters[name] = {"list": lambda each: [each], "structure": json.loads}.get(member.type_name, str)(value)
    report = botocore.validate.ParamValidator().validate(parameters, shape)
    assert not report.has_errors(), report.generate_report()
    return parameters


def as_aws(state, arguments):
    """An account with the foundation, one service, and what the test says of how it behaves."""
    service, operation, *rest = arguments
    if operation == "wait":
        waiters = botocore.loaders.Loader().load_service_model(service, "waiters-2")["waiters"]
        assert "".join(part.capitalize() for part in rest[0].split("-")) in waiters, rest[0]
        return None
    asked = request(service, operation, rest)
    answer = {
        "describe-stacks": lambda: {"Stacks": [{"Outputs": [
            {"OutputKey": name, "OutputValue": state["outputs"][name]} for name in state["outputs"]
        ]}]},
        "register-task-definition": lambda: registered(state, asked),
        "run-task": lambda: {"failures": [], "tasks": [{"taskArn": "task"}]},
        "describe-tasks": lambda: {"tasks": [{"containers": [{"exitCode": state["steps_exit"]}]}]},
        "update-service": lambda: updated(state, asked),
        "describe-services": lambda: {"services": [{"deployments": [
            {"status": "PRIMARY", "taskDefinition": state["runs"]}
        ]}]},
        "deregister-task-definition": lambda: {},
    }[operation]()
    state["asked"].append([operation, asked])
    return json.dumps(answer)


def registered(state, asked):
    family = asked["family"]
    state["revisions"][family] = state["revisions"].get(family, 7) + 1
    return {"taskDefinition": {"taskDefinitionArn": arn(family, state["revisions"][family])}}


def updated(state, asked):
    if not state["rolls_back"]:
        state["runs"] = asked["taskDefinition"]
    return {}


def stand_in(name, arguments):
    """Answers one call and remembers it."""
    path = Path(os.environ[STATE])
    state = json.loads(path.read_text())
    state["calls"].append([name, *arguments])
    answer = {"docker": as_docker, "aws": as_aws}[name](state, arguments)
    path.write_text(json.dumps(state))
    if answer:
        print(answer)


# --- The rehearsal.

class Rehearsal(unittest.TestCase):
    """One deployment in a directory of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)
        for name in ("docker", "aws"):
            program = self.home / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -B "{__file__}" {name} "$@"\n')
            program.chmod(0o755)
        names = read_yaml(TREE / "deploy/ecs/foundation.yaml")["Outputs"]
        self.write({
            "calls": [], "asked": [], "images": {}, "revisions": {}, "steps_exit": 0, "rolls_back": False,
            "outputs": {name: f"value-of-{name}" for name in names} | {"Name": "millrace"},
            "runs": arn("millrace-api", 7),
        })

    def write(self, state):
        (self.home / "state.json").write_text(json.dumps(state))

    def read(self):
        return json.loads((self.home / "state.json").read_text())

    def run_program(self, program, unit, *arguments, **variables):
        images = str(self.home / "images.json")
        return subprocess.run(
            [sys.executable, "-B", str(TREE / program), unit, "--images", images, *arguments],
            cwd=TREE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            env={
                "PATH": f"{self.home}:{os.environ['PATH']}", STATE: str(self.home / "state.json"),
                "PYTHONPATH": str(TREE / "deploy/checks"), "GITHUB_SHA": COMMIT, "ECR_REGISTRY": REGISTRY,
                "ECR_REPOSITORY": f"millrace/{unit}", "ECS_CLUSTER": "millrace",
                "ECS_SERVICE": f"{unit}-service", "ECS_TASK_DEFINITION": f"millrace-{unit}", **variables,
            },
        )

    def push(self, unit):
        done = self.run_program("deploy/docker/push.py", unit)
        self.assertEqual(done.returncode, 0, done.stdout)
        return json.loads((self.home / "images.json").read_text())

    def deploy(self, unit, *arguments, **variables):
        done = self.run_program("deploy/ecs/deploy.py", unit, *arguments, **variables)
        return done.returncode, done.stdout, self.read()["asked"]

    def test_images_are_tagged_latest_and_by_commit(self):
        images = self.push("worker")
        tags = self.read()["images"]
        for target in ("projector", "dlq-replayer", "deploy"):
            repository = f"{REGISTRY}/millrace/worker/{target}"
            self.assertEqual(tags[f"{repository}:latest"], tags[f"{repository}:{COMMIT}"])
            self.assertEqual(images[target], f"{repository}@{tags[f'{repository}:{COMMIT}']}")

    def test_a_repeated_push_keeps_what_was_pushed(self):
        first, calls = self.push("api"), len(self.read()["calls"])
        self.assertEqual(self.push("api"), first)
        builds = [call for call in self.read()["calls"][calls:] if call[2] == "build"]
        self.assertEqual(builds, [])

    def test_the_service_is_updated_to_a_new_revision_with_the_new_digests(self):
        images = self.push("api")
        code, said, asked = self.deploy("api")
        self.assertEqual(code, 0, said)
        self.assertEqual([operation for operation, _ in asked], [
            "describe-stacks", "register-task-definition", "run-task", "describe-tasks",
            "register-task-definition", "update-service", "describe-services",
        ])
        steps, service = [each for operation, each in asked if operation == "register-task-definition"]
        self.assertEqual(steps["containerDefinitions"][0]["image"], images["deploy"])
        self.assertEqual(
            {each["name"]: each["image"] for each in service["containerDefinitions"]},
            {name: images[name] for name in ("front-door", "command-api", "query-api")},
        )
        (update,) = [each for operation, each in asked if operation == "update-service"]
        self.assertEqual(update["taskDefinition"], arn("millrace-api", 8))
        self.assertEqual((update["cluster"], update["service"]), ("millrace", "api-service"))
        self.assertEqual(self.read()["runs"], arn("millrace-api", 8))

    def test_the_worker_brings_its_tool_along(self):
        self.push("worker")
        code, said, asked = self.deploy("worker")
        self.assertEqual(code, 0, said)
        families = [each["family"] for operation, each in asked if operation == "register-task-definition"]
        self.assertEqual(families, ["millrace-deploy", "millrace-dlq-replayer", "millrace-worker"])

    def test_before_there_is_a_service_revisions_are_registered(self):
        self.push("api")
        code, said, asked = self.deploy("api", "--register-only")
        self.assertEqual(code, 0, said)
        self.assertEqual([operation for operation, _ in asked][-1], "register-task-definition")

    def test_deploy_steps_that_fail_leave_the_service_as_it_is(self):
        self.push("api")
        self.write(self.read() | {"steps_exit": 1})
        code, said, asked = self.deploy("api")
        self.assertEqual(code, 1)
        self.assertIn("the deploy steps ended with [1]", said)
        self.assertNotIn("update-service", [operation for operation, _ in asked])

    def test_a_revision_that_was_rolled_back_is_deregistered(self):
        self.push("api")
        self.write(self.read() | {"rolls_back": True})
        code, said, asked = self.deploy("api")
        self.assertEqual(code, 1)
        self.assertIn("api-service was rolled back to", said)
        self.assertEqual(asked[-1], ["deregister-task-definition", {"taskDefinition": arn("millrace-api", 8)}])

    def test_another_family_than_the_services_is_refused(self):
        self.push("api")
        code, said, asked = self.deploy("api", ECS_TASK_DEFINITION="millrace-worker")
        self.assertEqual(code, 1)
        self.assertIn("ECS_TASK_DEFINITION is millrace-worker", said)
        self.assertEqual([operation for operation, _ in asked], ["describe-stacks"])


if __name__ == "__main__":
    if sys.argv[1] in ("docker", "aws"):
        stand_in(sys.argv[1], sys.argv[2:])
    else:
        # Called as the other programs here are, with --tools.
        unittest.main(argv=[sys.argv[0]])
