"""Every message between server and agent: the one definition of the wire. Pure; no I/O.

A frame is one JSON object with a `kind`. Unknown keys are ignored, so that either side may be newer; an
unknown kind or a malformed frame raises `WireError`, which the receiver answers with `Fault` and counts.
"""

from enum import StrEnum
from typing import TypeVar

import msgspec

PROTOCOL = 1
"""Version spoken by this definition; travels in `Hello`."""

HEARTBEAT_S = 8.0
"""Seconds between the agent's pings (each jittered downwards by up to a quarter)."""

DEAD_AFTER_S = 20.0
"""Seconds of silence after which either side takes the other for dead and closes the socket."""

MAX_FRAME_BYTES = 64 * 1024
"""A longer frame is not the protocol; the socket is closed."""


class WireError(ValueError):
    """The peer sent something that is not the protocol."""


class Code(StrEnum):
    """Why a make did not end in a proved drink."""

    AGENT_OFFLINE = "agent_offline"
    AGENT_REJECTED_BUSY = "agent_rejected_busy"
    EXPIRED_BEFORE_START = "expired_before_start"
    MACHINE_ERROR = "machine_error"
    NO_WATER = "no_water"
    NO_BEANS = "no_beans"
    NO_MILK = "no_milk"
    NO_CUP = "no_cup"
    WASTE_FULL = "waste_full"
    DOOR_OPEN = "door_open"
    DRINK_UNKNOWN = "drink_unknown"
    SERIAL_OPEN_FAILED = "serial_open_failed"
    SERIAL_NO_ANSWER = "serial_no_answer"
    SERIAL_BAD_ANSWER = "serial_bad_answer"
    JOURNAL_ERROR = "journal_error"
    AGENT_RESTARTED = "agent_restarted"
    POWER_LOSS = "power_loss"
    PROTOCOL_CONFLICT = "protocol_conflict"
    TIMEOUT_NO_RESULT = "timeout_no_result"
    INTERNAL_ERROR = "internal_error"


class Actuated(StrEnum):
    """What moved: whether the machine did anything for this command."""

    NO = "no"
    PARTIAL = "partial"
    YES = "yes"
    UNKNOWN = "unknown"


class MakeState(StrEnum):
    """Where a make command stands on the device."""

    NOT_SEEN = "not_seen"
    """Never accepted, and after this answer never will be: the journal keeps a tombstone."""
    RECEIVED = "received"
    """On the device's disk; the machine has not been touched."""
    STARTED = "started"
    """Journalled before the first serial byte: from here on only evidence decides."""
    DONE = "done"
    """Proved: the drink was made."""
    FAILED = "failed"
    """Proved: it was not made, or only partly (see `Actuated`)."""
    UNKNOWN = "unknown"
    """No proof either way."""
    REJECTED = "rejected"
    """Refused before anything moved."""
    EXPIRED = "expired"
    """Its life ended, or the device restarted, before the machine was touched."""

    @property
    def ended(self) -> bool:
        """Whether the device has said its last word on the command."""
        return self not in (MakeState.RECEIVED, MakeState.STARTED)


class MachineState(StrEnum):
    """What the machine says of itself."""

    READY = "ready"
    BUSY = "busy"
    ERROR = "error"
    OFFLINE = "offline"
    """The agent runs, the machine does not answer."""


class MachineReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """The machine as the agent last read it. `said` is what it answered, for technicians."""

    state: MachineState
    model: str = ""
    code: Code | None = None
    said: str = ""


class OpenMake(msgspec.Struct, frozen=True):
    """A make command that the device has not finished, or whose result the server has not stored."""

    command_id: str
    state: MakeState


class Message(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind"):
    """Base of everything on the wire."""


# --- agent → server -------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """First frame of a session, from the agent.

    `journal_id` names the journal's file, made anew when the file is; `journal_high` is the highest
    report number it has given. A `not_seen` from another journal than the command was sent to proves
    nothing.
    """

    protocol: int
    agent_version: str
    boot_id: str
    journal_id: str
    journal_high: int
    machine: MachineReport
    open_makes: tuple[OpenMake, ...] = ()
    nonce: str = ""
    """Made anew for each connection; the welcome that answers this hello repeats it."""


class Report(Message, frozen=True, tag="report"):
    """What became of a command, from the agent. Repeated until `Stored` names its `seq`.

    `seq` is None when the report only answers a `Query` or a repeated `Make`: nothing waits for it to be
    stored. `evidence` names the proof (`counter_delta`, `status`, `none`); `said` is what the machine
    answered, for technicians.
    """

    command_id: str
    state: MakeState
    seq: int | None = None
    code: Code | None = None
    actuated: Actuated = Actuated.NO
    evidence: str = "none"
    said: str = ""


class Machine(Message, frozen=True, tag="machine"):
    """The machine's state has changed, from the agent."""

    machine: MachineReport


class Ping(Message, frozen=True, tag="ping"):
    """The agent is alive; answered by `Pong`."""


# --- server → agent -------------------------------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome"):
    """Answer to `Hello`: the session is `epoch`; older ones of this device are over.

    `acked_seq` is the highest report of this journal that the server has stored.
    """

    epoch: int
    server_time_ms: int
    heartbeat_s: float = HEARTBEAT_S
    acked_seq: int = 0
    nonce: str = ""
    """The hello's. Another one means that the welcome, with its epoch, is of another session."""


class Make(Message, frozen=True, tag="make"):
    """Make one drink, at most once for this `command_id`.

    `ttl_ms` is the life that remains, counted by the agent's monotonic clock from receipt, so the device's
    wall clock does not matter; `issued_at_ms` (UTC) is for the log. `price_minor` is in kopecks.
    """

    epoch: int
    command_id: str
    order_id: str
    drink_no: str
    size: str
    ttl_ms: int
    issued_at_ms: int
    price_minor: int = 0


class Query(Message, frozen=True, tag="query"):
    """Where does this command stand? Answered by `Report`; `not_seen` is binding for the device."""

    epoch: int
    command_id: str


class Stored(Message, frozen=True, tag="stored"):
    """The report with this `seq` is in the server's database; the agent may forget it."""

    seq: int


class Pong(Message, frozen=True, tag="pong"):
    """Answer to `Ping`."""


# --- both ways ------------------------------------------------------------------------------------


class Fault(Message, frozen=True, tag="fault"):
    """What came last was not understood. Never answered, so two confused peers do not talk for ever."""

    text: str


AgentMessage = Hello | Report | Machine | Ping | Fault
ServerMessage = Welcome | Make | Query | Stored | Pong | Fault

_T = TypeVar("_T")

_encoder = msgspec.json.Encoder()
_from_agent: msgspec.json.Decoder[AgentMessage] = msgspec.json.Decoder(AgentMessage)
_from_server: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def encode(message: Message) -> str:
    """Return the frame that carries `message`."""
    return _encoder.encode(message).decode()


def decode_from_agent(text: str) -> AgentMessage:
    """Return the agent's message in a frame, or raise WireError that says what is wrong."""
    return _decode(_from_agent, text)


def decode_from_server(text: str) -> ServerMessage:
    """Return the server's message in a frame, or raise WireError that says what is wrong."""
    return _decode(_from_server, text)


def _decode(decoder: msgspec.json.Decoder[_T], text: str) -> _T:
    if len(text) > MAX_FRAME_BYTES:
        raise WireError(f"frame of {len(text)} characters is longer than {MAX_FRAME_BYTES}")
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise WireError(str(error)) from error
