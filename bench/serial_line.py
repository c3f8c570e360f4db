"""A serial line with a machine at its other end that echoes what it is told, behind a pseudo-terminal."""

import asyncio
import os
import time
import tty

FRAME = b"FA:04\r\n"
"""What an agent says to have a drink made."""


class SerialLine:
    """Both ends of one line. One command at a time."""

    def __init__(self) -> None:
        self._machine, self._agent = os.openpty()
        tty.setraw(self._agent)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._machine, self._heard)
        loop.add_reader(self._agent, self._answered)
        self._echo: asyncio.Future[None] | None = None
        self.first_byte_at = 0.0
        """When the machine got the first byte of the newest command, by the monotonic clock."""

    async def command(self) -> None:
        """Tell the machine to make a drink and wait for its echo."""
        self._echo = asyncio.get_running_loop().create_future()
        os.write(self._agent, FRAME)
        await self._echo

    def close(self) -> None:
        """Release the line."""
        loop = asyncio.get_running_loop()
        for end in (self._machine, self._agent):
            loop.remove_reader(end)
            os.close(end)

    def _heard(self) -> None:
        self.first_byte_at = time.monotonic()
        os.write(self._machine, os.read(self._machine, 64))

    def _answered(self) -> None:
        os.read(self._agent, 64)
        if self._echo is not None and not self._echo.done():
            self._echo.set_result(None)
