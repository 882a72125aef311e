#!/usr/bin/env python3
"""Builds the images of the API or the worker and pushes them, tagged `latest` and by commit.

Each target has a repository of its own below ECR_REPOSITORY. What was pushed is written to
images.json by digest, which is how it is deployed: a tag may move between push and pull.

Needs docker with buildx, logged in to the registry, and:
  ECR_REGISTRY, ECR_REPOSITORY   where to, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com, millrace/api
  GITHUB_SHA                     the commit
  RUN_IMAGE                      another base than the Dockerfile's, if it is set
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

# A release of one may need deploy steps that no release of the other has run.
UNITS = {
    "api": ["front-door", "command-api", "query-api", "deploy"],
    "worker": ["projector", "dlq-replayer", "deploy"],
}

PLATFORM = "linux/arm64"


def pushed(repository, commit):
    """The digest under a commit's tag, if an earlier run pushed it: such tags cannot be moved."""
    found = subprocess.run(
        ["docker", "buildx", "imagetools", "inspect", f"{repository}:{commit}",
         "--format", "{{json .Manifest.Digest}}"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True,
    )
    return json.loads(found.stdout) if found.returncode == 0 else None


def build(target, repository, commit, cache):
    """Builds and pushes one target; returns its digest. The build's stages are shared by all."""
    with tempfile.TemporaryDirectory() as directory:
        metadata = Path(directory) / "metadata.json"
        base = ["--build-arg", f"RUN_IMAGE={os.environ['RUN_IMAGE']}"] if "RUN_IMAGE" in os.environ else []
        subprocess.run(
            ["docker", "buildx", "build", "--push", "--file", "deploy/docker/Dockerfile",
             "--target", target, "--platform", PLATFORM, "--build-arg", f"REVISION={commit}", *base,
             "--tag", f"{repository}:{commit}", "--tag", f"{repository}:latest",
             "--cache-from", f"type=registry,ref={cache}",
             "--cache-to", f"type=registry,ref={cache},mode=max,image-manifest=true,oci-mediatypes=true",
             "--provenance", "mode=max", "--sbom", "true",
             "--metadata-file", str(metadata), "."],
            check=True,
        )
        return json.loads(metadata.read_text())["containerimage.digest"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("unit", choices=UNITS)
    parser.add_argument("--images", type=Path, default=Path("images.json"))
    arguments = parser.parse_args()
    commit = os.environ["GITHUB_SHA"]
    base = f"{os.environ['ECR_REGISTRY']}/{os.environ['ECR_REPOSITORY']}"
    images = {}
    for target in UNITS[arguments.unit]:
        repository = f"{base}/{target}"
        digest = pushed(repository, commit) or build(target, repository, commit, f"{repository}:cache")
        images[target] = f"{repository}@{digest}"
        print(f"{target} is {images[target]}", flush=True)
    arguments.images.write_text(json.dumps(images, indent=2) + "\n")


if __name__ == "__main__":
    main()
