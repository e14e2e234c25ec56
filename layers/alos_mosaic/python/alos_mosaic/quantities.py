"""Quantities as a person reads them: durations, sizes, money, shares."""

from __future__ import annotations

from typing import Final

NOTHING: Final = "\N{EN DASH}"
"""Stands for what is not known."""
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_IN_DAYS: Final = 4 * _DAY
"""What is told in days, from here on."""
_DAYS_ARE_ENOUGH: Final = 100
_CENTS_ARE_ENOUGH: Final = 0.1
"""US dollars that have two digits when they are told to the cent."""


def counted(count: int, thing: str) -> str:
    """Return a number of things, of more than one in the plural.

    >>> counted(1, "tile"), counted(1200, "tile")
    ('1 tile', '1,200 tiles')
    """
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a duration with two units at most.

    >>> duration(4.21), duration(250), duration(20_000), duration(400_000), duration(305_877_600)
    ('4.2 s', '4 min 10 s', '5 h 33 min', '4 days 15 h', '3,540 days')
    """
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    if seconds < _IN_DAYS:
        minutes = round(seconds / _MINUTE)
        return f"{minutes // 60} h {minutes % 60} min"
    if seconds >= _DAYS_ARE_ENOUGH * _DAY:
        return counted(round(seconds / _DAY), "day")
    hours = round(seconds / _HOUR)
    return f"{hours // 24:,} days {hours % 24} h"


def size(count: float) -> str:
    """Return bytes in the unit that gives the fewest digits.

    >>> size(950), size(3_140_000), size(2_400_000_000)
    ('950 B', '3.1 MB', '2.4 GB')
    """
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"


def dollars(amount: float) -> str:
    """Return US dollars, to the cent from ten cents on and to two digits below.

    >>> dollars(15.966), dollars(0.4), dollars(0.0181), dollars(0)
    ('$15.97', '$0.40', '$0.018', '$0')
    """
    return f"${amount:,.2f}" if round(amount, 3) >= _CENTS_ARE_ENOUGH else f"${amount:.2g}"


def percent(share: float) -> str:
    """Return a percentage; what is neither nothing nor all never reads as if it were.

    >>> percent(0), percent(0.004), percent(41.27), percent(99.99), percent(100)
    ('0 %', '<0.1 %', '41.3 %', '>99.9 %', '100 %')
    """
    if share in {0, 100}:
        return f"{share:.0f} %"
    if share < 0.1:  # noqa: PLR2004 - the least that one decimal shows
        return "<0.1 %"
    return ">99.9 %" if share > 99.9 else f"{share:.1f} %"  # noqa: PLR2004
