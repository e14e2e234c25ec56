"""``alos-mosaic reconcile``: what should be published, what lies there, and what the items say."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from alos_mosaic.cli.console import JsonOption, out, print_json, table
from alos_mosaic.cli.output import Output, on_output
from alos_mosaic.cli.selection import of_bearable_length, run_command, selecting
from alos_mosaic.commands import words_of
from alos_mosaic.messages import RunRequest, TileYear
from alos_mosaic.quantities import counted
from alos_mosaic.seeding import tiles_to_seed

_SHOWN: Final = 20
_SHOWN_COMMANDS: Final = 5
_STYLES: Final = {"whole": "green", "partial": "yellow", "missing": "red", "damaged": "bold red", "unexpected": "cyan"}


@on_output
@selecting
def reconcile(selected: dict[str, Any], output: Output, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Hold against one another what JAXA publishes, what lies in the bucket, and what the items say.

    Exits with 0 if every expected tile is whole and nothing lies there besides, else with 1. Nothing is changed.

    Example: alos-mosaic reconcile --years 2020 --region africa
    """
    from alos_mosaic.processing import reconciling  # noqa: PLC0415 - GDAL and pystac load slowly

    request = RunRequest.from_input(selected, output.default_region)
    found = reconciling.reconcile(request.requests(tiles_to_seed(request)), output.target, output.grid)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, selected, output, out())
    raise typer.Exit(0 if found.is_whole else 1)


def _print(found: Any, selected: Mapping[str, Any], output: Output, console: Console) -> None:
    counts = found.counts
    parts = [Text(f"{counts[name]:,} {name}", style) for name, style in _STYLES.items() if counts[name]]
    console.print(Text(", ").join(parts or [Text("nothing is expected and nothing lies there")]))
    odd = [each for each in found.findings if each.problems]
    if odd:
        shown = table("tile", "is", "because")
        for each in odd[:_SHOWN]:
            name = f"{each.tile_year.year}/{each.tile_year.tile}"
            shown.add_row(name, Text(each.condition, _STYLES[each.condition]), "; ".join(each.problems))
        console.print()
        console.print(shown)
        _print_more(len(odd), console)
    if found.orphans:
        console.print(f"\n{counted(len(found.orphans), 'file')} that no item names:")
        for key in found.orphans[:_SHOWN]:
            console.print(f"  {key}", soft_wrap=True)
        _print_more(len(found.orphans), console)
    if found.to_mend:
        console.print("\nTo make what is missing and mend what is damaged:")
        commands = list(mending(found.to_mend, selected, output))
        for command in commands[:_SHOWN_COMMANDS]:
            console.print(f"  {command}", markup=False, soft_wrap=True)
        _print_more(len(commands), console, _SHOWN_COMMANDS)


def mending(tiles: tuple[TileYear, ...], selected: Mapping[str, Any], output: Output) -> Iterator[str]:
    """Yield the commands that make tiles: runs of a deployment or, where no deployment publishes, one for each tile.

    Of more tiles than a line shows it is the run over the whole selection, which skips those that are published.
    """
    how = {name: selected[name] for name in ("product", "mode") if name in selected}
    if output.to is not None:
        for each in tiles:
            words = (f"{each.year}/{each.tile}", "--to", output.to, *words_of(how))
            yield shlex.join(("alos-mosaic", "process", *words))
    elif len(tiles) > _SHOWN:
        whole = {name: value for name, value in selected.items() if name != "mode"}
        yield of_bearable_length(run_command(whole, **output.options))
    else:
        for year, names in _by_year(tiles).items():
            yield run_command({"years": [year], "tiles": names} | how, **output.options)


def _print_more(count: int, console: Console, shown: int = _SHOWN) -> None:
    if count > shown:
        console.print(f"  and {count - shown:,} more; --json has them all", style="dim")


def _by_year(tiles: tuple[TileYear, ...]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for each in tiles:
        found[each.year].append(each.tile.name)
    return found
