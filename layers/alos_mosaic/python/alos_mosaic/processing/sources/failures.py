"""Whatever a library raises, told as the workflow's :class:`SourceUnavailableError`, without anyone's password.

An error is one of three: the connection broke, which may be tried anew at once; the server refuses us or is busy, and
is left alone; or it is the archive that can't be had, of a server that is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from alos_mosaic.errors import ArchiveUnavailableError, SourceUnavailableError
from alos_mosaic.processing.sources.protocol import Credentials

_REASON_LIMIT: Final = 300
"""Characters of a server's answer that an error carries."""

Unavailable = Callable[[str], SourceUnavailableError]
"""Makes an error of its text."""
BREAK: Final[Unavailable] = SourceUnavailableError
"""The connection broke, or never came about."""
REFUSAL: Final[Unavailable] = partial(SourceUnavailableError, is_final=True)
"""The server says that it is busy, or that it does not want us."""
NO_ARCHIVE: Final[Unavailable] = partial(ArchiveUnavailableError, is_final=True)
"""The server does not give the file that it has told of."""


def _is_break(_error: Exception) -> Unavailable:
    return BREAK


@contextmanager
def as_unavailable(
    url: str,
    failures: tuple[type[Exception], ...],
    credentials: Credentials | None = None,
    kind_of: Callable[[Exception], Unavailable] = _is_break,
) -> Iterator[None]:
    """Raise what is among ``failures``, or a ValueError, as :class:`SourceUnavailableError` with URL and reason.

    ``kind_of`` tells what such an error means: :data:`BREAK`, :data:`REFUSAL` or :data:`NO_ARCHIVE`. A server may quote
    the password it refuses: then the reason goes out without it, and without the chained exception, which a traceback
    would print.
    """
    caught: tuple[type[Exception], ...] = (*failures, ValueError)
    try:
        yield
    except caught as error:
        reason = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
        if not isinstance(error, failures):
            reason = f"an answer that makes no sense: {reason}"
        secret = credentials.password if credentials else ""
        if secret and secret in reason:
            raise kind_of(error)(_text(url, reason.replace(secret, "***"))) from None
        raise kind_of(error)(_text(url, reason)) from error


def _text(url: str, reason: str) -> str:
    shortened = reason if len(reason) <= _REASON_LIMIT else reason[:_REASON_LIMIT] + " ..."
    return f"{url}: {shortened}"
