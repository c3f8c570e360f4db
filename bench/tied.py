"""`python -m bench.tied PROGRAM …`: becomes the program, which then ends when its parent does.

It may also open as many files as this system lets it: ten thousand sockets need them.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def raise_file_limit(wanted: int = 65_536) -> None:
    """Let this process open more files: `wanted` if it may, else as many as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    raise_file_limit()
    end_with_parent()
    os.execvp(sys.argv[1], sys.argv[1:])
