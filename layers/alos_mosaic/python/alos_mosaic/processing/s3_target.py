"""A bucket as target: objects appear whole, and carry their checksum."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic.processing.publish import StoredFile, as_publish_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MEGABYTE: Final = 1 << 20
_TRANSFER: Final = TransferConfig(multipart_threshold=64 * _MEGABYTE, multipart_chunksize=64 * _MEGABYTE)
_SHA256_METADATA: Final = "sha256"


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
        with self._as_publish_error(key):
            self._client.upload_file(str(path), self._bucket, self._prefix + key, ExtraArgs=extra, Config=_TRANSFER)

    def names(self, folder: str) -> set[str]:
        """Return the names of the objects directly below a prefix, one page of S3's: a tile's folder has few."""
        prefix = f"{self._prefix}{folder}/"
        with self._as_publish_error(folder):
            found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
        return {entry["Key"].removeprefix(prefix) for entry in found.get("Contents", ())}

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

    def _as_publish_error(self, key: str) -> AbstractContextManager[None]:
        return as_publish_error(self.uri(key), ClientError, BotoCoreError, Boto3Error)
