"""Every message goes through its frame unchanged; whatever is not the protocol is a `WireError`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import wire
from agent.wire import Actuated, Code, MachineReport, MachineState, MakeState, Message, OpenMake, WireError

REPORT = MachineReport(MachineState.ERROR, "EF532M V02.03", Code.NO_WATER, "ic:0000")

FROM_AGENT = [
    wire.Hello(1, "0.1.0", "boot", "journal", 7, REPORT, (OpenMake("c1", MakeState.STARTED),)),
    wire.Hello(1, "0.1.0", "boot", "journal", 0, MachineReport(MachineState.READY)),
    wire.Report("c1", MakeState.DONE, 3, None, Actuated.YES, "counter_delta", "41 → 42"),
    wire.Report("c1", MakeState.NOT_SEEN),
    wire.Machine(REPORT),
    wire.Ping(),
    wire.Fault("что это?"),
]
FROM_SERVER = [
    wire.Welcome(4, 1_700_000_000_000, 8.0, 12),
    wire.Make(4, "c1", "o1", "espresso", "small", 60_000, 1_700_000_000_000, 9_000),
    wire.Query(4, "c1"),
    wire.Stored(3),
    wire.Pong(),
    wire.Fault("what?"),
]


@pytest.mark.parametrize("message", FROM_AGENT, ids=lambda message: type(message).__name__)
def test_the_agents_messages_arrive_as_they_were_sent(message: Message):
    assert wire.decode_from_agent(wire.encode(message)) == message


@pytest.mark.parametrize("message", FROM_SERVER, ids=lambda message: type(message).__name__)
def test_the_servers_messages_arrive_as_they_were_sent(message: Message):
    assert wire.decode_from_server(wire.encode(message)) == message


@pytest.mark.parametrize("message", FROM_AGENT + FROM_SERVER, ids=lambda message: type(message).__name__)
def test_a_key_of_a_newer_peer_is_ignored(message: Message):
    decode = wire.decode_from_agent if message in FROM_AGENT else wire.decode_from_server
    frame = json.loads(wire.encode(message)) | {"from_the_future": {"a": [1]}}
    assert decode(json.dumps(frame)) == message


def test_neither_side_takes_the_others_messages():
    for message in FROM_AGENT[:-1]:
        with pytest.raises(WireError):
            wire.decode_from_server(wire.encode(message))
    for message in FROM_SERVER[:-1]:
        with pytest.raises(WireError):
            wire.decode_from_agent(wire.encode(message))


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        "{}",
        "make",
        '{"kind": "brew"}',
        '{"kind": 7}',
        '{"kind": "make"}',
        '{"kind": "query", "epoch": "4", "command_id": "c1"}',
        '{"kind": "query", "epoch": 4, "command_id": null}',
        '{"kind": "stored", "seq": 1.5}',
        '{"kind": "stored", "seq": 1}{"kind": "stored", "seq": 2}',
        '{"kind": "pong"',
        '{"kind": "fault", "text": "\ud800"}',
    ],
)
def test_a_malformed_frame_is_a_wire_error(frame: str):
    with pytest.raises(WireError):
        wire.decode_from_server(frame)


def test_an_unknown_state_or_code_is_a_wire_error():
    for report in ({"state": "melted"}, {"state": "failed", "code": "gremlins"}):
        with pytest.raises(WireError):
            wire.decode_from_agent(json.dumps({"kind": "report", "command_id": "c1"} | report))


def test_a_frame_that_is_too_long_is_a_wire_error():
    with pytest.raises(WireError, match="longer"):
        wire.decode_from_server(wire.encode(wire.Fault("x" * wire.MAX_FRAME_BYTES)))


@given(st.text())
def test_no_text_breaks_the_decoder(text: str):
    for decode in (wire.decode_from_agent, wire.decode_from_server):
        with pytest.raises(WireError):
            decode(text)


def test_only_received_and_started_are_open():
    assert [state for state in MakeState if not state.ended] == [MakeState.RECEIVED, MakeState.STARTED]
