"""What is published, by its bytes, of both kinds of target: as a reader sees it, and as someone who damages it does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alos_mosaic.processing.publish import Target, open_target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "out"
RUNS_BUCKET = "runs"
STAGING = (RUNS_BUCKET, "staging/a-run/2020/N25W165/published/")


@dataclass(frozen=True)
class Output:
    """A folder of this machine, or a prefix in a bucket of moto's."""

    uri: str
    folder: Path
    """The target's root, where it is a folder."""
    s3: S3Client
    staging: tuple[str, str] | None = None

    @property
    def target(self) -> Target:
        """A target that remembers nothing."""
        return open_target(self.uri, self.s3, self.staging)

    def files(self) -> dict[str, bytes]:
        """All bytes by key, what lies outside of the products' folders included."""
        if self.uri.startswith("file:"):
            paths = [path for path in self.folder.rglob("*") if path.is_file()]
            return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}
        return self._objects(BUCKET)

    def staged(self) -> list[str]:
        """Whatever waits, or was left behind, outside of the products' folders."""
        if self.uri.startswith("file:"):
            return [path.name for path in self.folder.parent.iterdir() if path.name.startswith(".")]
        return [key for key in [*self.files(), *self._objects(RUNS_BUCKET)] if "staging/" in key]

    def write(self, key: str, content: bytes) -> None:
        """Put bytes under a key, over what is there; S3 metadata stay."""
        if self.uri.startswith("file:"):
            path = self.folder / key
            path.unlink(missing_ok=True)
            path.write_bytes(content)
            return
        full_key = self._prefix + key
        try:
            metadata = self.s3.head_object(Bucket=BUCKET, Key=full_key)["Metadata"]
        except self.s3.exceptions.ClientError:
            metadata = {}
        self.s3.put_object(Bucket=BUCKET, Key=full_key, Body=content, Metadata=metadata)

    def remove(self, key: str) -> None:
        """Remove a key that is there."""
        assert key in self.files()
        self.target.remove(key)
        assert key not in self.files()

    def key(self, part: str) -> str:
        """The only key with this part."""
        (key,) = (key for key in self.files() if part in key)
        return key

    def item(self) -> dict[str, Any]:
        """The only item there is."""
        content: dict[str, Any] = json.loads(self.files()[self.key(".stac-item.json")])
        return content

    def change_item(self, **properties: Any) -> None:
        """Change properties of the only item."""
        item = self.item()
        item["properties"] |= properties
        self.write(self.key(".stac-item.json"), json.dumps(item).encode())

    @property
    def _prefix(self) -> str:
        return self.uri.removeprefix(f"s3://{BUCKET}").strip("/") + "/"

    def _objects(self, bucket: str) -> dict[str, bytes]:
        found = self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        prefix = self._prefix if bucket == BUCKET else ""
        return {
            entry["Key"].removeprefix(prefix): self.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            for entry in found
        }
