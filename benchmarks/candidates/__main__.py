"""``make bench-candidates``: print a table a question and keep them as JSON."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.candidates.codecs import try_codecs
from benchmarks.candidates.gunzip import try_gunzip
from benchmarks.candidates.uploads import try_uploads
from benchmarks.candidates.writers import try_writers
from benchmarks.machine import this_machine

Tables = dict[str, list[dict[str, Any]]]

_QUESTIONS: Final[dict[str, Callable[[int, Path], Tables]]] = {
    "codecs": lambda repeats, _work: try_codecs(repeats),
    "gunzip": lambda repeats, work: try_gunzip(repeats, work / "archives"),
    "writers": try_writers,
    "uploads": try_uploads,
}


def main(arguments: list[str] | None = None) -> None:
    """Try the candidates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.candidates", description=main.__doc__)
    parser.add_argument("--questions", nargs="+", choices=list(_QUESTIONS), default=list(_QUESTIONS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    options = parser.parse_args(arguments)
    console, machine = Console(width=130), this_machine()
    for question in options.questions:
        options.work.mkdir(parents=True, exist_ok=True)
        load = os.getloadavg()[0]
        tables = _QUESTIONS[question](options.repeats, options.work)
        for title, rows in tables.items():
            console.print(_table(f"{title} (best of {options.repeats}, load before {load:.2f})", rows))
        told = {"machine": asdict(machine), "load_before": load, "repeats": options.repeats, "tables": tables}
        (options.work / f"candidates-{question}.json").write_text(json.dumps(told, indent=1) + "\n")


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading in {"candidate", "note"} else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    return table


if __name__ == "__main__":
    main()
