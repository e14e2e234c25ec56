"""What goes wrong with the bucket of runs while a slow transfer is staged in it, and taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from alos_mosaic.errors import MosaicError, PublishError, SourceUnavailableError
from tests.faults.bucket_server import Asked, BucketServer, RefusedError
from tests.faults.stages import Stage

CUT: Final = "cut"
ALTERED: Final = "altered"
_STATUSES: Final = {"SlowDown": 503, "AccessDenied": 403}
_PARTS: Final = "/archives/"


@dataclass(frozen=True)
class StagingCase:
    """One thing that goes wrong with staged parts, each time from a certain request on."""

    where: str
    operation: str
    """Of the requests to S3 that it happens to, which are about staged parts."""
    act: str
    """S3's error code; ``reset``; or what becomes of the answer's body."""
    outcome: type[MosaicError] | None
    """The error that the worker ends with; None where the tile is published all the same."""
    spared: int = 0
    """How many such requests go well before."""
    is_taken_up: bool = False
    """Whether parts are there already, of an invocation whose source broke off."""
    source_fails: bool = False
    """Whether the source breaks off for good."""

    stage = Stage.TRANSFER

    @property
    def fault(self) -> str:
        """What the case is called in the table."""
        if self.act in (CUT, ALTERED):
            return f"{self.where} is {self.act}"
        return f"S3 {self.act}, on {self.where}"

    @property
    def how(self) -> str:
        """How it is injected."""
        return f"the answer to {self.operation} in the bucket of runs"

    @property
    def ending(self) -> str:
        """How it ends."""
        return "published" if self.outcome is None else f"`{self.outcome.__name__}`"

    @property
    def name(self) -> str:
        """What the case is called in a test's name."""
        return f"{self.stage.value}: {self.fault}"

    def inject(self, bucket: BucketServer) -> None:
        """Let it happen from now on."""
        left = self.spared

        def watch(asked: Asked, is_done: bool) -> None:
            nonlocal left
            if is_done or not self._is_meant(asked):
                return
            left -= 1
            if left >= 0:
                return
            if self.act == "reset":
                raise ConnectionAbortedError
            raise RefusedError(self.act, _STATUSES[self.act])

        def spoil(asked: Asked, body: bytes) -> bytes:
            if not self._is_meant(asked):
                return body
            return body[: len(body) // 2] if self.act == CUT else bytes([body[0] ^ 0xFF]) + body[1:]

        if self.act in (CUT, ALTERED):
            bucket.spoil = spoil
        else:
            bucket.watch = watch

    def _is_meant(self, asked: Asked) -> bool:
        is_about_parts = not asked.key or _PARTS in asked.key  # what asks for the bucket itself asks for parts here
        return (asked.operation, asked.bucket) == (self.operation, "runs") and is_about_parts


def _cases() -> Iterator[StagingCase]:
    for act in ("SlowDown", "AccessDenied", "reset"):
        yield StagingCase("a part that is staged", "PutObject", act, PublishError, spared=1)
        yield StagingCase("a staged part that is taken up", "GetObject", act, PublishError, spared=1, is_taken_up=True)
    yield StagingCase("the look for staged parts", "ListObjectsV2", "AccessDenied", PublishError)
    yield StagingCase("what came ahead of a break", "PutObject", "SlowDown", SourceUnavailableError, source_fails=True)
    yield StagingCase("a staged part that is taken up", "GetObject", CUT, PublishError, is_taken_up=True)
    yield StagingCase("a staged part that is taken up", "GetObject", ALTERED, None, is_taken_up=True)
    yield StagingCase("the removal of staged parts", "DeleteObjects", "AccessDenied", None, is_taken_up=True)


STAGING_CASES: Final = tuple(_cases())
