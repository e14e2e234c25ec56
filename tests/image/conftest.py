"""An engine, the image as the stack ships it, and a cloud for it to work in: each made once for the whole tier."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.application import STACK_NAME, synthesize
from infra.assets import REPOSITORY
from local.emulator import Cloud, running_cloud
from tests.image.base import BASE, build_base
from tests.image.container import Limits
from tests.image.engine import Engine, running_engine, why_no_engine

_REPORT = pytest.StashKey[list[str]]()


@dataclass(frozen=True)
class Image:
    """The tile Lambda's image, built."""

    tag: str
    size_bytes: int
    """Unpacked, with the stand-in base."""
    added_bytes: int
    """What our Dockerfile adds to its base."""
    limits: Limits


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for everything that this tier writes; it goes away at the end."""
    with tempfile.TemporaryDirectory(prefix="alos-mosaic-image-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def engine(folder: Path, pytestconfig: pytest.Config) -> Iterator[Engine]:
    if reason := why_no_engine():
        pytest.skip(reason)
    with running_engine(folder / "engine") as engine:
        yield engine


@pytest.fixture(scope="session")
def image(engine: Engine, folder: Path, pytestconfig: pytest.Config) -> Image:
    """The image, built from what CDK stages for it: the folder, the Dockerfile and nothing else."""
    report, tag = pytestconfig.stash[_REPORT], "process-tile"
    with _timed(report, "stand-in base"):
        wheels_bytes = build_base(engine)
    template = synthesize(folder / "cdk.out")
    (asset,) = json.loads((template.parent / f"{STACK_NAME}.assets.json").read_text())["dockerImages"].values()
    context = template.parent / asset["source"]["directory"]
    with _timed(report, "the image on it"):
        engine.build(context, context / asset["source"]["dockerFile"], tag, BASE=BASE)
    size_bytes, base_bytes = engine.size_bytes(tag), engine.size_bytes(BASE)
    image = Image(tag, size_bytes - wheels_bytes, size_bytes - base_bytes, Limits.of_function(_function(template)))
    report.append(
        f"{image.size_bytes / 1e6:.0f} MB unpacked, {image.added_bytes / 1e6:.0f} MB of them on top of the base"
    )
    return image


@pytest.fixture(scope="session")
def cloud(folder: Path) -> Iterator[Cloud]:
    with running_cloud(folder / "cloud", REPOSITORY) as cloud:
        yield cloud


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REPORT] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in config.stash[_REPORT]:
        terminalreporter.write_line(f"image: {line}")


def _function(template: Path) -> dict[str, Any]:
    """The properties of the stack's one image function."""
    resources = [resource.get("Properties", {}) for resource in json.loads(template.read_text())["Resources"].values()]
    (function,) = [properties for properties in resources if properties.get("PackageType") == "Image"]
    return dict(function)


@contextmanager
def _timed(report: list[str], what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    report.append(f"{what}: {time.monotonic() - start:.0f} s")
