"""What a run of the benchmarks found, and the numbers that are read off it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.contenders import FLOOR
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

    entry: Entry
    runs: int
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: float
    peak_disk_bytes: float
    output_bytes: int | None
    others_share: float
    """CPU that the rest of the machine took, per wall second and core: the worst of the repeats."""


@dataclass(frozen=True)
class Entry:
    """A contender as the report names it."""

    name: str
    title: str
    contains: str
    """What its numbers contain."""
    codec: str
    kind: str
    """As in :mod:`benchmarks.contenders.table`."""


@dataclass(frozen=True)
class Report:
    """A whole run of the benchmarks."""

    machine: Machine
    contenders: list[Entry]
    """In the order they are shown."""
    cases: list[Case] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)

    def summaries(self, case: Case) -> list[Summary]:
        """Return each contender's medians for a case."""
        runs = [run for run in self.measurements if (run.form, run.cells) == (case.form, case.cells)]
        of_each = [(entry, [run for run in runs if run.contender == entry.name]) for entry in self.contenders]
        return [self._summary(entry, of_one, case) for entry, of_one in of_each if of_one]

    def _summary(self, entry: Entry, runs: list[Measurement], case: Case) -> Summary:
        return Summary(
            entry=entry,
            runs=len(runs),
            wall_seconds=median(run.wall_seconds for run in runs),
            cpu_seconds=median(run.cpu_seconds for run in runs),
            peak_rss_bytes=median(run.peak_rss_bytes for run in runs),
            peak_disk_bytes=median(run.peak_disk_bytes for run in runs),
            output_bytes=case.output_bytes.get(entry.name),
            others_share=max(run.others_cpu_seconds / run.wall_seconds for run in runs) / self.machine.cores,
        )

    def to_json(self) -> str:
        """Return everything, the medians included, as JSON."""
        medians = [
            {"form": case.form, "cells": case.cells, **asdict(summary), "entry": summary.entry.name}
            | asdict(ratios_of(summary, self.summaries(case)))
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
            [Entry(**entry) for entry in raw["contenders"]],
            [Case(**case) for case in raw["cases"]],
            [Measurement(**run) for run in raw["measurements"]],
        )

    def save(self, path: Path) -> None:
        """Write the JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json())


@dataclass(frozen=True)
class Ratios:
    """A contender beside others of its case; None where the other one did not run."""

    faster_than_ancestor: float | None
    """How many times as fast by wall clock."""
    faster_than_successor: float | None
    cpu_of_ancestor: float | None
    """Its CPU time as a share of the ancestor's."""
    size_of_ancestor: float | None
    """Its bytes as a share of the ancestor's."""
    times_floor: float | None
    """Its wall time in floors of its own codec."""


def ratios_of(summary: Summary, summaries: Iterable[Summary]) -> Ratios:
    """Return a contender's ratios to the ancestor, the successor and the floor among the summaries of its case."""
    others = {other.entry.name: other for other in summaries}
    floors = {other.entry.codec: other for other in others.values() if other.entry.kind == FLOOR}
    ancestor, successor, floor = others.get("ancestor"), others.get("successor"), floors.get(summary.entry.codec)
    return Ratios(
        _faster(ancestor, summary),
        _faster(successor, summary),
        summary.cpu_seconds / ancestor.cpu_seconds if ancestor else None,
        summary.output_bytes / ancestor.output_bytes
        if ancestor and summary.output_bytes and ancestor.output_bytes
        else None,
        summary.wall_seconds / floor.wall_seconds if floor else None,
    )


def _faster(other: Summary | None, summary: Summary) -> float | None:
    return other.wall_seconds / summary.wall_seconds if other else None
