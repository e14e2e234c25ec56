"""Makes a worker's calls of AWS go wrong, as a plan says; the emulator's workers import a copy as ``sitecustomize``.

So nothing of it stands in what ships. The copy lies in a folder of hooks, beside it ``plan.json``: a list of faults.
Each has the ``operation`` (``PutObject``), what it does (``act``: ``kill``, ``reset`` for no answer, or the code that
the service answers with, like ``SlowDown``; or ``change``, other values for parameters) and, where it matters, part of
the ``function``'s name, a pattern of the ``key``, ``is_after`` (the service has done its part, and the process dies
before it hears of it), how many of these calls go well before (``spared``) and how many go wrong then (``times``; 0 is
all), over all processes.

Each result that is recorded leaves a line in ``memory.jsonl``: the process, its resident set in bytes, and
how the tile ended.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from itertools import count
from pathlib import Path
from typing import Any, Final

_HERE: Final = Path(__file__).parent
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_PAUSE_SECONDS: Final = 0.05


def make_hooks(folder: Path) -> Path:
    """Make a folder of hooks whose plan is empty."""
    folder.mkdir(parents=True)
    shutil.copyfile(__file__, folder / "sitecustomize.py")
    plan(folder, [])
    return folder


def plan(hooks: Path, faults: list[dict[str, Any]]) -> None:
    """Make another plan, which holds from the next call on."""
    marks = hooks / "happened"
    shutil.rmtree(marks, ignore_errors=True)
    marks.mkdir()
    partial = hooks / "plan.partial"
    partial.write_text(json.dumps(faults))
    partial.replace(hooks / "plan.json")


def happened(hooks: Path) -> set[int]:
    """Return which faults of the plan met a call, by their places in it."""
    return {int(mark.name.partition("-")[0]) for mark in (hooks / "happened").iterdir()}


def _wrong(operation: str, given: dict[str, Any], *, is_after: bool) -> dict[str, Any] | None:
    """Return the fault that is due for a call."""
    for place, fault in enumerate(json.loads((_HERE / "plan.json").read_text())):
        if (fault["operation"], fault.get("is_after", False)) != (operation, is_after):
            continue
        if fault.get("function", "") not in os.environ["AWS_LAMBDA_FUNCTION_NAME"]:
            continue
        if not re.search(fault.get("key", ""), str(given.get("Key", ""))):
            continue
        number, spared, times = _numbered(place), fault.get("spared", 0), fault.get("times", 0)
        if number >= spared and (not times or number < spared + times):
            return dict(fault)
    return None


def _numbered(place: int) -> int:
    """Return how many calls the fault at this place in the plan had met before, in whichever process."""
    for number in count():
        try:
            (_HERE / "happened" / f"{place}-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return number
    raise AssertionError("never")


def _strike(fault: dict[str, Any] | None, operation: str) -> None:
    if fault is None or "act" not in fault:
        return
    if fault["act"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    from botocore.exceptions import ClientError, ConnectionClosedError  # noqa: PLC0415

    if fault["act"] == "reset":
        raise ConnectionClosedError(endpoint_url=operation)
    raise ClientError({"Error": {"Code": fault["act"], "Message": "told so"}}, operation)


def _install() -> None:
    """Stand between the worker and all its clients."""
    from botocore.client import BaseClient  # noqa: PLC0415

    call = BaseClient._make_api_call

    def sabotaged(self: Any, operation: str, given: dict[str, Any]) -> Any:
        fault = _wrong(operation, given, is_after=False)
        _strike(fault, operation)
        answer = call(self, operation, {**given, **(fault or {}).get("change", {})})
        _strike(_wrong(operation, given, is_after=True), operation)
        if operation == "PutObject" and "/results/" in given["Key"]:
            _note_memory(json.loads(given["Body"])["state"])
        return answer

    BaseClient._make_api_call = sabotaged
    if "ProcessTile" in os.environ["AWS_LAMBDA_FUNCTION_NAME"]:
        from alos_mosaic.processing import download  # noqa: PLC0415

        download._PAUSE_SECONDS = _PAUSE_SECONDS


def _note_memory(state: str) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    line = json.dumps({"pid": os.getpid(), "state": state, "bytes": pages * _PAGE_BYTES})
    with (_HERE / "memory.jsonl").open("a") as file:
        file.write(line + "\n")


if __name__ == "sitecustomize" and "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    _install()
