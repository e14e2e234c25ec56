"""Targets: where a tile is published, and what counts as published.

The item goes last: what has an item whose assets are there, with the sizes and checksums it says, is published.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import unquote

from alos_mosaic.errors import InvalidRequestError, PublishError
from alos_mosaic.processing.checksums import from_multihash, sha256_of
from alos_mosaic.processing.uris import shown_uri, split_uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredFile:
    """What a target says of a file."""

    size_bytes: int
    sha256: str | None


class Target(Protocol):
    """A bucket (or a folder in one) or a folder of this machine."""

    def uri(self, key: str) -> str:
        """Return the full URI of a key."""

    def put(self, path: Path, key: str, media_type: str, sha256: str) -> None:
        """Store a file under a key: whole or not at all."""

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder; none if there is no such folder."""

    def read(self, key: str) -> bytes | None:
        """Return the bytes under a key, None if there is none."""

    def stat(self, key: str) -> StoredFile | None:
        """Return size and checksum of what is stored under a key, None if there is nothing."""


class FileTarget:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def uri(self, key: str) -> str:
        """Return the full URI of a key."""
        return (self._root / key).as_uri()

    def put(self, path: Path, key: str, media_type: str, sha256: str) -> None:  # noqa: ARG002 - S3 keeps those two
        """Store a file under a key: it appears whole, by a rename."""
        final = self._root / key
        with as_publish_error(self.uri(key)):
            final.parent.mkdir(parents=True, exist_ok=True)
            with _beside(self._root) as scratch:
                _copy(path, scratch / final.name)
                (scratch / final.name).replace(final)

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder; none if there is no such folder."""
        with as_publish_error(self.uri(folder)):
            return {path.name for path in (self._root / folder).glob("*") if path.is_file()}

    def read(self, key: str) -> bytes | None:
        """Return the bytes under a key, None if there is none."""
        with as_publish_error(self.uri(key)):
            return (self._root / key).read_bytes() if (self._root / key).is_file() else None

    def stat(self, key: str) -> StoredFile | None:
        """Return size and checksum of what is stored under a key (it is read for that), None if there is nothing."""
        with as_publish_error(self.uri(key)):
            if not (self._root / key).is_file():
                return None
            return StoredFile((self._root / key).stat().st_size, sha256_of(self._root / key))


def _copy(path: Path, to: Path) -> None:
    """Give a file that nobody changes any more a second name; copy it where that is another file system."""
    try:
        to.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, to)


@contextmanager
def _beside(root: Path) -> Iterator[Path]:
    """Yield a scratch folder from which a file can be renamed into ``root``: beside it, so that nothing shows in it.

    Where ``root`` is a file system of its own, or its parent may not be written to, it must lie inside.
    """
    inside = root.stat().st_dev != root.parent.stat().st_dev or not os.access(root.parent, os.W_OK)
    with tempfile.TemporaryDirectory(prefix=".alos-mosaic-", dir=root if inside else root.parent) as folder:
        yield Path(folder)


def open_target(uri: str, client: S3Client | None) -> Target:
    """Return the target behind an ``s3://`` or ``file://`` URI; ``client`` may be None for a folder."""
    parts = split_uri(uri)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FileTarget(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and client is not None:
        from alos_mosaic.processing.s3_target import S3Target  # noqa: PLC0415 - boto3 takes a third of a second

        return S3Target(client, parts.netloc, parts.path)
    raise InvalidRequestError(f"{shown_uri(uri)} is no target; one looks like s3://bucket/folder or file:///folder")


class Uploads:
    """Files on their way to a target, one at a time, while others are made. The context ends with all of them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._begun: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def start(self, path: Path, key: str, media_type: str, sha256: str) -> None:
        """Store a file under a key as :meth:`Target.put` does, once those before it are there."""
        self._begun.append(self._pool.submit(self._target.put, path, key, media_type, sha256))

    def wait(self) -> None:
        """Wait until all is there; raises :class:`PublishError` for the first that could not be put."""
        for upload in self._begun:
            upload.result()


@dataclass(frozen=True)
class Expected:
    """What the item of a tile says if it is that tile's: anything else was not published by us, or not as asked now."""

    item_id: str
    shape: tuple[int, int]
    """Rows and columns of the rasters."""
    file_stems: Mapping[str, str]
    """By asset: what its file is called up to the archive's suffix."""
    required: frozenset[str]
    """Assets that every tile has."""
    accept_partial: bool = False
    """Whether it may lack cells that JAXA has and that could not be read."""


def is_published(target: Target, item_key: str, expected: Expected) -> bool:
    """Tell whether the expected item and every asset it names is there, with the sizes and checksums it says.

    The folder is listed first, since S3 may answer 403 for a file that is missing, which can't be told from a refusal.
    """
    folder = PurePosixPath(item_key).parent
    names = target.names(str(folder))
    content = target.read(item_key) if PurePosixPath(item_key).name in names else None
    if content is None:
        return False
    try:
        promised = _promised_files(json.loads(content), expected)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        logger.warning("Item is not as asked, which counts as unpublished", extra={"key": item_key})
        return False
    return promised.keys() <= names and all(
        target.stat(str(folder / name)) == stored for name, stored in promised.items()
    )


def _promised_files(item: dict[str, Any], expected: Expected) -> dict[str, StoredFile]:
    """Return the files that an item names, by name; ValueError if it is not the expected one."""
    assets = item["assets"]
    if item["id"] != expected.item_id or tuple(item["properties"]["proj:shape"]) != expected.shape:
        raise ValueError("another item")
    if not expected.required <= assets.keys() <= expected.file_stems.keys():
        raise ValueError("other assets")
    if item["properties"].get("alos_mosaic:cells_defective") and not expected.accept_partial:
        raise ValueError("a partial tile")
    files = {}
    for measurement, asset in assets.items():
        name = asset["href"].removeprefix("./")
        if not name.startswith(expected.file_stems[measurement]) or "/" in name:
            raise ValueError("another file")
        files[name] = StoredFile(asset["file:size"], from_multihash(asset["file:checksum"]))
    return files


@contextmanager
def as_publish_error(uri: str, *errors: type[Exception]) -> Iterator[None]:
    """Raise :class:`PublishError` for an OSError and for these errors."""
    try:
        yield
    except (OSError, *errors) as error:  # type: ignore[misc]
        raise PublishError(f"{uri}: {error}") from error
