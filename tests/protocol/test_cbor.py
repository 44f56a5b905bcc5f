"""Deterministic CBOR: one encoding per value, judged against a general decoder as oracle."""

import time
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kith.protocol import cbor
from kith.protocol.wire import Malformed

texts = st.text(max_size=40).filter(lambda text: not text.startswith("\ufeff"))
keys = st.integers(-(2**64), 2**64 - 1) | texts
scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5), max_leaves=20
)


@given(values)
def test_a_value_comes_back_and_a_general_decoder_agrees(value: Any) -> None:
    """Encoding loses nothing and is ordinary CBOR."""
    encoded = cbor.encode(value)
    assert cbor.decode(encoded) == value
    assert cbor2.loads(encoded) == value


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_the_encoding_of_a_value_or_malformed(data: bytes) -> None:
    """Decoding raises nothing else; what it accepts encodes to the same bytes and means the same to the oracle."""
    try:
        value = cbor.decode(data)
    except Malformed:
        return
    assert cbor.encode(value) == data
    assert cbor2.loads(data) == value


@given(values, st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_never_gives_the_same_value(value: Any, at: int, change: int) -> None:
    """No two byte strings mean one value."""
    encoded = bytearray(cbor.encode(value))
    encoded[at % len(encoded)] ^= change
    try:
        altered = cbor.decode(bytes(encoded))
    except Malformed:
        return
    assert cbor.encode(altered) == bytes(encoded)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "1800",
        "1817",
        "190000",
        "1900ff",
        "1a0000ffff",
        "1b00000000ffffffff",
        "1c",
        "1f",
        "5801",
        "5f4100ff",
        "7f6161ff",
        "9f00ff",
        "bf0000ff",
        "61ff",
        "62c328",
        "63eda080",
        "63efbbbf",
        "64efbbbf61",
        "f7",
        "f0",
        "f818",
        "f93c00",
        "fa3f800000",
        "fb3ff0000000000000",
        "c000",
        "c11a514b67b0",
        "d81c80",
        "d9010080",
        "82",
        "8100ff",
        "0000",
        "a2020001",
        "a202000100",
        "a201000100",
        "a2616101006161",
        "a14000",
        "a18000",
        "a1f500",
        "a1f600",
        "ff",
    ],
)
def test_other_encodings_are_malformed(data: str) -> None:
    """Longer heads than needed, indefinite lengths, bad UTF-8, floats, tags, unordered or repeated keys, leftovers."""
    with pytest.raises(Malformed):
        cbor.decode(bytes.fromhex(data))


def test_keys_are_ordered_bytewise_not_by_length() -> None:
    """RFC 8949 4.2.1 puts 100 before -1 before "z", where RFC 7049 would put -1 first."""
    assert cbor.encode({"z": 0, -1: 0, 100: 0}).hex() == "a31864002000617a00"
    assert cbor.encode({"aa": 0, "b": 0}).hex() == "a261620062616100"


@pytest.mark.parametrize(
    "value", [1.5, 2**64, -(2**64) - 1, {b"k": 1}, {True: 1}, {None: 1}, "\ud800", "\ufeffa", object(), {"\ud800": 1}]
)
def test_values_without_a_place_are_not_encoded(value: Any) -> None:
    """The encoder refuses what the decoder would."""
    with pytest.raises(Malformed):
        cbor.encode(value)


def test_depth_is_bounded_both_ways() -> None:
    """Sixteen containers are allowed, seventeen are not."""
    deep: Any = None
    for _ in range(cbor.MAX_DEPTH):
        deep = [deep]
    assert cbor.decode(cbor.encode(deep)) == deep
    with pytest.raises(Malformed):
        cbor.encode([deep])
    with pytest.raises(Malformed):
        cbor.decode(b"\x81" + cbor.encode(deep))


def test_the_number_of_items_is_bounded_both_ways() -> None:
    """Containers, keys and values count; the last allowed number is allowed."""
    most: Any = {0: [None] * (cbor.MAX_ITEMS - 3)}
    assert cbor.decode(cbor.encode(most)) == most
    one_more: Any = {0: [None] * (cbor.MAX_ITEMS - 2)}
    with pytest.raises(Malformed):
        cbor.encode(one_more)
    with pytest.raises(Malformed):
        cbor.decode(cbor2.dumps(one_more))


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x81" * 65536,
        b"\xa1\x00" * 32768,
        b"\x5b" + b"\xff" * 8,
        b"\x7b" + b"\x7f" * 8,
        b"\x9b" + b"\xff" * 8 + b"\0" * 65000,
        b"\xbb" + b"\xff" * 8 + b"\0" * 65000,
        b"\x9a\x7f\xff\xff\xff" + b"\0" * 65000,
    ],
    ids=["nested arrays", "nested maps", "bytes", "text", "array", "map", "array 32"],
)
def test_bombs_are_cheap(bomb: bytes) -> None:
    """Nesting and huge length claims cost no more than reading the input."""
    started = time.perf_counter()
    with pytest.raises(Malformed):
        cbor.decode(bomb)
    assert time.perf_counter() - started < 0.5
