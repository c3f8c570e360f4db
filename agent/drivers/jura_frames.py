"""The codec of Jura's service port ("V1"): characters to bytes and back, and its replies. Pure; no I/O.

One character is a group of four bytes. Byte k carries bit 2k of the character in its bit 2 and bit 2k+1 in
its bit 5; the other bits are filler, 0xDB in most machines and 0x5B in some, and mean nothing::

    'F' = 0x46     bits 7-0 = 01 00 01 10
    on the wire    FB = 10, DF = 01, DB = 00, DF = 01      (bit 5, bit 2 of each byte; lowest pair first)

Commands are upper case, replies lower case, both end with CR LF. There is no checksum, no sequence number and
no error reply: what a machine does not know or refuses is answered by silence. (hn/jura-coffee-machine,
ryanalden/esphome-jura-component, Jutta-Proto/protocol-cpp. Vectors published there are the tests of this
module; nothing here was run against hardware.)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FILLER_DB = 0xDB
"""Filler of most machines and adapters (hn, ryanalden, oliverk71, juramote)."""
FILLER_5B = 0x5B
"""Filler with bit 7 clear (Jutta-Proto, protocoljura wiki)."""

GROUP = 4
"""Bytes for one character."""

MAX_LINE = 128
"""Characters a line may have; the longest published reply, `rt:`, has 67."""

COUNTERS = 16
"""Words in a reply to `RT:0000`."""

_DATA_BITS = 0x24
_FILLER_BITS = 0x7F & ~_DATA_BITS
_END = b"\r\n"
_SENDABLE = re.compile(r"TY:|IC:|RT:0000|FA:[0-9A-F]{2}")
_LINE_START = re.compile(r"[A-Za-z]{2}:|[?@]")
_TYPE = re.compile(r"ty:([ -~]{3,40})")
_COUNTERS = re.compile(rf"rt:([0-9A-F]{{{COUNTERS * 4}}})")
_INPUTS = re.compile(r"ic:((?:[0-9A-F]{2}){1,16})")


class ForbiddenCommand(ValueError):
    """The command is not one that the agent may send."""


@dataclass(frozen=True)
class Line:
    """One text from the other side, without its CR LF."""

    text: str


@dataclass(frozen=True)
class Noise:
    """Bytes that are no part of a line."""

    data: bytes


def encode(text: str, filler: int = FILLER_DB) -> bytes:
    """Return the bytes of `text` and CR LF. Raises UnicodeEncodeError for what is not ASCII."""
    return b"".join(_spread(character, filler) for character in text.encode("ascii") + _END)


def encode_command(text: str, filler: int = FILLER_DB) -> bytes:
    """Return the bytes of a command that is on the agent's list, or raise ForbiddenCommand.

    The list is short on purpose: `AN:0A` erases the machine's EEPROM and `WE:` writes it, and a wrong `FN:`
    runs a pump or the grinder alone.
    """
    if _SENDABLE.fullmatch(text) is None:
        raise ForbiddenCommand(f"{text!r} is not a command that this agent sends")
    return encode(text, filler)


class Decoder:
    """Takes the bytes of one direction as they come and returns lines and noise. Never raises.

    The end of a line (the eight bytes of CR LF) is found at any position and tells how the bytes before it
    fall into groups; so a stray byte, before or inside a line, costs at most that line. What stands before
    the first start of a command or reply is noise. `4(` to `7(` followed by one of a quarter of all
    characters would be taken for an end; no known text has a bracket.
    """

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Line | Noise]:
        """Return what `data` completes. A byte whose filler is impossible is noise and breaks no group."""
        found: list[Line | Noise] = []
        junk = bytearray()
        for byte in data:
            if not looks_like_filler(byte):
                junk.append(byte)
                continue
            self._pending.append(byte)
            if _ends_line(self._pending):
                found += self._take_line()
            elif len(self._pending) >= MAX_LINE * GROUP:
                found += self._drop(len(self._pending))
        if junk:
            found.append(Noise(bytes(junk)))
        return found

    def gap(self) -> list[Line | Noise]:
        """The line was silent for much longer than between two groups: a group that was begun is noise."""
        return self._drop(len(self._pending) % GROUP)

    def _take_line(self) -> list[Line | Noise]:
        end = len(self._pending) - len(_END) * GROUP
        text = _read_back(self._pending, end)
        start = _LINE_START.search(text)
        if start is None:
            return self._drop(len(self._pending))
        line = text[start.start() :]
        rubbish = bytes(self._pending[: end - len(line) * GROUP])
        self._pending.clear()
        return [Noise(rubbish), Line(line)] if rubbish else [Line(line)]

    def _drop(self, count: int) -> list[Line | Noise]:
        if count == 0:
            return []
        dropped = bytes(self._pending[-count:])
        del self._pending[-count:]
        return [Noise(dropped)]


def parse_type(line: str) -> str | None:
    """Return the machine's type from a reply to `TY:` (`EF532M V02.03`), or None if it is not that."""
    match = _TYPE.fullmatch(line)
    return match[1].strip() if match else None


def parse_counters(line: str) -> tuple[int, ...] | None:
    """Return the 16 words of a reply to `RT:0000`, each 0 to 65535, or None if it is not that."""
    match = _COUNTERS.fullmatch(line)
    return tuple(words_of(match[1])) if match else None


def parse_inputs(line: str) -> bytes | None:
    """Return the bytes of a reply to `IC:`, or None if it is not that."""
    match = _INPUTS.fullmatch(line)
    return bytes.fromhex(match[1]) if match else None


def is_accepted(line: str) -> bool:
    """Whether the line is `ok:`: the key was taken, which does not say that a drink will be made."""
    return line == "ok:"


def words_of(text: str) -> Iterator[int]:
    """Yield the 16-bit words of hexadecimal `text`, four digits each."""
    return (int(text[at : at + 4], 16) for at in range(0, len(text), 4))


def looks_like_filler(byte: int) -> bool:
    """Whether a byte could be part of a group."""
    return byte & _FILLER_BITS == FILLER_5B


def _spread(character: int, filler: int) -> bytes:
    pairs = (character >> shift & 0b11 for shift in (0, 2, 4, 6))
    return bytes((filler & ~_DATA_BITS) | (pair & 1) << 2 | (pair >> 1) << 5 for pair in pairs)


def _gather(group: bytes | bytearray) -> int:
    pairs = ((byte >> 2 & 1) | (byte >> 5 & 1) << 1 for byte in group)
    return sum(pair << 2 * position for position, pair in enumerate(pairs))


def _ends_line(data: bytearray) -> bool:
    tail = data[-len(_END) * GROUP :]
    return len(tail) == len(_END) * GROUP and (_gather(tail[:GROUP]), _gather(tail[GROUP:])) == tuple(_END)


def _read_back(data: bytearray, end: int) -> str:
    """Return the printable text that ends at byte `end`, read group by group towards the start."""
    text = ""
    for at in range(end - GROUP, -1, -GROUP):
        character = _gather(data[at : at + GROUP])
        if not 0x20 <= character <= 0x7E:
            break
        text = chr(character) + text
    return text
