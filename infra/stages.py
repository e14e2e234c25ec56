"""Which settings a stage has: the defaults, then its file, then what CDK context overrides.

``infra/stages/<stage>.toml`` is a stage: any file there can be deployed, beside the others, as a stack of its own.
``cdk deploy -c alos-mosaic:stage=prod -c alos-mosaic:memory_mib=4096`` names one, and overrides a setting of it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final

from infra.config import StackConfig
from infra.fields import ConfigError, Field, fields_of

NAMESPACE: Final = "alos-mosaic:"
STAGE_KEY: Final = "stage"
FOLDER: Final = Path(__file__).with_name("stages")

_ALIKE: Final = 0.8
"""How much of a key's beginning has to be that of :data:`NAMESPACE` to be taken for it: all but two letters."""

DEV: Final = "dev"
"""The stage that is deployed where none is named."""
LOCAL: Final = "local"
"""The stage of the demo and the tests, which must not depend on how somebody's own stages are set."""


@dataclass(frozen=True)
class Deployment:
    """A stage with all that was overridden."""

    stage: str
    config: StackConfig

    @property
    def stack_name(self) -> str:
        """One stack a stage, so that stages can share an account."""
        return stack_name(self.stage)


def stack_name(stage: str) -> str:
    """Return the name of a stage's stack.

    >>> stack_name("dev")
    'AlosMosaic-dev'
    """
    return f"AlosMosaic-{stage}"


def stages(folder: Path = FOLDER) -> list[str]:
    """Return the stages that can be deployed."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def read_deployment(context: Mapping[str, Any], stage: str, folder: Path = FOLDER) -> Deployment:
    """Read the stage that the context names, or else ``stage``.

    Raises :class:`~infra.fields.ConfigError`, which names file or context and the key: no such stage, a file that is
    not TOML, an unknown key, a bad value, values that exclude each other.
    """
    _check_keys(context)
    given = {key.removeprefix(NAMESPACE): value for key, value in context.items() if key.startswith(NAMESPACE)}
    stage = str(given.pop(STAGE_KEY, stage))
    of_file = read_stage(stage, folder)
    of_context = _read(given, _of_context, "CDK context")
    try:
        return Deployment(stage, StackConfig(**{**of_file, **of_context}))
    except ConfigError as error:
        also = " and context" if of_context else ""
        raise ConfigError(f"{error} (in {_shown(stage, folder)}{also})") from error


def read_stage(stage: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return the values that a stage's file sets, each checked by itself."""
    known = stages(folder)
    if stage not in known or not re.fullmatch("[a-z][a-z0-9-]{0,19}", stage):
        raise ConfigError(f"there is no stage {stage!r}; known are {', '.join(known)} (in {_shown('*', folder)})")
    try:
        values = tomllib.loads((folder / f"{stage}.toml").read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is not TOML: {error} (in {_shown(stage, folder)})") from error
    return _read(values, Field.of_value, _shown(stage, folder))


def _check_keys(context: Mapping[str, Any]) -> None:
    """Refuse a key that is meant for a setting and is spelt so that nobody would read it."""
    names = {STAGE_KEY, *fields_of(StackConfig)}
    for key in context:
        if key.startswith(NAMESPACE):
            continue
        likeness = SequenceMatcher(None, key[: len(NAMESPACE)].lower(), NAMESPACE).ratio()
        if key.lower().replace("-", "_") in names or likeness >= _ALIKE:
            raise ConfigError(f"{key} is read by nothing: settings are spelt {NAMESPACE}<setting> (in CDK context)")


def _of_context(field: Field, value: Any) -> Any:
    """Read a value that came as JSON from cdk.json or as text from the command line."""
    return field.of_text(value) if isinstance(value, str) else field.of_value(value)


def _read(values: Mapping[str, Any], read: Callable[[Field, Any], Any], origin: str) -> dict[str, Any]:
    known = fields_of(StackConfig)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"unknown settings {', '.join(unknown)}; known are {', '.join(known)} (in {origin})")
    found = {name: read(known[name], value) for name, value in values.items()}
    for name, value in found.items():
        try:
            known[name].check(value)
        except ConfigError as error:
            raise ConfigError(f"{error} (in {origin})") from error
    return found


def _shown(stage: str, folder: Path) -> str:
    path = folder / f"{stage}.toml"
    return str(path.relative_to(FOLDER.parents[1]) if folder == FOLDER else path)
