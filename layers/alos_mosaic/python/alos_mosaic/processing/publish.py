"""Targets: where a tile is published, and what counts as published.

The item goes last: what has an item whose assets are there, with the sizes and checksums it says, is published.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.errors import InvalidRequestError, PublishError
from alos_mosaic.processing.checksums import from_multihash, sha256_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)


_MEGABYTE: Final = 1 << 20
_TRANSFER: Final = TransferConfig(multipart_threshold=64 * _MEGABYTE, multipart_chunksize=64 * _MEGABYTE)
_SHA256_METADATA: Final = "sha256"


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
        scratch = final.with_name(f".{final.name}.{os.getpid()}")
        with _as_publish_error(self.uri(key)):
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(path, scratch)
                scratch.replace(final)
            finally:
                scratch.unlink(missing_ok=True)

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder; none if there is no such folder."""
        with _as_publish_error(self.uri(folder)):
            return {path.name for path in (self._root / folder).glob("*") if path.is_file()}

    def read(self, key: str) -> bytes | None:
        """Return the bytes under a key, None if there is none."""
        with _as_publish_error(self.uri(key)):
            return (self._root / key).read_bytes() if (self._root / key).is_file() else None

    def stat(self, key: str) -> StoredFile | None:
        """Return size and checksum of what is stored under a key (it is read for that), None if there is nothing."""
        with _as_publish_error(self.uri(key)):
            if not (self._root / key).is_file():
                return None
            return StoredFile((self._root / key).stat().st_size, sha256_of(self._root / key))


class S3Target:
    """A bucket, or a prefix in one. The checksum of a file stands in its object's metadata."""

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client, self._bucket = client, bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def uri(self, key: str) -> str:
        """Return the full URI of a key."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def put(self, path: Path, key: str, media_type: str, sha256: str) -> None:
        """Store a file under a key; S3 shows an object only when it is whole."""
        extra = {"ContentType": media_type, "Metadata": {_SHA256_METADATA: sha256}}
        with _as_publish_error(self.uri(key)):
            self._client.upload_file(str(path), self._bucket, self._prefix + key, ExtraArgs=extra, Config=_TRANSFER)

    def names(self, folder: str) -> set[str]:
        """Return the names of the objects directly below a prefix, one page of S3's: a tile's folder has few."""
        prefix = f"{self._prefix}{folder}/"
        with _as_publish_error(self.uri(folder)):
            found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
        return {entry["Key"].removeprefix(prefix) for entry in found.get("Contents", ())}

    def read(self, key: str) -> bytes | None:
        """Return the bytes under a key, None if there is none."""
        with _as_publish_error(self.uri(key)):
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def stat(self, key: str) -> StoredFile | None:
        """Return size and checksum of what is stored under a key, None if there is nothing.

        A 403 is never "nothing": S3 answers so for a missing key, too, where listing is not allowed.
        """
        with _as_publish_error(self.uri(key)):
            try:
                head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004
                    return None
                raise
        return StoredFile(head["ContentLength"], head["Metadata"].get(_SHA256_METADATA))


def open_target(uri: str, client: S3Client | None) -> Target:
    """Return the target behind an ``s3://`` or ``file://`` URI; ``client`` may be None for a folder."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and not parts.netloc and parts.path:
        return FileTarget(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and client is not None:
        return S3Target(client, parts.netloc, parts.path)
    raise InvalidRequestError(f"{uri!r} is no target; one looks like s3://bucket/folder or file:///folder")


def is_published(target: Target, item_key: str) -> bool:
    """Tell whether an item and every asset it names is there, with the sizes and checksums it says.

    The folder is listed first, since S3 may answer 403 for a file that is missing, which can't be told from a refusal.
    """
    folder = PurePosixPath(item_key).parent
    names = target.names(str(folder))
    content = target.read(item_key) if PurePosixPath(item_key).name in names else None
    if content is None:
        return False
    try:
        assets = _promised_assets(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("Item is unreadable, the tile counts as unpublished", extra={"key": item_key})
        return False
    return (
        bool(assets)
        and assets.keys() <= names
        and all(target.stat(str(folder / name)) == promised for name, promised in assets.items())
    )


def _promised_assets(item: dict[str, Any]) -> dict[str, StoredFile]:
    return {
        asset["href"].rpartition("/")[2]: StoredFile(asset["file:size"], from_multihash(asset["file:checksum"]))
        for asset in item["assets"].values()
    }


@contextmanager
def _as_publish_error(uri: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error, OSError) as error:
        raise PublishError(f"{uri}: {error}") from error
