"""A bucket as target: objects appear whole, and carry their checksum."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from alos_mosaic.errors import PublishError
from alos_mosaic.messages import format_time
from alos_mosaic.processing.local_file import LocalFile
from alos_mosaic.processing.publish import FileToPut, Staging, as_publish_error, changed_meanwhile
from alos_mosaic.processing.sources.s3 import MODIFIED_METADATA
from alos_mosaic.processing.standing import StoredFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

_MEGABYTE: Final = 1 << 20
_TRANSFER: Final = TransferConfig(multipart_threshold=64 * _MEGABYTE, multipart_chunksize=64 * _MEGABYTE)
_SHA256_METADATA: Final = "sha256"
_STAGING_FOLDER: Final = ".staging/"
_COPIES_AT_ONCE: Final = 8
"""All of a tile's files, so that old and new lie side by side for as short as can be."""
_CHANGED: Final = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
"""What S3 answers a conditional write whose object is another by now, is being written, or is gone."""


class S3Target:
    """A bucket, or a prefix in one. The checksum of a file stands in its object's metadata."""

    def __init__(self, client: S3Client, bucket: str, prefix: str, staging: tuple[str, str] | None = None) -> None:
        self._client, self._bucket = client, bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._staging = staging or (bucket, self._prefix + _STAGING_FOLDER)

    def uri(self, key: str) -> str:
        """Return the full URI of a key."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def put(self, file: FileToPut) -> None:
        """Store a file under its key; S3 shows an object only when it is whole."""
        self.upload(file, self._bucket, self._prefix + file.key)

    def replace(self, file: FileToPut, content: bytes | None) -> None:
        """Store a small file under its key, only over these bytes: by a conditional write, which two can't both win."""
        full_key, condition = self._prefix + file.key, {"IfNoneMatch": "*"}
        with self._as_publish_error(file.key):
            try:
                if content is not None:
                    found = self._client.get_object(Bucket=self._bucket, Key=full_key)
                    if found["Body"].read() != content:
                        raise changed_meanwhile(self.uri(file.key))
                    condition = {"IfMatch": found["ETag"]}
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=full_key,
                    Body=file.path.read_bytes(),
                    ContentType=file.media_type,
                    Metadata={_SHA256_METADATA: file.sha256},
                    **condition,  # type: ignore[arg-type]
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in _CHANGED:
                    raise changed_meanwhile(self.uri(file.key)) from error
                raise

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """Open a prefix of its own, where objects wait to be copied; they are deleted with the context.

        What a worker that died left there is for a lifecycle rule to delete.
        """
        bucket, prefix = self._staging
        waiting = _Waiting(self, bucket, f"{prefix}{uuid.uuid4().hex}/")
        try:
            yield waiting
        finally:
            waiting.discard()

    def upload(self, file: FileToPut, bucket: str, key: str) -> None:
        """Store a file in a bucket under a full key."""
        metadata = {_SHA256_METADATA: file.sha256}
        if file.modified is not None:
            metadata[MODIFIED_METADATA] = format_time(file.modified)
        extra = {"ContentType": file.media_type, "Metadata": metadata}
        with self._as_publish_error(file.key):
            self._client.upload_file(str(file.path), bucket, key, ExtraArgs=extra, Config=_TRANSFER)

    def copy(self, bucket: str, full_key: str, key: str) -> None:
        """Copy an object to a key with its type and metadata: one request as long as it has less than 5 GB."""
        with self._as_publish_error(key):
            self._client.copy_object(
                Bucket=self._bucket, Key=self._prefix + key, CopySource={"Bucket": bucket, "Key": full_key}
            )

    def names(self, folder: str) -> set[str]:
        """Return the names of the objects directly below a prefix, one page of S3's: a tile's folder has few."""
        prefix = f"{self._prefix}{folder}/"
        with self._as_publish_error(folder):
            found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
        return {entry["Key"].removeprefix(prefix) for entry in found.get("Contents", ())}

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys of all objects below a folder, however deep, in their order."""
        with self._as_publish_error(folder):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"].removeprefix(self._prefix)

    def read(self, key: str) -> bytes | None:
        """Return the bytes under a key, None if there is none."""
        with self._as_publish_error(key):
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def stat(self, key: str) -> StoredFile | None:
        """Return size and checksum of what is stored under a key, None if there is nothing.

        A 403 is never "nothing": S3 answers so for a missing key, too, where listing is not allowed.
        """
        with self._as_publish_error(key):
            try:
                head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004
                    return None
                raise
        return StoredFile(head["ContentLength"], head["Metadata"].get(_SHA256_METADATA))

    def fetch(self, key: str, folder: Path) -> Path:
        """Download an object into a folder and return where it lies; OutputError if that folder's disk is full."""
        path = folder / key.rpartition("/")[2]
        with self._as_publish_error(key), LocalFile(path) as file:
            self._client.download_fileobj(self._bucket, self._prefix + key, file, Config=_TRANSFER)
        return path

    def remove(self, key: str) -> None:
        """Delete an object; S3 does not mind if there is none."""
        self.delete(self._bucket, self._prefix + key)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object of a bucket by its full key."""
        with as_publish_error(f"s3://{bucket}/{key}", ClientError, BotoCoreError):
            self._client.delete_object(Bucket=bucket, Key=key)

    def _as_publish_error(self, key: str) -> AbstractContextManager[None]:
        return as_publish_error(self.uri(key), ClientError, BotoCoreError, Boto3Error, HTTPError)


class _Waiting:
    """Objects below a prefix that nobody else uses, to be copied."""

    def __init__(self, target: S3Target, bucket: str, prefix: str) -> None:
        self._target, self._bucket, self._prefix = target, bucket, prefix
        self._keys: dict[str, str] = {}
        """Where objects wait, by the key that they are to have."""

    def put(self, file: FileToPut) -> None:
        """Upload a file here."""
        full_key = f"{self._prefix}{file.key.rpartition('/')[2]}"
        self._keys[file.key] = full_key
        self._target.upload(file, self._bucket, full_key)

    def settle(self) -> None:
        """Copy all objects at once."""
        with ThreadPoolExecutor(_COPIES_AT_ONCE, thread_name_prefix="copy") as threads:
            begun = [threads.submit(self._target.copy, self._bucket, *each[::-1]) for each in self._keys.items()]
        for copy in begun:
            copy.result()

    def discard(self) -> None:
        """Delete what waits here; what can't be deleted costs no more than its storage until it expires."""
        for full_key in self._keys.values():
            try:
                self._target.delete(self._bucket, full_key)
            except PublishError as error:
                logger.warning("Staged object stays", extra={"key": full_key, "cause": str(error)})
