"""The demo's verdict: it may say well only when every tile ended as it should."""

from __future__ import annotations

import base64
import dataclasses
import io
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rich.console import Console

from alos_mosaic.processing.quicklook import write_class_quicklook
from alos_mosaic.results import State, TileResult
from local import demo, demo_failure
from local.gallery import collect_pictures

EXPECTED = {"2020/N10E010": State.PUBLISHED, "1996/N10E010": State.ABSENT}
ENDED_WELL = {
    "2020/N10E010": TileResult(State.PUBLISHED, 2020, "N10E010", archive={"size": 1}, cells=("N10E010",)),
    "1996/N10E010": TileResult(State.ABSENT, 1996, "N10E010"),
}


def judged(status: str, results: dict[str, TileResult]) -> tuple[bool, str]:
    output = io.StringIO()
    scene = demo.Scene(expected=EXPECTED)
    verdict = demo._judge(status, scene, results, Console(file=output, soft_wrap=True))
    return verdict, output.getvalue()


def test_all_as_expected_is_well() -> None:
    assert judged("SUCCEEDED", ENDED_WELL)[0] is True


@pytest.mark.parametrize(
    ("status", "change", "reason"),
    [
        ("FAILED", {}, "the execution ended as FAILED"),
        ("SUCCEEDED", {"2020/N10E010": State.SKIPPED}, "should be published and is skipped"),
        ("SUCCEEDED", {"1996/N10E010": State.FAILED}, "should be absent and is failed"),
        ("SUCCEEDED", {"1996/N10E010": None}, "without a result"),
    ],
)
def test_anything_else_is_not(status: str, change: dict[str, State | None], reason: str) -> None:
    results = {
        name: dataclasses.replace(result, state=change.get(name) or result.state)
        for name, result in ENDED_WELL.items()
        if change.get(name, result.state) is not None
    }
    verdict, output = judged(status, results)
    assert verdict is False
    assert "WRONG: " in output
    assert reason in output


def test_what_failed_is_redriven_out_of_the_run_it_failed_in() -> None:
    assert demo_failure.FAILING.input == {"years": [2009], "tiles": ["N10E010", "S05E055"], "max_concurrency": 2}
    which = {"error": "CorruptArchiveError", "run": demo_failure.FAILING.run}
    assert demo_failure.MENDED.input == {"redrive": which, "max_concurrency": 2}


def test_a_demo_that_is_to_fail_may_not_succeed() -> None:
    failing = demo.Scene(expected={"2009/N10E010": State.FAILED}, status="FAILED")
    results = {"2009/N10E010": TileResult(State.FAILED, 2009, "N10E010")}
    console = Console(file=io.StringIO())
    assert demo._judge("FAILED", failing, results, console)
    assert not demo._judge("SUCCEEDED", failing, results, console)


def test_the_demo_stays_up_until_it_is_interrupted(tmp_path: Path) -> None:
    """Both in a process of its own, as a terminal has it; what it prints is what the command needs."""
    code = (
        "from pathlib import Path; from rich.console import Console; from local import demo\n"
        "from local.emulator import Cloud\n"
        "demo.stay(Cloud('http://127.0.0.1:9', Path()), Console(soft_wrap=True)); print('over')"
    )
    command = [sys.executable, "-u", "-c", code]
    with subprocess.Popen(command, cwd=demo.REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(3)]
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "over\n"
    assert told[1] == (
        "export AWS_ENDPOINT_URL=http://127.0.0.1:9 AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=test "
        "AWS_SECRET_ACCESS_KEY=test"
    )
    assert told[2] == ".venv/bin/alos-mosaic status demo"


def test_quicklooks_are_copied_and_made_small(tmp_path: Path) -> None:
    kept = tmp_path / "buckets" / "out" / "alos_palsar_mosaic" / "2020" / "N10E010"
    kept.mkdir(parents=True)
    classes = np.full((600, 600), 2, np.uint8)
    write_class_quicklook(classes, {2: "forest"}, kept / "N10E010_20.webp")
    uri = "s3://out/alos_palsar_mosaic/2020/{0}/{0}_20.stac-item.json"
    results = [
        TileResult(State.PUBLISHED, 2020, "N10E010", item_uri=uri.format("N10E010")),
        TileResult(State.PUBLISHED, 2020, "N05E010", item_uri=uri.format("N05E010")),
        TileResult(State.ABSENT, 2020, "N15E010"),
    ]
    pictures = collect_pictures(tmp_path / "buckets", results, tmp_path / "quicklooks")
    assert list(pictures) == ["2020/N10E010"]
    assert pictures["2020/N10E010"].href == "quicklooks/2020-N10E010.webp"
    assert (tmp_path / "quicklooks/2020-N10E010.webp").read_bytes() == (kept / "N10E010_20.webp").read_bytes()
    kind, _, data = pictures["2020/N10E010"].thumbnail.partition(",")
    assert kind == "data:image/webp;base64"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(base64.b64decode(data)) as memory, memory.open() as small:
            assert (small.width, small.height) == (224, 224)
