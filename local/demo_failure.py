"""A failure and its mending: ``make demo-failure``, or ``python -m local.demo_failure --help``.

On the look-alike of JAXA's server lies an archive that breaks off in the middle. The run over it fails as incomplete,
and its report says why and what to do. Then the archive is replaced, the failed tile is redriven out of the dead-letter
queue, and the report of that run shows it published.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console

from alos_mosaic.results import State
from local.demo import REPOSITORY, Scene, clear, deploy, place, play, show_where
from local.emulator import running_cloud
from local.jaxa_server import JaxaServer

_BROKEN: Final = "2009/N10E010"
_WHOLE: Final = "2009/S05E055"
_CELLS: Final = {_BROKEN: ("N09E013",), _WHOLE: ("S05E055",)}

FAILING: Final = Scene(
    years=(2009,),
    tiles=("N10E010", "S05E055"),
    expected={_BROKEN: State.FAILED, _WHOLE: State.PUBLISHED},
    run="demo-failure",
    status="FAILED",
)
MENDED: Final = Scene(
    expected={_BROKEN: State.PUBLISHED},
    run="demo-mended",
    redrive={"error": "CorruptArchiveError", "run": FAILING.run},
)


def main() -> None:
    """Run both executions; exit with 1 unless the first fails and the second mends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = REPOSITORY / "build/demo-failure"
    parser.add_argument("--folder", type=Path, default=folder, help="where everything is left")
    folder = parser.parse_args().folder
    clear(folder)
    console = Console(soft_wrap=True, highlight=False)
    start = time.monotonic()
    console.print("Making synthetic archives, one of them broken off in the middle")
    archives = {name: place(folder / "mirror", name, cells) for name, cells in _CELLS.items()}
    broken = archives[_BROKEN]
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    with (
        JaxaServer(folder / "mirror") as server,
        running_cloud(folder / "cloud", REPOSITORY, wait_scale=0) as cloud,
    ):
        outputs = deploy(cloud, folder, server.url)
        failed_as_it_should = play(cloud, outputs, FAILING, console)
        show_where(cloud, outputs, FAILING.run, folder / "report-failed.html", console)
        console.print("\nReplacing the broken archive, as JAXA would, and sending the failed tile again")
        place(folder / "mirror", _BROKEN, _CELLS[_BROKEN])
        was_mended = play(cloud, outputs, MENDED, console)
        show_where(cloud, outputs, MENDED.run, folder / "report-mended.html", console)
    console.print(f"{time.monotonic() - start:.0f} seconds")
    sys.exit(0 if failed_as_it_should and was_mended else 1)


if __name__ == "__main__":
    main()
