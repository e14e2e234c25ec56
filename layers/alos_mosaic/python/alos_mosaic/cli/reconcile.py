"""``alos-mosaic reconcile``: what should be published, what lies there, and what the items say."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import unquote, urlsplit

import typer
from rich.console import Console
from rich.text import Text

from alos_mosaic.cli.console import JsonOption, out, print_json, table
from alos_mosaic.cli.output import Output, on_output
from alos_mosaic.cli.selection import run_command, selecting_without_mode
from alos_mosaic.commands import command_line
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.messages import Mode, RunRequest, TileYear
from alos_mosaic.quantities import counted

if TYPE_CHECKING:
    from alos_mosaic.processing.reconciling import Reconciliation

_SHOWN: Final = 20
_SHOWN_COMMANDS: Final = 5
_STYLES: Final = {"whole": "green", "partial": "yellow", "missing": "red", "damaged": "bold red", "unexpected": "cyan"}
_VARIABLES: Final = {"profile": "AWS_PROFILE", "aws_region": "AWS_DEFAULT_REGION"}
"""What says to ``process`` what options say here."""

MendingModeOption = Annotated[
    Mode,
    typer.Option(
        "--mode",
        help="The mode of the commands that are printed for damaged tiles: to make them anew (overwrite, refresh), or "
        "to describe anew what has all its COGs (metadata-only). Missing tiles need none.",
    ),
]


@on_output
@selecting_without_mode
def reconcile(
    selected: dict[str, Any],
    output: Output,
    mode: MendingModeOption = Mode.OVERWRITE,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Hold against one another what JAXA publishes, what lies in the bucket, and what the items say.

    Only the selection is looked at: its tiles and, where it is a region, what lies beside the tiles' folders of its
    years. Exits with 1 if a tile is missing or damaged, or if there are files that no item names, else with 0: tiles
    that are whole but for cells that are defective at the source (partial), or though JAXA's listings do not have them
    (unexpected), are named, and are no fault. Nothing is changed.

    Example: alos-mosaic reconcile --years 2020 --region africa
    """
    from alos_mosaic.processing import reconciling  # noqa: PLC0415 - GDAL and pystac load slowly

    if mode is Mode.SKIP:
        raise InvalidRequestError("--mode skip mends nothing: a run in that mode takes damaged tiles for published")
    request = RunRequest.from_input(selected, output.default_region)
    is_region = "bbox" not in selected and not request.are_named
    found = reconciling.reconcile(request, output.target, output.grid, beside_tiles=is_region)
    commands = list(mending(found, selected, output, mode))
    if as_json:
        print_json({**found.to_dict(), "commands": commands})
    else:
        _print(found, commands, output, out())
    raise typer.Exit(0 if found.is_whole else 1)


def _print(found: Reconciliation, commands: list[str], output: Output, console: Console) -> None:
    counts = found.counts
    parts = [Text(f"{counts[name]:,} {name}", style) for name, style in _STYLES.items() if counts[name]]
    console.print(Text(", ").join(parts))
    odd = [each for each in found.findings if each.problems]
    if odd:
        shown = table("tile", "is", "because")
        for each in odd[:_SHOWN]:
            name = f"{each.tile_year.year}/{each.tile_year.tile}"
            shown.add_row(name, Text(each.condition, _STYLES[each.condition]), Text("; ".join(each.problems)))
        console.print()
        console.print(shown)
        _print_more(len(odd), console)
    if found.orphans:
        console.print(f"\n{counted(len(found.orphans), 'file')} that no item names:")
        for key in found.orphans[:_SHOWN]:
            console.print(f"  {key}", markup=False, soft_wrap=True)
        _print_more(len(found.orphans), console)
        console.print("Nothing of ours reads them. While no run goes on, what is of no use to others may be deleted:")
        console.print(f"  {deleting(found.orphans[0], output)}", markup=False, soft_wrap=True)
    if commands:
        console.print("\nTo make what is missing and mend what is damaged:")
        for command in commands[:_SHOWN_COMMANDS]:
            console.print(f"  {command}", markup=False, soft_wrap=True)
        _print_more(len(commands), console, _SHOWN_COMMANDS)


def mending(
    found: Reconciliation, selected: Mapping[str, Any], output: Output, mode: Mode = Mode.OVERWRITE
) -> Iterator[str]:
    """Yield the commands that make tiles: runs of a deployment or, where no deployment publishes, one for each tile.

    Of many missing tiles of a region or box it is the run over all of it, which leaves alone what is there. Damaged
    tiles are named, however many, and the mode is: since their items are there, a run without would pass them by.
    """
    mended = {"mode": mode.value}
    if output.to is not None:
        for tiles, how in ((found.missing, {}), (found.damaged, mended)):
            yield from (_process(each, selected, how, output) for each in tiles)
        return
    if len(found.missing) > _SHOWN and "tiles" not in selected:
        yield run_command(selected, **output.options)
    else:
        yield from _runs(found.missing, selected, {}, output)
    yield from _runs(found.damaged, selected, mended, output)


def _process(tile_year: TileYear, selected: Mapping[str, Any], how: Mapping[str, str], output: Output) -> str:
    options = {"to": str(output.to), **_product(selected), **how}
    variables = (f"{_VARIABLES[name]}={shlex.quote(value)}" for name, value in output.options.items())
    return " ".join((*variables, command_line("process", f"{tile_year.year}/{tile_year.tile}", options=options)))


def _product(selected: Mapping[str, Any]) -> dict[str, str]:
    return {"product": selected["product"]} if "product" in selected else {}


def _runs(
    tiles: tuple[TileYear, ...], selected: Mapping[str, Any], how: Mapping[str, str], output: Output
) -> Iterator[str]:
    """Yield one command for all years that have the same tiles to make."""
    by_year: dict[int, list[str]] = defaultdict(list)
    for each in tiles:
        by_year[each.year].append(each.tile.name)
    years_by_tiles: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for year, names in by_year.items():
        years_by_tiles[tuple(names)].append(year)
    for each_tiles, years in years_by_tiles.items():
        yield run_command({"years": years, "tiles": list(each_tiles), **_product(selected), **how}, **output.options)


def deleting(key: str, output: Output) -> str:
    """Return the command that deletes a file of an output."""
    uri = output.target.uri(key)
    if not uri.startswith("s3:"):
        return shlex.join(("rm", unquote(urlsplit(uri).path)))
    words = ["aws", "s3", "rm", uri]
    for name, option in (("profile", "--profile"), ("aws_region", "--region")):
        if name in output.options:
            words += [option, output.options[name]]
    return shlex.join(words)


def _print_more(count: int, console: Console, shown: int = _SHOWN) -> None:
    if count > shown:
        console.print(f"  and {count - shown:,} more; --json has them all", style="dim")
