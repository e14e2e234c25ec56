"""The catalogue over real tiles: as STAC readers walk it, as tables tell it, and after what may happen to an output."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pystac
import pystac.validation
import pytest
import rustac
from pystac.validation import JsonSchemaSTACValidator, validate_dict
from typer.testing import CliRunner, Result

from alos_mosaic.cli.catalogue import _write_table
from alos_mosaic.cli.main import app
from alos_mosaic.errors import InvalidRequestError, OutputError
from alos_mosaic.grid import Grid
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.processing.cataloguing import Catalogued, Change, catalogue
from alos_mosaic.processing.pipeline import Workplace, process_tile
from alos_mosaic.processing.publish import FileTarget
from local.archives import place_archive
from tests.processing.outputs import Output

ALOS, JERS = "alos_palsar_mosaic", "jers_sar_mosaic"
TILES = ("2009/N10E010", "2020/N10E010", "2020/N25W165", "1996/N10E010")
YEARS = {(ALOS, 2009): 1, (ALOS, 2020): 2, (JERS, 1996): 1}
ITEM = f"{ALOS}/2020/N10E010/N10E010_20.stac-item.json"
OTHER_ITEM = f"{ALOS}/2020/N25W165/N25W165_20.stac-item.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Path:
    """A folder with the tiles, as the pipeline publishes them."""
    folder = tmp_path_factory.mktemp("made")
    for name in TILES:
        place = TileYear.from_text(name)
        place_archive(folder / "mirror", place.tile, place.year, grid, cells=place.tile.cells[6:8])
        work = folder / f"work-{name.replace('/', '-')}"
        work.mkdir()
        there = Workplace((folder / "mirror").as_uri(), FileTarget(folder / "out"), work, grid=grid)
        process_tile(TileRequest(place, run="a-run"), there)
    return folder / "out"


@pytest.fixture
def filled(made: Path, tmp_path: Path) -> Output:
    """A folder of a test's own with the tiles."""
    folder = tmp_path / "published"
    shutil.copytree(made, folder)
    return Output(folder.as_uri(), folder, boto3.client("s3"))


@pytest.fixture
def anywhere(output: Output, made: Path) -> Output:
    """Each kind of target, with the tiles; without their pixels, which no catalogue looks at."""
    for path in made.rglob("*.*"):
        key = str(path.relative_to(made))
        (output.folder / key).parent.mkdir(parents=True, exist_ok=True)
        output.write(key, path.read_bytes() if path.suffix == ".json" else b"")
    return output


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Output], Catalogued]:
    def catalogued(output: Output) -> Catalogued:
        work = tmp_path / "catalogue-work"
        work.mkdir(exist_ok=True)
        done = catalogue(output.target, work, _write_table)
        assert not list(work.iterdir())
        return done

    return catalogued


Run = Callable[[Output], Catalogued]


def changes(done: Catalogued) -> dict[tuple[str, int], tuple[int, str]]:
    return {(year.product, year.year): (year.items, year.change.value) for year in done.years}


def all_of(change: Change) -> dict[tuple[str, int], tuple[int, str]]:
    return {year: (items, change.value) for year, items in YEARS.items()}


def own(files: dict[str, bytes]) -> set[str]:
    """What the catalogue has written, the collections that items link to left out."""
    return {key for key in files if key.endswith(("catalog.json", "items.parquet"))}


def table(output: Output, tmp_path: Path, folder: str = f"{ALOS}/2020") -> list[dict[str, Any]]:
    path = tmp_path / "read.parquet"
    path.write_bytes(output.files()[f"{folder}/items.parquet"])
    features: list[dict[str, Any]] = rustac.read_sync(str(path))["features"]
    return features


def linked(content: bytes, rel: str) -> list[str]:
    return [link["href"] for link in json.loads(content)["links"] if link["rel"] == rel]


# As STAC readers walk it


@pytest.fixture
def walked(made: Path, tmp_path: Path) -> pystac.Catalog:
    """The root of a catalogue over whole tiles in a folder."""
    folder, work = tmp_path / "walked", tmp_path / "walk-work"
    shutil.copytree(made, folder)
    work.mkdir()
    catalogue(FileTarget(folder), work, _write_table)
    return pystac.Catalog.from_file(str(folder / "catalog.json"))


def test_every_item_is_reached_over_its_collection(walked: pystac.Catalog) -> None:
    assert {each.id for each in walked.get_collections()} == {ALOS, JERS}
    reached = []
    for collection in walked.get_collections():
        assert all(year.get_parent() is collection for year in collection.get_children())
        for item in collection.get_items(recursive=True):
            of_item = item.get_collection()
            assert of_item is not None
            assert of_item.id == item.collection_id == collection.id
            without_links = {"links": None}
            assert of_item.to_dict() | without_links == collection.to_dict() | without_links
            assert item.get_root() is walked
            assert all(Path(asset.get_absolute_href() or "none").is_file() for asset in item.assets.values())
            reached.append(f"{item.properties['title'][-4:]}/{item.properties['odc:region_code']}")
    assert sorted(reached) == sorted(TILES)
    assert len(list(walked.get_items(recursive=True))) == len(TILES)


def test_every_link_within_leads_somewhere(walked: pystac.Catalog) -> None:
    root = Path(walked.self_href).parent
    for path in (*root.rglob("catalog.json"), *root.rglob("*.stac-item.json")):
        hrefs = [link["href"] for link in json.loads(path.read_text())["links"] if "://" not in link["href"]]
        assert hrefs
        for href in hrefs:
            assert (path.parent / href).is_file(), (path, href)


class _WithoutExtensions(JsonSchemaSTACValidator):
    """Validates against STAC's own schemas, which pystac brings."""

    def validate_extension(self, *_: Any, **__: Any) -> str | None:
        return None


@pytest.fixture
def validator() -> Iterator[Callable[[JsonSchemaSTACValidator], None]]:
    before = pystac.validation.RegisteredValidator.get_validator()
    yield pystac.validation.set_validator
    pystac.validation.set_validator(before)


def test_all_of_it_is_stac(walked: pystac.Catalog, validator: Callable[[JsonSchemaSTACValidator], None]) -> None:
    validator(_WithoutExtensions())
    assert walked.validate_all() == len(TILES)


def test_every_document_is_as_its_extensions_say(walked: pystac.Catalog, samples: Path) -> None:
    """As it lies there: pystac reads classification 1 as 2."""
    validator = JsonSchemaSTACValidator()
    for schema in (samples / "stac-schemas").glob("*/*/schema.json"):
        extension, version = schema.parts[-3:-1]
        uri = f"https://stac-extensions.github.io/{extension}/{version}/schema.json"
        validator.schema_cache[uri] = json.loads(schema.read_text())
    folder = Path(walked.self_href).parent
    paths = [folder / key for key in ("catalog.json", f"{ALOS}/catalog.json", f"{JERS}/catalog.json")]
    for path in (*paths, *folder.rglob("*.stac-item.json")):
        document = json.loads(path.read_text())
        validated = validate_dict(document, validator=validator)
        assert set(document.get("stac_extensions", ())) <= set(validated)


# What changes


def test_what_has_not_changed_is_left_alone(anywhere: Output, run: Run) -> None:
    assert changes(run(anywhere)) == all_of(Change.WRITTEN)
    before = anywhere.files()
    assert changes(run(anywhere)) == all_of(Change.UNCHANGED)
    assert anywhere.files() == before


def test_a_year_whose_items_change_is_written_anew(filled: Output, run: Run, tmp_path: Path) -> None:
    run(filled)
    item = json.loads(filled.files()[ITEM])
    item["properties"]["title"] = "Another"
    filled.write(ITEM, json.dumps(item).encode())
    assert changes(run(filled)) == all_of(Change.UNCHANGED) | {(ALOS, 2020): (2, "written")}
    assert "Another" in [each["properties"]["title"] for each in table(filled, tmp_path)]
    filled.remove(f"{ALOS}/2020/items.parquet")
    assert changes(run(filled))[ALOS, 2020] == (2, "written")
    filled.remove(ITEM)
    assert changes(run(filled))[ALOS, 2020] == (1, "written")
    assert len(table(filled, tmp_path)) == 1


def test_a_copy_of_the_output_has_tables_of_its_own(filled: Output, run: Run, tmp_path: Path) -> None:
    run(filled)
    for name in ("first", "second"):
        folder = tmp_path / name
        shutil.copytree(filled.folder, folder)
        here = replace(filled, uri=folder.as_uri(), folder=folder)
        assert changes(run(here)) == all_of(Change.WRITTEN)
        for item in table(here, tmp_path):
            hrefs = [asset["href"] for asset in item["assets"].values()]
            hrefs += [link["href"] for link in item["links"] if link["rel"] == "self"]
            assert len(hrefs) == 7
            assert all(href.startswith(f"{here.uri}/{ALOS}/2020/") for href in hrefs)
            assert all((folder / href.removeprefix(f"{here.uri}/")).is_file() for href in hrefs)


def test_tables_of_another_format_are_written_anew(filled: Output, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(filled)
    monkeypatch.setattr("alos_mosaic.processing.cataloguing._FORMAT", 0)
    assert changes(run(filled)) == all_of(Change.WRITTEN)


def test_a_copy_of_an_item_elsewhere_is_no_tile(filled: Output, run: Run, tmp_path: Path) -> None:
    item = filled.files()[ITEM]
    for folder in (
        f"{ALOS}/2020/backup",
        f"{ALOS}/2020/backup/N10E010",
        f"{ALOS}/2020/N10E015",
        f"{ALOS}/2012/N10E010",
    ):
        (filled.folder / folder).mkdir(parents=True)
        filled.write(f"{folder}/{ITEM.rpartition('/')[2]}", item)
    done = run(filled)
    assert (changes(done), done.left_out) == (all_of(Change.WRITTEN), ())
    assert sorted(each["properties"]["odc:region_code"] for each in table(filled, tmp_path)) == ["N10E010", "N25W165"]


# What makes no sense


def broken(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], bytes]:
    def spoil(item: dict[str, Any]) -> bytes:
        change(item)
        return json.dumps(item).encode()

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: b"not json", "is no JSON object"),
        (lambda _: b"\xff\xfe\x00", "is no JSON object"),
        (lambda _: b"[" * 100_000, "is no JSON object"),
        (lambda _: b"[]", "is no JSON object"),
        (
            lambda _: b'{"type": "Feature", "stac_version": "1.1.0", "stac_extensions": []}',
            "lacks or garbles id, collection, geometry, bbox, properties, assets, links",
        ),
        (broken(lambda item: item["assets"]["hh"].pop("href")), "lacks or garbles assets"),
        (broken(lambda item: item["assets"]["hh"].update(href="../../else.tif")), "lacks or garbles assets"),
        (broken(lambda item: item["assets"]["hh"].update(href="https://else.where/hh.tif")), "lacks or garbles assets"),
        (broken(lambda item: item["assets"].clear()), "lacks or garbles assets"),
        (broken(lambda item: item.update(assets=["hh"])), "lacks or garbles assets"),
        (broken(lambda item: item.update(properties=None)), "lacks or garbles properties"),
        (broken(lambda item: item["properties"].update(datetime="soon")), "lacks or garbles properties"),
        (broken(lambda item: item["properties"].update(updated="20200101T000000Z")), "lacks or garbles properties"),
        (broken(lambda item: item["properties"].update(updated=5)), "lacks or garbles properties"),
        (broken(lambda item: item["properties"].update(title=["x"])), "lacks or garbles properties"),
        (broken(lambda item: item.update(geometry=None)), "lacks or garbles geometry"),
        (broken(lambda item: item["geometry"].update(coordinates="here")), "lacks or garbles geometry"),
        (broken(lambda item: item["geometry"].update(type="Square")), "lacks or garbles geometry"),
        (broken(lambda item: item.update(bbox=[1, 2, float("nan"), 4])), "lacks or garbles bbox"),
        (broken(lambda item: item.update(links=["up"])), "lacks or garbles links"),
        (broken(lambda item: item.update(id=5)), "lacks or garbles id"),
        (broken(lambda item: item.update(id="8b5a33ba")), "is another tile's, by its id or collection"),
        (broken(lambda item: item.update(collection=JERS)), "is another tile's, by its id or collection"),
    ],
)
def test_an_item_that_makes_no_sense_is_named_and_left_out(
    filled: Output, tmp_path: Path, run: Run, spoil: Callable[[dict[str, Any]], bytes], reason: str
) -> None:
    filled.write(ITEM, spoil(json.loads(filled.files()[ITEM])))
    done = run(filled)
    assert changes(done) == all_of(Change.WRITTEN) | {(ALOS, 2020): (1, "written")}
    assert [(each.uri, each.reason) for each in done.left_out] == [(filled.target.uri(ITEM), reason)]
    assert [each["properties"]["odc:region_code"] for each in table(filled, tmp_path)] == ["N25W165"]
    assert linked(filled.files()[f"{ALOS}/2020/catalog.json"], "item") == [f"./{OTHER_ITEM.split('/', 2)[2]}"]
    again = run(filled)
    assert changes(again)[ALOS, 2020] == (1, "as it was")
    assert again.left_out == done.left_out, "it is told as long as it is there"


@pytest.mark.parametrize("odd", [{"platform": {"a": 1}}, {"title": "\ud800"}, {"alos_mosaic:cells_defective": 10**30}])
def test_a_year_of_which_no_table_can_be_made_does_not_stop_the_others(
    filled: Output, run: Run, odd: dict[str, Any]
) -> None:
    """A value of another type than the other items have, say, is for the table's writer to find."""
    run(filled)
    before = filled.files()
    item = json.loads(before[ITEM])
    item["properties"] |= odd
    filled.write(ITEM, json.dumps(item).encode())
    done = run(filled)
    assert changes(done) == all_of(Change.UNCHANGED) | {(ALOS, 2020): (2, "not written")}
    (left_out,) = done.left_out
    assert left_out.uri == filled.target.uri(f"{ALOS}/2020")
    assert left_out.reason.startswith("has no new table: ")
    assert filled.files() == before | {ITEM: filled.files()[ITEM]}, "what there was of it stays, and is linked"


def test_the_lack_of_what_writes_tables_is_an_error(filled: Output, tmp_path: Path) -> None:
    def lacking(*_: object) -> None:
        raise InvalidRequestError("tables need another package")

    with pytest.raises(InvalidRequestError, match="another package"):
        catalogue(filled.target, tmp_path, lacking)
    assert not own(filled.files())


def test_a_full_disk_leaves_nothing_half_done(filled: Output, tmp_path: Path) -> None:
    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OutputError("no space left")

    (tmp_path / "small").mkdir()
    done = catalogue(filled.target, tmp_path / "small", full)
    assert changes(done) == all_of(Change.FAILED)
    assert own(filled.files()) == {"catalog.json"}
    assert linked(filled.files()["catalog.json"], "child") == []
    assert not list((tmp_path / "small").iterdir())


# What is gone


def remove_tiles(output: Output, *folders: str) -> None:
    for key in output.files():
        if key.startswith(folders) and key not in own({key: b""}) and not key.endswith("collection.json"):
            output.target.remove(key)


def test_a_year_whose_last_tile_is_gone_is_listed_no_more(filled: Output, run: Run) -> None:
    run(filled)
    remove_tiles(filled, f"{ALOS}/2009/")
    assert changes(run(filled)) == all_of(Change.UNCHANGED) | {(ALOS, 2009): (0, "removed")}
    assert not [key for key in filled.files() if key.startswith(f"{ALOS}/2009/")]
    assert linked(filled.files()[f"{ALOS}/catalog.json"], "child") == ["./2020/catalog.json"]
    assert (ALOS, 2009) not in changes(run(filled))


def test_a_product_whose_last_tile_is_gone_is_listed_no_more(filled: Output, run: Run) -> None:
    run(filled)
    remove_tiles(filled, f"{JERS}/")
    assert changes(run(filled))[JERS, 1996] == (0, "removed")
    files = filled.files()
    assert [key for key in files if key.startswith(JERS)] == [f"{JERS}/collection.json"], "which is the workers'"
    assert linked(files["catalog.json"], "child") == [f"./{ALOS}/catalog.json"]


def test_the_catalogue_of_an_output_that_got_empty_is_empty(anywhere: Output, run: Run) -> None:
    run(anywhere)
    remove_tiles(anywhere, ALOS, JERS)
    assert changes(run(anywhere)) == dict.fromkeys(YEARS, (0, "removed"))
    assert own(anywhere.files()) == {"catalog.json"}
    assert linked(anywhere.files()["catalog.json"], "child") == []
    assert run(anywhere) == Catalogued((), ())


def test_only_an_item_that_makes_no_sense_takes_its_year_along(filled: Output, run: Run) -> None:
    run(filled)
    key = f"{JERS}/1996/N10E010/N10E010_96.stac-item.json"
    filled.write(key, b"{")
    done = run(filled)
    assert changes(done)[JERS, 1996] == (0, "removed")
    assert [each.uri for each in done.left_out] == [filled.target.uri(key)]
    assert key in filled.files()


def test_what_is_not_the_catalogues_own_is_never_removed(filled: Output, run: Run) -> None:
    run(filled)
    remove_tiles(filled, ALOS, JERS)
    foreign = {
        f"{JERS}/1996/catalog.json": b'{"id": "mine"}',
        f"{JERS}/1996/items.parquet": b"mine",
        f"{JERS}/1996/notes.txt": b"mine",
        f"{JERS}/catalog.json": b"mine",
        f"{ALOS}/2009/N10E010/catalog.json": b"mine",
        f"{ALOS}/2020/items.csv": b"mine",
    }
    for key, content in foreign.items():
        (filled.folder / key).parent.mkdir(parents=True, exist_ok=True)
        filled.write(key, content)
    run(filled)
    files = filled.files()
    assert {key: content for key, content in files.items() if key in foreign} == foreign
    assert own(files) == {"catalog.json", *(key for key in foreign if key in own(foreign))}


def test_where_nothing_is_published_nothing_is_written(filled: Output, run: Run) -> None:
    shutil.rmtree(filled.folder)
    with pytest.raises(InvalidRequestError, match=f"nothing is published below {filled.uri}/?; is that the place"):
        run(filled)
    assert filled.files() == {}


def test_somebody_elses_catalog_is_not_written_over(filled: Output, run: Run) -> None:
    filled.write("catalog.json", b'{"type": "Catalog", "id": "ours"}')
    before = filled.files()
    with pytest.raises(InvalidRequestError, match="catalog.json is not the catalogue's own"):
        run(filled)
    assert filled.files() == before


def test_the_catalogs_of_an_earlier_release_are_taken_over(filled: Output, run: Run) -> None:
    """Its products' were no collections, and it went by the items' bytes alone."""
    for product in (ALOS, JERS):
        filled.write(f"{product}/catalog.json", json.dumps({"type": "Catalog", "id": f"{product}-catalog"}).encode())
    old = {"type": "Catalog", "id": f"{JERS}-1998", "alos_mosaic:items_checksum": "0f"}
    (filled.folder / f"{JERS}/1998").mkdir(parents=True)
    filled.write(f"{JERS}/1998/catalog.json", json.dumps(old).encode())
    assert changes(run(filled)) == all_of(Change.WRITTEN) | {(JERS, 1998): (0, "removed")}
    assert json.loads(filled.files()[f"{JERS}/catalog.json"])["type"] == "Collection"
    assert f"{JERS}/1998/catalog.json" not in filled.files()


# The command


def invoke(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["catalogue", "--to", folder.as_uri(), *arguments])


def test_the_command_names_what_it_leaves_out_and_fails(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shutil.copytree(made, folder)
    assert invoke(folder).exit_code == 0
    (folder / ITEM).write_text("{}")
    done = invoke(folder)
    assert (done.exit_code, done.stderr) == (1, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [ALOS, "2020", "1", "written"] in lines
    assert [JERS, "1996", "1", "as", "it", "was"] in lines
    assert "1 left out:" in done.stdout
    assert f"  {(folder / ITEM).as_uri()} lacks or garbles type, " in done.stdout
    assert done.stdout.endswith(f"\n{(folder / 'catalog.json').as_uri()}\n")
    told = json.loads(invoke(folder, "--json").stdout)
    assert [year["change"] for year in told["years"]] == ["as it was"] * 3
    assert [each["uri"] for each in told["left_out"]] == [(folder / ITEM).as_uri()]


def test_the_command_says_that_an_output_got_empty(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shutil.copytree(made, folder)
    invoke(folder)
    for path in folder.rglob("N*.*"):
        path.unlink()
    done = invoke(folder)
    assert done.exit_code == 0
    assert "removed" in done.stdout
    assert "Nothing that is published can be listed; the catalogue is empty." in done.stdout
    shutil.rmtree(folder)
    assert "; is that the place?" in invoke(folder).stderr
