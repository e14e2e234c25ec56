"""Options that several commands share: declared once, and handed on as what they mean."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints


def with_options(
    command: Callable[..., None],
    name: str,
    options: Mapping[str, tuple[Any, Any]],
    make: Callable[..., Any],
    *,
    first: bool = False,
) -> Callable[..., None]:
    """Return a command with further options, which gets what ``make`` makes of them as its argument ``name``.

    ``options`` are annotations and defaults by parameter; ``first`` lists them ahead of the command's own.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[each], kind=inspect.Parameter.KEYWORD_ONLY)
        for each, parameter in inspect.signature(command).parameters.items()
        if each != name
    ]
    further = [
        inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for each, (annotation, default) in options.items()
    ]
    parameters = [*further, *own] if first else [*own, *further]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        made = make(**{each: given.pop(each) for each in options})
        command(**{name: made}, **given)

    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped
