"""Stream frames: exactly the arrays of the interface, judged by size before they are decoded."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kith.protocol import frames
from kith.protocol.frames import decode_client, decode_server, encode
from kith.protocol.wire import Malformed
from protocol.franked import uuid

KEY, ROOM = b"k" * 16, uuid(1)
FRANK = frames.Frank(1_700_000_000_123, 42, 7, b"f" * 32, 1, b"proof")

CLIENT: list[tuple[Any, list[Any]]] = [
    (frames.Submit(KEY, ROOM, b"m"), [1, KEY, ROOM, b"m"]),
    (frames.Commit(KEY, ROOM, b"c", b"w", b"g"), [2, KEY, ROOM, b"c", b"w", b"g"]),
    (frames.Commit(KEY, ROOM, b"c", None, b"g"), [2, KEY, ROOM, b"c", None, b"g"]),
    (frames.Ack((1, 2**63 - 1)), [3, [1, 2**63 - 1]]),
    (frames.Ack(()), [3, []]),
    (frames.SendEphemeral(ROOM, b"e"), [4, ROOM, b"e"]),
    (frames.Ping(), [5]),
]
SERVER: list[tuple[Any, list[Any]]] = [
    (frames.Hello(5, ROOM), [16, 5, ROOM]),
    (frames.Accepted(KEY, 1, 2, 3, 4, b"f" * 32, 1, b"p"), [17, KEY, 1, 2, 3, 4, b"f" * 32, 1, b"p"]),
    (frames.Accepted(KEY, 1, 2, None, None, None, None, None), [17, KEY, 1, 2, None, None, None, None, None]),
    (frames.Refused(KEY, "wrong_epoch", "5", None), [18, KEY, "wrong_epoch", "5", None]),
    (frames.Refused(KEY, "limited", None, 900), [18, KEY, "limited", None, 900]),
    (
        frames.Mail(9, frames.MESSAGE, ROOM, 3, b"m", FRANK),
        [19, 9, 1, ROOM, 3, b"m", [1_700_000_000_123, 42, 7, b"f" * 32, 1, b"proof"]],
    ),
    (frames.Mail(9, frames.COMMIT, ROOM, 3, b"c", None), [19, 9, 2, ROOM, 3, b"c", None]),
    (frames.Mail(0, frames.NOTICE, None, 0, b"{}", None), [19, 0, 5, None, 0, b"{}", None]),
    (frames.Ephemeral(ROOM, 3, b"e"), [20, ROOM, 3, b"e"]),
    (frames.Bye("slow"), [21, "slow"]),
    (frames.Pong(5), [22, 5]),
    (frames.Delivered(ROOM, 3), [23, ROOM, 3]),
]


@pytest.mark.parametrize(("frame", "array"), CLIENT, ids=lambda case: type(case).__name__)
def test_a_client_frame_is_the_array_of_the_interface(frame: Any, array: list[Any]) -> None:
    """Both ways, and a server never sends it."""
    assert encode(frame) == msgspec.msgpack.encode(array)
    assert decode_client(msgspec.msgpack.encode(array)) == frame
    with pytest.raises(Malformed):
        decode_server(encode(frame))


@pytest.mark.parametrize(("frame", "array"), SERVER, ids=lambda case: type(case).__name__)
def test_a_server_frame_is_the_array_of_the_interface(frame: Any, array: list[Any]) -> None:
    """Both ways, and a client never sends it."""
    assert encode(frame) == msgspec.msgpack.encode(array)
    assert decode_server(msgspec.msgpack.encode(array)) == frame
    with pytest.raises(Malformed):
        decode_client(encode(frame))


@pytest.mark.parametrize("array", [array for _, array in CLIENT])
def test_another_number_of_elements_is_malformed(array: list[Any]) -> None:
    """One missing, one too many, and bytes after the end."""
    for broken in (array[:-1], [*array, None], [*array, 0]):
        with pytest.raises(Malformed):
            decode_client(msgspec.msgpack.encode(broken))
    with pytest.raises(Malformed):
        decode_client(msgspec.msgpack.encode(array) + b"\0")


@pytest.mark.parametrize(
    "array",
    [
        [],
        [0],
        [6],
        [True],
        [5.0],
        ["5"],
        5,
        None,
        {"kind": 5},
        [1, KEY[:15], ROOM, b"m"],
        [1, KEY + b"k", ROOM, b"m"],
        [1, "k" * 16, ROOM, b"m"],
        [1, KEY, ROOM + "\n", b"m"],
        [1, KEY, ROOM.upper(), b"m"],
        [1, KEY, ROOM.replace("-", ""), b"m"],
        [1, KEY, ROOM.encode(), b"m"],
        [1, KEY, ROOM, "m"],
        [1, KEY, ROOM, None],
        [2, KEY, ROOM, b"c", None, None],
        [2, KEY, ROOM, None, None, b"g"],
        [3, 1],
        [3, [-1]],
        [3, [2**63]],
        [3, [True]],
        [3, [1.0]],
        [3, ["1"]],
        [3, list(range(frames.MAX_ACKS + 1))],
    ],
)
def test_other_client_arrays_are_malformed(array: Any) -> None:
    """Wrong types, sizes and ranges; nothing is coerced."""
    with pytest.raises(Malformed):
        decode_client(msgspec.msgpack.encode(array))


@pytest.mark.parametrize(
    "array",
    [
        [15],
        [17, KEY, 1, 2, 3, None, None, None, None],
        [17, KEY, 1, 2, 3, 4, b"f" * 31, 1, b"p"],
        [17, KEY, 1, 2, 3, 2**32, b"f" * 32, 1, b"p"],
        [18, KEY, "", None, None],
        [18, KEY, "Not a code", None, None],
        [18, KEY, "x", {"epoch": 5}, None],
        [19, 9, 0, ROOM, 3, b"m", None],
        [19, 9, 6, ROOM, 3, b"m", None],
        [19, 9, 1, None, 3, b"m", None],
        [19, 9, 2, ROOM, 3, b"c", [1, 2, 3, b"f" * 32, 1, b"p"]],
        [19, 9, 1, ROOM, 3, b"m", [1, 2, 3, b"f" * 32, 1]],
        [19, 9, 1, ROOM, 3, b"m", [1, 2, 3, b"f" * 32, 1, b"p", 0]],
        [19, -1, 1, ROOM, 3, b"m", None],
    ],
)
def test_other_server_arrays_are_malformed(array: Any) -> None:
    """Half a frank, a franked commit, a message of no room."""
    with pytest.raises(Malformed):
        decode_server(msgspec.msgpack.encode(array))


def test_a_later_server_kind_is_unknown_not_malformed() -> None:
    """Clients ignore what they do not know yet."""
    assert decode_server(msgspec.msgpack.encode([24, {"new": [1]}])) == frames.Unknown(24)
    assert decode_server(msgspec.msgpack.encode([127])) == frames.Unknown(127)


def test_only_a_commit_may_be_large() -> None:
    """80 KiB for all, 1 MiB for COMMIT, told from its first bytes."""
    fits, too_long = bytes(80 * 1024 - 70), bytes(80 * 1024)
    assert decode_client(encode(frames.Submit(KEY, ROOM, fits)))
    with pytest.raises(Malformed):
        decode_client(encode(frames.Submit(KEY, ROOM, too_long)))
    assert decode_client(encode(frames.Commit(KEY, ROOM, too_long, None, too_long)))
    with pytest.raises(Malformed):
        decode_client(encode(frames.Commit(KEY, ROOM, bytes(1024 * 1024), None, b"")))


def test_a_large_commit_has_no_second_spelling() -> None:
    """A COMMIT with a longer array head keeps the small limit, so the first two bytes decide alone."""
    frame = encode(frames.Commit(KEY, ROOM, bytes(80 * 1024), None, b""))
    with pytest.raises(Malformed):
        decode_client(b"\xdc\x00\x06" + frame[1:])


def test_only_handshake_mail_may_be_large() -> None:
    """What a COMMIT brought is delivered whole; a message above 80 KiB never was accepted."""
    large = bytes(200 * 1024)
    assert decode_server(encode(frames.Mail(1, frames.WELCOME, ROOM, 1, large, None)))
    with pytest.raises(Malformed):
        decode_server(encode(frames.Mail(1, frames.MESSAGE, ROOM, 1, large, None)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x91",
        b"\x92\x03\xdd\xff\xff\xff\xff",
        b"\x94\x01\xc6\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff\x05",
        b"\x91" * 80000,
        b"\x81\x01" * 40000,
        b"\x96\x02" + b"\x91" * 1_000_000,
        b"\x94\x01\xc4\x10" + KEY + b"\xa1\xff\xc4\x01a",
        b"\xc1",
    ],
    ids=["empty", "cut", "ids", "bytes", "array", "nested", "maps", "nested commit", "bad UTF-8", "reserved"],
)
def test_bombs_and_fragments_are_malformed(data: bytes) -> None:
    """Huge claims, deep nesting, and text that is not UTF-8."""
    for decode in (decode_client, decode_server):
        with pytest.raises(Malformed):
            decode(data)


@settings(max_examples=300)
@given(st.binary(max_size=120) | st.sampled_from(CLIENT + SERVER).map(lambda case: encode(case[0])), st.data())
def test_arbitrary_bytes_are_a_frame_or_malformed(data: bytes, chance: st.DataObject) -> None:
    """Decoding raises nothing else, also one byte away from a real frame."""
    if data:
        at = chance.draw(st.integers(0, len(data) - 1))
        data = data[:at] + chance.draw(st.binary(min_size=1, max_size=1)) + data[at + 1 :]
    for decode in (decode_client, decode_server):
        try:
            frame: Any = decode(data)
        except Malformed:
            continue
        assert isinstance(frame, frames.Unknown) or decode(encode(frame)) == frame
