"""What has to fit in behind a transfer that took all its time: by measurement, and by the cost model."""

from __future__ import annotations

import json

import pytest

from alos_mosaic.costs import TAR, ZIP, Architecture, Engine, Worker
from alos_mosaic.grid import CELLS_PER_TILE
from alos_mosaic.invocations import LAMBDA_SECONDS, LAST_WORDS_SECONDS, TRANSFER_LIMIT_SECONDS, WORK_SECONDS
from alos_mosaic.settings import TileSettings
from infra.assets import REPOSITORY
from infra.config import StackConfig

_MEASURED = REPOSITORY / "benchmarks" / "results" / "slow-source.json"


def test_the_longest_transfer_leaves_the_time_for_the_work() -> None:
    assert TRANSFER_LIMIT_SECONDS + WORK_SECONDS + LAST_WORDS_SECONDS <= LAMBDA_SECONDS
    assert StackConfig().transfer_limit_seconds == TileSettings("s3://out", "runs").transfer_limit_seconds
    assert StackConfig().transfer_limit_seconds <= TRANSFER_LIMIT_SECONDS


def test_a_full_tile_as_it_was_measured_fits_in_and_so_does_decoding_a_zip() -> None:
    (stages,) = [each["stages"] for each in json.loads(_MEASURED.read_text())["invocations"] if each["stages"]]
    behind = sum(stages.values()) - 2 * stages["transfer"]  # once for itself, once as a part of "gather"
    decoding = Worker(1e6, StackConfig().memory_mib, engine=ZIP).times(CELLS_PER_TILE).compute_seconds
    assert behind + decoding <= WORK_SECONDS


@pytest.mark.parametrize("engine", [TAR, ZIP])
@pytest.mark.parametrize("architecture", Architecture)
def test_a_full_tile_fits_in_by_the_cost_model_with_the_least_memory_that_holds_it(
    engine: Engine, architecture: Architecture
) -> None:
    worker = Worker(1e6, engine.memory_mib, architecture, engine=engine)
    times = worker.times(CELLS_PER_TILE)
    keeping = CELLS_PER_TILE * engine.archive_bytes / worker.upload_bytes_per_second
    behind = times.trailing_seconds + keeping + (0 if engine.streams else times.compute_seconds)
    assert behind <= WORK_SECONDS
