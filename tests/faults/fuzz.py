"""Fuzzing: good inputs, changed at random, into everything that reads what comes from outside.

``python -m tests.faults.fuzz --inputs 20000 --seed 1`` ends with 1 if anything but a documented error came out, or an
input took too long. An input is known by seed and number: ``--only NUMBER`` runs that one again, and shows it.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import io
import json
import logging
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alos_mosaic.bands import BANDS, possible_codes
from alos_mosaic.errors import CorruptArchiveError, InvalidRequestError
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.manifests import parse_manifest
from alos_mosaic.messages import ResumeRequest, RunRequest, TileRequest, TileYear
from alos_mosaic.naming import MemberName, parse_cell_archive, parse_member, parse_sidecar
from alos_mosaic.processing.archive import Member, Unpacking, Wanted
from alos_mosaic.processing.decoding import decode
from alos_mosaic.processing.metadata.sidecar import read_sidecar
from alos_mosaic.processing.standing import Expected, promised_by
from alos_mosaic.redrive import RedriveRequest
from alos_mosaic.results import TileFailure, TileResult
from local.archives import Container, make_cell, members, write_files

TILE: Final = Tile.from_name("N25W165")
CELL: Final = Cell.from_name("N23W161")
GRID: Final = Grid(10)
_LIMITS: Final = {signal.SIGPROF: 10.0, signal.SIGALRM: 120.0}
"""Seconds that one input may take: of processor time, and of anyone's."""
_FINDINGS_LIMIT: Final = 20

_MAKES_NO_SENSE: Final[tuple[type[Exception], ...]] = (
    ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidRequestError,
)  # fmt: skip
"""What readers of JSON of our own catch where they read it: summary, redrive, and the look at what is published."""


class HangError(Exception):
    """An input took too long."""


@dataclass(frozen=True)
class Target:
    """Something that reads, what it reads well, and the errors it says it raises."""

    name: str
    inputs: Sequence[Any]
    """Bytes, texts, or what JSON holds."""
    read: Callable[[Any], object]
    errors: tuple[type[Exception], ...]


# What is changed


_TOKENS: Final = (
    *(b"\0", b"\xff", b"-1", b"0", b"99999999999999999999", b"1e999", b"nan", b"inf", b"../", b"/", b"\\", b"\n", b"{"),
    *(
        b"}",
        b"[",
        b"]",
        b"<",
        b">",
        b"&a;",
        b"<!DOCTYPE a>",
        b"<![CDATA[",
        b"=",
        b"_",
        b".tif",
        b".hdr",
        b".zip",
        b"S00",
    ),
    *(b"W000", b"N90", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\0\0\0", "é٠\ud7ff".encode(), b"PK\x05\x06"),
)
_VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2020,
        2012,
        10**30,
        1.5,
        float("inf"),
        float("-inf"),
        float("nan"),
        "",
        "a",
        "\ud800",
    ),
    *("\0", "2020", "N25W165", "S00W000", "N99E999", "9" * 5000, "٢٠٢٠", "é", [], {}, [[]], [None], {"a": {}}, "skip"),
    *([2020] * 50, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2020-01-01", "../../x", [1, 2, 3, 4]),
    *([float("nan")] * 4, [1e308, -1e308, 1, 1], [-180, -90, 180, 90], {"run": "a"}, {"year": 2020}, "x/y", "1220"),
)


def changed(given: Any, luck: random.Random, others: Sequence[Any]) -> Any:
    """Return an input with some things changed."""
    if isinstance(given, bytes):
        return _changed_bytes(given, luck, others)
    if isinstance(given, str):
        texts = [other.encode("utf-8", "replace") for other in [given, *others] if isinstance(other, str)]
        return _changed_bytes(texts[0], luck, texts).decode("utf-8", "replace")
    result = copy.deepcopy(given)
    for _ in range(luck.choice((1, 1, 2, 4))):
        result = _changed_json(result, luck)
    return result


def _changed_bytes(given: bytes, luck: random.Random, others: Sequence[bytes]) -> bytes:
    data = bytearray(given)
    for _ in range(luck.choice((1, 1, 2, 4, 16))):
        at, length = luck.randrange(len(data) + 1), luck.choice((1, 2, 4, 8, 64, 512))
        match luck.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << luck.randrange(8)
            case 1 if data:
                data[at % len(data)] = luck.randrange(256)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[(begin := luck.randrange(len(data) + 1)) : begin + length]
            case 4:
                data[at : at + luck.choice((0, 1, 4))] = luck.choice(_TOKENS)
            case 5:
                other = luck.choice(others)
                begin = luck.randrange(len(other) + 1)
                data[at : at + length] = other[begin : begin + length]
            case _:
                data[at : at + length] = luck.randbytes(length)
    return bytes(data)


def _changed_json(given: Any, luck: random.Random) -> Any:
    """Change a value, a key, or leave something out, somewhere inside."""
    if isinstance(given, dict) and given and luck.random() < 0.9:
        key = luck.choice(list(given))
        match luck.randrange(6):
            case 0:
                del given[key]
            case 1:
                given[str(luck.choice(_VALUES))] = given[key]
            case 2:
                given[key] = [given[key]] * (luck.choice((1, 2, 200)) if len(str(given[key])) < 100 else 1)
            case 3:
                given[key] = _any_value(luck)
            case _:
                given[key] = _changed_json(given[key], luck)
        return given
    if isinstance(given, list) and given and luck.random() < 0.7:
        place = luck.randrange(len(given))
        given[place] = _changed_json(given[place], luck)
        return given
    if isinstance(given, str) and luck.random() < 0.7:
        return changed(given, luck, [given])
    return _any_value(luck)


def _any_value(luck: random.Random) -> Any:
    """Return one of the values, as an object of its own: it may be changed in turn."""
    return copy.deepcopy(luck.choice(_VALUES))


# What reads


def _read_names(name: str) -> None:
    for parse in (
        parse_member,
        parse_sidecar,
        Tile.from_name,
        Cell.from_name,
        lambda text: parse_cell_archive(text, TILE),
    ):
        with suppress(InvalidRequestError):
            parse(name)  # type: ignore[operator]


def _read_raster(file_name: str, content: bytes, header: bytes | None) -> None:
    name = MemberName(CELL, "20", "HH", "", ".tif" if header is None else "")
    decode(Member(name, file_name, bytearray(content), header), BANDS["HH"], CELL, GRID)


def _archive_reader(year: int, scratch: Path) -> Callable[[bytes], None]:
    wanted = Wanted(TileYear(year, TILE), GRID, possible_codes(), frozenset(TILE.cells))

    def read(content: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            for _ in Unpacking(wanted, Path(folder)).members(io.BytesIO(content), "archive"):
                pass

    return read


def _sidecar_reader(path: Path) -> Callable[[bytes], None]:
    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_sidecar(path)

    return read


def _read_event(event: object) -> None:
    request = TileRequest.from_event(event)
    line = json.loads(json.dumps(request.to_line()))
    assert TileRequest.from_event(line).to_line() == line


def _read_line(line: object) -> None:
    parse_manifest(json.dumps([line]).encode())


def _read_manifest(text: str) -> None:
    parse_manifest(text.encode(errors="surrogatepass"))


def _read_input(given: object) -> None:
    """Read an execution's input as the seed does, which looks at its keys first."""
    if isinstance(given, Mapping) and "redrive" in given:
        RedriveRequest.from_input(given)
    elif isinstance(given, Mapping) and "resume" in given:
        ResumeRequest.from_input(given)
    else:
        RunRequest.from_input(given, "africa", 2026)


def _read_letter(body: str) -> None:
    failure = TileFailure.from_body(body)
    RedriveRequest(error="OutputError", year=2020).wants(failure)
    failure.to_request().to_line()


def _read_result(given: Any) -> None:
    TileResult.from_dict(given)


# What they read well


_EVENTS: Final = (
    {"year": 2020, "tile": "N25W165"},
    {"schema_version": 1, "year": "2020", "tile": "N25W165", "mode": "overwrite", "run": "a-run", "retries": 2,
     "product": "alos_palsar_mosaic", "accept_partial": True, "since": "2026-11-24T06:30:00Z"},
    "2020/N25W165",
)  # fmt: skip
_INPUTS: Final = (
    {
        "years": [2020, "2017"],
        "tiles": ["N25W165"],
        "mode": "refresh",
        "max_concurrency": 2,
        "max_tiles": 10,
        "max_usd": 2.5,
    },
    {"years": [2020], "region": "africa", "product": "alos_palsar_fnf", "accept_partial": True},
    {"years": [2009], "bbox": [10, -10, 20, 10.5], "allow_parallel": True},
    {"redrive": {"error": "OutputError", "year": 2020, "tile": "N25W165", "run": "a", "limit": 3, "dry_run": True}},
    {"resume": {"run": "africa-2020"}, "max_concurrency": 1, "max_tiles": 5, "allow_parallel": False},
)
_CAUSE: Final = json.dumps({"errorMessage": json.dumps({"year": 2020, "attempt": 2, "cause": "full"})})
_LETTER: Final = {
    "schema_version": 1, "year": 2020, "tile": "N25W165", "error": "OutputError", "cause": _CAUSE, "run": "a-run",
    "execution": "arn", "time": "2026-11-24T06:30:00Z", "product": None, "accept_partial": True, "mode": "skip",
}  # fmt: skip
_RESULT: Final = {
    "state": "published", "year": 2020, "tile": "N25W165", "run": "a-run", "cells": ["N23W161"],
    "seconds": {"check": 1}, "archive": {"url": "ftp://host", "layouts": ["a"], "size": 1},
    "defective_cells": [], "schema_version": 1,
}  # fmt: skip
_EXPECTED: Final = Expected("an-id", (150, 150), {"hh": "N25W165_20_sl_HH"}, frozenset({"hh"}), "N25W165_20.yaml")
_ITEM: Final = {
    "id": "an-id",
    "properties": {"proj:shape": [150, 150], "alos_mosaic:cells_defective": []},
    "assets": {
        "hh": {"href": "./N25W165_20_sl_HH_F02DAR.tif", "file:size": 10, "file:checksum": "1220" + "ab" * 32},
    },
    "links": [
        {"rel": "odc_yaml", "href": "./N25W165_20.yaml", "file:size": 10, "file:checksum": "1220" + "cd" * 32},
    ],
}
_NAMES: Final = (
    *("N23W161_20_sl_HH_F02DAR.tif", "N23W161_2009_linci", "S01E010_96_mask.hdr", "N23W161_20_F02DAR.xml"),
    *("N25W165", "N00W180", "S55E175", "N25W165_20_MOS_F02DAR.tar.gz", "N23W161_15_C_F02DAR.tif"),
)


def _archives(scratch: Path, kind: Container) -> list[bytes]:
    """Return tiny archives of one cell, as TIFF, as ENVI, and one in the other."""
    made = []
    for year in (2020, 2009):
        files = dict(members(make_cell(CELL, year, GRID), year))
        write_files(scratch / "made", files.items()) if kind is Container.TAR_GZ else _write_zip(
            scratch / "made", files
        )
        made.append((scratch / "made").read_bytes())
    return made


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def targets(scratch: Path) -> list[Target]:
    """Return all there is to fuzz; ``scratch`` is an existing folder for what has to be a file."""
    geotiff, envi = (dict(members(make_cell(CELL, year, GRID), year)) for year in (2020, 2009))
    raw, header = envi[f"{CELL}_09_sl_HH"], envi[f"{CELL}_09_sl_HH.hdr"]
    tars, zips = _archives(scratch, Container.TAR_GZ), _archives(scratch, Container.ZIP)
    corrupt, invalid = (CorruptArchiveError,), (InvalidRequestError,)
    lines = [{**event, "first_run": "a"} for event in _EVENTS[:2] if isinstance(event, dict)]

    def as_gzip(year: int) -> Callable[[bytes], None]:
        read = _archive_reader(year, scratch)
        return lambda tar: read(gzip.compress(tar, 1))

    def swap(read: Callable[[str], None]) -> Callable[[object], None]:
        return lambda given: read(json.dumps(given))

    return [
        Target("names", _NAMES, _read_names, ()),
        Target("ENVI header", [header], lambda text: _read_raster(f"{CELL}_09_sl_HH", raw, text), corrupt),
        Target("TIFF", [data for name, data in geotiff.items() if "_HH_" in name or "_HV_" in name],
               lambda data: _read_raster(f"{CELL}_20_sl_HH.tif", data, None), corrupt),
        Target("XML sidecar", [data for name, data in geotiff.items() if name.endswith("xml")],
               _sidecar_reader(scratch / f"{CELL}_20_F02DAR.xml"), corrupt),
        Target("tar.gz, packed", tars[:1], _archive_reader(2020, scratch), corrupt),
        Target("tar.gz, unpacked, of TIFFs", [gzip.decompress(tars[0])], as_gzip(2020), corrupt),
        Target("tar.gz, unpacked, of ENVI", [gzip.decompress(tars[1])], as_gzip(2009), corrupt),
        Target("zip of TIFFs", zips[:1], _archive_reader(2020, scratch), corrupt),
        Target("zip of ENVI", zips[1:], _archive_reader(2009, scratch), corrupt),
        Target("tile's event", _EVENTS, _read_event, invalid),
        Target("run's input", _INPUTS, _read_input, invalid),
        Target("manifest line", lines, _read_line, invalid),
        Target("manifest", [json.dumps(lines)], _read_manifest, invalid),
        Target("dead letter", [_LETTER], swap(_read_letter), _MAKES_NO_SENSE),
        Target("dead letter's text", [json.dumps(_LETTER)], _read_letter, _MAKES_NO_SENSE),
        Target("result", [_RESULT], _read_result, _MAKES_NO_SENSE),
        Target("item", [_ITEM], lambda item: promised_by(item, _EXPECTED), _MAKES_NO_SENSE),
    ]  # fmt: skip


# The driver


@contextmanager
def _limited() -> Iterator[None]:
    """Raise HangError from what takes too long: of processor time, since others may have most of the machine's."""

    def ring(number: int, *_: object) -> None:
        raise HangError(f"more than {_LIMITS[signal.Signals(number)]} s")

    timers = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
    before = {number: signal.signal(number, ring) for number in timers}
    for number, timer in timers.items():
        signal.setitimer(timer, _LIMITS[number])
    try:
        yield
    finally:
        for number, timer in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


@dataclass(frozen=True)
class Finding:
    """An input that ended in another way than it is said to."""

    target: str
    number: int
    given: Any
    story: str


@contextmanager
def quiet() -> Iterator[None]:
    """Keep GDAL's and the readers' complaints about each input to themselves.

    rasterio passes over a complaint of GDAL's that is no UTF-8, and Python tells of that, too.
    """
    logging.disable(logging.CRITICAL)
    hooks = sys.unraisablehook, sys.excepthook
    sys.unraisablehook = sys.excepthook = lambda *_: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook, sys.excepthook = hooks
        logging.disable(logging.NOTSET)


def input_of(target: Target, seed: int, number: int) -> Any:
    """Return an input by its number: the same for the same seed, whatever ran before."""
    luck = random.Random(f"{seed}/{number}")
    return changed(luck.choice(target.inputs), luck, target.inputs)


def tried(target: Target, given: Any, number: int) -> Finding | None:
    """Read an input; return what came out of it that should not have."""
    try:
        with _limited():
            target.read(given)
    except target.errors:
        return None
    except Exception:  # noqa: BLE001 - this is what is looked for
        return Finding(target.name, number, given, traceback.format_exc(limit=-4))
    return None


def fuzz(numbers: Sequence[int], seed: int, wanted: str = "") -> list[Finding]:
    """Try the inputs of these numbers; every target gets every so many-th."""
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder, quiet():
        chosen = [target for target in targets(Path(folder)) if wanted in target.name]
        for number in numbers:
            target = chosen[number % len(chosen)]
            finding = tried(target, input_of(target, seed, number), number)
            if finding is not None:
                findings.append(finding)
            if len(findings) == _FINDINGS_LIMIT:
                break
    return findings


def main() -> None:
    """Fuzz, say what was done, and end with 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None, help="any number; by default another one each time")
    parser.add_argument("--start", type=int, default=0, help="the number of the first input")
    parser.add_argument("--only", type=int, default=None, help="one input, by its number, which is shown")
    parser.add_argument("--target", default="", help="only targets that have this in their names")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    numbers = range(given.start, given.start + given.inputs) if given.only is None else [given.only]
    began = time.perf_counter()
    findings = fuzz(numbers, seed, given.target)
    told = [f"{each.target}, input {each.number}: {each.given!r:.2000}\n{each.story}" for each in findings]
    seconds = time.perf_counter() - began
    told.append(f"{len(numbers)} inputs from {numbers[0]} on, seed {seed}: {len(findings)} findings, {seconds:.0f} s")
    print("\n".join(told))  # noqa: T201
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
