"""Whatever a library raises, told as the workflow's :class:`SourceUnavailableError`, without anyone's password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from alos_mosaic.errors import SourceUnavailableError
from alos_mosaic.processing.sources.protocol import Credentials

_REASON_LIMIT: Final = 300
"""Characters of a server's answer that an error carries."""


@contextmanager
def as_unavailable(
    url: str, failures: tuple[type[Exception], ...], credentials: Credentials | None = None
) -> Iterator[None]:
    """Raise what is among ``failures``, or a ValueError, as :class:`SourceUnavailableError` with URL and reason.

    A server may quote the password it refuses: then the reason goes out without it, and without the chained exception,
    which a traceback would print.
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
            raise _unavailable(url, reason.replace(secret, "***")) from None
        raise _unavailable(url, reason) from error


def _unavailable(url: str, reason: str) -> SourceUnavailableError:
    shortened = reason if len(reason) <= _REASON_LIMIT else reason[:_REASON_LIMIT] + " ..."
    return SourceUnavailableError(f"{url}: {shortened}")
