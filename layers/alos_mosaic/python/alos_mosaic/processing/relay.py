"""Relays: a transfer that takes more than one invocation is handed on from one to the next, by way of parts in S3.

A Lambda lives for 15 minutes, and a slow source takes longer. Once the rate says so, what has come is staged part by
part while the rest still comes, and small archives as they end, so that a worker that is killed loses one part at most;
when its time is over, the next invocation takes up the parts and goes on behind them. A part belongs to one version of
the file: its key tells the file's size and the server's time, so that of a file that was replaced nothing is taken up.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError
from urllib3.exceptions import HTTPError

from alos_mosaic.errors import PublishError
from alos_mosaic.processing.sources.protocol import RemoteFile, Sink

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

PART_BYTES: Final = 64 << 20
_JUDGED_AFTER: Final = 1 / 30
"""Of the time that a transfer may take: 20 seconds of 10 minutes tell a rate well enough."""
_DELETED_AT_ONCE: Final = 1000


class TransferPausedError(Exception):
    """The time for a transfer is over, and what came is staged: no failure, the next invocation goes on.

    Never leaves a worker; it ends as the result ``transferring``.
    """

    def __init__(self, received_bytes: int, restored_bytes: int = 0) -> None:
        super().__init__(f"{received_bytes} bytes are here, {restored_bytes} were before")
        self.received_bytes, self.restored_bytes = received_bytes, restored_bytes


@dataclass(frozen=True)
class Part:
    """A piece of a file, staged."""

    key: str
    offset: int
    size_bytes: int


class Staging:
    """A prefix in a bucket for the parts of one tile's archives; :class:`PublishError` for all that S3 refuses."""

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    def parts(self, remote: RemoteFile) -> list[Part]:
        """Return the parts of this version of a file, without a gap from its first byte on."""
        prefix = self._prefix_of(remote)
        found = {}
        for key, size in self._keys(prefix):
            offset = key.removeprefix(prefix)
            if offset.isdecimal():
                found[int(offset)] = Part(key, int(offset), size)
        parts: list[Part] = []
        position = 0
        while position < remote.size_bytes and (part := found.get(position)) and part.size_bytes:
            parts.append(part)
            position += part.size_bytes
        return parts if position <= remote.size_bytes else []

    def read(self, part: Part) -> bytes | None:
        """Return a part's bytes; None if they are not those that were staged, by S3's checksum of them."""
        with self._as_publish_error(f"can't read {part.key}"):
            try:
                content = self._client.get_object(Bucket=self._bucket, Key=part.key)["Body"].read()
            except FlexibleChecksumError:
                return None
        return content if len(content) == part.size_bytes else None

    def write(self, remote: RemoteFile, offset: int, content: bytes) -> None:
        """Stage a part."""
        key = f"{self._prefix_of(remote)}{offset:015d}"
        with self._as_publish_error(f"can't stage {key}"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=content)

    def clear(self) -> None:
        """Remove all parts."""
        keys = [key for key, _ in self._keys(self._prefix)]
        with self._as_publish_error(f"can't clear {self._prefix}"):
            for start in range(0, len(keys), _DELETED_AT_ONCE):
                batch = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
                self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": batch})  # type: ignore[typeddict-item]

    def _prefix_of(self, remote: RemoteFile) -> str:
        when = "unknown" if remote.modified is None else f"{remote.modified:%Y%m%dT%H%M%SZ}"
        mark = "" if remote.etag is None else f"-{hashlib.sha256(remote.etag.encode()).hexdigest()[:12]}"
        return f"{self._prefix}{remote.path}/{remote.size_bytes}-{when}{mark}/"

    def _keys(self, prefix: str) -> Iterable[tuple[str, int]]:
        with self._as_publish_error(f"can't list {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return [(entry["Key"], entry["Size"]) for page in pages for entry in page.get("Contents", ())]

    @contextmanager
    def _as_publish_error(self, what: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, HTTPError) as error:
            raise PublishError(f"{what}: {error}") from error


@dataclass
class Relay:
    """What an invocation has of a transfer's time, and where it leaves what came in it."""

    staging: Staging
    seconds: float
    """How long transfers may take, from now on."""
    _began: float = field(default_factory=time.monotonic)
    _legs: list[Leg] = field(default_factory=list)
    """In the order in which their files come."""
    _is_needed: bool = False
    """Whether this invocation's time won't do for all files."""

    @property
    def seconds_left(self) -> float:
        """Negative when the time is over."""
        return self._began + self.seconds - time.monotonic()

    def leg(self, remote: RemoteFile, path: Path, following_bytes: int) -> Leg:
        """Return this invocation's part in the transfer of a file that is written to ``path``.

        ``following_bytes`` are those of other files, which come behind it.
        """
        leg = Leg(self, remote, path, following_bytes)
        self._legs.append(leg)
        return leg

    def need(self) -> None:
        """Let what comes be staged as it comes: this invocation's time won't do."""
        self._is_needed = True

    def stage_due(self, bytes_left: int) -> None:
        """Stage what is ready for it of all files, if the rate says that so many bytes won't come in time.

        Of a file that is whole and has others behind it that is all of it, however little: there may be many of them.
        Once the last one is whole there is nothing left to wait for, and nothing is staged any more.
        """
        self._is_needed = self._is_needed or self._is_too_slow(bytes_left)
        if self._is_needed:
            for leg in self._legs:
                leg.stage_due(is_last=leg is self._legs[-1])

    def _is_too_slow(self, bytes_left: int) -> bool:
        seconds = sum(leg.seconds for leg in self._legs)
        if seconds < _JUDGED_AFTER * self.seconds:
            return False
        return bytes_left * seconds > self.seconds_left * sum(leg.fetched for leg in self._legs)


class Leg:
    """One invocation's part in the transfer of one file."""

    def __init__(self, relay: Relay, remote: RemoteFile, path: Path, following_bytes: int) -> None:
        self._relay, self._remote, self._path, self._following_bytes = relay, remote, path, following_bytes
        self._received = self._staged = self._restored = 0
        self._began = time.monotonic()
        self.seconds = 0.0
        """How long the source has sent of it."""

    @property
    def fetched(self) -> int:
        """Bytes that came from the source."""
        return self._received - self._restored

    def restore(self, sink: Sink) -> None:
        """Take up what earlier invocations have left, up to the first part that is not as it was staged."""
        for part in self._relay.staging.parts(self._remote):
            content = self._relay.staging.read(part)
            if content is None:
                logger.warning("Staged part is spoilt", extra={"file": self._path.name, "offset": part.offset})
                break
            sink(content)
            self._staged = part.offset + part.size_bytes
        self._received = self._restored = self._staged
        self._began = time.monotonic()
        if self._restored:  # what earlier invocations could not do in their time, this one most likely can't, either
            self._relay.need()

    def advance(self, received: int) -> None:
        """Stage what is ready for it; :class:`TransferPausedError` when the time is over and there is more to come."""
        if received < self._remote.size_bytes:
            self.check_time(received)
        self._received, self.seconds = received, time.monotonic() - self._began
        self._relay.stage_due(self._remote.size_bytes - received + self._following_bytes)

    def check_time(self, received: int) -> None:
        """Raise :class:`TransferPausedError` when the time is over."""
        if self._relay.seconds_left <= 0:
            raise TransferPausedError(received)

    def stage_due(self, *, is_last: bool) -> None:
        """Stage the whole parts that are here; the rest, too, of a whole file that is not the last one."""
        is_whole = self._received == self._remote.size_bytes
        if is_whole and is_last:
            return
        while self._received - self._staged >= PART_BYTES:
            self._stage(PART_BYTES)
        if is_whole:
            self.stage_rest(self._received)

    def stage_rest(self, received: int) -> None:
        """Stage all that came."""
        while received > self._staged:
            self._stage(min(PART_BYTES, received - self._staged))

    def _stage(self, size: int) -> None:
        with self._path.open("rb") as file:
            file.seek(self._staged)
            content = file.read(size)
        self._relay.staging.write(self._remote, self._staged, content)
        self._staged += len(content)
        logger.info("Part staged", extra={"file": self._path.name, "staged_bytes": self._staged})
