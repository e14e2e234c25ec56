"""Causes: failures that tell of the same thing, told from one another by what is the same in their texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from alos_mosaic.results import UNKNOWN, TileResult

_VARIABLE: Final = (
    (re.compile(r"[a-z0-9]+://\S+"), "<url>"),
    (re.compile(r"\b[NS]\d{2}[EW]\d{3}\S*"), "<tile>"),
    (re.compile(r"\b(?:19|20)\d{2}\b"), "<year>"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b"), "<id>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
)
"""What differs between two tiles that fail for the same reason."""


@dataclass(frozen=True)
class Cluster:
    """Failures with the same error and, but for names and numbers, the same cause."""

    error: str
    pattern: str
    """The cause, with ``<tile>``, ``<year>``, ``<n>`` and the like for what differs."""
    failures: tuple[TileResult, ...]

    @property
    def example(self) -> TileResult:
        """One of them."""
        return self.failures[0]


def pattern_of(cause: str) -> str:
    """Return what a cause has in common with those of other tiles.

    >>> pattern_of("ftp://host/pub/N10E010_20.tar.gz: 550 No such file")
    '<url> <n> No such file'
    """
    for variable, word in _VARIABLE:
        cause = variable.sub(word, cause)
    return cause


def clusters(failures: Iterable[TileResult], *, by_error_only: bool = False) -> tuple[Cluster, ...]:
    """Return failures by cause, or by error alone, the most frequent first."""
    found: dict[tuple[str, str], list[TileResult]] = {}
    for failure in failures:
        pattern = "" if by_error_only else pattern_of(failure.cause or "")
        found.setdefault((failure.error or UNKNOWN, pattern), []).append(failure)
    made = (Cluster(error, pattern, tuple(each)) for (error, pattern), each in found.items())
    return tuple(sorted(made, key=lambda cluster: -len(cluster.failures)))
