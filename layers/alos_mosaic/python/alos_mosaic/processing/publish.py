"""Targets: where a tile is published, and the order in which that is done.

The item goes last: what has an item whose assets are there, with the sizes and checksums it says, is published. Where
an item stands already, the files wait beside it until all are there, and take their places in one go.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self
from urllib.parse import unquote

from alos_mosaic.errors import InvalidRequestError, PublishError
from alos_mosaic.processing.checksums import sha256_of
from alos_mosaic.processing.scratch import scratch_folder
from alos_mosaic.processing.standing import Expected, Standing, StoredFile, asset_names, look, promised_by
from alos_mosaic.processing.uris import shown_uri, split_uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

_PATIENCE: Final = (2, 4, 8)
"""Where another worker is at the same tile: how long each pause is at most, by the time that it takes to put the tile
there. Each is cut short at random, so that sooner or later one of the two is done before the other begins."""


class FileToPut(NamedTuple):
    """A file of this machine on its way to a target."""

    path: Path
    key: str
    """Where it goes, in the target."""
    media_type: str
    sha256: str
    modified: datetime | None = None
    """When it was changed where it comes from; kept with it where it is told."""


class Staging(Protocol):
    """A place beside what readers see, where files wait for one another."""

    def put(self, file: FileToPut) -> None:
        """Store a file, whole or not at all, where no reader looks for it."""

    def settle(self) -> None:
        """Put all files in their places at once, or as near to it as the target can, over what is there.

        What is put here again can be settled again.
        """


class Target(Protocol):
    """A bucket (or a folder in one) or a folder of this machine."""

    def uri(self, key: str) -> str:
        """Return the full URI of a key."""

    def put(self, file: FileToPut) -> None:
        """Store a file under its key: whole or not at all."""

    def replace(self, file: FileToPut, content: bytes | None) -> None:
        """Store a file as :meth:`put` does, but only over these bytes; None: only where there is nothing.

        Raises :class:`PublishError`, and changes nothing, where something else stands.
        """

    def staging(self) -> AbstractContextManager[Staging]:
        """Open a place where files wait; what is in it goes away with the context."""

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder; none if there is no such folder."""

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys of all files below a folder, however deep."""

    def read(self, key: str) -> bytes | None:
        """Return the bytes under a key, None if there is none."""

    def stat(self, key: str) -> StoredFile | None:
        """Return size and checksum of what is stored under a key, None if there is nothing."""

    def fetch(self, key: str, folder: Path) -> Path:
        """Return where what is stored under a key can be read on this machine: in place, or in this folder."""

    def remove(self, key: str) -> None:
        """Remove what is stored under a key, if there is anything."""


class FileTarget:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._checksums: dict[tuple[int, ...], str] = {}
        """Of files that were put here, by what the file system says of them: to read them again takes long."""

    def uri(self, key: str) -> str:
        """Return the full URI of a key."""
        return (self._root / key).as_uri()

    def put(self, file: FileToPut) -> None:
        """Store a file under its key: it appears whole, by a rename."""
        with self.staging() as staging:
            staging.put(file)
            staging.settle()

    def replace(self, file: FileToPut, content: bytes | None) -> None:
        """Store a file under its key, only over these bytes; what comes between the look and the rename is lost."""
        if self.read(file.key) != content:
            raise changed_meanwhile(self.uri(file.key))
        self.put(file)

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """Open a place where files wait to be renamed; what is in it goes away with the context."""
        with ExitStack() as context:
            with as_publish_error(self._root.as_uri()):
                self._root.mkdir(parents=True, exist_ok=True)
                scratch = context.enter_context(scratch_folder(_scratch_parent(self._root)))
            yield _Scratch(scratch, self)

    def take(self, path: Path, key: str, sha256: str) -> None:
        """Rename a file to its key."""
        final = self._root / key
        with as_publish_error(self.uri(key)):
            final.parent.mkdir(parents=True, exist_ok=True)
            self._checksums[_mark(path)] = sha256
            path.replace(final)
            path.unlink(missing_ok=True)  # where both were one file already, nothing was renamed

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder; none if there is no such folder."""
        with as_publish_error(self.uri(folder)):
            return {path.name for path in (self._root / folder).glob("*") if path.is_file()}

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys of all files below a folder, however deep, in their order."""
        with as_publish_error(self.uri(folder)):
            paths = sorted(path for path in (self._root / folder).rglob("*") if path.is_file())
        for path in paths:
            yield path.relative_to(self._root).as_posix()

    def read(self, key: str) -> bytes | None:
        """Return the bytes under a key, None if there is none."""
        with as_publish_error(self.uri(key)):
            return (self._root / key).read_bytes() if (self._root / key).is_file() else None

    def stat(self, key: str) -> StoredFile | None:
        """Return size and checksum of what is stored under a key, None if there is nothing.

        It is read for that, unless it is as it was put here.
        """
        path = self._root / key
        with as_publish_error(self.uri(key)):
            if not path.is_file():
                return None
            return StoredFile(path.stat().st_size, self._checksums.get(_mark(path)) or sha256_of(path))

    def fetch(self, key: str, folder: Path) -> Path:  # noqa: ARG002 - what is here already needs no folder
        """Return where a file lies."""
        return self._root / key

    def remove(self, key: str) -> None:
        """Remove a file, if there is one."""
        with as_publish_error(self.uri(key)):
            (self._root / key).unlink(missing_ok=True)


class _Scratch:
    """Files in a scratch folder, to be renamed."""

    def __init__(self, folder: Path, target: FileTarget) -> None:
        self._folder, self._target = folder, target
        self._waiting: list[tuple[Path, FileToPut]] = []

    def put(self, file: FileToPut) -> None:
        """Copy a file here."""
        here = self._folder / f"{len(self._waiting)}-{file.path.name}"
        with as_publish_error(self._target.uri(file.key)):
            if file.modified is None:
                _copy(file.path, here)
            else:  # another name of the same file would have the same time, and that may be somebody's original
                shutil.copyfile(file.path, here)
                os.utime(here, (file.modified.timestamp(), file.modified.timestamp()))
        self._waiting.append((here, file))

    def settle(self) -> None:
        """Rename all files to their keys."""
        for here, file in self._waiting:
            self._target.take(here, file.key, file.sha256)
        self._waiting.clear()


def _mark(path: Path) -> tuple[int, ...]:
    """Return what changes with a file's content, as far as the file system knows."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _copy(path: Path, to: Path) -> None:
    """Give a file that nobody changes any more a second name; copy it where that is another file system."""
    try:
        to.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, to)


def _scratch_parent(root: Path) -> Path:
    """Return a folder whose files can be renamed into ``root``: the one it lies in, so that nothing shows in ``root``.

    Where ``root`` is a file system of its own, or that folder may not be written to, it is ``root`` itself.
    """
    is_alone = root.stat().st_dev != root.parent.stat().st_dev or not os.access(root.parent, os.W_OK)
    return root if is_alone else root.parent


def open_target(uri: str, client: S3Client | None, staging: tuple[str, str] | None = None) -> Target:
    """Return the target behind an ``s3://`` or ``file://`` URI; ``client`` may be None for a folder.

    ``staging`` is a bucket and a prefix in it, with its closing slash, where objects wait that are to take the places
    of others; without it that is in the target's own bucket, below ``.staging/``.
    """
    parts = split_uri(uri)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FileTarget(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and client is not None:
        from alos_mosaic.processing.s3_target import S3Target  # noqa: PLC0415 - boto3 takes a third of a second

        return S3Target(client, parts.netloc, parts.path, staging)
    raise InvalidRequestError(f"{shown_uri(uri)} is no target; one looks like s3://bucket/folder or file:///folder")


class Uploads:
    """A tile's files on their way to a target, one at a time, while others are made; its item comes last.

    Where there is no item yet they go straight to their places: nobody reads them without it. The context ends with all
    of them, and with what still waits.
    """

    def __init__(self, target: Target, standing: Standing) -> None:
        self._target, self._standing = target, standing
        self._context = ExitStack()
        self._staging: Staging | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._begun: list[Future[None]] = []
        self._files: list[FileToPut] = []

    def __enter__(self) -> Self:
        if self._standing.has_item:
            self._staging = self._context.enter_context(self._target.staging())
        self._context.callback(self._pool.shutdown, cancel_futures=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def start(self, file: FileToPut) -> None:
        """Store a file as :meth:`Target.put` does, once those before it are there; it has to stay until the end."""
        self._files.append(file)
        self._begun.append(self._pool.submit((self._staging or self._target).put, file))

    def finish(
        self, item: FileToPut, content: Mapping[str, Any], expected: Expected, ahead: Sequence[FileToPut] = ()
    ) -> None:
        """Wait for all files, put them in their places, the item after them, and remove what only the old item named.

        ``ahead`` are small files that take their places right ahead of the item, when all others have.

        If in the end something else stands there, another worker is at the same tile. Of two, whichever looks last sees
        what both have left: either one's tile, whole, is well; else it puts its own there once more, after a pause.

        An item of files that stand there already tells of what was read of them: it only takes the place of the item
        that was read with them, nothing is put where they are others by now, and nothing put there again.

        Raises :class:`PublishError` for the first file that could not be put, and if the tile does not get whole.
        """
        for upload in self._begun:
            upload.result()
        expected = replace(expected, accept_partial=True)
        own = {PurePosixPath(file.key).name for file in (*self._files, *ahead, item)}
        names = own | asset_names(content)
        kept = {name: stored for name, stored in promised_by(content, expected).values() if name not in own}
        documents = (*ahead, item)
        took_seconds = self._settle(documents, names, kept)
        for patience in _PATIENCE:
            if self._is_whole(expected):
                return
            logger.warning("Another worker is at the same tile", extra={"key": item.key})
            time.sleep(random.uniform(0, patience * took_seconds))  # noqa: S311 - anybody may guess it
            if self._is_whole(expected):
                return
            if kept:
                break
            for file in self._files:
                (self._staging or self._target).put(file)
            took_seconds = self._settle(documents, names, kept)
        if kept or not self._is_whole(expected):
            uri = self._target.uri(item.key)
            raise PublishError(f"{uri} does not fit what lies beside it: did another worker publish the tile just now?")

    def _settle(self, documents: Sequence[FileToPut], names: AbstractSet[str], kept: Mapping[str, StoredFile]) -> float:
        """Put all that waits in its place, and after it the documents, of which the item is the last.

        Returns how long that took, in seconds. ``kept`` are files that the item tells of and that stand there already.
        """
        began = time.monotonic()
        if kept:
            self._check_kept(kept)
        if self._staging is not None:
            self._staging.settle()
        *ahead, item = documents
        for document in ahead:
            self._target.put(document)
        if kept:
            self._target.replace(item, self._standing.content)
        else:
            self._target.put(item)
        self._remove_superseded(names)
        return time.monotonic() - began

    def _check_kept(self, kept: Mapping[str, StoredFile]) -> None:
        """Raise PublishError where other files stand by now than those that the item tells of, or another item."""
        key, folder = self._standing.item_key, self._standing.folder
        if self._target.read(key) != self._standing.content:
            raise changed_meanwhile(self._target.uri(key))
        for name, stored in kept.items():
            if self._target.stat(f"{folder}/{name}") != stored:
                raise changed_meanwhile(self._target.uri(f"{folder}/{name}"))

    def _is_whole(self, expected: Expected) -> bool:
        """Look whether what stands there is a whole tile; whose item it is, it tells what may have to be removed."""
        self._standing = look(self._target, self._standing.item_key)
        return self._standing.is_whole(self._target, expected)

    def _remove_superseded(self, names: AbstractSet[str]) -> None:
        """Remove files of the old item's that are not among these; what can't be removed stays, and does no harm."""
        stem = PurePosixPath(self._standing.item_key).name.partition(".")[0]
        left = asset_names(self._standing.item) & self._standing.names - names
        for name in sorted(name for name in left if name.startswith((f"{stem}_", f"{stem}."))):
            key = f"{self._standing.folder}/{name}"
            try:
                self._target.remove(key)
            except PublishError as error:
                logger.warning("File of the old item stays", extra={"key": key, "cause": str(error)})


def changed_meanwhile(uri: str) -> PublishError:
    """Return the error for what is not what it was a moment ago."""
    return PublishError(f"{uri} has changed: did another worker publish the tile just now?")


@contextmanager
def as_publish_error(uri: str, *errors: type[Exception]) -> Iterator[None]:
    """Raise :class:`PublishError` for an OSError and for these errors."""
    try:
        yield
    except (OSError, *errors) as error:  # type: ignore[misc]
        raise PublishError(f"{uri}: {error}") from error
