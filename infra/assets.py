"""What ships, and where it lies in the repository: the only place that knows either.

Allow-lists, never deny-lists: a new file ships only if a line here says so, and asset hashes stand still when a README
changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aws_cdk import AssetStaging, IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from alos_mosaic import coastlines, inventory, pages
from alos_mosaic.costs import Architecture

REPOSITORY: Final = Path(__file__).resolve().parent.parent
CDK_JSON: Final = REPOSITORY / "cdk.json"

_LAYER_FOLDER: Final = "layers/alos_mosaic"
_PACKAGE: Final = "python/alos_mosaic"
_PACKAGE_DATA: Final = tuple(
    f"{_PACKAGE}/{name}" for name in ("py.typed", coastlines.FILE_NAME, inventory.FILE_NAME, *pages.FILE_NAMES)
)
_IMAGE_FOLDER: Final = "lambdas/process_tile"
DOCKERFILE: Final = f"{_IMAGE_FOLDER}/Dockerfile"
"""Of the tile Lambda's image, within what :func:`image_folder` stages."""
PLATFORMS: Final = {
    Architecture.X86_64: ecr_assets.Platform.LINUX_AMD64,
    Architecture.ARM64: ecr_assets.Platform.LINUX_ARM64,
}


def layer_code() -> lambda_.Code:
    """Return the package's light half, laid out as a layer: no ``processing``, no ``cli``, which are its folders."""
    return lambda_.Code.from_asset(
        str(REPOSITORY / _LAYER_FOLDER),
        exclude=_only(f"{_PACKAGE}/*.py", *_PACKAGE_DATA),
        ignore_mode=IgnoreMode.DOCKER,
    )


def zip_code(name: str) -> lambda_.Code:
    """Return a handler's zip, laid out so that :func:`handler` is its path there as it is in pytest."""
    return lambda_.Code.from_asset(
        str(REPOSITORY),
        exclude=_only("lambdas/__init__.py", f"lambdas/{name}/*.py"),
        ignore_mode=IgnoreMode.DOCKER,
    )


def image_code(architecture: Architecture, name: str = "process_tile") -> lambda_.DockerImageCode:
    """Return the image, built from its Dockerfile where the stack is deployed, for one of its handlers."""
    return lambda_.DockerImageCode.from_image_asset(
        str(REPOSITORY),
        file=DOCKERFILE,
        # The Dockerfile's CMD says the same; here it stands in the template, where a person and the emulator look.
        cmd=[handler(name)],
        platform=PLATFORMS[architecture],
        exclude=_image_files(),
        ignore_mode=IgnoreMode.DOCKER,
    )


def image_folder(scope: Construct, construct_id: str) -> AssetStaging:
    """Stage what the image is built from, for a build that is not the CDK's; the assembly holds it by its hash."""
    return AssetStaging(
        scope, construct_id, source_path=str(REPOSITORY), exclude=_image_files(), ignore_mode=IgnoreMode.DOCKER
    )


def _image_files() -> list[str]:
    return _only(
        DOCKERFILE,
        f"{_IMAGE_FOLDER}/requirements.txt",
        f"{_IMAGE_FOLDER}/*.py",
        "lambdas/watch_source/*.py",
        "lambdas/__init__.py",
        f"{_LAYER_FOLDER}/pyproject.toml",
        *(f"{_LAYER_FOLDER}/{path}" for path in _PACKAGE_DATA),
        f"{_LAYER_FOLDER}/{_PACKAGE}/**/*.py",
    )


def handler(name: str) -> str:
    """Return the dotted path of a Lambda's entry, the same in pytest, in the zip and in the image."""
    return f"lambdas.{name}.handler.lambda_handler"


def _only(*patterns: str) -> list[str]:
    return ["*", *(f"!{pattern}" for pattern in patterns)]
