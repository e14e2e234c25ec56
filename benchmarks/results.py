"""What a run of the benchmarks found, and the numbers that are read off it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.machine import Machine

SCHEMA: Final = 1


@dataclass(frozen=True)
class Measurement:
    """One run of one contender."""

    form: str
    cells: int
    contender: str
    repeat: int
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    peak_disk_bytes: int
    others_cpu_seconds: float
    told: dict[str, Any] = field(default_factory=dict)
    """What the contender itself printed: ours its result, the floor its bytes."""


@dataclass(frozen=True)
class Case:
    """One archive, and what all contenders made of it."""

    form: str
    cells: int
    raw_bytes: int
    archive_bytes: int
    output_bytes: dict[str, int]
    """By contender, over the blocks that all of them store; the floor's own blocks for the floor."""
    compared: dict[str, list[dict[str, Any]]]
    """By contender of ours: what was found equal to the reference, band by band."""


@dataclass(frozen=True)
class Summary:
    """A contender's medians over all repeats of a case."""

    contender: str
    runs: int
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: float
    peak_disk_bytes: float
    output_bytes: int | None
    others_share: float
    """CPU that the rest of the machine took, per wall second and core: the worst of the repeats."""


@dataclass(frozen=True)
class Report:
    """A whole run of the benchmarks."""

    machine: Machine
    contains: dict[str, str]
    """What each contender's numbers contain."""
    titles: dict[str, str]
    cases: list[Case] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)

    def summaries(self, case: Case) -> list[Summary]:
        """Return each contender's medians for a case, in the order of the titles."""
        runs = [run for run in self.measurements if (run.form, run.cells) == (case.form, case.cells)]
        of_each = {name: [run for run in runs if run.contender == name] for name in self.titles}
        return [self._summary(name, of_one, case) for name, of_one in of_each.items() if of_one]

    def _summary(self, name: str, runs: list[Measurement], case: Case) -> Summary:
        return Summary(
            contender=name,
            runs=len(runs),
            wall_seconds=median(run.wall_seconds for run in runs),
            cpu_seconds=median(run.cpu_seconds for run in runs),
            peak_rss_bytes=median(run.peak_rss_bytes for run in runs),
            peak_disk_bytes=median(run.peak_disk_bytes for run in runs),
            output_bytes=case.output_bytes.get(name),
            others_share=max(run.others_cpu_seconds / run.wall_seconds for run in runs) / self.machine.cores,
        )

    def to_json(self) -> str:
        """Return everything, the medians included, as JSON."""
        medians = [
            {"form": case.form, "cells": case.cells} | asdict(summary)
            for case in self.cases
            for summary in self.summaries(case)
        ]
        return json.dumps({"schema": SCHEMA, **asdict(self), "medians": medians}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what :meth:`to_json` wrote; ValueError if it is of another schema."""
        raw = json.loads(text)
        if raw.get("schema") != SCHEMA:
            raise ValueError(f"results of schema {raw.get('schema')}, not {SCHEMA}")
        return cls(
            Machine(**raw["machine"]),
            raw["contains"],
            raw["titles"],
            [Case(**case) for case in raw["cases"]],
            [Measurement(**run) for run in raw["measurements"]],
        )

    def save(self, path: Path) -> None:
        """Write the JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json())


def ratio_to(summaries: Iterable[Summary], name: str, of: Summary) -> float | None:
    """Return how many times as fast by wall clock ``of`` is as the contender of that name; None if that did not run."""
    other = next((summary for summary in summaries if summary.contender == name), None)
    return None if other is None else other.wall_seconds / of.wall_seconds
