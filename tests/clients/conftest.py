"""What ``publish.py`` left, for the tests. Nothing here imports the project: the clients' environment lacks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import yaml
from datacube import Datacube
from datacube.cfg import ODCConfig

_REPOSITORY: Final = Path(__file__).parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the published folder lie elsewhere."""
    parser.addoption(
        "--published",
        type=Path,
        default=_REPOSITORY / "build" / "clients",
        help="folder that `python -m tests.clients.publish` filled; build/clients by default",
    )


@pytest.fixture(scope="session")
def published(pytestconfig: pytest.Config) -> Path:
    """The folder everything is published to."""
    folder: Path = pytestconfig.getoption("published").absolute()
    if not (folder / "expected").is_dir():
        pytest.fail(f"nothing is published in {folder}; `make test-clients` does that first")
    return folder


@pytest.fixture(scope="session")
def item_path(published: Path) -> Callable[[int], Path]:
    """Find a year's item."""

    def find(year: int) -> Path:
        (path,) = published.glob(f"*/{year}/*/*.stac-item.json")
        return path

    return find


@pytest.fixture
def item(item_path: Callable[[int], Path]) -> Callable[[int], dict[str, Any]]:
    """Read a year's item, a fresh document every time."""
    return lambda year: json.loads(item_path(year).read_text())


@pytest.fixture
def our_cube() -> Datacube:
    """A data cube in memory that knows all our products, as we define them."""
    datacube = Datacube(config=ODCConfig(raw_dict={"default": {"index_driver": "memory"}}))
    for path in sorted((_REPOSITORY / "products").glob("*.odc-product.yaml")):
        assert datacube.index.products.add_document(yaml.safe_load(path.read_text("utf-8")))
    return datacube


@pytest.fixture(scope="session")
def expected(published: Path) -> Callable[[int, str], np.ndarray]:
    """Read the pixels of a year's band as they must be: (rows, columns) from the north-west, 0 without data."""
    return lambda year, band: np.load(published / "expected" / f"{year}_{band}.npy")
