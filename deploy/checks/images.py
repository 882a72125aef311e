#!/usr/bin/env python3
"""Builds the images' last stages around binaries that are there, and runs them as they are meant to run:
without a shell, as nobody, without capabilities, with a root that cannot be written to.

What can only be fetched is stood in for: the stage that compiles by a directory with the binaries, and
the base image by what it holds, taken from this machine.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

TREE = Path.cwd()
BASE = "localhost/millrace-base:check"

# What a program may load in the base image; whatever else it needs has to be within it.
LIBRARIES = re.compile(r"/(ld-linux[\w-]*|libc|libm|libdl|librt|libpthread|libresolv|libgcc_s|libstdc\+\+)\.so\.\d+$")

SERVICES = ["command-api", "query-api", "projector"]
PROGRAMS = [*SERVICES, "dlq-replayer", "xtask"]

# Enough to start, and nobody there of all that is depended on: alive and not ready.
ENVIRONMENT = {
    "MILLRACE_PROFILE": "dev", "DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/none",
    "KAFKA_BROKERS": "127.0.0.1:1", "REDIS_URL": "redis://127.0.0.1:1",
}

# Podman wants to divide control groups, which nobody may here who is in a container already, and to
# raise limits, which needs a capability.
WITHOUT_CONTROL_GROUPS = [
    "unshare", "--mount", "sh", "-c",
    'umount --lazy /sys/fs/cgroup && mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh",
]
LIMITS = ["--cgroups", "disabled", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]

# As docker-compose.yml and the task definitions have it.
HARDENED = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "none"]


def libraries(program):
    """What the loader finds for a program."""
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return set(re.findall(r"(/\S+) \(0x", listed))


def last_stages():
    """The Dockerfile from the base image on, for a builder that is older than some of its words."""
    text = (TREE / "deploy/docker/Dockerfile").read_text()
    _, separator, stages = text.partition("FROM ${RUN_IMAGE} AS run")
    stages = stages.partition("# nginx before both APIs")[0].replace("--start-interval=1s ", "")
    return f"ARG RUN_IMAGE\nFROM scratch AS build\nCOPY out /out\n{separator}{stages}"


class Images(unittest.TestCase):
    """All images, built once."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="millrace-images-")
        cls.addClassCleanup(directory.cleanup)
        cls.home = Path(directory.name)
        cls.base()
        cls.build(cls.home / "base", "--tag", BASE)
        for target, program in {**{each: each for each in PROGRAMS[:-1]}, "deploy": "xtask"}.items():
            context = cls.home / target
            shutil.copytree(TREE / "migrations", context / "migrations")
            (context / "out").mkdir()
            shutil.copy(BINARIES / program, context / "out" / program)
            (context / "Dockerfile").write_text(last_stages())
            cls.build(
                context, "--build-arg", f"RUN_IMAGE={BASE}", "--target", target, "--tag", f"localhost/{target}:check"
            )

    @classmethod
    def base(cls):
        base = cls.home / "base"
        needed = set().union(*(libraries(BINARIES / program) for program in PROGRAMS))
        for library in sorted(filter(LIBRARIES.search, needed)):
            target = base / "root" / library[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
        (base / "Dockerfile").write_text("FROM scratch\nCOPY root /\n")

    @classmethod
    def podman(cls, *arguments, check=True):
        store = ["--root", f"{cls.home}/root", "--runroot", f"{cls.home}/run", "--storage-driver", "vfs"]
        done = subprocess.run(
            [*WITHOUT_CONTROL_GROUPS, "podman", *store, "--cgroup-manager", "cgroupfs", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"podman {' '.join(arguments)}: {done.stdout}")
        return done

    @classmethod
    def build(cls, context, *options):
        # The format of docker, since the other one knows no healthcheck.
        cls.podman("build", "--isolation", "chroot", "--format", "docker", "--layers=false", *options, str(context))

    def run_image(self, image, *arguments, options=(), check=True):
        environment = [f"--env={name}={value}" for name, value in ENVIRONMENT.items()]
        return self.podman(
            "run", *options, *LIMITS, *HARDENED, *environment, f"localhost/{image}:check", *arguments, check=check
        )

    def inspect(self, name):
        return json.loads(self.podman("inspect", name).stdout)[0]

    def asked(self, name, *question):
        """What the healthcheck of a container says."""
        return self.podman("exec", name, f"/usr/local/bin/{name}", "healthcheck", *question, check=False)

    def started(self, service):
        """A running service, once it answers."""
        # The image's own check needs a timer of systemd's; it is asked by hand.
        self.run_image(service, options=["--detach", "--name", service, "--no-healthcheck"])
        self.addCleanup(self.podman, "rm", "--force", "--time", "0", service, check=False)
        deadline = time.monotonic() + 30
        while self.asked(service).returncode != 0:
            if time.monotonic() > deadline or not self.inspect(service)["State"]["Running"]:
                self.fail(f"{service} does not live: {self.podman('logs', service).stdout}")
        return self.inspect(service)

    def test_programs_load_nothing_that_the_base_image_does_not_have(self):
        for program in PROGRAMS:
            foreign = [each for each in libraries(BINARIES / program) if not LIBRARIES.search(each)]
            self.assertEqual(foreign, [], program)

    def test_a_service_lives_as_nobody_and_says_what_keeps_it_from_being_ready(self):
        for service in SERVICES:
            with self.subTest(service):
                pid = self.started(service)["State"]["Pid"]
                status = dict(re.findall(r"^(\w+):\s+(.+)$", Path(f"/proc/{pid}/status").read_text(), re.M))
                self.assertEqual(status["Uid"].split(), ["65532"] * 4)
                self.assertEqual(status["Gid"].split(), ["65532"] * 4)
                self.assertEqual([int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")], [0, 0, 0])
                self.assertEqual(status["NoNewPrivs"], "1")
                mounts = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
                (root,) = [each.split() for each in mounts if each.split()[4] == "/"]
                self.assertIn("ro", root[5].split(","))
                ready = self.asked(service, "ready")
                self.assertEqual(ready.returncode, 1)
                self.assertIn("not healthy: 503", ready.stdout)

    def test_there_is_no_shell(self):
        self.started("query-api")
        for shell in ("/bin/sh", "/bin/bash", "/busybox/sh"):
            self.assertNotEqual(self.podman("exec", "query-api", shell, "-c", ":", check=False).returncode, 0)

    def test_a_service_that_is_told_to_stop_drains_and_ends_well(self):
        for service in SERVICES:
            with self.subTest(service):
                self.started(service)
                self.podman("stop", "--time", "20", service)
                self.assertEqual(self.inspect(service)["State"]["ExitCode"], 0)

    def test_an_image_says_how_it_is_asked_for_its_health(self):
        for service in SERVICES:
            config = self.inspect(f"localhost/{service}:check")
            self.assertEqual(
                config["Healthcheck"]["Test"], ["CMD", f"/usr/local/bin/{service}", "healthcheck", "live"]
            )
            self.assertEqual(config["Config"]["User"], "65532:65532")
            self.assertEqual(config["Config"]["Labels"]["org.opencontainers.image.title"], service)

    def test_the_deploy_steps_find_their_migrations(self):
        done = self.run_image("deploy", "migrate", options=["--rm"], check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("connecting to the database", done.stdout)

    def test_the_tool_for_dead_letters_starts(self):
        done = self.run_image("dlq-replayer", "list", options=["--rm"], check=False)
        self.assertEqual(done.returncode, 5, done.stdout)


if __name__ == "__main__":
    # Called as the other programs here are, with --tools; then comes where the binaries are.
    BINARIES = Path(sys.argv[sys.argv.index("--binaries") + 1])
    missing = [program for program in PROGRAMS if not (BINARIES / program).exists()]
    if missing:
        sys.exit(f"error: not built: {', '.join(missing)}")
    if shutil.which("podman") is None:
        print("skipped: this machine has no podman to build and run images with")
    elif os.geteuid() != 0:
        print("skipped: only root sees as whom a process in a container runs")
    else:
        unittest.main(argv=[sys.argv[0]], verbosity=2)
