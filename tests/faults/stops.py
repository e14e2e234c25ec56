"""Workers that are stopped in the middle, killed or hanging until their deadline: where, and what they may leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final, Protocol

from local.jaxa_server import Fault
from tests.faults.bucket_server import Asked
from tests.faults.stages import Stage
from tests.faults.workers import Call, WorkersWorld

Strike = Callable[[], None]


class Leaves(StrEnum):
    """What readers find right after a worker was stopped."""

    NOTHING = "no item"
    OLD = "the old tile, whole"
    BETWEEN = "the old item, over new files"
    NEW = "the new tile, whole"


class Place(Protocol):
    """Where a worker is stopped."""

    def __str__(self) -> str:
        """Say it for the table."""

    def prepare(self, world: WorkersWorld, strike: Strike) -> None:
        """See to it that ``strike`` is called there, in a server's thread, unless the worker stops by itself."""


@dataclass(frozen=True)
class AtCommand:
    """When an FTP command comes in."""

    name: str

    def __str__(self) -> str:
        return f"when {self.name} comes in"

    def prepare(self, world: WorkersWorld, strike: Strike) -> None:
        """See :class:`Place`."""
        world.faults.append(Fault(self.name, "421 Gone", times=1, meanwhile=strike))


@dataclass(frozen=True)
class AtByte:
    """When so many bytes of the archive are sent."""

    share: float
    """0 to 1."""

    def __str__(self) -> str:
        return f"when {self.share:.0%} of the archive are sent"

    def prepare(self, world: WorkersWorld, strike: Strike) -> None:
        """See :class:`Place`."""
        world.faults.append(Fault("RETR", at_byte=int(self.share * world.size), times=1, meanwhile=strike))


@dataclass(frozen=True)
class AtRequest:
    """When S3 is asked for something, or has just carried it out."""

    operation: str
    """Like ``PutObject``; empty for any."""
    ending: str = ""
    """Of the key."""
    folder: str = ""
    """A part of the key."""
    bucket: str = "out"
    """Empty for any."""
    number: int = 1
    """Which of them, from 1 on."""
    is_done: bool = False

    def __str__(self) -> str:
        what = " ".join(word for word in (self.folder, f"*{self.ending}" if self.ending else "") if word)
        which = f"{self.operation} {self.number} of {self.bucket}{' ' if what else ''}{what}"
        return f"{'after' if self.is_done else 'at'} {which}"

    def prepare(self, world: WorkersWorld, strike: Strike) -> None:
        """See :class:`Place`."""
        seen = 0

        def watch(asked: Asked, is_done: bool) -> None:
            nonlocal seen
            if is_done is self.is_done and self._is_meant(asked):
                seen += 1
                if seen != self.number:
                    return
                strike()
                if not is_done:
                    raise ConnectionAbortedError  # what the worker asked for is not done

        world.bucket.watch = watch

    def _is_meant(self, asked: Asked) -> bool:
        return (
            self.operation in ("", asked.operation)
            and self.bucket in ("", asked.bucket)
            and asked.key.endswith(self.ending)
            and self.folder in asked.key
        )


@dataclass(frozen=True)
class AtCall:
    """In a function of the worker's, where it is held."""

    call: Call

    def __str__(self) -> str:
        return f"in call {self.call.number} of {self.call.name}"

    def prepare(self, world: WorkersWorld, strike: Strike) -> None:
        """See :class:`Place`; the worker tells when it is there."""


@dataclass(frozen=True)
class Stop:
    """A worker that is stopped at a place."""

    during: str
    stage: Stage
    place: Place
    leaves: Leaves
    mode: str = "skip"
    """In ``overwrite``, a tile with other pixels is published already."""
    is_kill: bool = True
    """Whether it is killed; else it hangs there until its deadline."""
    with_parts: bool = False
    """Whether the transfer is staged."""

    @property
    def fault(self) -> str:
        """What the case is called in the table."""
        return f"worker {'killed' if self.is_kill else 'past its deadline'} {self.during}"

    @property
    def how(self) -> str:
        """How it is injected."""
        kept = "" if self.mode == "skip" else f", in mode {self.mode}"
        return f"{'SIGKILL' if self.is_kill else 'nothing goes on'} {self.place}{kept}"

    @property
    def ending(self) -> str:
        """How it ends."""
        return f"{'killed' if self.is_kill else '`DeadlineExceededError`'}; {self.leaves.value}"

    @property
    def name(self) -> str:
        """What the case is called in a test's name."""
        return f"{self.stage.value}: {self.fault}{'' if self.mode == 'skip' else f' ({self.mode})'}"


_ITEM: Final = ".stac-item.json"
OLD_FILE: Final = "_sl_VV_F02DAR.tif"
"""Of a file that the old item names and the new one does not."""


_STAGED: Final[dict[str, Any]] = {"folder": "/files/", "bucket": "runs"}
_PARTS: Final[dict[str, Any]] = {"folder": "/archives/", "bucket": "runs", "number": 3}
_RESULTS: Final[dict[str, Any]] = {"folder": "/results/", "bucket": "runs"}


def _kills() -> Iterator[Stop]:
    """Yield kills of workers at a tile of which nothing is published."""
    nothing, new = Leaves.NOTHING, Leaves.NEW
    find, transfer, unpack, write, publish = Stage.FIND, Stage.TRANSFER, Stage.UNPACK, Stage.WRITE, Stage.PUBLISH
    put, done = partial(AtRequest, "PutObject"), partial(AtRequest, "PutObject", is_done=True)
    yield Stop("at the look at what is published", find, AtRequest("ListObjectsV2"), nothing)
    yield Stop("at the look for the archive", find, AtCommand("SIZE"), nothing)
    yield Stop("at half of a transfer", transfer, AtByte(0.5), nothing)
    yield Stop("while parts are staged", transfer, put(**_PARTS), nothing, with_parts=True)
    yield Stop("once parts are staged", transfer, done(**_PARTS), nothing, with_parts=True)
    yield Stop("while members are unpacked", unpack, AtCall(Call("mosaic.Mosaic.take", 3)), nothing)
    yield Stop("while a cell is merged", unpack, AtCall(Call("decoding.decode", 2)), nothing)
    yield Stop("while COGs are written", write, AtCall(Call("pipeline.write_cog", 3)), nothing)
    yield Stop("while the quicklook is drawn", write, AtCall(Call("documents.draw")), nothing)
    yield Stop("at the first COG's upload", publish, put(".tif"), nothing)
    yield Stop("after the last COG's upload", publish, done(".tif", number=5), nothing)
    yield Stop("after the EO3 document's upload", publish, done(".odc-metadata.yaml"), nothing)
    yield Stop("at the collection's upload", publish, put("collection.json"), nothing)
    yield Stop("at the item's upload", publish, put(_ITEM), nothing)
    yield Stop("after the item's upload", publish, done(_ITEM), new)
    yield Stop("at the result's upload", Stage.RECORD, put(**_RESULTS), new)


def _kills_over_a_tile() -> Iterator[Stop]:
    """Yield kills of workers at a tile of which another version is published."""
    old, between, new, publish = Leaves.OLD, Leaves.BETWEEN, Leaves.NEW, Stage.PUBLISH
    put, done = partial(AtRequest, "PutObject"), partial(AtRequest, "PutObject", is_done=True)
    for during, stage, place, leaves in (
        ("at half of a transfer", Stage.TRANSFER, AtByte(0.5), old),
        ("while COGs are written", Stage.WRITE, AtCall(Call("pipeline.write_cog", 3)), old),
        ("while files are staged", publish, put(**_STAGED, number=4), old),
        ("once files are staged", publish, done(**_STAGED, number=6), old),
        ("while files are copied", publish, AtRequest("CopyObject", number=3, is_done=True), between),
        ("once files are copied", publish, AtRequest("CopyObject", number=6, is_done=True), between),
        ("after the EO3 document's upload", publish, done(".odc-metadata.yaml"), between),
        ("at the item's upload", publish, put(_ITEM), between),
        ("after the item's upload", publish, done(_ITEM), new),
        ("at the removal of an old file", publish, AtRequest("DeleteObject", OLD_FILE), new),
        ("at the last look", publish, AtRequest("ListObjectsV2", number=3), new),
        ("while staged files are deleted", publish, AtRequest("DeleteObject", **_STAGED, number=3), new),
        ("after the result's upload", Stage.RECORD, done(**_RESULTS), new),
    ):
        yield Stop(during, stage, place, leaves, "overwrite")


def _hangs() -> Iterator[Stop]:
    """Yield workers that hang until their deadline."""
    nothing, old, between = Leaves.NOTHING, Leaves.OLD, Leaves.BETWEEN
    for during, stage, place, leaves, mode in (
        ("while the source says nothing", Stage.FIND, AtCommand("SIZE"), nothing, "skip"),
        ("while a transfer stalls", Stage.TRANSFER, AtByte(0.5), old, "overwrite"),
        ("while GDAL decodes", Stage.UNPACK, AtCall(Call("decoding.decode", 2)), nothing, "skip"),
        ("while COGs are written", Stage.WRITE, AtCall(Call("pipeline.write_cog", 2)), old, "overwrite"),
        ("while S3 hangs at a COG", Stage.PUBLISH, AtRequest("PutObject", ".tif", number=3), nothing, "skip"),
        ("while S3 hangs at a copy", Stage.PUBLISH, AtRequest("CopyObject", number=3), between, "overwrite"),
        ("while S3 hangs at the item", Stage.PUBLISH, AtRequest("PutObject", _ITEM), nothing, "skip"),
    ):
        yield Stop(during, stage, place, leaves, mode, is_kill=False)


STOPS: Final = (*_kills(), *_kills_over_a_tile(), *_hangs())
