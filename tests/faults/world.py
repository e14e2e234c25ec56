"""One tile's way from a real server through the Lambda's handler to a bucket, and what can go wrong on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import ConnectionClosedError

from alos_mosaic.bands import bands_of
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.checksums import from_multihash, sha256_of
from alos_mosaic.settings import TileSettings
from lambdas.process_tile import handler
from local.archives import Packing, first_layout, make_cell, members, place_archive, place_cell_archive, write_files
from local.jaxa_server import Fault, JaxaServer
from local.web_server import Answer, WebServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TILE: Final = Tile.from_name("N25W165")
CELL: Final = TILE.cells[0]
YEAR: Final = 2020
PREFIX: Final = f"alos_palsar_mosaic/{YEAR}/{TILE}/"
ITEM: Final = f"{PREFIX}{TILE}_20.stac-item.json"
CONTEXT: Final = SimpleNamespace(
    log_group_name="/group", log_stream_name="stream", get_remaining_time_in_millis=lambda: 900_000
)
_PATIENCE_SECONDS: Final = 60.0
_FILES: Final = len(bands_of(mission_of(YEAR)))


@dataclass(frozen=True)
class Refusal:
    """What S3 does instead of an operation on what is published; ``reset`` is no answer at all."""

    operation: str
    """Like ``PutObject``."""
    code: str
    """S3's error code, like ``SlowDown``; or ``reset``."""
    status: int = 503
    ending: str = ""
    """Of the keys that it happens to."""
    let_through: int = 0
    """How many such operations go well before."""


@dataclass
class World:
    """A mirror with one archive of one cell, a server for it, a bucket; and what is wrong with each of them."""

    folder: Path
    s3: S3Client
    """The worker's own."""
    grid: Grid
    protocol: str = "ftp"
    """Or ``http``, or ``file``."""
    ftp: dict[str, Any] = field(default_factory=dict)
    """Options of the FTP server."""
    web: dict[str, Any] = field(default_factory=dict)
    """Options of the HTTP server."""
    faults: list[Fault] = field(default_factory=list)
    answer: Answer | None = None
    """What the HTTP server says of the archive."""
    refusals: list[Refusal] = field(default_factory=list)
    is_down: bool = False
    """Whether nobody listens where the server was."""
    patience_seconds: float = _PATIENCE_SECONDS
    """After so many seconds without a byte the worker takes the source for stalled."""
    contexts: ExitStack = field(default_factory=ExitStack)
    """What lasts until the fault is taken away: limits, patches."""

    def __post_init__(self) -> None:
        self.archive = place_archive(self.mirror, TILE, YEAR, self.grid, cells=[CELL])

    @property
    def mirror(self) -> Path:
        """What the server serves."""
        return self.folder / "mirror"

    @property
    def size(self) -> int:
        """How large the archive is, in bytes."""
        return self.archive.stat().st_size

    def files(self) -> dict[str, bytes]:
        """Return what the archive holds, by name."""
        return dict(members(make_cell(CELL, YEAR, self.grid), YEAR))

    def pack(self, files: dict[str, bytes], packing: Packing | None = None) -> None:
        """Write another archive in its place."""
        write_files(self.archive, files.items(), *([packing] if packing else []))

    def split(self) -> list[Path]:
        """Put archives of three single cells in the tile's place."""
        self.archive.unlink()
        cells = TILE.cells[:3]
        return [place_cell_archive(self.mirror, make_cell(cell, YEAR, self.grid), YEAR) for cell in cells]

    def reissue(self) -> None:
        """Replace the archive by one with other pixels, as JAXA does."""
        self.archive = place_archive(self.mirror, TILE, YEAR, self.grid, cells=[CELL], seed=1)

    def mend(self) -> None:
        """Take every fault away: the archive is there and whole, the servers answer, S3 takes what it is given."""
        self.contexts.close()
        self.protocol, self.ftp, self.web, self.faults, self.answer, self.refusals = "ftp", {}, {}, [], None, []
        self.is_down, self.patience_seconds = False, _PATIENCE_SECONDS
        shutil.rmtree(self.mirror)
        self.archive = place_archive(self.mirror, TILE, YEAR, self.grid, cells=[CELL])

    def run(self, mode: str = "skip") -> dict[str, Any]:
        """Invoke the worker once, with an event as the state machine makes it."""
        with ExitStack() as stack:
            environment = self.settings(stack.enter_context(self.served())).to_env()
            for refusal in self.refusals:
                stack.enter_context(_refused(self.s3, refusal))
            return self.invoke(event(mode), environment)

    def invoke(self, event: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
        """Hand an event to the worker, which has these settings in its environment; return its answer."""
        with _environment() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return handler.lambda_handler(event, CONTEXT)

    def settings(self, url: str) -> TileSettings:
        """Return the worker's settings; ``url`` is the source's."""
        return TileSettings(
            "s3://out", "runs", url, cell_pixels=self.grid.cell_pixels, source_timeout_seconds=self.patience_seconds
        )

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the mirror and yield its URL."""
        if self.protocol == "file":
            yield self.mirror.as_uri()
        elif self.protocol == "http":
            with WebServer(self.mirror, **self.web) as web:
                if self.answer is not None:
                    web.answers[f"/{self.archive.relative_to(self.mirror)}"] = self.answer
                yield web.url
        else:
            with JaxaServer(self.mirror, faults=self.faults, **self.ftp) as server:
                url = server.url
                if not self.is_down:
                    yield url
            if self.is_down:
                yield url

    @property
    def record_key(self) -> str:
        """Where the worker leaves its result."""
        return f"runs/a-run/results/{YEAR}/{TILE}.json"

    def record(self) -> dict[str, Any]:
        """Return the result that the worker left under the run's prefix."""
        content: dict[str, Any] = json.loads(self.s3.get_object(Bucket="runs", Key=self.record_key)["Body"].read())
        return content

    def item(self) -> bytes | None:
        """Return the published item as it lies there, None if there is none."""
        listed = self.s3.list_objects_v2(Bucket="out", Prefix=ITEM)
        return self.s3.get_object(Bucket="out", Key=ITEM)["Body"].read() if listed["KeyCount"] else None

    def broken_promises(self) -> list[str]:
        """Return the files that are not what the published item says of them; what is missing raises."""
        item = json.loads(self.item() or b"")
        found = []
        (eo3,) = (link for link in item["links"] if link["rel"] == "odc_yaml")
        for name, asset in {**item["assets"], "odc_yaml": eo3}.items():
            content = self.s3.get_object(Bucket="out", Key=PREFIX + asset["href"].removeprefix("./"))["Body"].read()
            (self.folder / "asset").write_bytes(content)
            promised = asset["file:size"], from_multihash(asset["file:checksum"])
            if (len(content), sha256_of(self.folder / "asset")) != promised:
                found.append(name)
        return found

    def assert_whole(self) -> None:
        """Check that item, assets and EO3 document are there and agree."""
        assert not self.broken_promises()
        assets = json.loads(self.item() or b"")["assets"]
        assert len(assets) == _FILES + 1  # the bands, and a thumbnail


def event(mode: str) -> dict[str, Any]:
    """Return what the state machine hands the worker."""
    return {"schema_version": 1, "year": YEAR, "tile": TILE.name, "mode": mode, "run": "a-run", "retries": 0}


@contextmanager
def _environment() -> Iterator[Any]:
    import pytest  # noqa: PLC0415 - the table of cases is written without it

    with pytest.MonkeyPatch.context() as patch:
        yield patch


@contextmanager
def _refused(s3: S3Client, refusal: Refusal) -> Iterator[None]:
    name, refuse = f"before-call.s3.{refusal.operation}", _refusing(refusal)
    s3.meta.events.register(name, refuse)
    try:
        yield
    finally:
        s3.meta.events.unregister(name, refuse)


def _refusing(refusal: Refusal) -> Any:
    left = refusal.let_through

    def refuse(params: Any, **_: object) -> tuple[Any, Any] | None:
        nonlocal left
        url = urlsplit(params["url"])
        if url.path.startswith("/runs/") or url.netloc.startswith("runs.") or not url.path.endswith(refusal.ending):
            return None
        left -= 1
        if left >= 0:
            return None
        if refusal.code == "reset":
            raise ConnectionClosedError(endpoint_url=params["url"])
        error = {"Code": refusal.code, "Message": "told so"}
        said = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": refusal.status}}
        return SimpleNamespace(status_code=refusal.status), said

    return refuse


def archive_name() -> str:
    """Return the archive's bare name."""
    return first_layout(YEAR).archive_name(TILE, YEAR)
