"""Tokens and their hashes."""

from server.tokens import new_token, token_hash


def test_tokens_are_long_and_never_the_same():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and min(map(len, tokens)) >= 43


def test_a_token_is_recognised_by_its_sha256():
    assert token_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_octets_that_are_no_text_have_a_hash_too():
    assert token_hash(b"\xff".decode("utf-8", "surrogateescape")) != token_hash("")
