"""The demo as a newcomer runs it: it sells, says where to look, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

WITHIN_S = 90.0


class Demo:
    """A demo in a process of its own, whose temporary files are in `folder`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        folder.mkdir()
        self._output = folder.with_suffix(".log")
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server", "demo", *arguments],
                env=os.environ | {"TMPDIR": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(encoding="utf-8")

    def prints(self, words: str) -> None:
        """Wait until it has printed this."""
        self._wait(lambda: words in self.printed or self._process.poll() is not None)
        assert words in self.printed

    def has_started(self, process: str) -> None:
        """Wait until it has started this process of its own."""
        self._wait(lambda: any(self.folder.glob(f"*/{process}.log")))

    def log(self, process: str) -> str:
        """What a process of its own has logged so far."""
        return next(self.folder.glob(f"*/{process}.log")).read_text(encoding="utf-8")

    def ends(self, *signals: signal.Signals) -> int:
        """Send it the signals; return its exit code."""
        for number in signals:
            self._process.send_signal(number)
        self._wait(lambda: self._process.poll() is not None)
        return self._process.wait()

    def leaves_nothing(self) -> None:
        """No process of it runs, and no file is left."""
        assert running_with(self.folder) == []
        assert list(self.folder.iterdir()) == []

    def _wait(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not true():
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.1)


def running_with(folder: Path) -> list[str]:
    """Return the command lines of the processes whose environment names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended, or is not ours
            continue
    return found


Start = Callable[..., Demo]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a demo; whatever a failed test leaves running is ended."""
    demos: list[Demo] = []

    def start(*arguments: str) -> Demo:
        demos.append(Demo(tmp_path_factory.mktemp("demo") / "files", *arguments))
        return demos[-1]

    yield start
    for demo in demos:
        demo.ends(signal.SIGTERM)


@pytest.fixture(scope="module", autouse=True)
def once(start: Start) -> Demo:
    """The demo that buys from each machine; it does so while other tests run."""
    return start("--once", "--port", "0")


async def status_of(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status


async def test_the_demo_says_where_to_look_and_ends_cleanly(start: Start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        demo = start("--port", str(taken.getsockname()[1]), "--log-level", "ERROR")
        demo.prints("Ctrl+C ends everything")
        addresses = re.findall(r"http://\S+", demo.printed)
        assert len(addresses) == 4 and not any(f":{taken.getsockname()[1]}/" in url for url in addresses)
        assert [await status_of(url) for url in addresses] == [200, 200, 200, 200]
        assert len(running_with(demo.folder)) == 8
        assert demo.log("server") == ""
    assert demo.ends(signal.SIGINT) == 0
    demo.leaves_nothing()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_stopped_while_it_starts_leaves_nothing(start: Start, number: signal.Signals):
    demo = start("--port", "0")
    demo.has_started("server")
    assert demo.ends(number) == 0
    demo.leaves_nothing()


def test_one_payment_ends_as_a_drink_and_the_other_as_a_refund(once: Demo):
    assert once.ends() == 0, once.printed
    works, _, rest = once.printed.partition("demo-fails")
    fails, _, tbank = rest.partition("demo-tbank")
    assert "successful: Напиток готов" in tbank
    assert "successful: Напиток готов" in works
    assert "make_failed: Не удалось отправить команду на приготовление." in fails
    assert "no_water" in fails and "refund succeeded" in fails
    once.leaves_nothing()
