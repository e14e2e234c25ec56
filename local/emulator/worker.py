"""One execution environment: a process of awslambdaric that serves one invocation at a time and stays warm."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from queue import Empty
from typing import Any

from local.emulator import lifeline
from local.emulator.function import Function
from local.emulator.runtime_api import Answer, Invocation, ProcessEnd, RuntimeApi

START_LIMIT_SECONDS = 60.0
"""Lambda grants 10 s before it starts the time-out; a small machine that starts many workers needs more."""


class Worker:
    """A process that runs one version of a function, in a folder of its own.

    Make it from a thread that lives as long as the worker should: see ``lifeline.command``.
    """

    def __init__(self, function: Function, folder: Path, cwd: Path, environment: dict[str, str]) -> None:
        """Start the process; it imports its handler while the caller goes on."""
        self.function = function
        self._folder = folder
        self._api = RuntimeApi()
        self._log_path = folder / "output.log"
        self._log_read = 0
        (folder / "tmp").mkdir(parents=True)
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                lifeline.command("-m", "awslambdaric", function.handler),
                cwd=cwd,
                env={**environment, "AWS_LAMBDA_RUNTIME_API": self._api.address},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        threading.Thread(target=self._watch, name="worker-watch", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def invoke(self, request_id: str, function_arn: str, event: Any) -> dict[str, Any]:
        """Run the handler once; the result has MiniStack's keys ``body``, ``log`` and, of a failure, ``error``.

        A worker that timed out or ended is not ``alive`` afterwards.
        """
        if failure := self._await_start(request_id):
            return failure
        limit = self.function.timeout_seconds
        deadline_ms = int((time.time() + limit) * 1000)
        payload = json.dumps(event).encode()
        self._api.invocations.put(Invocation(request_id, function_arn, deadline_ms, payload))
        try:
            answer = self._api.answers.get(timeout=limit)
        except Empty:
            self.kill()
            return self._failure(
                "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {limit}.00 seconds"
            )
        return self._result(request_id, answer)

    def kill(self) -> None:
        """End the process and everything in its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._api.close()

    def discard(self) -> None:
        """Kill the worker and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_output(self) -> str:
        """What the process wrote since this was last asked."""
        with contextlib.suppress(FileNotFoundError), self._log_path.open("rb") as log:
            log.seek(self._log_read)
            output = log.read()
            self._log_read += len(output)
            return output.decode(errors="replace")
        return ""

    def _watch(self) -> None:
        """Tell the waiting invocation, if there is one, that the process ended."""
        self._api.answers.put(ProcessEnd(self._process.wait()))
        self._api.asked.set()

    def _await_start(self, request_id: str) -> dict[str, Any] | None:
        """Wait for the runtime to import its handler; return the failure if it can't."""
        if not self._api.asked.wait(START_LIMIT_SECONDS):
            self.kill()
            return self._failure("Sandbox.Timedout", f"RequestId: {request_id} Error: the function did not start")
        return None if self.alive else self._result(request_id, self._api.answers.get())

    def _result(self, request_id: str, answer: Answer | ProcessEnd) -> dict[str, Any]:
        if isinstance(answer, ProcessEnd):
            self.kill()  # what it started may still run
            return self._failure("Runtime.ExitError", f"RequestId: {request_id} Error: {_describe(answer.exit_status)}")
        body = json.loads(answer.payload or b"null")
        result = {"body": body, "log": self.new_output()}
        return {**result, "error": True} if answer.failed else result

    def _failure(self, error_type: str, message: str) -> dict[str, Any]:
        body = {"errorType": error_type, "errorMessage": message}
        return {"body": body, "log": self.new_output(), "error": True}


def _describe(exit_status: int) -> str:
    """How Lambda words the end of a process."""
    if exit_status >= 0:
        return f"Runtime exited with error: exit status {exit_status}"
    return f"Runtime exited with error: signal: {signal.strsignal(-exit_status) or -exit_status}".lower()
