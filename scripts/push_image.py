"""Build the tile Lambda's image and push it to the deployment's own repository: ``make push-image STAGE=dev``.

For deployments with ``image_repository = true``. The synthesized assembly says what to build and what to call it; an
image that is there already is not built again.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.images import TO_PUSH


class PushError(Exception):
    """The image can't be pushed; the text says why, and what to do."""


def main() -> None:
    """Push the image of the stack; a reason for which it can't be ends it with one sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack", help="name of the stack, like AlosMosaic-dev")
    parser.add_argument("--assembly", type=Path, default=Path("cdk.out"), help="synthesized (default: %(default)s)")
    given = parser.parse_args()
    try:
        pushed = push_image(given.assembly, given.stack, boto3.client("ecr"))
    except (PushError, BotoCoreError, ClientError) as error:
        raise SystemExit(f"push-image: {error}") from error
    print(f"push-image: {pushed}")


def push_image(assembly: Path, stack: str, ecr: Any) -> str:
    """Build and push unless the repository holds the image already; say what was done."""
    image = _image_to_push(assembly, stack)
    name, tag = image["repository"], image["tag"]
    repository = _repository(ecr, name)
    uri = f"{repository['repositoryUri']}:{tag}"
    if _is_there(ecr, name, tag):
        return f"{uri} is there already"
    folder = assembly / image["folder"]
    platform, dockerfile = f"--platform={image['platform']}", f"--file={folder / image['dockerfile']}"
    _docker("build", platform, dockerfile, f"--tag={uri}", str(folder))
    _log_in(ecr)
    _docker("push", uri)
    return f"{uri} is pushed; `make deploy` takes it from there"


def _image_to_push(assembly: Path, stack: str) -> Mapping[str, str]:
    template = json.loads((assembly / f"{stack}.template.json").read_text())
    try:
        image: Mapping[str, str] = template["Metadata"][TO_PUSH]
    except KeyError as error:
        raise PushError(f"{stack} has no repository of its own: set image_repository = true in its file") from error
    return image


def _repository(ecr: Any, name: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise PushError(f"there is no repository {name}; `make push-image` deploys it first") from error
    return found


def _is_there(ecr: Any, name: str, tag: str) -> bool:
    try:
        ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])
    except ecr.exceptions.ImageNotFoundException:
        return False
    return True


def _log_in(ecr: Any) -> None:
    data = ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    _docker("login", f"--username={user}", "--password-stdin", data["proxyEndpoint"], given=password)


def _docker(*arguments: str, given: str | None = None) -> None:
    """Run docker, or what CDK_DOCKER names, as the CDK does."""
    docker = os.environ.get("CDK_DOCKER", "docker")
    # With attestations an image is an index, which Lambda refuses.
    environment = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    try:
        done = subprocess.run([docker, *arguments], check=False, env=environment, input=given, text=True)
    except FileNotFoundError as error:
        raise PushError(f"there is no {docker}; CDK_DOCKER may name another program that builds images") from error
    if done.returncode != 0:
        raise PushError(f"{docker} {arguments[0]} ended with {done.returncode}")


if __name__ == "__main__":
    main()
