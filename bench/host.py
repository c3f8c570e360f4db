"""What this machine is: figures are worth nothing without it."""

import os
import platform
import sqlite3
import sysconfig
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from statistics import median

SYNCS = 200


def described(folder: Path) -> str:
    """Return one sentence on the processor, Python, SQLite, and the disk below `folder`."""
    return (
        f"{os.cpu_count()} cores ({_processor()}), {platform.python_implementation()} "
        f"{platform.python_version()} ({_build()}), SQLite {sqlite3.sqlite_version}, "
        f"fsync of 4 KiB appended {fsync_ms(folder):.2f} ms"
    )


def fsync_ms(folder: Path) -> float:
    """Return how long it takes to append 4 KiB to a file and have it on the disk: a median."""
    page = bytes(4096)
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            begun = time.perf_counter()
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return median(taken) * 1000


def processor_s(pid: int) -> float:
    """Return the processor time that a process's threads have used, in seconds."""
    spent = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="ascii").split()[0]) for task in spent) / 1e9


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            ours, _, rest = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")
            children[int(rest.split()[1])].append(int(ours.partition(" ")[0]))
    found = [pid]
    for each in found:
        found += children[each]
    return found


def busy_s() -> float:
    """Return the processor time that this machine has used since it was started, in all its cores."""
    user, nice, system, _, _, irq, softirq = Path("/proc/stat").read_text(encoding="ascii").split()[1:8]
    return sum(map(int, (user, nice, system, irq, softirq))) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return the memory that a process occupies."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _build() -> str:
    """Return how CPython was built: one with profile-guided optimisation is 1.4 times as fast."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    guided = "--enable-optimizations" in options or "-fprofile-use" in str(
        sysconfig.get_config_var("PY_CORE_CFLAGS") or ""
    )
    return "built with profile-guided optimisation" if guided else "a plain build"
