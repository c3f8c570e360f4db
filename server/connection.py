"""One session's end here: what waits to be written to its socket, and how it is ended. It decides nothing."""

import asyncio
from typing import Any, Protocol

import structlog

from agent import wire

log = structlog.get_logger()

LAST_WORDS_S = 1.0

QUEUE_LIMIT = 128
"""Messages waiting for a slow socket; one more and it is closed: the agent comes back and is asked."""


class Channel(Protocol):
    """One socket, or what stands for it in a test."""

    async def send(self, text: str) -> None:
        """Send one frame. Raises ConnectionError when the socket is gone."""

    async def receive(self) -> str | None:
        """Return the next frame; None when the peer has gone. Raises WireError for what is no text frame."""

    async def close(self) -> None:
        """Close the socket; may be called twice."""


class Connection:
    """The newest session of a device."""

    def __init__(self, device_uuid: str, epoch: int, journal_id: str, channel: Channel) -> None:
        self.device_uuid = device_uuid
        self.epoch = epoch
        self.journal_id = journal_id
        self.channel = channel
        self.ended = False
        self.faults = 0
        self.heard_at = asyncio.get_running_loop().time()
        self._waiting: list[str] = []
        self._writer: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[Any] | None = None

    def end(self) -> None:
        """End the session, whatever it is doing."""
        if not self.ended:
            self.ended = True
            if self._reader is not None:
                self._reader.cancel()

    def begin(self) -> None:
        """The current task reads the session from here on: to end the session cuts it off."""
        self._reader = asyncio.current_task()

    def was_cut_off(self) -> bool:
        """Return whether the cancellation that the reader has caught was just the session's end."""
        return self.ended and self._reader is not None and not self._reader.uncancel()

    def leave(self) -> None:
        """The reader is done: the session has ended, and to end it cuts nothing off any more."""
        self.ended, self._reader = True, None

    async def finish(self) -> None:
        """What was posted is still written if that is quick, and then no more."""
        if (writer := self._writer) is not None:
            await asyncio.wait([writer], timeout=LAST_WORDS_S)
            writer.cancel()

    def post(self, message: wire.Message) -> None:
        """Hand a message to the writer. A full queue ends the session; the message then counts as sent."""
        self.post_frame(wire.encode(message))

    def post_frame(self, frame: str) -> None:
        """Hand an encoded message to the writer."""
        if len(self._waiting) >= QUEUE_LIMIT:
            log.warning("agent reads too slowly", device_uuid=self.device_uuid, epoch=self.epoch)
            self.end()
            return
        self._waiting.append(frame)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
            self._writer.add_done_callback(_ended)

    async def _write(self) -> None:
        """Send what is posted, in order, until there is no more: an idle session has no task for it."""
        try:
            while self._waiting:
                async with asyncio.timeout(wire.DEAD_AFTER_S):
                    await self.channel.send(self._waiting.pop(0))
        except (TimeoutError, ConnectionError):
            self.end()
        except Exception as error:
            log.error("agent session failed", device_uuid=self.device_uuid, exc_info=error)
            self.end()
        finally:
            self._writer = None


def _ended(writer: asyncio.Task[None]) -> None:
    """What ends the whole process is for others to tell."""
    if not writer.cancelled():
        writer.exception()
