"""Shell scripts and YAML files."""

from tools import complaints

# What is written for a person to read, not by a program.
YAML = ["docker-compose.yml", "deploy", ".github"]


def shell(tree, tools):
    """What shellcheck finds."""
    files = sorted(str(path.relative_to(tree)) for path in (tree / "deploy").rglob("*.sh"))
    return complaints([tools.program("shellcheck"), "--enable", "all", "--exclude", "SC2250,SC2312", *files], tree)


def yaml(tree, tools):
    """What yamllint finds."""
    return complaints(tools.module("yamllint", "--strict", "--config-file", "deploy/checks/yamllint.yaml", *YAML), tree)
