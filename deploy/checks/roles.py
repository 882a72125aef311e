#!/usr/bin/env python3
"""Runs roles.sh on a Postgres of its own, and sees who may log in to what."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

TREE = Path.cwd()
VARIABLES = {
    "appuser": "APPUSER_PASSWORD", "command_api": "COMMAND_API_DB_PASSWORD", "query_api": "QUERY_API_DB_PASSWORD",
    "projector": "PROJECTOR_DB_PASSWORD", "dlq_replayer": "DLQ_REPLAYER_DB_PASSWORD",
    "analyst": "ANALYST_DB_PASSWORD",
}


def service_user():
    """Whom the local stack takes, too."""
    return next(user.pw_uid for name in ("postgres", "nobody") for user in pwd.getpwall() if user.pw_name == name)


def as_service_user(*command):
    """Postgres refuses root; the user it runs as then need not be one who may enter where it lies."""
    if os.geteuid() != 0:
        return command
    return (
        "setpriv", f"--reuid={service_user()}", "--clear-groups", "--securebits=+no_setuid_fixup",
        "--inh-caps=+dac_override", "--ambient-caps=+dac_override", *command,
    )


class Roles(unittest.TestCase):
    """One cluster for all."""

    @classmethod
    def setUpClass(cls):
        home = Path(tempfile.mkdtemp(prefix="millrace-roles-"))
        cls.addClassCleanup(shutil.rmtree, home)
        if os.geteuid() == 0:
            os.chown(home, service_user(), -1)
        (home / "password").write_text("superuser")
        subprocess.run(
            as_service_user(
                POSTGRES / "initdb", "-D", home / "data", "-U", "postgres", "--encoding=UTF8", "--locale=C",
                "--auth=scram-sha-256", f"--pwfile={home / 'password'}", "--no-sync", "--no-instructions",
            ), check=True, stdout=subprocess.DEVNULL, cwd="/",
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            cls.port = str(free.getsockname()[1])
        with (home / "log").open("w") as log:
            server = subprocess.Popen(
                as_service_user(
                    POSTGRES / "postgres", "-D", home / "data", "-p", cls.port, "-c", "unix_socket_directories=",
                ), stderr=log, cwd="/",
            )
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.send_signal, signal.SIGINT)
        deadline = time.monotonic() + 30
        while cls.psql("postgres", "superuser", "SELECT 1", "postgres").returncode != 0:
            if time.monotonic() > deadline or server.poll() is not None:
                raise AssertionError(f"Postgres does not answer: {(home / 'log').read_text()}")

    @classmethod
    def psql(cls, user, password, query, database="appdb"):
        return subprocess.run(
            ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", query],
            env={**os.environ, "PGHOST": "127.0.0.1", "PGPORT": cls.port, "PGUSER": user, "PGPASSWORD": password, "PGDATABASE": database},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )

    def make(self, passwords):
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES.values()}
        return subprocess.run(
            [TREE / "deploy/docker/postgres/roles.sh"],
            env={
                **environment, "PGHOST": "127.0.0.1", "PGPORT": self.port, "PGUSER": "postgres",
                "PGPASSWORD": "superuser", **{VARIABLES[role]: value for role, value in passwords.items()},
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )

    def test_each_role_logs_in_with_its_password_and_can_do_nothing_more(self):
        for passwords in ({role: f"{role}'s \"\\first" for role in VARIABLES}, {role: "second" for role in VARIABLES}):
            done = self.make(passwords)
            self.assertEqual(done.returncode, 0, done.stdout)
            for role, password in passwords.items():
                self.assertEqual(self.psql(role, password, "SELECT current_user").stdout.strip(), role)
                self.assertNotEqual(self.psql(role, "other", "SELECT 1").returncode, 0)
        able = "SELECT count(*) FROM pg_roles WHERE rolname <> 'postgres' AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)"
        self.assertEqual(self.psql("postgres", "superuser", able).stdout.strip(), "0")
        self.assertEqual(self.psql("appuser", "second", "SHOW search_path").stdout.strip(), "read_models, public")
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'appdb'"
        self.assertEqual(self.psql("appuser", "second", owner).stdout.strip(), "appuser")

    def test_a_password_that_is_missing_is_named(self):
        done = self.make({role: "x" for role in VARIABLES if role != "projector"})
        self.assertEqual((done.returncode, done.stdout), (1, "PROJECTOR_DB_PASSWORD is not set\n"))

    def test_the_roles_are_those_of_the_local_stack(self):
        text = (TREE / "xtask/src/stack/postgres.rs").read_text()
        owner = re.search(r'OWNER: &str = "(\w+)"', text)[1]
        processes = re.search(r"PROCESS_ROLES: [^=]*=\s*\[([^\]]*)\]", text)[1]
        analyst = re.search(r'ANALYST: &str = "(\w+)"', text)[1]
        self.assertEqual({owner, analyst, *re.findall(r'"(\w+)"', processes)}, set(VARIABLES))

    def test_the_limits_of_analysts_are_those_of_the_local_stack(self):
        self.assertEqual(self.make({role: "x" for role in VARIABLES}).returncode, 0)
        text = (TREE / "xtask/src/stack/postgres.rs").read_text()
        limits = re.findall(r'"SET (\w+) = \'?(\w+)\'?"', text)
        self.assertEqual(len(limits), 4)
        for name, value in limits:
            self.assertEqual(self.psql("analyst", "x", f"SHOW {name}").stdout.strip(), value)


if __name__ == "__main__":
    # Called as the other programs here are, with --tools; then comes where Postgres is.
    POSTGRES = Path(sys.argv[sys.argv.index("--postgres") + 1])
    unittest.main(argv=[sys.argv[0]], verbosity=2)
