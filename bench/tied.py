"""`python -m bench.tied SIGNAL USER PROGRAM …`: becomes a program that gets the signal when its parent ends.

It may also open as many files as this system lets it: ten thousand sockets need them. With a USER it runs as
that one, which only root may ask for.
"""

import ctypes
import os
import pwd
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def tied(number: signal.Signals, user: str, *program: str) -> tuple[str, ...]:
    """Return the command that runs a program so."""
    return (sys.executable, "-m", "bench.tied", number.name, user, *program)


def raise_file_limit(wanted: int = 65_536) -> None:
    """Let this process open more files: `wanted` if it may, else as many as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def become(user: str) -> None:
    """Go on as another user. Raises KeyError, PermissionError."""
    account = pwd.getpwnam(user)
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


if __name__ == "__main__":
    raise_file_limit()
    if sys.argv[2]:
        become(sys.argv[2])
    end_with_parent(signal.Signals[sys.argv[1]])  # last: a change of user undoes it
    os.execvp(sys.argv[3], sys.argv[3:])
