"""What findings are made of, the doctor's and the validation's: questions and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from alos_mosaic.errors import shown

SERVER: Final = "server"
"""The subject of checks that concern the source as a whole."""


class Verdict(StrEnum):
    """How a check ends."""

    OK = "ok"
    NO = "no"
    """The source does not have it, and a tile can be processed without."""
    SKIPPED = "skipped"
    """Not made: what it takes is out of reach."""
    FAILED = "failed"
    """A tile can't be processed so."""


@dataclass(frozen=True)
class Check:
    """One question and its answer."""

    subject: str
    """``server``, or the mission, year and tile that was asked for; of a published tile the item or an asset."""
    name: str
    verdict: Verdict
    detail: str = ""
    """What was seen, or the reason; a sentence for a person."""

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"subject": self.subject, "name": self.name, "verdict": self.verdict, "detail": self.detail}


def compared(subject: str, name: str, found: object, expected: object) -> Check:
    """Return the check of whether something is what it should be.

    >>> compared("hh", "type", "uint8", "uint16").detail
    "is 'uint8', should be 'uint16'"
    """
    if found == expected:
        return Check(subject, name, Verdict.OK, str(expected))
    return Check(subject, name, Verdict.FAILED, f"is {shown(found)}, should be {shown(expected)}")


@dataclass(frozen=True)
class Diagnosis:
    """All that was asked of a source."""

    source: str
    checks: tuple[Check, ...]

    @property
    def works(self) -> bool:
        """Whether all that a tile needs works."""
        return all(check.verdict is not Verdict.FAILED for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"source": self.source, "works": self.works, "checks": [check.to_dict() for check in self.checks]}
