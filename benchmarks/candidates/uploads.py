"""What uploads fastest: a file to the emulated S3 over the loopback, in parts, from memory as blocks come.

The emulator is slow beside S3 and shares the machine, so what counts is each client's own CPU time and what it can do:
take parts while later ones do not exist yet. boto3's CRT client is missing: it refuses an endpoint with a port
(AWS_IO_DNS_INVALID_NAME), so that nothing on this machine can answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import boto3
import numpy as np
import obstore
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from obstore.store import S3Store

from benchmarks.candidates.trial import best_of, rows
from local.emulator.cloud import Cloud, running_cloud
from local.emulator.environment import CREDENTIALS

_BUCKET: Final = "candidates"
_PART_BYTES: Final = 8 << 20
_PARTS: Final = 16
Upload = Callable[[], None]


def try_uploads(repeats: int, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return a table of clients that upload 134 MB."""
    data = np.random.default_rng(1).bytes(_PART_BYTES * _PARTS)
    with (
        TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as scratch,
        running_cloud(Path(scratch), Path.cwd()) as cloud,
    ):
        cloud.client("s3").create_bucket(Bucket=_BUCKET)
        trials = [
            best_of(repeats, name, partial(_sent, upload, cloud, len(data)), note)
            for name, (upload, note) in _uploads(cloud, data).items()
        ]
    return {f"uploads of {len(data) / 1e6:.0f} MB": rows(trials, len(data))}


def _sent(upload: Upload, cloud: Cloud, size: int) -> int:
    upload()
    stored: int = cloud.client("s3").head_object(Bucket=_BUCKET, Key="object")["ContentLength"]
    if stored != size:
        raise ValueError(f"{stored} bytes arrived, not {size}")
    return stored


def _uploads(cloud: Cloud, data: bytes) -> dict[str, tuple[Upload, str]]:
    client, whole = _client(cloud), "needs the whole object first"
    return {
        "boto3 put_object": (lambda: client.put_object(Bucket=_BUCKET, Key="object", Body=data) and None, whole),
        "boto3 upload_fileobj": (partial(_transfer, client, data), "reads a file object as it goes"),
        "boto3 upload_part, 2 threads": (partial(_parts, client, data), "parts as they come; ours to abort"),
        "obstore put, multipart": (partial(_obstore, cloud, data), "takes an iterator: parts as they come"),
    }


def _client(cloud: Cloud) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=cloud.endpoint_url,
        region_name=cloud.region,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )


def _transfer(client: Any, data: bytes) -> None:
    config = TransferConfig(multipart_chunksize=_PART_BYTES, preferred_transfer_client="classic")
    client.upload_fileobj(BytesIO(data), _BUCKET, "object", Config=config)


def _chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _PART_BYTES):
        yield data[start : start + _PART_BYTES]


def _parts(client: Any, data: bytes) -> None:
    place = {"Bucket": _BUCKET, "Key": "object"}
    place["UploadId"] = client.create_multipart_upload(**place)["UploadId"]

    def send(numbered: tuple[int, bytes]) -> dict[str, Any]:
        number, part = numbered
        return {"PartNumber": number, "ETag": client.upload_part(**place, PartNumber=number, Body=part)["ETag"]}

    with ThreadPoolExecutor(2) as threads:
        parts = list(threads.map(send, enumerate(_chunks(data), start=1)))
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})


def _obstore(cloud: Cloud, data: bytes) -> None:
    store = S3Store(
        _BUCKET,
        endpoint=cloud.endpoint_url,
        region=cloud.region,
        access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    obstore.put(store, "object", _chunks(data), chunk_size=_PART_BYTES, max_concurrency=2)
