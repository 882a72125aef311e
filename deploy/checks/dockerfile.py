"""The Dockerfile: a linter, and what every image of ours is."""

import re
import tomllib

from tools import complaints

FILE = "deploy/docker/Dockerfile"

# Run when somebody calls them: there is nothing to ask for its health.
TOOLS = {"dlq-replayer", "deploy"}

DEBIAN = {"bookworm": "12", "trixie": "13"}

# How the run image has no shell.
WITHOUT_SHELL = "gcr.io/distroless/"


def lint(tree, tools):
    """What hadolint finds."""
    return complaints([tools.program("hadolint"), "--failure-threshold", "info", FILE], tree)


def stages(tree):
    """Each stage by name: its base and its instructions, those of stages below it first."""
    text = re.sub(r"\\\n", " ", (tree / FILE).read_text())
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", text, re.M))
    found = {}
    for line in text.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            base = re.sub(r"\$\{(\w+)\}", lambda each: arguments[each[1]], base)
            root, below = found.get(base, (base, []))
            current = list(below)
            found[name] = (root, current)
        elif instruction.isupper() and found:
            current.append((instruction, rest.strip()))
    return found


def targets(tree):
    """The stages that become images."""
    return {name: stage for name, stage in stages(tree).items() if dict(stage[1]).get("ENTRYPOINT")}


def rules(tree, _tools):
    """What breaks the rules that no linter knows."""
    found = []
    for name, (root, instructions) in targets(tree).items():
        found += [f"{FILE}: {name} {fault}" for fault in _target(name, root, instructions)]
    text = (tree / FILE).read_text()
    (toolchain,) = re.findall(r'channel = "(.+)"', (tree / "rust-toolchain.toml").read_text())
    for used in re.findall(r"(?:rust:|RUSTUP_TOOLCHAIN=)([\d.]+)", text):
        if used != toolchain:
            found.append(f"{FILE}: builds with Rust {used} and not {toolchain} of rust-toolchain.toml")
    for command in re.findall(r"^RUN (cargo (?:install|build|chef cook).*)", text, re.M):
        if "--locked" not in command:
            found.append(f"{FILE}: `{command}` does not keep to the lock file")
    built_on = re.search(r"BUILD_IMAGE=rust:\S+-(\w+)", text)[1]
    runs_on = re.search(r"RUN_IMAGE=(\S+)", text)[1]
    if f"-debian{DEBIAN.get(built_on)}:" not in runs_on:
        found.append(f"{FILE}: builds on {built_on} and runs on {runs_on}: the C library differs")
    return [*found, *_context(tree, text)]


def _target(name, root, instructions):
    last = dict(instructions)
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", last.get("USER", "")):
        yield f"runs as {last.get('USER', 'root')}, which is no number of somebody other than root"
    if name != "front-door" and not root.startswith(WITHOUT_SHELL):
        yield f"stands on {root}, which may have a shell"
    if not last["ENTRYPOINT"].startswith("["):
        yield "starts through a shell"
    health = last.get("HEALTHCHECK", "")
    if name in TOOLS:
        if health != "NONE":
            yield "is a tool and has a healthcheck"
    elif "--start-interval=" not in health or not re.search(r'CMD \["', health):
        yield "has no healthcheck that needs no shell and is quick at the start"
    labels = " ".join(rest for instruction, rest in instructions if instruction == "LABEL")
    for label in ("title", "description", "licenses", "version", "revision"):
        if f"org.opencontainers.image.{label}=" not in labels:
            yield f"does not say its {label}"


def _context(tree, text):
    """What a build copies and .dockerignore keeps from it."""
    manifest = tomllib.loads((tree / "Cargo.toml").read_text())
    members = {member.split("/")[0] for member in manifest["workspace"]["members"]}
    copied = {path for line in re.findall(r"^COPY (?!--from)(.+)", text, re.M) for path in line.split()[:-1]}
    allowed = {line[1:] for line in (tree / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for path in sorted((members | copied | {"Cargo.toml", "Cargo.lock"}) - {"."} - allowed):
        yield f".dockerignore keeps {path} from the build"
