"""Run a Python program that dies with the process that started it.

Used as a script, ``python -I -S lifeline.py PARENT_PID ARGUMENT...``: it ties itself to its parent and then becomes
``python ARGUMENT...``. Doing this in the child rather than with ``preexec_fn`` keeps ``fork`` safe in programs that
have threads. Only the standard library, because it runs outside of any environment.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # from linux/prctl.h; survives execve


def command(*arguments: str) -> list[str]:
    """The command line that runs ``python ARGUMENT...`` for as long as this process lives.

    Linux watches the *thread* that started the child: call ``Popen`` from one that lives as long as the child should.
    """
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), *arguments]


def _tie_to_parent(parent_pid: int) -> None:
    """Ask the kernel for a SIGKILL when the parent ends, and end now if it already did."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("the parent process is gone")


if __name__ == "__main__":
    _tie_to_parent(int(sys.argv[1]))
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])  # noqa: S606
