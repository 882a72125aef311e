#!/usr/bin/env python3
"""Checks everything that deploys something, without deploying it. `cargo xtask check deploy` runs this."""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cloudformation
import compose
import dockerfile
import ecs
import scripts
import settings
import workflows
from tools import Tools

# Every check by name, the slow ones first.
CHECKS = {
    "cloudformation lint": cloudformation.lint,
    "compose schema": compose.schema,
    "workflow schema": workflows.schema,
    "workflow lint": workflows.lint,
    "workflow security": workflows.security,
    "compose lint": compose.lint,
    "yaml": scripts.yaml,
    "shell": scripts.shell,
    "dockerfile lint": dockerfile.lint,
    "task parameters": ecs.parameters,
    "task placeholders": ecs.placeholders,
    "task rules": ecs.rules,
    "cloudformation aliases": cloudformation.aliases,
    "cloudformation rules": cloudformation.rules,
    "compose rules": compose.rules,
    "dockerfile rules": dockerfile.rules,
    "settings": settings.rules,
    "workflow rules": workflows.rules,
}


def findings(name, tree, tools):
    """What a check finds; that it cannot read what it checks is a finding too."""
    try:
        return list(CHECKS[name](tree, tools))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"is not what can be checked: {error!r}"]


def timed(name, tree, tools):
    """What a check finds, and how long it took."""
    began = time.monotonic()
    return findings(name, tree, tools), time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", required=True, help="the directory into which they are installed")
    parser.add_argument("--times", action="store_true", help="says how long each check takes")
    arguments = parser.parse_args()
    tree, tools = Path.cwd(), Tools(arguments.tools)
    with ThreadPoolExecutor(max_workers=2) as pool:
        running = {name: pool.submit(timed, name, tree, tools) for name in CHECKS}
    bad = 0
    for name, result in running.items():
        found, seconds = result.result()
        if arguments.times:
            print(f"{seconds:5.1f} s  {name}")
        for fault in found:
            print(f"{name}: {fault}")
        bad += bool(found)
    if bad:
        sys.exit(f"{bad} of {len(CHECKS)} checks of deploy/ found something")


if __name__ == "__main__":
    main()
