"""The presentation language: lengths have one spelling, and a cursor never reads past the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.protocol.uris import account_uri, device_uri, expect, group_id, parse_uri, read_uri, room_uri
from kith.protocol.wire import MAX_VECTOR, Malformed, Reader, vector
from protocol.franked import uuid
from vectors.shared import mls


def test_the_official_length_headers_decode() -> None:
    """deserialization.json, all cases."""
    cases = mls("deserialization")
    assert cases
    for case in cases:
        reader = Reader(bytes.fromhex(case["vlbytes_header"]))
        assert reader.varint() == case["length"]
        reader.done()


@given(st.binary(max_size=70) | st.integers(0, 20_000).map(bytes))
def test_a_vector_comes_back(data: bytes) -> None:
    """What is framed is read, and nothing is left."""
    reader = Reader(vector(data))
    assert reader.vector() == data
    reader.done()


@pytest.mark.parametrize(("size", "head"), [(0, "00"), (63, "3f"), (64, "4040"), (16383, "7fff"), (16384, "80004000")])
def test_lengths_take_their_shortest_form(size: int, head: str) -> None:
    """At each boundary of RFC 9420 section 2.1.2."""
    assert vector(bytes(size))[: len(head) // 2].hex() == head


@pytest.mark.parametrize(
    "data", ["", "01", "4000", "403f", "80000000", "80003fff", "c0", "ff" * 9, "40", "800000", "bfffffff"]
)
def test_other_lengths_are_malformed(data: str) -> None:
    """Non-minimal, prefix 11, cut short, or claiming a gigabyte that is not there."""
    with pytest.raises(Malformed):
        Reader(bytes.fromhex(data)).vector()


def test_a_vector_beyond_the_varint_is_malformed() -> None:
    """The encoder refuses what no decoder could read; no gigabyte is allocated to find out."""

    class Long(bytes):
        def __len__(self) -> int:
            return MAX_VECTOR + 1

    with pytest.raises(Malformed):
        vector(Long())


def test_integers_are_big_endian_and_complete() -> None:
    """Each width takes exactly its bytes; what is missing is malformed, what is left too."""
    reader = Reader(bytes(range(15)))
    assert (reader.u8(), reader.u16(), reader.u32(), reader.u64()) == (0, 0x0102, 0x03040506, 0x0708090A0B0C0D0E)
    assert (reader.at, reader.left) == (15, 0)
    for read in (reader.u8, reader.u16, reader.u32, reader.u64):
        with pytest.raises(Malformed):
            read()
    with pytest.raises(Malformed):
        Reader(b"\0").done()


def test_limits_and_options_are_enforced() -> None:
    """A vector above its limit, of the wrong fixed size, and an optional that is neither 0 nor 1."""
    with pytest.raises(Malformed):
        Reader(vector(b"12345")).vector(max=4)
    assert Reader(vector(b"1234")).vector(max=4) == b"1234"
    for wrong in (b"123", b"12345"):
        with pytest.raises(Malformed):
            Reader(vector(wrong)).fixed_vector(4)
    assert [Reader(flag).presence() for flag in (b"\0", b"\1")] == [False, True]
    with pytest.raises(Malformed):
        Reader(b"\2").presence()


def test_uris_name_what_they_say() -> None:
    """Built and parsed, each kind."""
    assert parse_uri(account_uri("h.example", uuid(1))) == ("h.example", "u", uuid(1))
    assert parse_uri(device_uri("kith.localhost", uuid(2))) == ("kith.localhost", "d", uuid(2))
    assert parse_uri(room_uri("localhost", uuid(3))) == ("localhost", "r", uuid(3))
    assert group_id(uuid(3)) == bytes.fromhex("0b0e7c0e000040008000000000000003")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        f"mimi://h.example/u/{uuid(1)}\n",
        f"mimi://h.example/u/{uuid(1)}/",
        f" mimi://h.example/u/{uuid(1)}",
        f"MIMI://h.example/u/{uuid(1)}",
        f"mimi://H.example/u/{uuid(1)}",
        f"mimi://h.example:443/u/{uuid(1)}",
        f"mimi://h..example/u/{uuid(1)}",
        f"mimi://-h.example/u/{uuid(1)}",
        f"mimi:///u/{uuid(1)}",
        f"mimi://h.example/x/{uuid(1)}",
        f"mimi://h.example/u/{uuid(0xABC).upper()}",
        f"mimi://h.example/u/{uuid(1).replace('-', '')}",
        "mimi://h.example/u/0b0e7c0e-0000-1000-8000-000000000001",
        "mimi://h.example/u/0b0e7c0e-0000-4000-c000-000000000001",
        f"mimi://{'a.' * 127}ab/u/{uuid(1)}",
        f"mimi://{'a' * 64}/u/{uuid(1)}",
        f"mimi://hé.example/u/{uuid(1)}",
        "mimi://h.example/u/٠b0e7c0e-0000-4000-8000-000000000001",
    ],
)
def test_another_spelling_is_not_a_uri(uri: str) -> None:
    """One thing has one name: case, ports, other UUID versions and trailing characters are refused."""
    with pytest.raises(Malformed):
        parse_uri(uri)


def test_a_uri_of_another_kind_is_refused() -> None:
    """A room is not an account, and bytes beyond ASCII are neither."""
    with pytest.raises(Malformed):
        expect(room_uri("h.example", uuid(1)), "u")
    with pytest.raises(Malformed):
        read_uri("é".encode(), "u")
    with pytest.raises(Malformed):
        account_uri("h.example", "not-a-uuid")
    with pytest.raises(Malformed):
        group_id("not-a-uuid")


@given(st.text(max_size=80))
def test_arbitrary_text_is_a_uri_or_malformed(text: str) -> None:
    """Parsing raises nothing else."""
    try:
        parse_uri(text)
    except Malformed:
        return
    assert text.startswith("mimi://")
