"""`python -m bench.fleet`: agents as they run beside machines, each with its journal on the disk.

It posts the provider's notifications too, so that one clock sees the whole sale, until the agent has heard
that the result of its drink is stored.
"""

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from agent.journal import Journal
from agent.link import Link
from agent.logs import set_up_logging
from agent.machine import Outcome, Request
from agent.make import Record
from agent.runner import Runner
from agent.websocket import Server
from agent.wire import Actuated, MachineReport, MachineState, MakeState
from bench import selling
from bench.children import Said, obey
from bench.http_line import HttpLine, post
from bench.notification import notification
from bench.serial_line import SerialLine
from bench.shop import order_name

log = structlog.get_logger()

JOURNAL_THREADS = 16
CONNECTED_WITHIN_S, CONNECT_LOOKS = 120.0, 1200


class EchoingMachine:
    """A machine that makes each drink at once; an `agent.machine.Machine`."""

    def __init__(self) -> None:
        self.line = SerialLine()

    async def inspect(self) -> MachineReport:
        """Ready."""
        return MachineReport(MachineState.READY, model="echo")

    async def prepare(self, request: Request) -> str:
        """No evidence is needed."""
        return ""

    async def make(self, request: Request, before: str) -> Outcome:
        """Made as soon as the machine has echoed."""
        await self.line.command()
        return Outcome(MakeState.DONE, actuated=Actuated.YES, evidence="counter_delta")

    async def reconcile(self, request: Request, before: str) -> Outcome:
        """Never asked: the line does not break."""
        return Outcome(MakeState.UNKNOWN)

    async def close(self) -> None:
        """Release the line."""
        self.line.close()


class WatchedJournal(Journal):
    """A journal that says which orders' results the server has stored."""

    def watch(self, sales: "Sales", loop: asyncio.AbstractEventLoop) -> None:
        """Tell `sales` from now on."""
        self._sales, self._loop = sales, loop
        self._ends: dict[int, str] = {}

    def end(self, record: Record) -> None:
        """(Journal) and remember the number of its report."""
        super().end(record)
        self._ends[self.journal_high] = record.order_id

    def stored(self, seqs: Iterable[int]) -> None:
        """(Journal) and tell what was stored."""
        seqs = tuple(seqs)
        super().stored(seqs)
        for seq in seqs:
            if seq in self._ends:
                self._loop.call_soon_threadsafe(self._sales.finished, self._ends.pop(seq))


class Sales:
    """Posts notifications and waits until each order's result is stored."""

    def __init__(self, machines: list[EchoingMachine]) -> None:
        self._machines = machines
        self._open: dict[str, asyncio.Future[None]] = {}
        self._idle: list[HttpLine] = []

    def finished(self, order_id: str) -> None:
        """The server has the result of the order's drink."""
        self._open[order_id].set_result(None)

    async def sell(self, number: int, machine: EchoingMachine, port: int) -> float:
        """Sell one order; return the seconds from its notification to the first serial byte."""
        done = self._open[order_name(number)] = asyncio.get_running_loop().create_future()
        line = self._idle.pop() if self._idle else await HttpLine.open(port)
        if line.closed:  # the server gives up connections that were idle for long
            line = await HttpLine.open(port)
        begun = time.monotonic()
        answer = await line.ask(post("/v1/yook-pay-webhook", notification(number)))
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ValueError(f"refused: {answer[:200]!r}")
        self._idle.append(line)
        await done
        del self._open[order_name(number)]
        return machine.line.first_byte_at - begun


class Fleet:
    """The agents of this process."""

    def __init__(self) -> None:
        self._machines: list[EchoingMachine] = []
        self._runs: list[asyncio.Task[None]] = []
        self._sales = Sales(self._machines)
        self._port = 0

    async def do(self, order: Said) -> Said:
        """`connect` the agents, then `sell` as often as wished."""
        if order["do"] == "connect":
            return await self._connect(order)
        machines = {number: self._machines[place] for number, place in order["sales"]}

        async def sell(number: int) -> float:
            return await self._sales.sell(number, machines[number], self._port)

        if order.get("per_s"):
            return await selling.at_a_pace(sell, list(machines), order["per_s"])
        return await selling.at_once(sell, list(machines), order["at_once"], order["seconds"])

    async def _connect(self, order: Said) -> Said:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(JOURNAL_THREADS))
        self._port = order["port"]
        links = []
        for device_uuid, token in order["tokens"]:
            journal = WatchedJournal(Path(order["folder"]) / f"{device_uuid}-agent.db")
            journal.watch(self._sales, loop)
            link = Link(Server(f"ws://127.0.0.1:{self._port}/v1/agent", token).connect, journal)
            machine = EchoingMachine()
            self._machines.append(machine)
            self._runs.append(asyncio.ensure_future(Runner(machine, journal, link).run()))
            links.append(link)
        for _ in range(CONNECT_LOOKS):
            if all(link.connected for link in links):
                break
            await asyncio.sleep(CONNECTED_WITHIN_S / CONNECT_LOOKS)
        return {"connected": sum(link.connected for link in links)}


if __name__ == "__main__":
    set_up_logging("WARNING")
    asyncio.run(obey(Fleet().do))
