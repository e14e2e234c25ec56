"""Timing one candidate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Trial:
    """The best of several runs: the one that other processes disturbed least."""

    candidate: str
    wall_seconds: float
    cpu_seconds: float
    output_bytes: int
    note: str = ""


def best_of(repeats: int, candidate: str, run: Callable[[], int], note: str = "") -> Trial:
    """Run a candidate several times and return its best wall and CPU time; ``run`` returns its bytes."""
    walls, cpus, size = [], [], 0
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        size = run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Trial(candidate, min(walls), min(cpus), size, note)


def rows(trials: list[Trial], raw_bytes: int) -> list[dict[str, Any]]:
    """Return trials as plain rows, with their rate in MB of raw data per second of wall and of CPU time."""
    return [
        {
            "candidate": trial.candidate,
            "wall s": round(trial.wall_seconds, 3),
            "CPU s": round(trial.cpu_seconds, 3),
            "MB/s": round(raw_bytes / 1e6 / trial.wall_seconds),
            "MB/CPU s": round(raw_bytes / 1e6 / max(trial.cpu_seconds, 1e-9)),
            "bytes / raw": round(trial.output_bytes / raw_bytes, 4),
            "note": trial.note,
        }
        for trial in trials
    ]
