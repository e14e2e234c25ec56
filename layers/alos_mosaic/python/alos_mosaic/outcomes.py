"""Outcomes: beside the record of a tile that did not fail lies an empty object whose key tells in short what it says.

So a listing tells how far a run is, where reading the records would take a request a tile. It is the record that
counts: the key names the tag that S3 gave that record, so without a key of the record's own tag it has to be read.
"""

from __future__ import annotations

import re
from typing import Final

from alos_mosaic.naming import outcome_prefix, outcomes_prefix, result_key
from alos_mosaic.results import State, TileResult

IN_ALL: Final = "in_all"
"""Stands for a stage among the seconds of a tile that is told in short: all of its last invocation."""
_KEY: Final = re.compile(
    r"(?P<year>\d{4})/(?P<tile>[^/.]+)(?:\.(?P<product>[^/]+))?"
    r"/(?P<state>[a-z]+)-(?P<milliseconds>\d{1,12})-(?P<output_bytes>\d{1,18})-(?P<tag>[^/]+)"
)


def outcome_key(result: TileResult, tag: str, product: str | None = None) -> str:
    """Return the key that tells a result in short; ``tag`` is S3's of its record, which has the product in its key.

    >>> outcome_key(TileResult(State.SKIPPED, 2020, "N10E010", "a-run", seconds={"check": 0.25}), '"0a-2"')
    'runs/a-run/outcomes/2020/N10E010/skipped-250-0-0a-2'
    """
    facts = f"{result.state}-{round(1000 * result.worker_seconds)}-{result.output_bytes}-{_bare(tag)}"
    return f"{outcome_prefix(str(result.run), result.year, result.tile, product)}{facts}"


def read_outcome(run: str, key: str) -> tuple[tuple[str, str], TileResult] | None:
    """Return which record a key is of, by :func:`record_of`, and its result in short; None if it is no such key."""
    told = _KEY.fullmatch(key.removeprefix(outcomes_prefix(run)))
    if told is None or told["state"] not in set(State) - {State.FAILED}:
        return None
    year, tile, product = int(told["year"]), told["tile"], told["product"]
    seconds = {IN_ALL: int(told["milliseconds"]) / 1000}
    size = int(told["output_bytes"])
    result = TileResult(State(told["state"]), year, tile, run, product=product, output_bytes=size, seconds=seconds)
    return record_of(result_key(run, year, tile, product), told["tag"]), result


def record_of(key: str, tag: str) -> tuple[str, str]:
    """Return what tells a record from all others, also from earlier ones under its key.

    >>> record_of("runs/a-run/results/2020/N10E010.json", '"0a"')
    ('runs/a-run/results/2020/N10E010.json', '0a')
    """
    return key, _bare(tag)


def _bare(tag: str) -> str:
    return tag.strip('"')
