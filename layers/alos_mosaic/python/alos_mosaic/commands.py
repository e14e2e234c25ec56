"""Commands of ours to copy, as a shell takes them, with the options that find the deployment they are about."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final

_NONE: Final[Mapping[str, str]] = {}


def command_line(*words: str, options: Mapping[str, str] = _NONE) -> str:
    """Return a command of ours; ``options`` are what finds its deployment, by the options' names in Python.

    >>> command_line("resume", "a run", "--wait", options={"stack": "Trial"})
    "alos-mosaic resume 'a run' --wait --stack Trial"
    """
    return shlex.join(("alos-mosaic", *words, *words_of(options)))


def words_of(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return options as the words of a command line.

    >>> words_of({"aws_region": "us-east-1"})
    ('--aws-region', 'us-east-1')
    """
    return tuple(word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value))
