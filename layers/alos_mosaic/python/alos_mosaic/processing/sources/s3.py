"""A mirror in S3 with the server's own tree. Listings tell what is absent: asked for a missing key, S3 may say 403."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.messages import parse_time
from alos_mosaic.processing.sources.failures import BREAK, NO_ARCHIVE, REFUSAL, Unavailable, as_unavailable
from alos_mosaic.processing.sources.protocol import PIECE_BYTES, FromStartOnlyError, RemoteFile, Sink, SourceAccess

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef


MODIFIED_METADATA: Final = "modified"
"""Of an object in a mirror of our own: the time that JAXA's server told."""


_ABOUT_OBJECTS: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
"""Statuses that are about the object that was asked for, not about us or S3."""


class S3Source:
    """A bucket, or a folder in one. The reader needs s3:ListBucket and s3:GetObject on it."""

    can_list = True

    def __init__(self, url: str, access: SourceAccess) -> None:
        if access.s3 is None:
            raise InvalidRequestError(f"{url} needs an S3 client")
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._client, self._bucket = access.s3, parts.netloc
        prefix = parts.path.strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._payer: dict[str, Any] = {"RequestPayer": "requester"} if access.requester_pays else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def stat(self, path: str) -> RemoteFile | None:
        """Return size, time and ETag of an object, or None if the listing does not name it.

        The time is JAXA's where the mirror was written by :mod:`alos_mosaic.processing.mirror`, which says so in the
        object's metadata, else that of the copy into the mirror.
        """
        key = self._prefix + path
        with self._as_unavailable(path):
            # In S3's order a key comes before all others that begin with it.
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1, **self._payer)
        for entry in page.get("Contents", []):
            if entry["Key"] == key:
                modified = self._told_time(path) or entry["LastModified"]
                return RemoteFile(path, entry["Size"], modified, entry.get("ETag"))
        return None

    def _told_time(self, path: str) -> datetime | None:
        with self._as_unavailable(path):
            head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + path, **self._payer)
        try:
            return parse_time(head["Metadata"][MODIFIED_METADATA])
        except (KeyError, ValueError):
            return None

    def names(self, folder: str) -> list[str] | None:
        """Return the names in a folder, or None if nothing lies below it."""
        prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        with self._as_unavailable(folder):
            keys = [key for page in self._pages(prefix) for key in _keys(page)]
        names = [key.removeprefix(prefix).rstrip("/") for key in keys if key != prefix]
        return names if keys else None

    def read(self, path: str, sink: Sink, start: int = 0) -> None:
        """Hand the object's bytes from offset ``start`` on to ``sink``, piece by piece."""
        chosen = {**self._payer, **({"Range": f"bytes={start}-"} if start else {})}
        with self._as_unavailable(path, _kind_of_read):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path, **chosen)
            body = answer["Body"]
            try:
                if start and not answer.get("ContentRange", "").startswith(f"bytes {start}-"):
                    raise FromStartOnlyError(f"{self.url}/{path}: the server ignores Range")
                while chunk := body.read(PIECE_BYTES):
                    sink(chunk)
            finally:
                body.close()

    def _pages(self, prefix: str) -> Iterator[ListObjectsV2OutputTypeDef]:
        paginator = self._client.get_paginator("list_objects_v2")
        yield from paginator.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/", **self._payer)

    def reconnect(self) -> None:
        """Do nothing: the client connects as it needs to."""

    def _as_unavailable(
        self, path: str, kind_of: Callable[[Exception], Unavailable] | None = None
    ) -> AbstractContextManager[None]:
        failures = (BotoCoreError, ClientError, HTTPError, OSError)
        return as_unavailable(f"{self.url}/{path}", failures, kind_of=kind_of or _kind_of)


def _kind_of(error: Exception) -> Unavailable:
    """Tell what an error means: what S3 says itself, boto3 has asked for several times already."""
    return REFUSAL if isinstance(error, ClientError) else BREAK


def _kind_of_read(error: Exception) -> Unavailable:
    """Tell what an error means to who asks for an object that S3 has listed."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return NO_ARCHIVE if status in _ABOUT_OBJECTS else REFUSAL
    return _kind_of(error)


def _keys(page: ListObjectsV2OutputTypeDef) -> list[str]:
    return [
        *(entry["Key"] for entry in page.get("Contents", [])),
        *(entry["Prefix"] for entry in page.get("CommonPrefixes", [])),
    ]
