"""How an invocation of the tile Lambda shares out its 15 minutes: the transfer, a source's silence, work, last words.

Whatever a source does, the worker ends by itself, with what came staged: so what can follow one another has to fit in.
"""

from __future__ import annotations

from typing import Final

LAMBDA_SECONDS: Final = 900
"""Lambda's longest."""
LAST_WORDS_SECONDS: Final = 15.0
"""Ahead of Lambda's own end: time to record a failure and to tell of it. The worker's deadline is where they begin."""
WORK_SECONDS: Final = 285.0
"""Left behind a transfer that took all its time, for decoding, writing and publishing: of a full tile they took 53 s
(benchmarks/results/slow-source.json), and 214 s on the same two cores with 29 processes at work, of a tar.gz; a zip,
which is decoded when all of it is there, takes 50 s more on the default's processors (docs/cost.md). So whatever came
in its time is also published in its invocation, and what did not is staged and goes on in the next one."""
TRANSFER_LIMIT_SECONDS: Final = LAMBDA_SECONDS - LAST_WORDS_SECONDS - WORK_SECONDS
"""What a transfer may take at most."""
_SILENCES: Final = 2
"""Of an attempt that begins as a transfer's time ends, and of the source's answer to our good-bye after it. No other
attempt begins by then: who finds the time over hands on what came."""
_AFTER_SILENCE_SECONDS: Final = 40.0
"""The pause ahead of that attempt (8 s at most), and 2.2 GB on their way to staging at 75 MB/s (docs/cost.md)."""


def longest_silence_seconds(transfer_limit_seconds: float) -> float:
    """Return the longest time-out of a source with which any silence ends ahead of the worker's own deadline.

    >>> longest_silence_seconds(600)
    122.5
    """
    left = LAMBDA_SECONDS - LAST_WORDS_SECONDS - transfer_limit_seconds - _AFTER_SILENCE_SECONDS
    return left / _SILENCES
