"""A cable between an agent and its server: it is cut, goes dead while both ends think it whole, doubles."""

import asyncio
import contextlib

from tests.fakes.ports import free_port

Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Cable:
    """Forwards TCP to `port` of loopback. Use as an async context manager; the agent is told `url`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._own = free_port()
        self._strands: list[_Strand] = []
        self._carrying: set[asyncio.Task[None]] = set()
        self._doubles = False
        self.connections = 0

    @property
    def url(self) -> str:
        """Where the agent finds its server."""
        return f"ws://127.0.0.1:{self._own}/v1/agent"

    async def __aenter__(self) -> "Cable":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._own)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._carrying)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Close every connection under both ends; the next one works."""
        for strand in self._strands:
            strand.gone.set()

    def go_dead(self, up: bool = True, down: bool = True) -> None:
        """Swallow what is sent from now on over the connections that there are; the next one works.

        `up` is what the agent says, `down` what the server says.
        """
        for strand in self._strands:
            strand.dead = (up, down)

    def double(self) -> None:
        """Make the next connection twice: the server hears each word of the agent from two sockets."""
        self._doubles = True

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        doubled, self._doubles = self._doubles, False
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
            twin = await self._twin() if doubled else None
        except OSError:
            await _abort(writer)
        else:
            strand = _Strand(twin)
            self._strands.append(strand)
            await strand.carry((reader, far_writer), (far_reader, writer))
            self._strands.remove(strand)
        self._carrying.discard(task)

    async def _twin(self) -> asyncio.StreamWriter | None:
        """Open a connection whose answers nobody reads; None when the server has just gone."""
        with contextlib.suppress(OSError):
            return (await asyncio.open_connection("127.0.0.1", self._to))[1]
        return None


class _Strand:
    """One connection through the cable; what goes up goes into its twin too."""

    def __init__(self, twin: asyncio.StreamWriter | None = None) -> None:
        self.gone = asyncio.Event()
        self.dead = (False, False)
        self._twin = twin

    async def carry(self, *ways: Way) -> None:
        """Forward both ways until one end closes or the cable is cut."""
        tasks = [asyncio.create_task(self._forward(number, *way)) for number, way in enumerate(ways)]
        tasks.append(asyncio.create_task(self._until_cut()))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in (*(writer for _, writer in ways), *([self._twin] if self._twin else [])):
            await _abort(writer)

    async def _until_cut(self) -> None:
        await self.gone.wait()

    async def _forward(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one way. A dead cable swallows everything, the end of the stream too."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.dead[number]:
                    continue
                if self._twin and not self._twin.is_closing() and number == 0:
                    self._twin.write(data)
                writer.write(data)
                await writer.drain()
        if self.dead[number]:
            await self.gone.wait()


async def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
