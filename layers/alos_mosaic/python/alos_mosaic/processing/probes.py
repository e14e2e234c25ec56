"""The doctor's probes of one archive on a source: a listing, a resumed transfer, a rate. Few bytes, one connection."""

from __future__ import annotations

import time
from typing import Final

from alos_mosaic.errors import SourceUnavailableError
from alos_mosaic.processing.checks import SERVER, Check, Verdict
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import RemoteFile, SourceAccess

_TAIL_BYTES: Final = 1024
_RATE_BYTES: Final = 8 << 20
_RATE_SECONDS: Final = 30.0
_LAMBDA_MINUTES: Final = 15


class _EnoughError(Exception):
    """Ends a transfer from inside its sink."""


def check_listing(url: str, access: SourceAccess, folders: list[str]) -> Check:
    """Count the names in folders; one that lists anything is enough."""
    counts: dict[str, int | None] = {}
    try:
        with open_source(url, access) as source:
            if not source.can_list:
                return Check(SERVER, "listing", Verdict.NO, "HTTPS has none: absent is what no layout row finds")
            for folder in dict.fromkeys(folders):
                names = source.names(folder)
                counts[folder] = None if names is None else len(names)
    except SourceUnavailableError as error:
        return Check(SERVER, "listing", Verdict.FAILED, str(error))
    there = [f"{count:,} in {folder}" for folder, count in counts.items() if count]
    if not there:
        return Check(SERVER, "listing", Verdict.FAILED, f"none of the {len(counts)} folders below lists anything")
    return Check(SERVER, "listing", Verdict.OK, "\n".join(there))


def check_resume(url: str, access: SourceAccess, remote: RemoteFile) -> Check:
    """Read the last bytes from two offsets: only a source that begins where it is told to gives the same ones."""
    tail = min(_TAIL_BYTES, remote.size_bytes // 2)
    if not tail:
        return Check(SERVER, "resume", Verdict.NO, "not tried: the archive is empty")
    try:
        long = _read(url, access, remote, remote.size_bytes - 2 * tail, 2 * tail + 1)
        short = _read(url, access, remote, remote.size_bytes - tail, tail + 1)
    except SourceUnavailableError as error:
        return Check(SERVER, "resume", Verdict.NO, f"a transfer that breaks starts anew: {error}")
    if len(short) != tail or long[tail:] != short:
        return Check(SERVER, "resume", Verdict.FAILED, "other bytes come than those asked for")
    return Check(SERVER, "resume", Verdict.OK, f"the last {tail:,} bytes are the same from two offsets")


def check_rate(url: str, access: SourceAccess, remote: RemoteFile) -> Check:
    """Time the first 8 MiB of a file, or half a minute of it, connection and login included."""
    start = time.monotonic()
    try:
        received = len(_read(url, access, remote, 0, min(_RATE_BYTES, remote.size_bytes), _RATE_SECONDS))
    except SourceUnavailableError as error:
        return Check(SERVER, "rate", Verdict.FAILED, str(error))
    seconds = max(time.monotonic() - start, 1e-3)
    if received < min(_RATE_BYTES, remote.size_bytes) and seconds < _RATE_SECONDS:
        return Check(SERVER, "rate", Verdict.FAILED, f"the transfer ended after {received:,} bytes")
    rate = received / seconds
    minutes = remote.size_bytes / max(rate, 1) / 60
    detail = (
        f"{rate / 1e6:.1f} MB/s over {in_megabytes(received)}; at that rate the largest of these archives "
        f"({in_megabytes(remote.size_bytes)}) takes {minutes:.1f} of a Lambda's {_LAMBDA_MINUTES} minutes"
    )
    return Check(SERVER, "rate", Verdict.OK if minutes < _LAMBDA_MINUTES else Verdict.FAILED, detail)


def _read(
    url: str, access: SourceAccess, remote: RemoteFile, start: int, limit: int, seconds: float = _RATE_SECONDS
) -> bytes:
    """Return the bytes from ``start`` on, up to ``limit`` of them, or what came in time; the rest is not fetched."""
    received = bytearray()
    end = time.monotonic() + seconds

    def sink(chunk: bytes) -> None:
        received.extend(chunk)
        if len(received) >= limit or time.monotonic() > end:
            raise _EnoughError

    try:
        with open_source(url, access) as source:
            source.read(remote.path, sink, start)
    except _EnoughError:
        pass
    return bytes(received[:limit])


def in_megabytes(size_bytes: int) -> str:
    """Return a size for a person.

    >>> in_megabytes(1_234_567_890)
    '1,234.6 MB'
    """
    return f"{size_bytes / 1e6:,.1f} MB"


def as_time(remote: RemoteFile) -> str:
    """Return a file's modification time for a person."""
    return "unknown time" if remote.modified is None else f"{remote.modified:%Y-%m-%d %H:%M} UTC"
