"""What a setting may be: rules that check a value and say in words what they accept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol


class Rule(Protocol):
    """Stands in a field's ``Annotated``; of a tuple it checks each element, of a table the whole."""

    @property
    def expected(self) -> str:
        """What is accepted, as in "expected is ..."."""

    def accepts(self, value: Any) -> bool:
        """Tell whether a value of the field's type is good."""


@dataclass(frozen=True)
class Between:
    """A number from ``low`` to ``high``, both included."""

    low: float
    high: float

    @property
    def expected(self) -> str:
        """The range."""
        return f"a number from {self.low} to {self.high}"

    def accepts(self, value: Any) -> bool:
        """NaN is in no range."""
        return bool(self.low <= value <= self.high)


@dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    @property
    def expected(self) -> str:
        """The values, as a person lists them."""
        *others, last = map(str, self.values)
        return f"{', '.join(others)} or {last}" if others else last

    def accepts(self, value: Any) -> bool:
        """Compare with each."""
        return value in self.values


@dataclass(frozen=True)
class Matching:
    """Text that a regular expression matches from its first character to its last."""

    pattern: str
    expected: str

    def accepts(self, value: Any) -> bool:
        """Match the whole text."""
        return re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True)
class Passing:
    """What a function says yes to."""

    test: Callable[[Any], bool]
    expected: str

    def accepts(self, value: Any) -> bool:
        """Ask the function."""
        return self.test(value)


BUCKET: Final = r"(?!([0-9]{1,3}\.){3}[0-9]{1,3}(?![a-z0-9.-]))[a-z0-9]([a-z0-9]|-(?!\.)|\.(?![.-])){1,61}[a-z0-9]"
"""The name of an S3 bucket, as the CDK checks it: no IP address, and no dot beside another or a dash
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html)."""


def is_text_table(value: Any) -> bool:
    """Tell whether a value is a table of texts, as tags are."""
    return isinstance(value, dict) and _all_text(value) and _all_text(value.values())


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
