"""The demo's verdict: it may say well only when every tile ended as it should."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from alos_mosaic.results import State, TileResult
from local import demo

EXPECTED = {"2020/N10E010": State.PUBLISHED, "1996/N10E010": State.ABSENT}
ENDED_WELL = {
    "2020/N10E010": TileResult(State.PUBLISHED, 2020, "N10E010", archive={"size": 1}, cells=("N10E010",)),
    "1996/N10E010": TileResult(State.ABSENT, 1996, "N10E010"),
}


def judged(status: str, results: dict[str, TileResult]) -> tuple[bool, str]:
    output = io.StringIO()
    scene = demo.Scene(expected=EXPECTED)
    verdict = demo._judge(status, scene, results, Console(file=output, soft_wrap=True))
    return verdict, output.getvalue()


def test_all_as_expected_is_well() -> None:
    assert judged("SUCCEEDED", ENDED_WELL)[0] is True


@pytest.mark.parametrize(
    ("status", "change", "reason"),
    [
        ("FAILED", {}, "the execution ended as FAILED"),
        ("SUCCEEDED", {"2020/N10E010": State.SKIPPED}, "should be published and is skipped"),
        ("SUCCEEDED", {"1996/N10E010": State.FAILED}, "should be absent and is failed"),
        ("SUCCEEDED", {"1996/N10E010": None}, "without a result"),
    ],
)
def test_anything_else_is_not(status: str, change: dict[str, State | None], reason: str) -> None:
    results = {
        name: dataclasses.replace(result, state=change.get(name) or result.state)
        for name, result in ENDED_WELL.items()
        if change.get(name, result.state) is not None
    }
    verdict, output = judged(status, results)
    assert verdict is False
    assert "WRONG: " in output
    assert reason in output
