"""A container engine of one's own: a private dockerd that leaves nothing behind, not even a mount."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_START_LIMIT_SECONDS: Final = 60.0
_END_LIMIT_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.1
_TOOLS: Final = ("docker", "dockerd", "mmdebstrap", "mkfs.ext4", "nsenter", "setpriv", "unshare")
_SYSTEM_FOLDERS: Final = "/usr/sbin:/sbin"
"""Debian keeps dockerd and mkfs there, and not everybody's PATH has them."""
_NO_NETWORK_OF_ITS_OWN: Final = (
    "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
)  # fmt: skip


class EngineError(Exception):
    """The engine did not start, or a command failed: with the end of what it wrote."""


def why_no_engine() -> str | None:
    """Return the reason for which no engine can run here, or None: then whatever fails is a failure."""
    if os.geteuid() != 0:
        return "a container engine needs root"
    if missing := [tool for tool in _TOOLS if shutil.which(tool, path=_environment()["PATH"]) is None]:
        return f"there is no {', '.join(missing)}; tests/image/install-engine installs them where there is apt-get"
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0:
        return "no mounts are allowed here, and a container engine needs them"
    return None


def run(*command: str, **environment: str) -> str:
    """Run a command and return what it wrote to stdout; :class:`EngineError` if it fails."""
    done = subprocess.run(
        command,
        check=False,
        env={**_environment(), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise EngineError(
            f"{' '.join(command[:3])} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}"
        )
    return done.stdout


class Engine:
    """A running dockerd."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "DOCKER_HOST": f"unix://{folder}/socket",
            "DOCKER_CONFIG": str(folder / "config"),  # not the settings of the person at the keyboard
            "DOCKER_BUILDKIT": "0",  # BuildKit is a plugin that Debian's docker.io lacks
        }
        self._process = process

    def docker(self, *arguments: str) -> str:
        """Run ``docker ARGUMENT...`` and return what it wrote to stdout."""
        return run("docker", *arguments, **self.environment)

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start ``docker ARGUMENT...``, which writes into ``log``, and leave it running."""
        with log.open("wb") as file:
            return subprocess.Popen(
                ["docker", *arguments],
                env={**_environment(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def build(self, context: Path, dockerfile: Path, tag: str, **arguments: str) -> None:
        """Build an image, without a network: everything it needs is in its base or in its context."""
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        self.docker("build", "--network=none", f"--file={dockerfile}", f"--tag={tag}", *given, str(context))

    def size_bytes(self, image: str) -> int:
        """Return an image's size, unpacked, all its layers."""
        return int(self.docker("image", "inspect", "--format={{.Size}}", image))

    def mount_disk(self, folder: Path, size_mib: int, owner: str) -> None:
        """Mount an empty disk of that size (sparse, a file beside it) on ``folder``, as only containers see it."""
        disk = folder.with_suffix(".ext4")
        folder.mkdir(parents=True)
        with disk.open("wb") as file:
            file.truncate(size_mib << 20)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", f"root_owner={owner}", str(disk))
        inside = ("nsenter", f"--target={self._process.pid}", "--mount")
        run(*inside, "mount", "-o", "loop", str(disk), str(folder))
        run(*inside, "rmdir", str(folder / "lost+found"))

    def await_start(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + _START_LIMIT_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.docker("version")
            except EngineError:
                time.sleep(_POLL_SECONDS)
            else:
                return
        raise EngineError(f"dockerd did not start; the end of its log:\n{(self.folder / 'log').read_text()[-2000:]}")


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """Run a dockerd that keeps everything below ``folder``, for as long as the context lasts.

    It has mounts of its own (``unshare``), which vanish with it, and ends when this process does (``setpriv``).
    """
    folder.mkdir()
    own_life = ("unshare", "--mount", "--propagation=slave", "setpriv", "--pdeathsig=TERM")
    places = (f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*own_life, "dockerd", *_NO_NETWORK_OF_ITS_OWN, *places, f"--host=unix://{folder}/socket"],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for whoever started us; it ends the engine in turn
        )
    try:
        engine = Engine(process, folder)
        engine.await_start()
        yield engine
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}"}
