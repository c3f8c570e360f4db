"""The codec against what others recorded from machines, and against a bad cable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.jura_frames import (
    FILLER_5B,
    FILLER_DB,
    MAX_LINE,
    Decoder,
    ForbiddenCommand,
    Line,
    Noise,
    encode,
    encode_command,
    is_accepted,
    looks_like_filler,
    parse_counters,
    parse_inputs,
    parse_type,
)

FILLERS = (FILLER_DB, FILLER_5B)

PUBLISHED = {
    "AN:01": "DFDBDBDF FBFFDBDF FBFBFFDB DBDBFFDB DFDBFFDB DFFFDBDB FBFBDBDB",
    "FA:09": "FBDFDBDF DFDBDBDF FBFBFFDB DBDBFFDB DFFBFFDB DFFFDBDB FBFBDBDB",
    "?M3": "FFFFFFDB DFFFDBDF FFDBFFDB DFFFDBDB FBFBDBDB",
    "?ok": "FFFFFFDB FFFFFBDF FFFBFBDF DFFFDBDB FBFBDBDB",
    "ok:": "FFFFFBDF FFFBFBDF FBFBFFDB DFFFDBDB FBFBDBDB",
    "RT:0000": "FBDBDFDF DBDFDFDF FBFBFFDB DBDBFFDB DBDBFFDB DBDBFFDB DBDBFFDB DFFFDBDB FBFBDBDB",
    "IC:": "DFFBDBDF FFDBDBDF FBFBFFDB DFFFDBDB FBFBDBDB",
}
AN01_IN_5B = "5F5B5B5F 7B7F5B5F 7B7B7F5B 5B5B7F5B 5F5B7F5B 5F7F5B5B 7B7B5B5B"
"""The same text as the first of PUBLISHED, from a machine with the other filler (protocoljura wiki)."""

COUNTERS_OF_HN = "rt:33DA01B1000C0640AA1116B301180000000000001E02007100150000000009D5"

RECORDED = [
    "ty:EF532M V02.03",
    "ty:EF516M V01.25",
    "ty:PIM V01.01",
    "ty:E30   MASK 3",
    COUNTERS_OF_HN,
    "rr:01000801FF10FF00010000FFFF000000",
    "hz:0100011100000,0291,00E9,0001,03FC,0543,3,100100,0000,00",
    "cm:300E8006006000000000000000000",
    "cs:03EC0562300E800000000000000600601C1",
    "@T2:010001B228",
    "@t2:8120000000",
    "@T3:3BDEEF532M V02.03",
]

texts = st.from_regex(r"([a-z]{2}:|[A-Z]{2}:)[0-9A-Za-z .,:_-]{0,64}", fullmatch=True)
fillers = st.sampled_from(FILLERS)
junk = st.binary(max_size=8).map(lambda data: bytes(byte for byte in data if not looks_like_filler(byte)))


def lines(data: bytes) -> list[str]:
    return texts_of(Decoder().feed(data))


def texts_of(found: list[Line | Noise]) -> list[str]:
    return [item.text for item in found if isinstance(item, Line)]


@pytest.mark.parametrize(("text", "wire"), PUBLISHED.items())
def test_text_becomes_the_bytes_that_others_published(text: str, wire: str) -> None:
    assert encode(text) == bytes.fromhex(wire)
    assert lines(bytes.fromhex(wire)) == [text]


def test_both_fillers_carry_the_same_text() -> None:
    assert encode("AN:01", FILLER_5B) == bytes.fromhex(AN01_IN_5B)
    assert lines(bytes.fromhex(AN01_IN_5B)) == lines(encode("AN:01", FILLER_DB)) == ["AN:01"]


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("text", [*PUBLISHED, *RECORDED])
def test_every_recorded_line_survives_the_wire(text: str, filler: int) -> None:
    assert lines(encode(text, filler)) == [text]


@given(texts, fillers)
def test_what_is_encoded_is_decoded(text: str, filler: int) -> None:
    assert Decoder().feed(encode(text, filler)) == [Line(text)]


@given(st.lists(texts, max_size=4), fillers, st.data())
def test_it_does_not_matter_where_the_bytes_are_split(
    sent: list[str], filler: int, data: st.DataObject
) -> None:
    wire = b"".join(encode(text, filler) for text in sent)
    decoder, heard = Decoder(), []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        heard += texts_of(decoder.feed(wire[:size]))
        wire = wire[size:]
    assert heard == sent


@pytest.mark.parametrize("filler", FILLERS)
def test_bytes_that_come_one_by_one_make_the_same_line(filler: int) -> None:
    decoder = Decoder()
    heard = [item for byte in encode(COUNTERS_OF_HN, filler) for item in decoder.feed(bytes([byte]))]
    assert heard == [Line(COUNTERS_OF_HN)]


@given(texts, fillers, st.data())
def test_impossible_bytes_inside_and_between_groups_do_no_harm(
    text: str, filler: int, data: st.DataObject
) -> None:
    wire = b"".join(data.draw(junk) + bytes([byte]) for byte in encode(text, filler))
    assert lines(wire) == [text]


@given(texts, fillers, st.binary(min_size=1, max_size=3))
def test_stray_bytes_before_a_line_do_not_shift_its_groups(text: str, filler: int, stray: bytes) -> None:
    plausible = bytes((filler & 0xDB) | (byte & 0x24) for byte in stray)
    assert lines(plausible + encode(text, filler)) == [text]


@given(texts, fillers, st.integers(0, 3), st.data())
def test_the_line_after_a_spoiled_one_is_read(
    text: str, filler: int, shift: int, data: st.DataObject
) -> None:
    spoiled = encode("ty:EF532M V02.03", filler)
    cut = data.draw(st.integers(0, len(spoiled) - 9))
    decoder = Decoder()
    decoder.feed(spoiled[:cut] + bytes([filler]) * shift + spoiled[cut + 1 :])
    assert texts_of(decoder.feed(encode(text, filler)))[-1] == text


def test_a_gap_drops_the_group_that_was_begun_and_keeps_the_rest_of_the_line() -> None:
    wire = encode("ok:")
    decoder = Decoder()
    decoder.feed(wire[:6])
    assert decoder.gap() == [Noise(wire[4:6])]
    assert decoder.gap() == []
    assert texts_of(decoder.feed(wire[4:])) == ["ok:"]


@given(st.lists(st.one_of(st.binary(max_size=64), st.none()), max_size=20))
def test_no_bytes_whatever_make_the_decoder_raise_or_grow(chunks: list[bytes | None]) -> None:
    decoder = Decoder()
    kept = sum(len(chunk or b"") for chunk in chunks)
    for chunk in chunks:
        found = decoder.gap() if chunk is None else decoder.feed(chunk)
        kept -= sum(len(item.data) for item in found if isinstance(item, Noise))
    assert kept >= 0


def test_a_machine_that_never_ends_its_line_is_forgotten() -> None:
    decoder = Decoder()
    found = decoder.feed(encode("ty:" + "A" * 500)[: MAX_LINE * 4])
    assert [type(item) for item in found] == [Noise]
    assert texts_of(decoder.feed(encode("ok:"))) == ["ok:"]


@pytest.mark.parametrize("text", ["TY:", "IC:", "RT:0000", "FA:04", "FA:0A"])
def test_the_agent_may_ask_and_press_keys(text: str) -> None:
    assert encode_command(text) == encode(text)


@pytest.mark.parametrize(
    "text",
    ["AN:0A", "AN:01", "WE:0000", "WE:", "FN:01", "FA:4", "FA:zz", "FA:04\r\nAN:0A", "@t2:8120000000", ""],
)
def test_the_agent_cannot_send_anything_else(text: str) -> None:
    with pytest.raises(ForbiddenCommand):
        encode_command(text)


def test_counters_are_read_as_16_words() -> None:
    counters = parse_counters(COUNTERS_OF_HN)
    assert counters is not None
    assert counters[:4] == (0x33DA, 0x01B1, 0x000C, 0x0640) and len(counters) == 16


@pytest.mark.parametrize(
    "line", ["rt:", COUNTERS_OF_HN[:-1], COUNTERS_OF_HN + "0", COUNTERS_OF_HN.lower(), "ok:"]
)
def test_a_reply_of_another_length_or_alphabet_is_not_a_count(line: str) -> None:
    assert parse_counters(line) is None


def test_the_type_is_read() -> None:
    assert parse_type("ty:EF532M V02.03") == "EF532M V02.03"
    assert parse_type("ty:E30   MASK 3") == "E30   MASK 3"
    assert parse_type("ty:") is None and parse_type("tl:BL_RL78 V01.31") is None


def test_inputs_are_read_as_bytes() -> None:
    assert parse_inputs("ic:1400") == b"\x14\x00"
    assert parse_inputs("ic:140") is None and parse_inputs("ic:") is None and parse_inputs("ic:XY") is None


def test_only_ok_means_accepted() -> None:
    assert is_accepted("ok:")
    assert not is_accepted("?ok") and not is_accepted("ok:1")
