"""The tests of the raster processing in the image: on its Python and its libraries, in Lambda's cage."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from infra.assets import REPOSITORY
from tests.image.base import REQUIREMENTS, cached, for_lambda, pip
from tests.image.conftest import Image
from tests.image.container import CAGE, USER
from tests.image.engine import Engine, EngineError

TOOLS = (
    "pytest", "pytest-socket", "hypothesis", "moto[s3,sqs,secretsmanager]", "rio-cogeo", "jsonschema", "PyYAML",
    "pyOpenSSL", "cryptography", "rich", "typer", "pytest-xdist==3.8.0", "execnet==2.1.2",
)  # fmt: skip
"""What the tests import, and what shares them out over the cores; constraints.txt pins what is not pinned here."""
SOURCES = ("pyftpdlib", "pyasyncore==1.0.5", "pyasynchat==1.0.5")
"""What is Python alone, and comes as its source; the last two Python had itself before 3.12."""
SUITE = ("tests/processing", *(f"--ignore=tests/processing/test_{name}.py" for name in ("cataloguing", "validation")))
"""What the worker does; those two are of the operator's commands, whose rustac and rio-cogeo the image lacks."""


def remove(folder: Path, distribution: Distribution) -> None:
    """Remove a package, of whose folders others may have parts, and all that tells of it."""
    files = distribution.files or []
    for file in files:
        (folder / file).unlink(missing_ok=True)
    for name in {file.parts[0] for file in files if file.parts[0].endswith(".dist-info")}:
        shutil.rmtree(folder / name)


@pytest.fixture(scope="session")
def tools(folder: Path) -> Path:
    """A folder with what the tests import, for the image's Python, but nothing that the image has itself."""
    constraints = REPOSITORY / "constraints.txt"

    def make(path: Path) -> None:
        pinned = ("--quiet", f"--constraint={constraints}")
        wheels = folder / "wheels"
        pip("wheel", *pinned, "--no-deps", f"--wheel-dir={wheels}", *SOURCES)
        pip("install", *pinned, f"--find-links={wheels}", f"--target={path}", *for_lambda("x86_64"), *TOOLS, *SOURCES)
        own = set(re.findall(r"^([a-z0-9-]+)==", REQUIREMENTS.read_text(), re.M))
        for distribution in distributions(path=[str(path)]):
            if distribution.name.lower().replace("_", "-") in own:
                remove(path, distribution)

    return cached("tools", f"{constraints.read_text()} {REQUIREMENTS.read_text()} {TOOLS} {SOURCES}", make)


def test_the_processing_tests_pass_in_it(engine: Engine, image: Image, tools: Path, folder: Path) -> None:
    temporary = folder / "processing-tests"
    engine.mount_disk(temporary, image.limits.storage_mib, owner=USER)
    variables = {
        "PYTHONPATH": "/var/repository:/var/tools",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # or the workers see parameters that are sets in different orders
        "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",
        "HOME": "/tmp",
    }
    volumes = (f"{temporary}:/tmp", f"{REPOSITORY}:/var/repository:ro", f"{tools}:/var/tools:ro")
    options = (
        *CAGE, *image.limits.memory, "--rm", "--workdir=/var/repository", "--entrypoint=python",
        *(f"--volume={volume}" for volume in volumes), *(f"--env={k}={v}" for k, v in variables.items()),
    )  # fmt: skip
    try:
        said = engine.docker("run", *options, image.tag, "-m", "pytest", "-q", "-nauto", "-pno:cacheprovider", *SUITE)
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)
    passed = re.search(r"^([0-9]+) passed", said, re.M)
    assert passed and int(passed[1]) > 100, said
