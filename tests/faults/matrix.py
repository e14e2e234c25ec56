"""The fault matrix: what is made to go wrong, where, and what has to come of it.

``python -m tests.faults.matrix`` writes the table into docs/reliability.md.
"""

from __future__ import annotations

import gzip
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

from boto3.s3.transfer import TransferConfig

from alos_mosaic.errors import (
    ArchiveUnavailableError,
    CorruptArchiveError,
    MosaicError,
    OutputError,
    PublishError,
    SourceUnavailableError,
)
from alos_mosaic.processing import s3_target
from local.archives import Packing
from local.jaxa_server import Fault
from local.web_server import Answer
from tests.faults.pairs import PAIRS
from tests.faults.run_cases import BREAKS, RUN_CASES
from tests.faults.stages import Stage
from tests.faults.staging import STAGING_CASES
from tests.faults.stops import STOPS
from tests.faults.world import CELL, Refusal, World, archive_name

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN: Final = "<!-- The table is written by: python -m tests.faults.matrix -->"
END: Final = "<!-- end of the table -->"
_HH: Final = f"{CELL}_20_sl_HH_F02DAR.tif"


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong, and what has to come of it."""

    fault: str
    stage: Stage
    how: str
    """How it is injected."""
    outcome: type[MosaicError] | None
    """The error that the worker ends with; None where the tile is published all the same."""
    inject: Callable[[World], None]
    told: str = ""
    """What the error's text has in it."""
    mode: str = "skip"

    @property
    def name(self) -> str:
        """What the case is called in a test's name."""
        return f"{self.stage.value}: {self.fault}"

    @property
    def ending(self) -> str:
        """How it ends."""
        return "published" if self.outcome is None else f"`{self.outcome.__name__}`"


_FTP_REPLIES: Final = {
    421: "Too many connections",
    425: "Can't open data connection",
    426: "Connection closed; transfer aborted",
    450: "File busy",
    530: "Not logged in",
    550: "No such file or directory",
}
_TOO_MANY: Final = 421
"""Left to the state machine, which waits longer."""
_HTTP_STATUSES: Final = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    416: "Range Not Satisfiable",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def _on_ftp(*faults: Fault) -> Callable[[World], None]:
    return lambda world: world.faults.extend(faults)


def _at_share(share: float, times: int = 1, **facts: object) -> Callable[[World], None]:
    """A transfer that ends at a share of the archive, 0 to 1."""

    def inject(world: World) -> None:
        world.faults.append(Fault("RETR", at_byte=int(world.size * share), times=times, **facts))  # type: ignore[arg-type]

    return inject


def _impatiently(inject: Callable[[World], None]) -> Callable[[World], None]:
    """With a worker that soon takes silence for a fault; any other waits for long, lest a busy machine be one."""

    def inject_impatiently(world: World) -> None:
        world.patience_seconds = _IMPATIENCE_SECONDS
        inject(world)

    return inject_impatiently


def _silent_at(share: float, times: int = 1) -> Callable[[World], None]:
    return _impatiently(_at_share(share, times, is_silent=True))


def _with_options(**options: object) -> Callable[[World], None]:
    return lambda world: world.ftp.update(options)


def _break_without_rest(world: World) -> None:
    world.ftp.update(lacks=["REST"], breaks=[world.size // 2])


def _busy_at_the_second(world: World) -> None:
    second = world.split()[1]
    world.faults.append(Fault("RETR", f"{_TOO_MANY} {_FTP_REPLIES[_TOO_MANY]}", ending=second.name))


def _go_down(world: World) -> None:
    world.is_down = True


def _replace_meanwhile(world: World) -> None:
    world.faults.append(Fault("RETR", at_byte=world.size // 2, times=1, meanwhile=world.reissue))


_ALWAYS: Final = 1_000_000
_IMPATIENCE_SECONDS: Final = 1.0
_SILENCE: Final = f"the server sends nothing more; the time-out is {_IMPATIENCE_SECONDS:.0f} s"


def _ftp_cases() -> Iterator[Case]:
    for command, stage, where in (
        ("USER", Stage.FIND, "login"),
        ("SIZE", Stage.FIND, "SIZE"),
        ("RETR", Stage.TRANSFER, "RETR"),
    ):
        for code, words in _FTP_REPLIES.items():
            reply = f"{code} {words}"
            lists = command == "SIZE" and code == 550
            is_own = lists or (command == "RETR" and code in (450, 550))
            yield Case(
                f"ftp {reply}, on {where}",
                stage,
                f"the server's answer to {command}",
                ArchiveUnavailableError if is_own else SourceUnavailableError,
                _on_ftp(Fault(command, reply)),
                "but does not serve it" if lists else reply,
            )
    for code in (421, 426, 450):
        reply = f"{code} {_FTP_REPLIES[code]}"
        yield Case(
            f"ftp {reply}, on the first RETR only",
            Stage.TRANSFER,
            "the server's answer to RETR, once",
            SourceUnavailableError if code == _TOO_MANY else None,
            _on_ftp(Fault("RETR", reply, times=1)),
            reply if code == _TOO_MANY else "",
        )
    yield Case(
        f"ftp {_TOO_MANY} {_FTP_REPLIES[_TOO_MANY]}, on RETR of the second of a tile's archives",
        Stage.TRANSFER,
        "the server's answer to RETR of an archive of one of three cells",
        SourceUnavailableError,
        _busy_at_the_second,
        str(_TOO_MANY),
    )
    yield Case(
        "ftp 426 in the middle of a transfer, once",
        Stage.TRANSFER,
        "the data connection ends at half of the file, then 426",
        None,
        _at_share(0.5, reply="426 Transfer aborted"),
    )
    reset = "the server's socket closes with SO_LINGER 0"
    for share, words in ((0.0, "0"), (0.5, "50 %"), (0.99, "99 %")):
        yield Case(f"reset after {words}, once", Stage.TRANSFER, reset, None, _at_share(share))
    yield Case("reset after 1 byte, once", Stage.TRANSFER, reset, None, _on_ftp(Fault("RETR", at_byte=1, times=1)))
    for share, words in ((0.0, "0"), (0.5, "50 %"), (0.99, "99 %")):
        yield Case(
            f"reset at {words}, each time that it gets there",
            Stage.TRANSFER,
            reset,
            SourceUnavailableError,
            _at_share(share, _ALWAYS),
            archive_name(),
        )
    yield Case("stall after 50 %, once", Stage.TRANSFER, _SILENCE, None, _silent_at(0.5))
    yield Case(
        "stall before the first byte, each time",
        Stage.TRANSFER,
        _SILENCE,
        SourceUnavailableError,
        _silent_at(0.0, _ALWAYS),
        archive_name(),
    )
    for wrong, words in ((100, "small"), (10_000_000, "large")):
        yield Case(
            f"wrong size, too {words}",
            Stage.TRANSFER,
            "the server's answer to SIZE",
            ArchiveUnavailableError,
            _on_ftp(Fault("SIZE", f"213 {wrong}", ending=archive_name())),
            archive_name(),
        )
    yield Case(
        "missing 226", Stage.TRANSFER, "the server hangs up after the last byte", None, _with_options(keeps_quiet=True)
    )
    yield Case(
        "no REST, and a break after 50 %",
        Stage.TRANSFER,
        "the server's answer to REST is 500; the server hangs up once",
        None,
        _break_without_rest,
    )
    yield Case(
        "file replaced during transfer",
        Stage.TRANSFER,
        "a reset at 50 %, and another file under the name",
        ArchiveUnavailableError,
        _replace_meanwhile,
        "has changed while it was fetched",
    )
    yield Case("nobody listens", Stage.FIND, "the server is down", SourceUnavailableError, _go_down, "refused")


def _on_http(answer: Answer) -> Callable[[World], None]:
    def inject(world: World) -> None:
        world.protocol = "http"
        world.answer = answer

    return inject


def _http_cut(
    share: float, *, is_once: bool, silence_seconds: float = 0.0, ignores_range: bool = False
) -> Callable[[World], None]:
    """A body that ends at a share of the archive, 0 to 1."""

    def inject(world: World) -> None:
        world.web["ignores_range"] = ignores_range
        sent = int(world.size * share)
        body = world.archive.read_bytes()
        answer = Answer(body=body, sent_bytes=sent, silence_seconds=silence_seconds, method="GET", is_once=is_once)
        _on_http(answer)(world)

    return inject


def _http_cases() -> Iterator[Case]:
    for status, words in _HTTP_STATUSES.items():
        said = f"{status} {words}"
        yield Case(
            f"http {said}, to HEAD",
            Stage.FIND,
            "the server's answer",
            SourceUnavailableError,
            _on_http(Answer(status, method="HEAD")),
            "has the folder moved?" if status == 404 else str(status),
        )
        yield Case(
            f"http {said}, to GET",
            Stage.TRANSFER,
            "the server's answer",
            ArchiveUnavailableError if status in (404, 416) else SourceUnavailableError,
            _on_http(Answer(status, method="GET")),
            str(status),
        )
    for status in (429, 503):
        yield Case(
            f"http {status} {_HTTP_STATUSES[status]}, to the first GET only",
            Stage.TRANSFER,
            "the server's answer, once",
            SourceUnavailableError,
            _on_http(Answer(status, method="GET", is_once=True)),
            str(status),
        )
    yield Case(
        "http Range ignored, after a break",
        Stage.TRANSFER,
        "the body ends at 50 %; asked for the rest, all of it comes",
        None,
        _http_cut(0.5, is_once=True, ignores_range=True),
    )
    yield Case(
        "http Range ignored, and breaks each time",
        Stage.TRANSFER,
        "the body ends at 50 %; asked for the rest, it begins anew, to end there again",
        SourceUnavailableError,
        _http_cut(0.5, is_once=False),
        archive_name(),
    )
    for share, words in ((0.0, "0"), (0.5, "50 %"), (0.99, "99 %")):
        yield Case(
            f"http body cut at {words}, once",
            Stage.TRANSFER,
            "the server hangs up",
            None,
            _http_cut(share, is_once=True),
        )
    yield Case(
        "http stall after 50 %, once",
        Stage.TRANSFER,
        _SILENCE,
        None,
        _impatiently(_http_cut(0.5, is_once=True, silence_seconds=3 * _IMPATIENCE_SECONDS)),
    )


def _cut_archive(share: float) -> Callable[[World], None]:
    return lambda world: _write(world, world.archive.read_bytes()[: int(world.size * share)])


def _write(world: World, content: bytes) -> None:
    world.archive.write_bytes(content)


def _flip(world: World, at: int) -> None:
    content = bytearray(world.archive.read_bytes())
    content[at] ^= 0xFF
    world.archive.write_bytes(content)


def _repacked(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Callable[[World], None]:
    return lambda world: world.pack(change(world.files()))


def _without(part: str) -> Callable[[World], None]:
    return _repacked(lambda files: {name: data for name, data in files.items() if part not in name})


def _as_zip(world: World) -> None:
    path = world.archive.with_name("made.zip")
    world.archive, kept = path, world.archive
    world.pack(world.files(), Packing())
    world.archive = path.rename(kept)


def _zip_with_wrong_crc(world: World) -> None:
    _as_zip(world)
    content = bytearray(world.archive.read_bytes())
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(_HH.encode()))
    content[entry + 16] ^= 0xFF
    world.archive.write_bytes(content)


def _truncated_zip(world: World) -> None:
    _as_zip(world)
    _cut_archive(0.9)(world)


def _archive_cases() -> Iterator[Case]:
    def case(fault: str, how: str, inject: Callable[[World], None], told: str = "", *, is_fine: bool = False) -> Case:
        return Case(fault, Stage.UNPACK, how, None if is_fine else CorruptArchiveError, inject, told)

    name = archive_name()
    yield case("empty archive", "0 bytes on the server", lambda world: _write(world, b""), name)
    yield case("a page instead of the archive", "HTML on the server", lambda world: _write(world, b"<html>"), name)
    for share in (0.25, 0.5, 0.99):
        yield case(f"tar.gz truncated at {share:.0%}", "a shorter file on the server", _cut_archive(share), name)
    yield case("zip truncated at 90%", "a shorter file on the server", _truncated_zip, name)
    yield case("wrong CRC of the gzip", "a flipped byte in the trailer", lambda world: _flip(world, -8), name)
    yield case("damage in the gzip's data", "a flipped byte in the middle", lambda world: _flip(world, world.size // 2))
    yield case("wrong CRC of a zip's member", "a flipped byte in the directory", _zip_with_wrong_crc, _HH)
    yield case("missing band", "an archive without HV", _without("_HV_"), f"cell {CELL} has no HV")
    yield case("missing mask", "an archive without the mask", _without("_mask_"), f"cell {CELL} has no mask")
    yield case("missing sidecar", "an archive without the XML", _without(".xml"), is_fine=True)
    yield case(
        "extra member",
        "a text file among the rasters",
        _repacked(lambda files: {"readme.txt": b"hello", **files}),
        is_fine=True,
    )
    yield case(
        "extra raster of another tile",
        "a member of N10E010",
        _repacked(lambda files: {**files, "N10E010_20_sl_HH_F02DAR.tif": b"II*\0"}),
        "belongs to tile N10E010",
    )
    yield case(
        "renamed member",
        "HH by a name of no known form",
        _repacked(lambda files: {name.replace("_HH_", "_XX_"): data for name, data in files.items()}),
        "_XX_",
    )
    yield case(
        "member of another year",
        "HH of 2019",
        _repacked(lambda files: {name.replace("_20_sl_HH_", "_19_sl_HH_"): data for name, data in files.items()}),
        "is not of 2020",
    )
    yield case(
        "a raster that is none",
        "four bytes called HH.tif",
        _repacked(lambda files: {**files, _HH: b"II*\0"}),
        _HH,
    )
    yield case(
        "a bomb", "a gzip of 50 MB of zeros", lambda world: _write(world, gzip.compress(bytes(50_000_000))), name
    )


@contextmanager
def _files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes: what the system answers then is as for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _limit_files(size_bytes: int, protocol: str) -> Callable[[World], None]:
    def inject(world: World) -> None:
        world.protocol = protocol
        world.contexts.enter_context(_files_of_at_most(size_bytes))

    return inject


def _disk_cases() -> Iterator[Case]:
    how = "no file of the process may grow beyond some bytes (RLIMIT_FSIZE)"
    yield Case("disk full while fetching", Stage.DISK, how, OutputError, _limit_files(1000, "ftp"), archive_name())
    yield Case("disk full while writing COGs", Stage.DISK, how, OutputError, _limit_files(100, "file"), "")
    yield Case(
        "disk full while COGs are fetched, to be described again",
        Stage.DISK,
        f"{how}, in mode metadata-only",
        OutputError,
        _limit_files(100, "ftp"),
        "can't write N25W165_20_sl_HH_F02DAR.tif",
        mode="metadata-only",
    )


_S3_FAULTS: Final = (
    ("SlowDown", "SlowDown", 503),
    ("AccessDenied", "AccessDenied", 403),
    ("reset", "reset", 0),
)


def _refused(refusal: Refusal) -> Callable[[World], None]:
    def inject(world: World) -> None:
        world.refusals.append(refusal)
        if refusal.operation == "UploadPart":
            in_parts = TransferConfig(multipart_threshold=1)
            world.contexts.enter_context(mock.patch.object(s3_target, "_TRANSFER", in_parts))

    return inject


def _s3_cases() -> Iterator[Case]:
    for fault, code, status in _S3_FAULTS:
        for where, refusal in (
            ("a part", Refusal("UploadPart", code, status)),
            ("the last COG", Refusal("PutObject", code, status, ".tif", let_through=4)),
            ("the item", Refusal("PutObject", code, status, ".stac-item.json")),
        ):
            yield Case(
                f"S3 {fault}, on {where}",
                Stage.PUBLISH,
                f"the answer to {refusal.operation}, in botocore's before-call",
                PublishError,
                _refused(refusal),
                "s3://out/",
            )
    for where, refusal in (
        ("the EO3 document", Refusal("PutObject", "AccessDenied", 403, ".odc-metadata.yaml")),
        ("the copy of the last COG", Refusal("CopyObject", "AccessDenied", 403, ".tif", let_through=4)),
        ("the item", Refusal("PutObject", "AccessDenied", 403, ".stac-item.json")),
    ):
        yield Case(
            f"S3 AccessDenied, on {where} of a published tile",
            Stage.PUBLISH,
            f"the answer to {refusal.operation}, in mode overwrite",
            PublishError,
            _refused(refusal),
            "s3://out/",
            mode="overwrite",
        )
    for fault, code, status in _S3_FAULTS:
        for where, refusal in (
            ("a COG that is read", Refusal("GetObject", code, status, ".tif", let_through=2)),
            ("the copy of the quicklook", Refusal("CopyObject", code, status, ".webp")),
            ("the item", Refusal("PutObject", code, status, ".stac-item.json")),
        ):
            yield Case(
                f"S3 {fault}, on {where} of a tile that is described again",
                Stage.PUBLISH,
                f"the answer to {refusal.operation}, in mode metadata-only",
                PublishError,
                _refused(refusal),
                "s3://out/",
                mode="metadata-only",
            )
    yield Case(
        "S3's conditional write of the item lost, of a tile that is described again",
        Stage.PUBLISH,
        "412 PreconditionFailed to PutObject, in mode metadata-only",
        PublishError,
        _refused(Refusal("PutObject", "PreconditionFailed", 412, ".stac-item.json")),
        "did another worker publish the tile just now?",
        mode="metadata-only",
    )
    yield Case(
        "S3 AccessDenied, on the look at what is published",
        Stage.PUBLISH,
        "the answer to ListObjectsV2",
        PublishError,
        _refused(Refusal("ListObjectsV2", "AccessDenied", 403)),
        "s3://out/",
    )


CASES: Final = (*_ftp_cases(), *_http_cases(), *_archive_cases(), *_disk_cases(), *_s3_cases())
TILE_ROWS: Final = (*CASES, *STAGING_CASES, *STOPS, *PAIRS)
"""What happens to a tile."""
RUN_ROWS: Final = (*RUN_CASES, *BREAKS)
"""What happens to a run."""
ROWS: Final = (*TILE_ROWS, *RUN_ROWS)
"""All that the table tells of."""


def table() -> str:
    """Return the cases as a Markdown table."""
    lines = ["| stage | fault | injected as | the worker ends with, or what comes of the run |", "|---|---|---|---|"]
    of_tiles = sorted(TILE_ROWS, key=lambda row: list(Stage).index(row.stage))
    lines += [f"| {row.stage.value} | {row.fault} | {row.how} | {row.ending} |" for row in of_tiles]
    lines += [f"| {row.stage} | {row.fault} | {row.how} | {row.ending} |" for row in RUN_ROWS]
    return "\n".join(lines)


def with_table(document: str) -> str:
    """Return the document with the table of today in its place."""
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n{len(ROWS)} cases:\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the table into the document."""
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{len(ROWS)} cases in {DOCUMENT.name}")  # noqa: T201


if __name__ == "__main__":
    main()
