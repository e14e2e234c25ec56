"""Log lines: what every line of a function says beside its message, and what no line may say.

Lambda's own JSON format (``LoggingConfig`` of the function) spells a record's fields; this adds the fields of the work
at hand to each record, of whichever library and thread, and takes secrets out of the spelt line.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

CONCEALED: Final = "***"
"""What stands in a line for a secret."""

_facts: dict[str, Any] = {}
"""Of the work at hand. Not a context variable, which the threads of an upload would not see: a function's process does
one piece of work at a time."""
_secrets: list[str] = []
"""Every spelling of every secret, in the order in which they are looked for."""


@contextmanager
def lines_about(**facts: Any) -> Iterator[None]:
    """Give every line that is logged meanwhile these fields; a record that has a field of that name keeps its own.

    Warnings of libraries, by ``warnings.warn``, become lines, too.
    """
    logging.captureWarnings(capture=True)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_add_facts)
        if not isinstance(handler.formatter, _Discreet):
            handler.setFormatter(_Discreet(handler.formatter or logging.Formatter()))
    before = dict(_facts)
    _facts.update(facts)
    try:
        yield
    finally:
        _facts.clear()
        _facts.update(before)
        logging.captureWarnings(capture=bool(before))


def conceal(username: str, password: str) -> None:
    """Keep a source's password out of all lines from now on, also as a URL, a header or JSON would spell it."""
    login = base64.b64encode(f"{username}:{password}".encode()).decode()
    spellings = {login, password, quote(password, safe=""), repr(password)[1:-1]}
    spellings |= {spelling for each in spellings for spelling in _in_json(each)}
    # The longest first: a shorter one may be a part of it.
    _secrets[:] = sorted({*_secrets, *spellings} - {""}, key=len, reverse=True)


def concealed(text: str) -> str:
    """Return a text without the secrets that :func:`conceal` was told.

    >>> conceal("me", "correct horse")
    >>> concealed("530 Login incorrect: PASS correct horse; ftp://me:correct%20horse@host")
    '530 Login incorrect: PASS ***; ftp://me:***@host'
    """
    for secret in _secrets:
        text = text.replace(secret, CONCEALED)
    return text


def _in_json(text: str) -> tuple[str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _add_facts(record: logging.LogRecord) -> bool:
    for name, value in _facts.items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


class _Discreet(logging.Formatter):
    """Spells a record as another formatter does, traceback and all, without the secrets."""

    def __init__(self, spelt: logging.Formatter) -> None:
        super().__init__()
        self._spelt = spelt

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return concealed(self._spelt.format(record))
