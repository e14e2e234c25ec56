"""Fetching: archives come here one after the other in the background, and can be read while they still come.

A transfer that breaks goes on where it stopped (REST, Range) as long as bytes still come. Where a server can't begin in
the middle, all comes again, and what is here already is compared. A server that says that it is busy, or that it has no
such file, is left alone: the state machine waits longer than we should here.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from alos_mosaic.errors import ArchiveUnavailableError, SourceUnavailableError
from alos_mosaic.grid import Cell
from alos_mosaic.layouts import Layout
from alos_mosaic.processing.finding import Found
from alos_mosaic.processing.local_file import LocalFile
from alos_mosaic.processing.progress import TileProgress
from alos_mosaic.processing.relay import Leg, Relay
from alos_mosaic.processing.sources.file import FileSource
from alos_mosaic.processing.sources.protocol import FromStartOnlyError, Sink, Source

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

logger = logging.getLogger(__name__)

_BUFFER_BYTES: Final = 1 << 20
_FRUITLESS_LIMIT: Final = 3
"""Attempts in a row that bring not a byte end a transfer: the workflow's retries wait longer than we should here."""
_PAUSE_SECONDS: Final = 2.0
"""At most so long before the first attempt anew, doubled each time and chosen at random, so that workers scatter."""


@dataclass(frozen=True)
class Archive:
    """An archive that came here whole, with where it came from."""

    url: str
    layout: Layout
    size_bytes: int
    sha256: str
    modified: datetime | None
    """The server's modification time: JAXA replaces files in place."""
    cell: Cell | None = None
    """Whose own archive it is; None for a whole tile's."""


class _StoppedError(Exception):
    """Ends a transfer from inside its sink: nobody wants the rest."""


class Download:
    """An archive on its way here, or here already."""

    def __init__(
        self,
        found: Found,
        source_url: str,
        folder: Path,
        leg: Leg | None = None,
        progress: TileProgress | None = None,
    ) -> None:
        self.found, self.url = found, f"{source_url}/{found.remote.path}"
        self.name = found.remote.path.rpartition("/")[2]
        self._leg, self._progress = leg, progress or TileProgress()
        self.path = folder / _local_name(found)
        """Where it is read. An archive that lies on this machine stays where it is."""
        self.seconds = 0.0
        """How long the transfer took."""
        self.received = self.restored = 0
        """Bytes that are here, and those of them that earlier invocations left."""
        self.may_be_mixed = False
        """Whether it may have come of two versions of the file: it came in pieces, and the source did not tell them
        apart."""
        self._checksum = hashlib.sha256()
        self._changed = threading.Condition()
        self._is_over = self._is_fetched = False
        self._failure: BaseException | None = None

    def open(self) -> IO[bytes]:
        """Return the archive as a file that is read from its start; reading waits for what is still to come.

        Reading raises what ended the transfer, if it did not end well.
        """
        return io.BufferedReader(_GrowingFile(self), _BUFFER_BYTES)

    def whole(self) -> Archive:
        """Wait for the transfer's end and return what came; raises what ended it, if it did not end well."""
        self.wait_for(None)
        remote = self.found.remote
        return Archive(
            self.url, self.found.layout, self.received, self._checksum.hexdigest(), remote.modified, self.found.cell
        )

    @property
    def has_failed(self) -> bool:
        """Whether the transfer is over and did not end well."""
        return self._failure is not None

    def forget_failure(self) -> None:
        """Let go of what ended the transfer, once nobody reads it any more.

        It holds the frames that it passed, these the tile's memory and this download: a cycle that Python's collector
        was seen not to free, so that a warm process held more with every tile that paused.
        """
        if self._failure is not None:
            self._failure = SourceUnavailableError(f"{self.url}: the transfer ended early")

    def discard(self) -> None:
        """Remove what was fetched; nothing may be read any more."""
        if self._is_fetched:
            self.path.unlink()

    def wait_for(self, position: int | None) -> bool:
        """Wait until there is something at a position (None: for the end); False if the file ends before it."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or (position is not None and self.received > position))
            if self._failure is not None:
                raise self._failure
            return position is not None and self.received > position

    def run(self, source: Source, stop: threading.Event, is_broken: bool) -> bool:
        """Transfer the archive; what goes wrong is for who reads it.

        ``is_broken`` says that the source has to be connected anew, first; what is returned says the same of the next.
        Once ``stop`` is set nothing is asked for any more.
        """
        start = time.perf_counter()
        try:
            if stop.is_set():
                raise _StoppedError  # noqa: TRY301 - as a transfer that is under way does
            return self._transfer(source, stop, is_broken)
        except _StoppedError:
            self._failure = SourceUnavailableError(f"{self.url}: the transfer was given up")
            return True
        except Exception as error:  # noqa: BLE001 - it is raised where the archive is read
            self._failure = error
            return True
        finally:
            with self._changed:
                self.seconds = time.perf_counter() - start
                self._is_over = True
                self._changed.notify_all()

    def stage_rest(self) -> None:
        """Leave what came for the next invocation, once the transfer is over."""
        if self._leg is not None and self._is_fetched:
            self._leg.stage_rest(self.received)

    def _transfer(self, source: Source, stop: threading.Event, is_broken: bool) -> bool:
        remote = self.found.remote
        logger.info("Fetching archive", extra={"url": self.url, "size_bytes": remote.size_bytes})
        if isinstance(source, FileSource):
            self.path = source.local_path(remote.path)
        else:
            self._is_fetched = True
        with LocalFile(self.path) if self._is_fetched else nullcontext() as file:

            def sink(chunk: bytes) -> None:
                if stop.is_set():
                    raise _StoppedError
                if self.received + len(chunk) > remote.size_bytes:
                    text = f"{self.url}: more bytes come than the {remote.size_bytes} it should have"
                    raise ArchiveUnavailableError(text, is_final=True)
                if file is not None:
                    file.write(chunk)
                self._checksum.update(chunk)
                self._progress.received_bytes += len(chunk)
                with self._changed:
                    self.received += len(chunk)
                    self._changed.notify_all()

            if self._leg is None or file is None:
                return self._read_to_the_end(source, sink, stop, is_broken)
            leg = self._leg
            leg.restore(sink)
            self.restored = self.received
            self.may_be_mixed = self.restored > 0 and not remote.has_version
            leg.advance(self.received)

            def advancing_sink(chunk: bytes) -> None:
                sink(chunk)
                leg.advance(self.received)

            return self._read_to_the_end(source, advancing_sink, stop, is_broken)

    def _read_to_the_end(self, source: Source, sink: Sink, stop: threading.Event, is_broken: bool) -> bool:
        """Read what is still to come, anew after each break that came after some bytes; return if it is broken now."""
        fruitless = 0
        while True:
            before = self.received
            try:
                if self.received == self.found.remote.size_bytes:
                    return is_broken
                if is_broken:
                    self._reconnect(source)
                self._read(source, sink, before)
                self._check_length()
            except SourceUnavailableError as error:
                is_broken = True
                # A connection that is idle while its data flows may be dropped on the way, and its last word with it.
                if self.received == self.found.remote.size_bytes:
                    return is_broken
                if self._leg is not None and self._is_fetched:
                    self._leg.check_time(self.received)
                fruitless = 0 if self.received > before else fruitless + 1
                if error.is_final or fruitless == _FRUITLESS_LIMIT or stop.wait(_pause_seconds(fruitless)):
                    raise
                facts = {"url": self.url, "received_bytes": self.received, "cause": str(error)}
                logger.warning("Transfer broke, going on", extra=facts)
            else:
                return False

    def _read(self, source: Source, sink: Sink, start: int) -> None:
        """Read what is still to come, from ``start`` on."""
        path = self.found.remote.path
        self.may_be_mixed |= start > 0 and not self.found.remote.has_version
        try:
            source.read(path, sink, start)
        except FromStartOnlyError as error:
            logger.warning("All of it has to come again", extra={"url": self.url, "cause": str(error)})
            source.read(path, self._behind(start, sink), 0)
            self.may_be_mixed = False  # what was here is the same

    def _behind(self, start: int, sink: Sink) -> Sink:
        """Return a sink for all of the file that hands on what comes from ``start`` on, if it is the same until there.

        Nothing is handed on before, but the sink is called, since it knows when the time is over.
        """
        expected, checksum, left = self._checksum.digest(), hashlib.sha256(), start

        def comparing_sink(chunk: bytes) -> None:
            nonlocal left
            known, fresh = chunk[:left], chunk[left:]
            if known:
                checksum.update(known)
                left -= len(known)
                if not left and checksum.digest() != expected:
                    raise ArchiveUnavailableError(f"{self.url} has changed while it was fetched", is_final=True)
            sink(fresh)

        return comparing_sink

    def _check_length(self) -> None:
        expected = self.found.remote.size_bytes
        if self.received != expected:
            raise ArchiveUnavailableError(f"{self.url}: {self.received} bytes came of {expected}")

    def _reconnect(self, source: Source) -> None:
        """Connect anew, and see to it that it is still the same file."""
        remote = self.found.remote
        source.reconnect()
        if source.stat(remote.path) != remote:
            raise ArchiveUnavailableError(f"{self.url} has changed while it was fetched", is_final=True)


def _local_name(found: Found) -> str:
    """Return what an archive is called here: a tile's and its north-western cell's have one name on the server."""
    name = found.remote.path.rpartition("/")[2]
    return name if found.cell is None else f"cell-{name}"


def _pause_seconds(fruitless: int) -> float:
    return random.uniform(0, _PAUSE_SECONDS * 2**fruitless)  # noqa: S311 - it scatters workers, it hides nothing


class Downloads:
    """Archives fetched one after the other, over one connection, in a thread that ends with the context.

    The first that can't be had ends them all: a tile is not made without it, and its source is to be left alone.
    With a relay they may take more than one invocation: reading raises :class:`TransferPausedError` then.
    """

    def __init__(
        self,
        source: Source,
        found: Sequence[Found],
        folder: Path,
        relay: Relay | None = None,
        progress: TileProgress | None = None,
    ) -> None:
        self._source = source
        self._downloads = []
        following = sum(each.remote.size_bytes for each in found)
        progress = progress or TileProgress()
        progress.expected_bytes += following
        for each in found:
            following -= each.remote.size_bytes
            leg = None if relay is None else relay.leg(each.remote, folder / _local_name(each), following)
            self._downloads.append(Download(each, source.url, folder, leg, progress))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="download", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        if kind is None or issubclass(kind, Exception):
            self._thread.join()
        # Else somebody wants to leave at once, and a source may keep silent for a minute before the thread notices.

    def __iter__(self) -> Iterator[Download]:
        return iter(self._downloads)

    def _run(self) -> None:
        is_broken = False
        for download in self._downloads:
            is_broken = download.run(self._source, self._stop, is_broken)
            if download.has_failed:
                self._stop.set()


class _GrowingFile(io.RawIOBase):
    """A file that another thread still appends to; its end is where the transfer ends."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self._position = 0
        self._descriptor = -1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            self._download.wait_for(None)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._download.received}[whence]
        if base + offset < 0:
            raise ValueError(f"no position {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._download.wait_for(self._position):
            return 0
        if self._descriptor < 0:
            self._descriptor = os.open(self._download.path, os.O_RDONLY)
        count = os.preadv(self._descriptor, [buffer], self._position)
        self._position += count
        return count

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()
