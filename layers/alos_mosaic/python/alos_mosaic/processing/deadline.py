"""Deadlines: work that takes too long ends by a typed error ahead of Lambda's own end, which would say nothing."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from alos_mosaic.errors import DeadlineExceededError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_EXIT_STATUS: Final = 70
_overdue: Final[list[threading.Thread]] = []
"""What did not end in its time: nothing can end a thread that hangs in a library."""


def run_within(seconds: float, work: Callable[[], T]) -> T:
    """Return what ``work`` returns; :class:`DeadlineExceededError` if that takes longer.

    The work goes on in its thread then, for which :func:`end_if_overdue` is there.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            done.set_exception(error)

    thread = threading.Thread(target=run, name="work", daemon=True)
    thread.start()
    try:
        return done.result(seconds)
    except TimeoutError:
        if done.done():
            return done.result()
        _overdue.append(thread)
        raise DeadlineExceededError(f"not done after {seconds:.0f} s, ahead of the function's own time-out") from None


def end_if_overdue() -> None:
    """End this process if work of an earlier invocation still goes on in it: a fresh process has its whole memory."""
    if any(thread.is_alive() for thread in _overdue):
        logger.error("Work of an earlier invocation hangs: this process ends")
        os._exit(_EXIT_STATUS)
