"""A container that is kept as Lambda keeps one: what it may not do there, it may not do here."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any, Final, Self

from local.emulator.runtime_api import Answer, Invocation, RuntimeApi
from tests.image.engine import Engine

USER: Final = "993:990"
"""Lambda's own: sbx_user1051 with these ids."""
CAGE: Final = (
    "--read-only", "--network=host", f"--user={USER}", "--cap-drop=ALL", "--security-opt=no-new-privileges",
    "--ipc=none",  # no /dev/shm
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    "--pids-limit=1024", "--ulimit=nofile=1024:1024",
)  # fmt: skip
_ANSWER_LIMIT_SECONDS: Final = 60.0
"""The tests' tiles take a second or two."""
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Limits:
    """What the stack grants the function."""

    memory_mib: int
    storage_mib: int
    timeout_seconds: int

    @property
    def memory(self) -> tuple[str, str]:
        """The options that bound memory, without swap beside it."""
        return f"--memory={self.memory_mib}m", f"--memory-swap={self.memory_mib}m"

    @classmethod
    def of_function(cls, function: Mapping[str, Any]) -> Self:
        """Read a function's properties in the template."""
        return cls(function["MemorySize"], function["EphemeralStorage"]["Size"], function["Timeout"])


class LambdaContainer:
    """The image behind the project's own Runtime API, one invocation at a time; for a ``with`` block."""

    def __init__(
        self, engine: Engine, image: str, limits: Limits, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = folder.name
        self._engine, self._limits = engine, limits
        self._api = RuntimeApi()
        self._log = folder / "log"
        temporary = folder / "tmp"
        # A tmpfs would count as the container's memory, and Lambda's /tmp does not.
        engine.mount_disk(temporary, limits.storage_mib, owner=USER)
        variables = {**environment, **self._lambda_environment()}
        given = (f"--env={name}={value}" for name, value in variables.items())
        options = (*CAGE, *limits.memory, f"--volume={temporary}:/tmp", *given)
        self._process = engine.start("run", "--rm", f"--name={self.name}", *options, image, log=self._log)

    def invoke(self, event: object) -> Any:
        """Run the handler once and return its result, or its error as Lambda words it.

        Raises:
            AssertionError: the container ended or the time ran out; with its log.
        """
        deadline_ms = int((time.time() + self._limits.timeout_seconds) * 1000)
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{self.name}"
        payload = json.dumps(event).encode()
        self._api.invocations.put(Invocation("an-invocation", arn, deadline_ms, payload))
        end = time.monotonic() + _ANSWER_LIMIT_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                answer = self._api.answers.get(timeout=_POLL_SECONDS)
            except Empty:
                continue
            assert isinstance(answer, Answer)
            return json.loads(answer.payload)
        raise AssertionError(f"no answer; the container's log:\n{self.log}")

    @property
    def log(self) -> str:
        """What the container wrote."""
        return self._log.read_text()

    def python(self, code: str) -> Any:
        """Run a piece of Python beside the handler, in its cage, and return the JSON that it prints."""
        return json.loads(self._engine.docker("exec", self.name, "python", "-c", code))

    def __enter__(self) -> Self:
        """Return itself; it starts while the caller goes on."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the container."""
        self._engine.docker("rm", "--force", self.name)
        self._process.wait()
        self._api.close()

    def _lambda_environment(self) -> dict[str, str]:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
        return {
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._limits.memory_mib),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "a-stream",
            "TZ": ":UTC",
        }
