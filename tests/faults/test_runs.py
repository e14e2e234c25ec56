"""Every case that goes wrong with a run: no tile is lost, none is made twice, the four outcomes add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alos_mosaic import redrive as redriving
from alos_mosaic.grid import Grid
from lambdas.redrive_tiles import handler as redrive_tiles
from tests.faults.run_cases import BREAKS, RUN_CASES, Break, RunCase, tiles_of
from tests.faults.town import Town, running_town
from tests.lambdas.desk import Desk, desk_on_moto

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def _town(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("town"), REPOSITORY, grid) as town:
        yield town


@pytest.fixture
def town(_town: Town) -> Iterator[Town]:
    _town.plan()
    yield _town
    _town.plan()
    _town.letters()


@pytest.mark.parametrize("case", RUN_CASES, ids=lambda case: case.name)
def test_a_run_that_something_happens_to_loses_no_tile(town: Town, case: RunCase) -> None:
    case.play(town, f"run-{RUN_CASES.index(case)}")


@pytest.fixture
def desk() -> Iterator[Desk]:
    with desk_on_moto() as desk:
        yield desk


@pytest.mark.parametrize("broken", BREAKS, ids=lambda case: case.name)
def test_a_redrive_that_breaks_off_loses_no_tile(desk: Desk, broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters come into sight again after a second: SQS would wait for as long as the function may take."""
    monkeypatch.setattr(redriving, "_HIDDEN_SECONDS", 1)
    tiles = {f"{ns}{row:02d}E0{column}0" for ns in "NS" for row in (5, 10, 15) for column in (1, 2)}
    for tile in sorted(tiles):
        desk.fail(tile)
    with monkeypatch.context() as patched:
        _break(patched, broken)
        with pytest.raises(KeyboardInterrupt):
            desk.redrive("first", limit=len(tiles))
    desk.wait_for_letters()
    assert (tiles_of(desk, "first") == tiles) is broken.has_manifest
    assert tiles_of(desk, "first") | {body["tile"] for body in desk.bodies()} == tiles

    again = desk.redrive("first", limit=len(tiles))
    assert again["count"] == len(tiles), "the same execution again"
    assert Counter(line["tile"] for line in desk.manifest("first")) == dict.fromkeys(tiles, 1)
    left = {body["tile"] for body in desk.bodies()}
    assert left == set() if not broken.has_manifest else left <= tiles
    desk.redrive("second")
    assert tiles_of(desk, "second") == left, "in two manifests: the second run skips what the first has published"
    assert desk.letters() == 0


def _break(patched: pytest.MonkeyPatch, broken: Break) -> None:
    """Let a call of the redrive's clients end everything, as a kill does: nothing of ours catches it."""
    seen = 0
    for client in (redrive_tiles._s3(), redrive_tiles._sqs()):
        call = client._make_api_call  # type: ignore[attr-defined]

        def breaking(operation: str, given: dict[str, Any], call: Any = call) -> Any:
            nonlocal seen
            is_meant = operation == broken.operation and not given.get("Key", "").endswith(".running")
            seen += is_meant
            is_due = is_meant and seen == broken.number
            if is_due and not broken.is_after:
                raise KeyboardInterrupt
            answer = call(operation, given)
            if is_due:
                raise KeyboardInterrupt
            return answer

        patched.setattr(client, "_make_api_call", breaking)
