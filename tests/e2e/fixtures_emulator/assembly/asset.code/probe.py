"""A Lambda function that does what its event asks for."""

import os
import time
from pathlib import Path

import probe_layer


class SourceUnavailableError(Exception):
    pass


class CorruptArchiveError(Exception):
    pass


ERRORS = {error.__name__: error for error in (SourceUnavailableError, CorruptArchiveError)}


def handler(event, context):
    started = time.time()
    print("event", event)  # noqa: T201 - standard output is what we want to see
    if event.get("fails_until", 0) > event.get("attempt", 0):
        raise SourceUnavailableError("not yet")
    if event.get("error"):
        raise ERRORS[event["error"]]("as asked for")
    if "exit" in event:
        os._exit(event["exit"])
    if "pid_file" in event:
        Path(event["pid_file"]).write_text(str(os.getpid()))
    time.sleep(event.get("sleep_seconds", 0))
    return {
        "event": event,
        "layer": probe_layer.NAME,
        "pid": os.getpid(),
        "parent_pid": os.getppid(),
        "started": started,
        "ended": time.time(),
        "remaining_ms": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
        "cwd": str(Path.cwd()),
        "environment": dict(os.environ),
    }
