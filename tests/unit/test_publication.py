"""Which keys count as a tile's item, wherever items are looked for."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.grid import Tile
from alos_mosaic.naming import item_key, parse_item_key
from alos_mosaic.products import PRODUCTS, product_of
from alos_mosaic.publication import Publications

ITEM = "N10E010_20.stac-item.json"
STRAYS = (
    f"alos_palsar_mosaic/2020/backup/{ITEM}",
    f"alos_palsar_mosaic/2020/backup/N00E010/{ITEM}",
    f"alos_palsar_mosaic/2020/N10E010/old/{ITEM}",
    f"alos_palsar_mosaic/2020/N15E010/{ITEM}",
    f"alos_palsar_mosaic/2020/N11E010/{ITEM.replace('N10', 'N11')}",
    "alos_palsar_mosaic/2020/N10E015/N10E015_19.stac-item.json",
    "alos_palsar_mosaic/2020/N10E020/N10E020_20.stac-item.json.bak",
    "alos_palsar_mosaic/2020/N10E020/N10E020_20.odc-metadata.yaml",
    f"alos_palsar_mosaic/2020/{ITEM}",
    f"alos_palsar_mosaic/{ITEM}",
    f"/alos_palsar_mosaic/2020/N10E010/{ITEM}",
)


@pytest.mark.parametrize(("year", "product"), [(1996, None), (2009, None), (2020, None), (2020, "alos_palsar_fnf")])
def test_the_key_of_an_item_says_which_it_is(year: int, product: str | None) -> None:
    place = (product_of(year, product), year, Tile.from_name("S05W060"))
    assert parse_item_key(item_key(*place)) == place


@pytest.mark.parametrize("key", STRAYS)
def test_any_other_key_is_no_item(key: str) -> None:
    assert parse_item_key(key) is None


@pytest.mark.parametrize(("product", "year"), [("alos_palsar_mosaic", 2012), ("jers_sar_mosaic", 2020)])
def test_a_year_that_a_product_lacks_has_no_items(product: str, year: int) -> None:
    assert parse_item_key(item_key(PRODUCTS[product], year, Tile.from_name("N10E010"))) is None


@pytest.fixture(params=["", "/some/folder"])
def output(request: pytest.FixtureRequest) -> Iterator[str]:
    folder = str(request.param)
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="out")
        for key in (*STRAYS, f"alos_palsar_mosaic/2020/N10E010/{ITEM}"):
            s3.put_object(Bucket="out", Key=f"{folder}/{key}".lstrip("/"), Body=b"{}")
        yield f"s3://out{folder}"


def test_what_else_lies_in_the_bucket_is_no_tile(output: str) -> None:
    publications = Publications(boto3.client("s3"), output)
    assert publications.tiles(product_of(2020), 2020) == {Tile.from_name("N10E010")}
    assert publications.tiles(product_of(2019), 2019) == frozenset()
