"""``make bench``: all contenders, in turn and repeated, over archives of several sizes and both forms."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.archives import FORMS, TILE, ArchiveSpec
from benchmarks.chart import draw_chart
from benchmarks.contenders import CONTENDERS, FLOOR, OTHER, OURS, REFERENCE, Assignment, Contender, available
from benchmarks.machine import this_machine
from benchmarks.measuring import Usage, measure
from benchmarks.results import Case, Entry, Measurement, Report
from benchmarks.table import print_report

_RESULTS: Final = Path(__file__).with_name("results")
_READ_BYTES: Final = 1 << 24
_MANY_CELLS: Final = 4
"""Above so many, only ours and the floors are repeated: the others take minutes each, and vary little by it. Over the
second form, only the reference runs beside them at all."""
_WIDTH: Final = 150
"""Columns of the tables, also where the output goes to a file."""


@dataclass(frozen=True)
class Plan:
    """What to run, and where."""

    contenders: tuple[Contender, ...]
    specs: tuple[ArchiveSpec, ...]
    repeats: int
    work: Path
    """Archives are kept here; everything else in it goes away."""


def run(plan: Plan, console: Console) -> Report:
    """Run a plan and return what was found; raises what the first contender or comparison that fails raises."""
    report = Report(
        this_machine(),
        [Entry(row.name, row.title, row.contains, row.codec, row.kind) for row in plan.contenders],
    )
    for spec in plan.specs:
        archive = _ensure_archive(spec, plan.work, console)
        with _fresh_folder(plan.work / "outputs") as outputs:
            _run_case(_slimmed(plan, spec), spec, archive, outputs, report, console)
    return report


def _slimmed(plan: Plan, spec: ArchiveSpec) -> Plan:
    """Return what of a plan is worth its time for an archive."""
    if spec.cells <= _MANY_CELLS or spec.form == plan.specs[0].form:
        return plan
    return replace(plan, contenders=tuple(row for row in plan.contenders if row.kind != OTHER or row.name == REFERENCE))


def _run_case(plan: Plan, spec: ArchiveSpec, archive: Path, outputs: Path, report: Report, console: Console) -> None:
    case = Case(spec.form, spec.cells, spec.raw_bytes, archive.stat().st_size, {}, {})
    for repeat in range(plan.repeats):
        for contender in plan.contenders:
            if repeat and contender.kind == OTHER and spec.cells > _MANY_CELLS:
                continue
            with (
                _fresh_folder(outputs / contender.name, keep=repeat == 0) as out,
                _fresh_folder(plan.work / "work") as work,
            ):
                place = Assignment(archive, spec.mirror(plan.work / "archives"), spec.year, TILE.name, work, out)
                _warm(archive)
                usage = measure(contender.command(place), work, plan.work / f"{contender.name}.log")
            report.measurements.append(_measurement(spec, contender, repeat, usage))
            console.print(
                f"{spec.cells} cells, {spec.form}, {repeat + 1}/{plan.repeats}, {contender.title}: "
                f"{usage.wall_seconds:.2f} s", highlight=False,
            )  # fmt: skip
        if repeat == 0:
            case = _judged(case, plan, spec, outputs, report)
    report.cases.append(case)


def _measurement(spec: ArchiveSpec, contender: Contender, repeat: int, usage: Usage) -> Measurement:
    return Measurement(
        spec.form, spec.cells, contender.name, repeat, round(usage.wall_seconds, 3), round(usage.cpu_seconds, 3),
        usage.peak_rss_bytes, usage.peak_disk_bytes, round(usage.others_cpu_seconds, 3),
        json.loads(usage.output) if usage.output.strip() else {},
    )  # fmt: skip


def _judged(case: Case, plan: Plan, spec: ArchiveSpec, outputs: Path, report: Report) -> Case:
    """Return the case with the sizes of all outputs and the comparison of ours, made in a process of its own."""
    writers = {row.name: str(outputs / row.name) for row in plan.contenders if row.kind != FLOOR}
    floors = {
        run.contender: run.told["output_bytes"]
        for run in report.measurements
        if (run.form, run.cells) == (spec.form, spec.cells) and "output_bytes" in run.told
        if run.contender in {row.name for row in plan.contenders if row.kind == FLOOR}
    }
    if not writers:
        return replace(case, output_bytes=floors)
    ours = [row.name for row in plan.contenders if row.kind == OURS]
    verdict = _module(
        "judging", "--outputs", json.dumps(writers), "--year", str(spec.year), "--reference", REFERENCE, "--ours", *ours
    )
    told: dict[str, Any] = json.loads(verdict)
    return replace(case, output_bytes=told["bytes"] | floors, compared=told["compared"])


def _ensure_archive(spec: ArchiveSpec, work: Path, console: Console) -> Path:
    kept = work / "archives"
    path = spec.path(kept)
    if not path.exists():
        console.print(f"Making {spec.key} ...")
        size = ("--cells", str(spec.cells), "--cell-pixels", str(spec.cell_pixels))
        _module("archives", "--form", spec.form, *size, "--kept", str(kept))
    return path


def _module(name: str, *arguments: str) -> str:
    """Run one of our modules in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _warm(archive: Path) -> None:
    """Read the archive, so that it comes from memory for everyone, and let what was written before reach the disk."""
    with archive.open("rb", buffering=0) as file:
        buffer = bytearray(_READ_BYTES)
        while file.readinto(buffer):
            pass
    os.sync()


@contextmanager
def _fresh_folder(path: Path, *, keep: bool = False) -> Iterator[Path]:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)


def _plan(arguments: list[str] | None) -> tuple[Plan, Path]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[1, 4, 25], help="cells of the archives: 1, 4, 25")
    parser.add_argument("--forms", nargs="+", choices=sorted(FORMS), default=list(FORMS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", choices=[row.name for row in CONTENDERS], help="all unless named")
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="archives are kept here")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="where bench.json and bench.svg go")
    options = parser.parse_args(arguments)
    specs = tuple(ArchiveSpec(form, cells) for form in options.forms for cells in options.cells)
    rows = [row for row in CONTENDERS if options.contenders is None or row.name in options.contenders]
    return Plan(available(rows), specs, options.repeats, options.work.resolve()), options.results


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks, print the tables, write JSON and chart."""
    console = Console(width=_WIDTH, soft_wrap=True)
    plan, results = _plan(arguments)
    report = run(plan, console)
    report.save(results / "bench.json")
    (results / "bench.svg").write_text(draw_chart(report))
    print_report(report, console)
    console.print(f"Written: {results / 'bench.json'}, {results / 'bench.svg'}", highlight=False)


if __name__ == "__main__":
    main()
