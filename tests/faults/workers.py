"""Workers in processes of their own, as Lambda's are: the real handler, to be killed at any moment."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import tempfile
import threading
from dataclasses import dataclass, field, replace
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from alos_mosaic import errors
from alos_mosaic.processing import download, relay
from lambdas.process_tile import handler
from tests.faults.bucket_server import BucketServer
from tests.faults.world import World

_PROCESSES: Final = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.faults.preload", __name__])
_ENDS_AFTER_SECONDS: Final = 120
_HELD: Final = "held"
_TIME_IS_OVER: Final = "time is over"


@dataclass(frozen=True)
class Call:
    """A call of a function in the worker."""

    name: str
    """Module of ``alos_mosaic.processing``, and the function's name in it: ``pipeline.write_cog``."""
    number: int = 1
    """Which call it is, from 1 on."""


@dataclass(frozen=True)
class Job:
    """What a worker is to do, and under which circumstances."""

    event: dict[str, Any]
    environment: dict[str, str]
    seconds: float = 900.0
    """How long Lambda would let it run."""
    held_at: Call | None = None
    """Where it hangs, for ever."""
    part_bytes: int | None = None
    """How large staged parts of a transfer are, which is taken to be too slow from its first byte on."""


class Worker:
    """A process that does one job, once it is told to start."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pipe, its_own = _PROCESSES.Pipe()
        self._process = _PROCESSES.Process(target=_work, args=(its_own,), daemon=True)
        self._process.start()
        its_own.close()
        assert self._process.pid is not None
        self._pid = self._process.pid
        self._watch = os.pidfd_open(self._pid)

    def start(self) -> None:
        """Let it begin."""
        self._pipe.send(self._job)

    def kill(self) -> None:
        """End it as Lambda and the kernel do; from here on it does nothing more."""
        signal.pidfd_send_signal(self._watch, signal.SIGKILL)
        select.select([self._watch], [], [])

    def let_time_be_over(self) -> None:
        """Let its deadline come now."""
        self._pipe.send(_TIME_IS_OVER)

    def wait_until_held(self) -> None:
        """Wait until it hangs where it is to hang."""
        assert self._pipe.poll(_ENDS_AFTER_SECONDS), "the worker does not get there"
        assert self._pipe.recv() == _HELD

    def ended(self) -> dict[str, Any]:
        """Wait for its end and return its answer; raises the error that it ended with, EOFError if it was killed."""
        try:
            assert self._pipe.poll(_ENDS_AFTER_SECONDS), "the worker hangs"
            name, said = self._pipe.recv()
        finally:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._pipe.close()
            os.close(self._watch)
        if name is None:
            answer: dict[str, Any] = said
            return answer
        raise getattr(errors, name, RuntimeError)(said)


def start_forkserver() -> None:
    """Start what workers are forked off, ahead of the first of them; it makes a folder in /tmp that lasts."""
    forkserver.ensure_running()


def _work(pipe: Connection) -> None:
    """Do what the pipe says. The process ends with all of its threads, also those that hang."""
    job: Job = pipe.recv()
    os.environ.update(job.environment)
    tempfile.tempdir = None
    download._PAUSE_SECONDS = 0
    if job.part_bytes is not None:
        relay.PART_BYTES = job.part_bytes
        relay.Relay._is_too_slow = lambda *_: True
    if job.held_at is not None:
        _hold(job.held_at, pipe)
    signal.signal(signal.SIGUSR1, _time_out)
    threading.Thread(target=_listen, args=(pipe,), daemon=True).start()
    context = SimpleNamespace(
        log_group_name="/group",
        log_stream_name="stream",
        get_remaining_time_in_millis=lambda: int(1000 * job.seconds),
    )
    try:
        said: tuple[str | None, Any] = None, handler.lambda_handler(job.event, context)
    except Exception as error:  # noqa: BLE001 - it is raised where the answer is waited for
        said = type(error).__name__, str(error)
    pipe.send(said)
    os._exit(0)


def _listen(pipe: Connection) -> None:
    """End the main thread's wait for the work to be done, once the pipe says so.

    A signal to the process as a whole may come to any of its threads, and leave the main thread waiting.
    """
    if pipe.recv() == _TIME_IS_OVER:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


def _time_out(*_: object) -> None:
    raise TimeoutError


def _hold(call: Call, pipe: Connection) -> None:
    module, *outer, name = call.name.split(".")
    owner: Any = import_module(f"alos_mosaic.processing.{module}")
    for part in outer:
        owner = getattr(owner, part)
    original, numbers, turn = getattr(owner, name), iter(range(1, 1_000_000)), threading.Lock()

    def held(*given: Any, **named: Any) -> Any:
        with turn:
            number = next(numbers)
        if number == call.number:
            pipe.send(_HELD)
            threading.Event().wait()
        return original(*given, **named)

    setattr(owner, name, held)


@dataclass
class WorkersWorld(World):
    """A world that has workers in processes, too, with S3 behind a socket."""

    bucket: BucketServer = field(default_factory=BucketServer)
    scratch: Path = Path()
    """Takes the place of /tmp."""

    def worker(self, job: Job, who: str = "worker", folder: Path | None = None) -> Worker:
        """Make a worker that signs as ``who``; ``folder`` takes the place of its /tmp, instead of the common one."""
        environment = {
            **job.environment,
            "AWS_ENDPOINT_URL": self.bucket.url,
            "AWS_ACCESS_KEY_ID": who,
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "TMPDIR": str(folder or self.scratch),
        }
        return Worker(replace(job, environment=environment))
