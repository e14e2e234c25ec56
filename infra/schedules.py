"""Schedules as EventBridge Scheduler spells them, checked before AWS refuses them in the middle of a deployment.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_RATE: Final = r"rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)"
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class _Field:
    """What may stand in one of a cron expression's fields: numbers, their names, ranges, steps, lists."""

    low: int
    high: int
    names: tuple[str, ...] = ()
    also: str = r"(?!)"
    """What else may stand in a list: a regular expression, by default of nothing."""

    def accepts(self, text: str) -> bool:
        return all(self._is_part(part) for part in text.upper().split(","))

    def _is_part(self, part: str) -> bool:
        if re.fullmatch(self.also, part):
            return True
        span, slash, step = part.partition("/")
        if slash and not re.fullmatch("[1-9][0-9]*", step):
            return False
        return span == "*" or all(self._is_value(end) for end in span.split("-", 1))

    def _is_value(self, text: str) -> bool:
        return text in self.names or (re.fullmatch("[0-9]+", text) is not None and self.low <= int(text) <= self.high)


_DAY_OF_MONTH: Final = 2
_DAY_OF_WEEK: Final = 4
_FIELDS: Final = (
    _Field(0, 59),
    _Field(0, 23),
    _Field(1, 31, also=r"\?|L|LW|([1-9]|[12][0-9]|3[01])W"),
    _Field(1, 12, _MONTHS),
    _Field(1, 7, _DAYS, also=rf"\?|L|([1-7]|{'|'.join(_DAYS)})(L|#[1-5])"),
    _Field(1970, 2199),
)
"""Minutes, hours, day of the month, month, day of the week, year."""


def is_schedule(text: str) -> bool:
    """Tell whether this is a rate, or a cron expression of six fields that tells the day in one way.

    >>> is_schedule("rate(7 days)"), is_schedule("cron(0 6 ? * MON *)")
    (True, True)
    >>> is_schedule("rate(1 days)"), is_schedule("cron(* * * * *)"), is_schedule("cron(0 6 * * MON *)")
    (False, False, False)
    """
    if re.fullmatch(_RATE, text):
        return True
    match = re.fullmatch(r"cron\((.*)\)", text)
    given = match[1].split(" ") if match else []
    if len(given) != len(_FIELDS):
        return False
    # One of the two tells the day, and the other one says so.
    tells_one_day = (given[_DAY_OF_MONTH] == "?") is not (given[_DAY_OF_WEEK] == "?")
    return tells_one_day and all(field.accepts(part) for field, part in zip(_FIELDS, given, strict=True))
