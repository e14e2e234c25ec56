"""Where commands look at what is published: a deployment's output, or any bucket or folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import typer

from alos_mosaic.cli.deployment import OPTIONS, find, options_said
from alos_mosaic.cli.options import with_options
from alos_mosaic.cli.source import s3_client
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Grid
from alos_mosaic.processing.publish import Target, open_target
from alos_mosaic.settings import DEFAULT_REGION

ToOption = Annotated[
    str | None, typer.Option("--to", help="Look here instead: s3://bucket/folder or file:///folder, no stack.")
]


@dataclass(frozen=True)
class Output:
    """What is published, and on which grid."""

    target: Target
    grid: Grid
    default_region: str
    """What a selection covers that names no place."""
    to: str | None = None
    """Its URI, where that was given and no deployment looked for."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What found it, as :func:`~alos_mosaic.cli.deployment.options_said` has it."""


def open_output(to: str | None, stack: str | None, profile: str | None, aws_region: str | None) -> Output:
    """Return the output at a URI or, without one, the deployment's; only credentials are for both."""
    if to is not None:
        options = options_said(stack, profile, aws_region)
        if "stack" in options:
            raise InvalidRequestError("--to and --stack name two places to look at; leave out one of them")
        return Output(open_target(to, s3_client(to, profile, aws_region)), Grid(), DEFAULT_REGION, to, options)
    deployment = find(stack, profile, aws_region)
    settings = deployment.seed_settings
    target = open_target(settings.output_uri, deployment.client("s3"))
    grid = Grid(deployment.tile_settings.cell_pixels)
    return Output(target, grid, settings.default_region, options=deployment.options)


def on_output(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that find an output, and hand it that as ``output``."""
    return with_options(command, "output", {"to": (ToOption, None), **OPTIONS}, open_output)
