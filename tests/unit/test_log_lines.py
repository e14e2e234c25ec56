"""What stands on every line of a log, and what on none."""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator

import pytest
from awslambdaric.lambda_runtime_log_utils import JsonFormatter

from alos_mosaic import log_lines
from alos_mosaic.log_lines import conceal, concealed, lines_about

logger = logging.getLogger(__name__)

PASSWORD = 'pa"ss wörd\\'


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What Lambda's own formatter writes, of a root logger of this test's own."""
    monkeypatch.setattr(log_lines, "_secrets", [])
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.terminator = ""
    handler.setFormatter(JsonFormatter())
    before, formatters = root.handlers[:], [each.formatter for each in root.handlers]
    root.handlers[:] = [handler]
    yield stream
    root.handlers[:] = before
    for each, formatter in zip(before, formatters, strict=True):
        each.setFormatter(formatter)


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_line_names_the_work_whoever_writes_it(written: io.StringIO) -> None:
    with lines_about(run="r1", tile="N10E010", year=2020, attempt=2):
        logging.getLogger("alos_mosaic.somewhere").warning("ours", extra={"stage": "gather"})
        logging.getLogger("rasterio._env").error("GDAL's")
        thread = threading.Thread(target=logging.getLogger("boto3").warning, args=("of an upload's thread",))
        thread.start()
        thread.join()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a library's", stacklevel=1)
    told = lines_of(written)
    assert [(line["logger"], line["run"], line["tile"], line["year"], line["attempt"]) for line in told] == [
        (name, "r1", "N10E010", 2020, 2) for name in ("alos_mosaic.somewhere", "rasterio._env", "boto3", "py.warnings")
    ]
    assert told[0]["stage"] == "gather"


def test_what_is_told_ends_with_the_work_and_a_line_keeps_its_own(written: io.StringIO) -> None:
    with lines_about(run="r1"):
        with lines_about(run="r2"):
            logger.warning("its own", extra={"run": "r3"})
            logger.warning("inner")
        logger.warning("outer")
    logger.warning("later")
    assert [line.get("run") for line in lines_of(written)] == ["r3", "r2", "r1", None]


def test_no_line_tells_a_password_however_it_is_spelt(written: io.StringIO) -> None:
    conceal("me", PASSWORD)
    login = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    with lines_about(run="r1"):
        logger.warning("PASS %s", PASSWORD, extra={"sent": f"PASS {PASSWORD}", "header": f"Basic {login}"})
        logger.warning("%s and %r", "ftp://me:pa%22ss%20w%C3%B6rd%5C@host", PASSWORD)
        try:
            int(f"530 {PASSWORD} is wrong")
        except ValueError:
            logger.exception("failed")
    text = written.getvalue()
    for spelling in ("ss w", "ss%20w", login):
        assert spelling not in text
    assert [line["message"] for line in lines_of(written)] == ["PASS ***", "ftp://me:***@host and '***'", "failed"]
    assert str(lines_of(written)[2]["errorMessage"]).endswith("'530 *** is wrong'")


def test_an_empty_password_conceals_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "_secrets", [])
    conceal("anonymous", "")
    assert concealed("as it was") == "as it was"
