"""That what a test leaves behind fails it: a run of pytest in a process of its own, over tests that leak."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LEAKING = """
import asyncio, os, threading

async def fail():
    raise ValueError

async def test_an_exception_is_lost():
    asyncio.ensure_future(fail())
    await asyncio.sleep(0)

def test_a_task_is_destroyed():
    loop = asyncio.new_event_loop()
    loop.create_task(asyncio.sleep(5))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

async def test_a_callback_raises():
    asyncio.get_running_loop().call_soon(os.stat, "")
    await asyncio.sleep(0)

def test_a_descriptor_is_left_open():
    os.pipe()

def test_a_coroutine_is_not_awaited():
    fail()

def test_a_thread_dies():
    thread = threading.Thread(target=os.stat, args=[""])
    thread.start()
    thread.join()

def test_a_complaint_is_expected(loop_complaints):
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": "as meant"})
    loop.close()
    assert loop_complaints.pop() == "message: 'as meant'"

async def test_nothing_is_left():
    await asyncio.create_task(asyncio.sleep(0))
"""


def test_what_a_test_leaves_behind_fails_it(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makefile(".cfg", setup=(ROOT / "setup.cfg").read_text())
    leaking = pytester.makepyfile(LEAKING)
    outcome = pytester.runpytest_subprocess("-p", "tests.leaks", leaking)
    outcome.assert_outcomes(passed=6, failed=2, errors=4)
    outcome.stdout.fnmatch_lines_random(
        [
            "*Task exception was never retrieved*",
            "*Task was destroyed but it is pending*",
            "*Exception in callback*",
            "descriptors left open: *pipe:*",
            "FAILED *test_a_coroutine_is_not_awaited*",
            "FAILED *test_a_thread_dies*",
        ]
    )
