"""The cost model, against sums done by hand, and the documents and defaults that come from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alos_mosaic.costs import TAR, US_EAST_1, ZIP, Architecture, Cost, Engine, Worker, cheapest
from alos_mosaic.grid import CELLS_PER_TILE
from infra.config import StackConfig
from local.cost_tables import DOCUMENT, cells_by_tile, filled

ENGINE = Engine(
    streams=True,
    start_seconds=3,
    cpu_seconds=2,
    serial_seconds=0.5,
    trailing_cpu_seconds=0.2,
    archive_bytes=100_000_000,
    output_bytes=75_000_000,
    arm64_factor=1.5,
    memory_mib=1200,
)
WORKER = Worker(5e6, 2048, engine=ENGINE)


def test_a_slow_source_decides_how_long_a_tile_takes() -> None:
    times = WORKER.times(10)
    assert (times.transfer_seconds, times.trailing_seconds, times.invocations) == (200, 10, 1)
    assert times.compute_seconds == pytest.approx(10 * 2 / (2048 / 1769))
    assert times.total_seconds == 200 + 10 + 3


@pytest.mark.parametrize(
    ("memory_mib", "seconds"), [(1769, 10 * 2.0), (2 * 1769, 10 * 1.0), (10_240, 10 * 0.5), (1769 // 2, 10 * 4.0)]
)
def test_a_fast_source_leaves_it_to_the_processors(memory_mib: int, seconds: float) -> None:
    times = replace(WORKER, source_bytes_per_second=1e12, memory_mib=memory_mib).times(10)
    assert times.compute_seconds == pytest.approx(seconds, rel=0.01)
    assert times.total_seconds == pytest.approx(times.compute_seconds + times.trailing_seconds + 3)


def test_what_is_described_again_comes_from_s3_and_is_counted_on_one_core() -> None:
    for memory_mib in (2048, 10_240):
        times = replace(WORKER, memory_mib=memory_mib).describing().times(25)
        assert times.total_seconds == pytest.approx(25 * 94e6 / 75e6 + 25 * 0.72 + 3), "52 s, whatever the memory"
    assert WORKER.describing().times(25) == replace(WORKER, source_bytes_per_second=1.0).describing().times(25)


def test_arm64_takes_as_long_as_is_estimated_where_it_computes() -> None:
    fast = replace(WORKER, source_bytes_per_second=1e12)
    arm = replace(fast, architecture=Architecture.ARM64)
    assert arm.times(10).compute_seconds == pytest.approx(1.5 * fast.times(10).compute_seconds)


def test_a_long_transfer_takes_several_invocations_with_a_start_each() -> None:
    times = replace(WORKER, source_bytes_per_second=1e6).times(10)
    assert times.invocations == 2
    assert times.total_seconds == 1000 + 10 + 2 * 3
    assert replace(WORKER, source_bytes_per_second=1e6).cost(10).transitions == pytest.approx((5 + 3) * 0.000025)


def test_a_zip_is_worked_on_when_all_of_it_is_there() -> None:
    times = replace(WORKER, engine=replace(ENGINE, streams=False)).times(10)
    assert times.total_seconds == pytest.approx(200 + 10 * 2 / (2048 / 1769) + 10 + 3)


def test_the_bill_is_what_it_is_by_hand() -> None:
    cost = WORKER.cost(10)
    assert cost.lambda_memory == pytest.approx(213 * 2 * 0.0000166667)
    assert cost.lambda_tmp == pytest.approx(213 * 9.5 * 0.0000000309)
    assert cost.lambda_requests == pytest.approx(0.2 / 1e6)
    assert cost.transitions == pytest.approx(5 * 0.000025)
    assert cost.s3 == pytest.approx((12 + 25) * 0.000005 + 10 * 0.0000004)  # 750e6 / 2**26 = 11.2
    assert cost.sqs == pytest.approx(0.01 * 0.4 / 1e6)
    assert cost.total == pytest.approx(0.0074764, rel=1e-4)


def test_a_run_costs_what_its_tiles_cost() -> None:
    one, other = WORKER.cost(10), WORKER.cost(25)
    run = WORKER.cost_of([10, 25, 25])
    assert run.total == pytest.approx(one.total + 2 * other.total)
    assert run.transitions == pytest.approx(3 * one.transitions)
    assert WORKER.cost_of([]) == Cost()


def test_prices_can_be_others() -> None:
    dear = replace(US_EAST_1, region="elsewhere", transition=1.0)
    assert replace(WORKER, prices=dear).cost(10).transitions == 5


def test_more_memory_pays_only_where_the_processor_is_what_is_waited_for() -> None:
    for rate in (1e6, 2e6, 5e6, 20e6):
        assert cheapest(CELLS_PER_TILE, rate).memory_mib == StackConfig().memory_mib
    assert cheapest(CELLS_PER_TILE, 1e6, memories_mib=(512, 3072, 4096)).memory_mib == 3072, "512 do not hold a tile"
    assert cheapest(CELLS_PER_TILE, architectures=Architecture).architecture is Architecture.ARM64


def test_the_stacks_defaults_come_from_the_model() -> None:
    config, worker = StackConfig(), cheapest(CELLS_PER_TILE)
    assert (config.memory_mib, config.architecture) == (worker.memory_mib, worker.architecture)
    assert config.memory_mib > max(TAR.memory_mib, ZIP.memory_mib)
    assert config.ephemeral_storage_mib == worker.ephemeral_storage_mib


def test_the_documents_tables_are_the_models() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert filled(text) == text
    assert len(cells_by_tile("africa")) == 178
    assert len(cells_by_tile("global")) == 1124
