"""Publishing over what stands already: what readers see meanwhile, what is left of the old, two workers at once."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from alos_mosaic.errors import OutputError, PublishError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import Mode, RunRequest, TileRequest, TileYear
from alos_mosaic.processing import pipeline, publish, rebuilding, s3_target
from alos_mosaic.processing.checksums import sha256_of
from alos_mosaic.processing.pipeline import Workplace, process_tile
from alos_mosaic.processing.publish import FileTarget, FileToPut, Target, Uploads
from alos_mosaic.processing.reconciling import Condition, Reconciliation, reconcile
from alos_mosaic.processing.s3_target import S3Target
from alos_mosaic.processing.standing import StoredFile
from alos_mosaic.results import State
from local.archives import place_archive
from tests.processing.outputs import STAGING, Output

TILE = Tile.from_name("N25W165")
CELLS = TILE.cells[:2]
FOLDER = "alos_palsar_mosaic/2020/N25W165"
STEM = f"{FOLDER}/N25W165_20"
ITEM = f"{STEM}.stac-item.json"

MakePlace = Callable[[], Workplace]

# Threads share what ``warnings`` ignores: of two workers in one process the one can take it from the other.
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def mirrors(tmp_path: Path, grid: Grid) -> list[str]:
    """Two mirrors with one archive each, of the same name and other pixels."""
    found = []
    for seed in (1, 2):
        folder = tmp_path / f"mirror-{seed}"
        place_archive(folder, TILE, 2020, grid, cells=CELLS, seed=seed)
        found.append(folder.as_uri())
    return found


def run(place: Workplace, source: str, target: Target, mode: Mode = Mode.OVERWRITE, attempt: int = 1) -> State:
    here = replace(place, source_url=source, target=target)
    return process_tile(TileRequest(TileYear(2020, TILE), mode, run="a-run", attempt=attempt), here).state


def tiffs(files: dict[str, bytes]) -> dict[str, bytes]:
    return {key: content for key, content in files.items() if key.endswith((".tif", ".webp"))}


@contextmanager
def watched_settling(monkeypatch: pytest.MonkeyPatch, watch: Callable[[], None]) -> Iterator[None]:
    """Call something right before files take their places."""
    with monkeypatch.context() as patch:
        for kind in (publish._Scratch, s3_target._Waiting):

            def settle(self: Any, original: Callable[[Any], None] = kind.settle) -> None:
                watch()
                original(self)

            patch.setattr(kind, "settle", settle)
        yield


def test_readers_see_the_old_tile_until_all_of_the_new_is_there(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(place(), mirrors[0], output.target)
    before = output.files()
    seen: list[tuple[bool, int]] = []
    with watched_settling(
        monkeypatch, lambda: seen.append((tiffs(output.files()).items() >= tiffs(before).items(), 1))
    ):
        run(place(), mirrors[1], output.target)
    assert (True, 1) in seen
    after = output.files()
    assert after.keys() == before.keys()
    assert all(after[key] != before[key] for key in after if key.endswith(("HH_F02DAR.tif", ".json", ".webp"))
               if "collection" not in key)  # fmt: skip
    assert not output.staged()
    assert run(place(), mirrors[1], output.target, Mode.SKIP) is State.SKIPPED


@pytest.mark.parametrize("mode", [Mode.SKIP, Mode.OVERWRITE])
def test_also_over_an_item_that_is_worth_nothing(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    run(place(), mirrors[0], output.target)
    output.write(ITEM, b"{")
    before, seen = output.files(), []
    with watched_settling(monkeypatch, lambda: seen.append(tiffs(output.files()).items() >= tiffs(before).items())):
        assert run(place(), mirrors[1], output.target, mode) is State.PUBLISHED
    assert seen[0]
    assert run(place(), mirrors[1], output.target, Mode.SKIP) is State.SKIPPED


def test_where_no_item_stands_nothing_is_staged(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Target] = []
    monkeypatch.setattr(S3Target, "staging", opened.append)
    run(place(), mirrors[0], output.target)
    assert not opened


class _BrokenError(Exception):
    """A fault that nobody expects."""


@pytest.mark.parametrize("fault", [PublishError("no more"), _BrokenError()])
def test_a_failure_while_files_come_leaves_the_old_tile_whole(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    run(place(), mirrors[0], output.target)
    before = output.files()

    def fail() -> None:
        raise fault

    with pytest.raises(type(fault)), watched_settling(monkeypatch, fail):
        run(place(), mirrors[1], output.target)
    after = output.files()
    assert {key for key in before if after[key] != before[key]} <= {"alos_palsar_mosaic/collection.json"}
    assert after.keys() == before.keys()
    assert not output.staged()
    assert run(place(), mirrors[0], output.target, Mode.SKIP) is State.SKIPPED


def test_a_failure_between_files_and_item_is_mended_by_skip(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For those seconds an old item stands over new bytes; its checksums tell."""
    run(place(), mirrors[0], output.target)
    old = output.files()[ITEM]
    with monkeypatch.context() as patch:
        for kind in (FileTarget, S3Target):

            def put(self: Any, file: FileToPut, original: Callable[..., None] = kind.put) -> None:
                if file.key == ITEM:
                    raise PublishError("no item")
                original(self, file)

            patch.setattr(kind, "put", put)
        with pytest.raises(PublishError, match="no item"):
            run(place(), mirrors[1], output.target)
    assert output.files()[ITEM] == old
    assert run(place(), mirrors[1], output.target, Mode.SKIP) is State.PUBLISHED
    assert run(place(), mirrors[1], output.target, Mode.SKIP) is State.SKIPPED


def name_old_files(output: Output, *hrefs: str) -> None:
    item = output.item()
    for number, href in enumerate(hrefs):
        item["assets"][f"old-{number}"] = {"href": href}
    item["assets"] |= {"odd": 7, "odder": {"href": 5}, "oddest": {}}
    output.write(ITEM, json.dumps(item).encode())


def test_files_that_only_the_old_item_names_go_away_after_it(
    place: MakePlace, mirrors: list[str], output: Output
) -> None:
    run(place(), mirrors[0], output.target)
    before = output.files()
    old, kept = f"{STEM}_sl_HH_FP6QAR.tif", [f"{FOLDER}/notes.txt", f"{FOLDER}/N25W165_200.tif", f"{STEM}_mine.txt"]
    for key in (old, *kept):
        output.write(key, b"x")
    hrefs = [f"./{PurePosixPath(key).name}" for key in (old, *kept[:2], ITEM, f"{STEM}.odc-metadata.yaml")]
    name_old_files(
        output, *hrefs, "../N25W165/N25W165_20_mine.txt", f"../../../{STEM}_mine.txt", "./N25W165_20_gone.tif"
    )
    run(place(), mirrors[0], output.target)
    assert output.files().keys() == {*before, *kept}
    assert run(place(), mirrors[0], output.target, Mode.SKIP) is State.SKIPPED


def test_an_old_file_that_can_not_be_removed_is_no_failure(
    place: MakePlace,
    mirrors: list[str],
    output: Output,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run(place(), mirrors[0], output.target)
    old = f"{STEM}_sl_HH_FP6QAR.tif"
    output.write(old, b"x")
    name_old_files(output, f"./{PurePosixPath(old).name}")

    def refuse(self: Any, key: str) -> None:
        raise PublishError(f"{key}: AccessDenied")

    for kind in (FileTarget, S3Target):
        monkeypatch.setattr(kind, "remove", refuse)
    with caplog.at_level(logging.WARNING):
        assert run(place(), mirrors[0], output.target) is State.PUBLISHED
    assert [record.key for record in caplog.records if record.message == "File of the old item stays"] == [old]
    assert old in output.files()


def test_staged_objects_that_can_not_be_deleted_are_no_failure(
    place: MakePlace,
    mirrors: list[str],
    output: Output,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if output.uri.startswith("file:"):
        pytest.skip("a folder's files are renamed, nothing is left to delete")
    run(place(), mirrors[0], output.target)

    def refuse(self: Any, bucket: str, key: str) -> None:
        raise PublishError(f"{key}: AccessDenied")

    monkeypatch.setattr(S3Target, "delete", refuse)
    with caplog.at_level(logging.WARNING):
        assert run(place(), mirrors[1], output.target) is State.PUBLISHED
    assert "Staged object stays" in caplog.text
    prefix = STAGING[1] if output.staging else ".staging/"
    assert len(output.staged()) == 6
    assert all(key.startswith(prefix) for key in output.staged())


def test_a_copied_object_keeps_type_and_checksum(place: MakePlace, mirrors: list[str], output: Output) -> None:
    if output.uri.startswith("file:"):
        pytest.skip("a folder keeps neither")
    heads = []
    for source in (mirrors[0], mirrors[0]):
        run(place(), source, output.target)
        heads.append(output.s3.head_object(Bucket="out", Key=f"some/folder/{STEM}_sl_HH_F02DAR.tif"))
    for name in ("ContentType", "Metadata", "ContentLength"):
        assert heads[0][name] == heads[1][name]


# The EO3 document


def test_an_eo3_document_that_is_not_the_items_makes_a_tile_that_is_not_whole(
    place: MakePlace, mirrors: list[str], output: Output
) -> None:
    key = f"{STEM}.odc-metadata.yaml"
    run(place(), mirrors[0], output.target)
    whole = output.files()[key]
    for damage in (lambda: output.remove(key), lambda: output.write(key, whole[:-1])):
        damage()
        (finding,) = found(output).findings
        assert finding.condition is Condition.DAMAGED
        assert PurePosixPath(key).name in finding.problems[0]
        assert run(place(), mirrors[0], output.target, Mode.SKIP) is State.PUBLISHED
        assert found(output).is_whole
        assert run(place(), mirrors[0], output.target, Mode.SKIP) is State.SKIPPED


@pytest.mark.parametrize("is_there", [True, False])
def test_an_item_that_tells_no_checksum_of_its_eo3_document_may_be_whole(
    place: MakePlace, mirrors: list[str], output: Output, is_there: bool
) -> None:
    """As those of earlier releases."""
    run(place(), mirrors[0], output.target)
    item = output.item()
    item["links"] = [
        {name: value for name, value in link.items() if not name.startswith("file:")} for link in item["links"]
    ]
    output.write(ITEM, json.dumps(item).encode())
    if not is_there:
        output.remove(f"{STEM}.odc-metadata.yaml")
    assert run(place(), mirrors[0], output.target, Mode.SKIP) is State.SKIPPED
    assert found(output).is_whole


@pytest.mark.parametrize("name", ["../N25W165_20.odc-metadata.yaml", "./N25W165_20.webp", "x", 5])
def test_a_link_to_another_document_is_not_ours(
    place: MakePlace, mirrors: list[str], output: Output, name: object
) -> None:
    run(place(), mirrors[0], output.target)
    item = output.item()
    for link in item["links"]:
        if link["rel"] == "odc_yaml":
            link["href"] = name
    output.write(ITEM, json.dumps(item).encode())
    assert run(place(), mirrors[0], output.target, Mode.SKIP) is State.PUBLISHED


def found(output: Output) -> Reconciliation:
    """Reconcile what is published with the tile."""
    request = RunRequest.from_input({"years": [2020], "tiles": [TILE.name]}, "global")
    return reconcile(request, output.target, Grid(30))


# Two workers at once


def at_once(place: MakePlace, sources: list[str], output: Output, mode: Mode) -> list[State | Exception]:
    """Run a worker for each source at the same time, each with a work folder and a target of its own."""
    places, barrier = [place() for _ in sources], threading.Barrier(len(sources))

    def work(here: Workplace, source: str) -> State | Exception:
        barrier.wait()
        try:
            return run(here, source, output.target, mode)
        except PublishError as error:
            return error

    with ThreadPoolExecutor(len(sources)) as threads:
        return list(threads.map(work, places, sources))


@pytest.mark.parametrize("mode", [Mode.SKIP, Mode.OVERWRITE])
def test_two_workers_with_the_same_archive_leave_one_whole_tile(
    place: MakePlace, mirrors: list[str], output: Output, mode: Mode
) -> None:
    if mode is Mode.OVERWRITE:
        run(place(), mirrors[1], output.target)
    ended = at_once(place, [mirrors[0], mirrors[0]], output, mode)
    assert set(ended) <= {State.PUBLISHED, State.SKIPPED}
    assert run(place(), mirrors[0], output.target, Mode.REFRESH) is State.SKIPPED
    assert len(tiffs(output.files())) == 6
    assert not output.staged()


@pytest.mark.parametrize("mode", [Mode.SKIP, Mode.OVERWRITE])
def test_two_workers_with_different_archives_leave_a_whole_tile_or_one_of_them_says_so(
    place: MakePlace, mirrors: list[str], output: Output, mode: Mode
) -> None:
    if mode is Mode.OVERWRITE:
        run(place(), mirrors[0], output.target)
    ended = at_once(place, mirrors, output, mode)
    if not [each for each in ended if isinstance(each, PublishError)]:
        assert run(place(), mirrors[0], output.target, Mode.SKIP) is State.SKIPPED
    assert State.PUBLISHED in ended or all("another worker" in str(each) for each in ended)
    run(place(), mirrors[0], output.target, Mode.SKIP)
    assert run(place(), mirrors[0], output.target, Mode.SKIP) is State.SKIPPED


@contextmanager
def others_files(
    monkeypatch: pytest.MonkeyPatch, output: Output, files: dict[str, bytes], times: int
) -> Iterator[list[str]]:
    """Let another worker's files come right behind an item of ours, so many times; yield the items' keys."""
    put_items: list[str] = []
    with monkeypatch.context() as patch:
        for kind in (FileTarget, S3Target):

            def put(self: Any, file: FileToPut, original: Callable[..., None] = kind.put) -> None:
                original(self, file)
                if file.key == ITEM:
                    put_items.append(file.key)
                    for key, content in files.items() if len(put_items) <= times else ():
                        output.write(key, content)

            patch.setattr(kind, "put", put)
        yield put_items


@pytest.mark.parametrize("is_published", [True, False])
def test_a_worker_whose_files_were_replaced_meanwhile_puts_them_there_again(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch, is_published: bool
) -> None:
    run(place(), mirrors[0], output.target)
    theirs = {key: content for key, content in output.files().items() if key.endswith("HH_F02DAR.tif")}
    if not is_published:
        output.remove(ITEM)
    with others_files(monkeypatch, output, theirs, times=2) as items:
        assert run(place(), mirrors[1], output.target) is State.PUBLISHED
    assert len(items) == 3
    assert not output.staged()
    assert output.files().items().isdisjoint(theirs.items())
    assert run(place(), mirrors[1], output.target, Mode.SKIP) is State.SKIPPED


def test_a_worker_leaves_the_tile_to_another_one_that_is_done(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of its files comes behind our item, and while we wait all the others and its item."""
    run(place(), mirrors[0], output.target)
    theirs = {key: content for key, content in output.files().items() if key.endswith("HH_F02DAR.tif")}
    waited: list[float] = []

    def finish_theirs(seconds: float) -> None:
        waited.append(seconds)
        assert run(place(), mirrors[0], output.target) is State.PUBLISHED

    with others_files(monkeypatch, output, theirs, times=1) as items, monkeypatch.context() as patch:
        patch.setattr(publish.time, "sleep", finish_theirs)
        assert run(place(), mirrors[1], output.target) is State.PUBLISHED
    assert (len(items), len(waited)) == (2, 1)
    assert output.files().items() >= theirs.items()
    assert run(place(), mirrors[1], output.target, Mode.SKIP) is State.SKIPPED


def test_a_worker_whose_files_are_replaced_again_and_again_says_so(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(place(), mirrors[0], output.target)
    theirs = {key: content for key, content in output.files().items() if key.endswith("HH_F02DAR.tif")}
    with (
        others_files(monkeypatch, output, theirs, times=100) as items,
        pytest.raises(PublishError, match="did another worker publish the tile just now"),
    ):
        run(place(), mirrors[1], output.target)
    assert len(items) == 4
    assert run(place(), mirrors[1], output.target, Mode.SKIP) is State.PUBLISHED


# A worker that only describes, and another one


@contextmanager
def right_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, follow: Callable[[], object]) -> Iterator[None]:
    """Let something happen once, right after the first call of a function."""
    original, waiting = getattr(owner, name), [follow]

    def followed(*given: Any, **named: Any) -> Any:
        answer = original(*given, **named)
        if waiting:
            waiting.pop()()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, followed)
        yield


READ: tuple[Any, str] = (rebuilding, "drawn_quicklook")
LOOKED: tuple[Any, str] = (Uploads, "_check_kept")


@pytest.mark.parametrize("has_item", [True, False])
def test_describing_puts_nothing_over_a_tile_that_was_replaced_meanwhile(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch, has_item: bool
) -> None:
    run(place(), mirrors[0], output.target)
    left: dict[str, bytes] = {}
    if not has_item:
        output.remove(ITEM)

    def replace_tile() -> None:
        assert run(place(), mirrors[1], output.target) is State.PUBLISHED
        left.update(output.files())

    with (
        right_after(monkeypatch, *READ, replace_tile),
        pytest.raises(PublishError, match="another worker"),
    ):
        run(place(), mirrors[0], output.target, Mode.METADATA_ONLY)
    assert tiffs(output.files()).items() - tiffs(left).items() <= {
        (key, content) for key, content in output.files().items() if not has_item and key.endswith(".webp")
    }
    assert output.files()[ITEM] == left[ITEM]
    assert not output.staged()
    assert run(place(), mirrors[0], output.target, Mode.METADATA_ONLY) is State.PUBLISHED
    assert run(place(), mirrors[1], output.target, Mode.REFRESH) is State.SKIPPED


def test_describing_never_puts_its_item_over_another_workers(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which came behind its last look at the files; the next attempt describes what that one left."""
    run(place(), mirrors[0], output.target)
    items: list[bytes] = []

    def replace_tile() -> None:
        assert run(place(), mirrors[1], output.target) is State.PUBLISHED
        items.append(output.files()[ITEM])

    with (
        right_after(monkeypatch, *LOOKED, replace_tile),
        pytest.raises(PublishError, match="another worker"),
    ):
        run(place(), mirrors[0], output.target, Mode.METADATA_ONLY)
    assert [output.files()[ITEM]] == items
    assert run(place(), mirrors[0], output.target, Mode.METADATA_ONLY) is State.PUBLISHED
    assert run(place(), mirrors[1], output.target, Mode.REFRESH) is State.SKIPPED


def test_an_item_is_replaced_only_where_it_is_the_one_that_was_read(output: Output, tmp_path: Path) -> None:
    def file(text: str) -> FileToPut:
        path = tmp_path / f"{text}.json"
        path.write_text(text)
        return FileToPut(path, ITEM, "application/json", sha256_of(path))

    with pytest.raises(PublishError, match="another worker"):
        output.target.replace(file("first"), b"none")
    output.target.replace(file("first"), None)
    for content in (None, b"another"):
        with pytest.raises(PublishError, match="another worker"):
            output.target.replace(file("second"), content)
    assert output.target.read(ITEM) == b"first"
    output.target.replace(file("second"), b"first")
    assert output.target.read(ITEM) == b"second"
    assert output.target.stat(ITEM) == StoredFile(6, file("second").sha256)


def test_a_conditional_write_that_loses_says_so(output: Output, tmp_path: Path) -> None:
    if output.uri.startswith("file:"):
        pytest.skip("a folder has no conditional writes")
    path, target = tmp_path / "item.json", output.target
    path.write_text("ours")
    output.write(ITEM, b"read")
    events = output.s3.meta.events

    def write_theirs(**_: object) -> None:
        events.unregister("before-call.s3.PutObject", write_theirs)
        output.write(ITEM, b"theirs")

    events.register("before-call.s3.PutObject", write_theirs)
    with pytest.raises(PublishError, match="has changed: did another worker publish the tile just now"):
        target.replace(FileToPut(path, ITEM, "application/json", sha256_of(path)), b"read")
    assert target.read(ITEM) == b"theirs"


def test_describing_leaves_its_item_once_where_files_come_behind_it(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a worker that has yet to put its item; should it die, a second attempt can't tell whose the files are."""
    run(place(), mirrors[1], output.target)
    theirs = tiffs(output.files())
    run(place(), mirrors[0], output.target)

    def write_theirs() -> None:
        for key, content in theirs.items():
            output.write(key, content)

    with (
        right_after(monkeypatch, Uploads, "_settle", write_theirs),
        pytest.raises(PublishError, match="another worker"),
    ):
        run(place(), mirrors[0], output.target, Mode.METADATA_ONLY)
    assert output.files().items() >= theirs.items()
    for attempt, error in ((1, PublishError), (2, OutputError)):
        with pytest.raises(error, match="is not the file that its item tells of"):
            run(place(), mirrors[0], output.target, Mode.METADATA_ONLY, attempt)
    assert run(place(), mirrors[1], output.target, Mode.SKIP) is State.PUBLISHED


def test_describing_puts_nothing_a_second_time(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quicklook of another worker's tells that one is at work, which may have put its item there, too."""
    run(place(), mirrors[0], output.target)
    quicklook = f"{STEM}.webp"
    with (
        right_after(monkeypatch, Uploads, "_settle", lambda: output.write(quicklook, b"theirs")),
        pytest.raises(PublishError, match="another worker"),
    ):
        run(place(), mirrors[0], output.target, Mode.METADATA_ONLY)
    assert output.files()[quicklook] == b"theirs"
    assert run(place(), mirrors[0], output.target, Mode.METADATA_ONLY) is State.PUBLISHED
    assert run(place(), mirrors[0], output.target, Mode.SKIP) is State.SKIPPED


def test_files_that_are_another_items_by_now_are_tried_again_at_any_attempt(
    place: MakePlace, mirrors: list[str], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(place(), mirrors[0], output.target)
    replaced = lambda: run(place(), mirrors[1], output.target)  # noqa: E731 - what follows reads better
    with (
        right_after(monkeypatch, pipeline, "look", replaced),
        pytest.raises(PublishError, match="is not the file that its item tells of"),
    ):
        run(place(), mirrors[0], output.target, Mode.METADATA_ONLY, attempt=5)
