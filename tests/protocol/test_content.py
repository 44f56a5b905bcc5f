"""MIMI content: the draft's examples, every limit, and what a message may do to an earlier one."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kith.protocol import cbor
from kith.protocol import content as mimi
from kith.protocol.content import (
    CHOOSE_ONE,
    PROCESS_ALL,
    SINGLE_UNIT,
    Expires,
    ExternalPart,
    MimiContent,
    MultiPart,
    NullPart,
    Part,
    SinglePart,
    WrongSalt,
    closes_loop,
    decode,
    effect,
    encode,
    message_id,
    plain_text,
)
from kith.protocol.wire import Malformed
from protocol.franked import ALICE, BOB, ROOM

SALT = bytes(range(16))
ID = b"\x01" + b"i" * 31
HELLO = SinglePart(content_type=mimi.MARKDOWN, content=b"hello")


def message(part: Part = HELLO, **how: Any) -> MimiContent:
    """A valid message around this part."""
    return MimiContent(**{"salt": SALT, "extensions": {1: ALICE, 2: ROOM}, "part": part, **how})


def attachment(**how: Any) -> ExternalPart:
    """An external part with every field set."""
    fields: dict[str, Any] = {
        "content_type": "image/png",
        "url": "/api/v1/blobs/1",
        "expires": 2**32 - 1,
        "size": 2**64 - 1,
        "enc_alg": 2,
        "key": b"k" * 32,
        "nonce": b"n" * 12,
        "aad": b"",
        "hash_alg": 1,
        "content_hash": b"h" * 32,
        "description": "a kite",
        "filename": "kite.png",
    }
    return ExternalPart(**{**fields, **how})


# --- the draft's examples -------------------------------------------------------------------------------------------

ENGINEERING = "mimi://example.com/r/engineering_team"
ORIGINAL_ID = "017ce54837404c3696e0c747b985cb172716d0ed0a3d249ca63ace7d82a096f4"


def test_the_drafts_original_message_is_reproduced() -> None:
    """draft-ietf-mimi-content-08 section 5.1: bytes and message id."""
    sender = "mimi://example.com/u/alice-smith"
    content = mimi.text(
        "Hi everyone, we just shipped release 2.0. __Good  work__!",
        salt=bytes.fromhex("5eed9406c2545547ab6f09f20a18b003"),
        sender_uri=sender,
        room_uri=ENGINEERING,
    )
    m = encode(content)
    assert m.startswith(bytes.fromhex("87505eed9406c2545547ab6f09f20a18b003f640f6f6a2017820"))
    assert m.endswith(b"\x58\x39Hi everyone, we just shipped release 2.0. __Good  work__!")
    assert message_id(sender, ENGINEERING, m, content.salt).hex() == ORIGINAL_ID


def test_the_drafts_reply_is_reproduced() -> None:
    """draft-ietf-mimi-content-08 section 5.2: the message id of an answer to the original."""
    sender = "mimi://example.com/u/bob-jones"
    content = mimi.reply(
        bytes.fromhex(ORIGINAL_ID),
        "Right on! _Congratulations_ 'all!",
        salt=bytes.fromhex("11a458c73b8dd2cf404db4b378b8fe4d"),
        sender_uri=sender,
        room_uri=ENGINEERING,
    )
    expected = "015354973c2b65ca937bf1e035ae53a5ab80e947afa43d46920d4202e5cc0b27"
    assert message_id(sender, ENGINEERING, encode(content), content.salt).hex() == expected


# --- there and back -------------------------------------------------------------------------------------------------

labels = st.text(max_size=12).filter(lambda text: not text.startswith("\ufeff"))
ids = st.none() | st.binary(min_size=32, max_size=32)
heads: dict[str, Any] = {"disposition": st.integers(0, 255), "language": labels}
leaves = (
    st.builds(NullPart, **heads)
    | st.builds(SinglePart, content_type=labels, content=st.binary(max_size=60), **heads)
    | st.builds(attachment, url=labels, filename=labels, size=st.integers(0, 2**64 - 1))
)
parts = st.recursive(
    leaves,
    lambda inner: st.builds(
        MultiPart,
        semantics=st.integers(0, 2),
        parts=st.lists(inner, min_size=2, max_size=3).map(tuple),
        disposition=st.integers(0, 255),
        language=labels,
    ),
    max_leaves=6,
)
extras = st.dictionaries(
    st.integers(3, 2**63) | st.integers(-(2**63), -4) | labels.filter(bool),
    st.integers(-5, 5) | st.binary(max_size=20) | st.lists(labels, max_size=3),
    max_size=4,
)
contents = st.builds(
    lambda part, extra, replaces, reply, topic, expires: message(
        part,
        extensions={1: ALICE, 2: ROOM, **extra},
        replaces=replaces,
        in_reply_to=reply,
        topic_id=topic,
        expires=expires,
    ),
    parts,
    extras,
    ids,
    ids,
    st.binary(max_size=20),
    st.none() | st.builds(Expires, st.booleans(), st.integers(0, 2**32 - 1)),
)


def depth(part: Part) -> int:
    """Levels of parts."""
    return 1 + max(map(depth, part.parts)) if isinstance(part, MultiPart) else 1


@settings(deadline=None)
@given(contents)
def test_every_content_survives_encoding(content: MimiContent) -> None:
    """Decoding an encoding gives the same content; parts nested more than four deep have none."""
    if depth(content.part) > 4:
        with pytest.raises(Malformed):
            encode(content)
        return
    assert decode(encode(content)) == content


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.builds(lambda tail: b"\x87\x50" + SALT + tail, st.binary(max_size=100)))
def test_arbitrary_bytes_are_content_or_malformed(data: bytes) -> None:
    """Decoding raises nothing else."""
    try:
        content = decode(data)
    except Malformed:
        return
    assert encode(content) == data


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_another_message_or_malformed(at: int, change: int) -> None:
    """No second encoding of one message exists one byte away."""
    m = bytearray(encode(message(MultiPart(semantics=PROCESS_ALL, parts=(HELLO, attachment())))))
    original = decode(bytes(m))
    m[at % len(m)] ^= change
    try:
        altered = decode(bytes(m))
    except Malformed:
        return
    assert altered != original


# --- limits and rules -----------------------------------------------------------------------------------------------


def wire(**changed: Any) -> bytes:
    """Deterministic CBOR of a message with some top-level elements replaced."""
    names = ("salt", "replaces", "topic", "expires", "reply", "extensions", "part")
    whole: dict[str, Any] = dict(
        zip(names, (SALT, None, b"", None, None, {1: ALICE, 2: ROOM}, [1, "", 1, "text/plain", b"x"]), strict=True)
    )
    return cbor.encode([*{**whole, **changed}.values()])


EXTERNAL = [6, "", 2, "image/png", "u", 0, 1, 2, b"k", b"n", b"", 1, b"h", "d", "f"]


def test_the_table_of_broken_contents_starts_from_a_valid_one() -> None:
    """Unchanged, the pieces decode."""
    assert plain_text(decode(wire())) == "x"
    assert isinstance(decode(wire(part=EXTERNAL)).part, ExternalPart)


@pytest.mark.parametrize(
    "data",
    [
        cbor.encode([SALT, None, b"", None, None, {1: ALICE, 2: ROOM}]),
        cbor.encode([SALT, None, b"", None, None, {1: ALICE, 2: ROOM}, [1, "", 0], 0]),
        cbor.encode({1: ALICE}),
        cbor.encode("text"),
        wire(salt="text of 16 bytes"),
        wire(salt=None),
        wire(replaces=b"i" * 31),
        wire(replaces=b"i" * 33),
        wire(replaces=0),
        wire(topic=None),
        wire(topic=""),
        wire(expires=5),
        wire(expires=[1, 5]),
        wire(expires=[True, 2**32]),
        wire(expires=[True, -1]),
        wire(expires=[True]),
        wire(expires=[True, True]),
        wire(reply=b""),
        wire(extensions=None),
        wire(extensions=[]),
        wire(extensions={}),
        wire(extensions={1: ALICE}),
        wire(extensions={2: ROOM}),
        wire(extensions={1: ALICE, 2: b"room"}),
        wire(extensions={1: 1, 2: ROOM}),
        wire(extensions={1: ALICE, 2: ROOM, "": 0}),
        wire(extensions={1: ALICE, 2: ROOM, "k" * 256: 0}),
        wire(extensions={1: ALICE, 2: ROOM, "é" * 128: 0}),
        wire(extensions={1: ALICE, 2: ROOM, 9: b"v" * 4093}),
        wire(extensions={1: ALICE, 2: ROOM, -1: b"i" * 31}),
        wire(extensions={1: ALICE, 2: ROOM, -1: None}),
        wire(extensions={1: ALICE, 2: ROOM, -3: -1}),
        wire(extensions={1: ALICE, 2: ROOM, -3: None}),
        wire(extensions={1: ALICE, 2: ROOM, -3: True}),
        wire(extensions={1: ALICE, 2: ROOM, -3: 2**32}),
        wire(part=None),
        wire(part=[]),
        wire(part=[1, ""]),
        wire(part=[256, "", 0]),
        wire(part=[-1, "", 0]),
        wire(part=[True, "", 0]),
        wire(part=[1, b"", 0]),
        wire(part=[1, "", 4]),
        wire(part=[1, "", None]),
        wire(part=[1, "", 0, 0]),
        wire(part=[1, "", 1, "text/plain"]),
        wire(part=[1, "", 1, "text/plain", "text"]),
        wire(part=[1, "", 1, "text/plain", b"", 0]),
        wire(part=[1, "", 1, b"text/plain", b""]),
        wire(part=EXTERNAL[:-1]),
        wire(part=[*EXTERNAL, 0]),
        wire(part=[*EXTERNAL[:5], 2**32, *EXTERNAL[6:]]),
        wire(part=[*EXTERNAL[:6], -1, *EXTERNAL[7:]]),
        wire(part=[*EXTERNAL[:7], 2**16, *EXTERNAL[8:]]),
        wire(part=[*EXTERNAL[:11], 256, *EXTERNAL[12:]]),
        wire(part=[*EXTERNAL[:8], "key", *EXTERNAL[9:]]),
        wire(part=[1, "", 3, 0, [[1, "", 0]]]),
        wire(part=[1, "", 3, 0, []]),
        wire(part=[1, "", 3, 3, [[1, "", 0], [1, "", 0]]]),
        wire(part=[1, "", 3, 0, [1, "", 0]]),
        wire(part=[1, "", 3, 0, None]),
    ],
)
def test_broken_content_is_malformed(data: bytes) -> None:
    """Wrong types, counts, ranges, unknown cardinalities and missing required extensions."""
    with pytest.raises(Malformed):
        decode(data)


def test_only_a_message_in_order_has_a_wrong_salt() -> None:
    """A salt of 15 or 17 bytes is named as such; broken content with a wrong salt is just broken."""
    for size in (0, 15, 17):
        with pytest.raises(WrongSalt):
            decode(wire(salt=bytes(size)))
    with pytest.raises(Malformed) as raised:
        decode(wire(salt=bytes(17), extensions={}))
    assert not isinstance(raised.value, WrongSalt)


@pytest.mark.parametrize(
    "broken",
    [
        wire().replace(b"\x85\x01\x60", b"\x85\x18\x01\x60"),
        wire().replace(b"\x41x", b"\x5f\x41x\xff"),
        wire().replace(b"\xf6\x40\xf6", b"\xf6\x40\xf7"),
        wire() + b"\0",
        wire()[:-1],
        wire(extensions={1: ALICE, 2: ROOM, 3: 0}).replace(b"\x03\x00", b"\x02\x00"),
        wire().replace(b"text/plain", b"text/plai\xff"),
    ],
    ids=["non-minimal", "indefinite", "undefined", "trailing", "cut", "duplicate key", "bad UTF-8"],
)
def test_lax_encodings_are_malformed(broken: bytes) -> None:
    """Everything that a general decoder would wave through."""
    with pytest.raises(Malformed):
        decode(broken)


def test_keys_in_another_order_are_malformed() -> None:
    """The same map in length-first order has another hash and is therefore refused."""
    right = wire(extensions={1: ALICE, 2: ROOM, 100: 0, -4: 0})
    assert b"\x18\x64\x00\x23\x00" in right
    with pytest.raises(Malformed):
        decode(right.replace(b"\x18\x64\x00\x23\x00", b"\x23\x00\x18\x64\x00"))


def test_content_of_64_kib_is_the_largest() -> None:
    """One byte more is refused before anything is decoded, and is never produced."""
    spare = mimi.MAX_CONTENT - len(encode(message(SinglePart(content_type="a", content=bytes(65000)))))
    largest = message(SinglePart(content_type="a", content=bytes(65000 + spare)))
    assert len(encode(largest)) == 65536
    assert decode(encode(largest)) == largest
    larger = message(SinglePart(content_type="a", content=bytes(65001 + spare)))
    with pytest.raises(Malformed):
        encode(larger)
    with pytest.raises(Malformed):
        decode(encode(largest) + b"\0")


def nested(levels: int) -> Part:
    """A part with this many levels."""
    part: Part = NullPart()
    for _ in range(levels - 1):
        part = MultiPart(semantics=PROCESS_ALL, parts=(part, NullPart()))
    return part


def test_parts_nest_four_deep() -> None:
    """Four levels decode; five are refused in both directions."""
    assert depth(decode(encode(message(nested(4)))).part) == 4
    with pytest.raises(Malformed):
        encode(message(nested(5)))
    with pytest.raises(Malformed):
        decode(wire(part=mimi._part_value(nested(5))))


def test_extension_values_and_keys_reach_their_limits() -> None:
    """An encoded value of 4095 bytes and a key of 255 bytes are allowed."""
    content = message(extensions={1: ALICE, 2: ROOM, "k" * 255: b"v" * 4092})
    assert decode(encode(content)) == content


def test_unknown_extensions_are_kept() -> None:
    """They are hashed, so they must survive."""
    content = decode(wire(extensions={1: ALICE, 2: ROOM, -2: [5, b"r" * 32], 77: {"a": [1, None, False]}}))
    assert content.extensions[77] == {"a": [1, None, False]}
    assert encode(content) == wire(extensions={1: ALICE, 2: ROOM, -2: [5, b"r" * 32], 77: {"a": [1, None, False]}})


@pytest.mark.parametrize(
    "content",
    [
        message(replaces=b"short"),
        message(in_reply_to=b""),
        message(extensions={}),
        message(expires=Expires(relative=True, time=2**32)),
        message(NullPart(disposition=256)),
        message(attachment(size=2**64)),
        message(MultiPart(semantics=0, parts=(NullPart(),))),
        message(extensions={1: ALICE, 2: ROOM, "\ud800": 1}),
        message(salt=b"s" * 15),
    ],
)
def test_what_would_not_decode_is_not_encoded(content: MimiContent) -> None:
    """A sender cannot make a message that its receivers refuse."""
    with pytest.raises(Malformed):
        encode(content)


def test_secrets_and_words_are_not_printed() -> None:
    """A content or part in a log line shows neither words nor keys."""
    shown = repr(message(MultiPart(semantics=0, parts=(HELLO, attachment()))))
    assert "hello" not in shown
    assert "kkkk" not in repr(attachment())


# --- making and reading ---------------------------------------------------------------------------------------------


def test_helpers_make_what_they_say() -> None:
    """Text, reply, edit, delete and reaction have their place and their body."""
    who: dict[str, Any] = {"salt": SALT, "sender_uri": ALICE, "room_uri": ROOM}
    plain = mimi.text("hi", **who, last_seen=ID, forwarded=2)
    assert (plain.sender_uri, plain.room_uri, plain.last_seen, plain.times_forwarded) == (ALICE, ROOM, ID, 2)
    assert (message().last_seen, message().times_forwarded) == (None, 0)
    answer = mimi.reply(ID, "yes", **who)
    assert (answer.in_reply_to, answer.replaces, plain_text(answer)) == (ID, None, "yes")
    edited = mimi.edit(ID, "better", **who)
    assert (edited.replaces, plain_text(edited)) == (ID, "better")
    deleted = mimi.delete(ID, **who)
    assert (deleted.replaces, deleted.part, plain_text(deleted)) == (ID, NullPart(), "")
    liked = mimi.reaction(ID, "\N{HEAVY BLACK HEART}", **who)
    assert (liked.in_reply_to, liked.part.disposition) == (ID, mimi.REACTION)
    for content in (plain, answer, edited, deleted, liked):
        assert decode(encode(content)) == content


def words(body: str) -> SinglePart:
    """A plain text part."""
    return SinglePart(content_type="Text/Plain; charset=utf-8", content=body.encode())


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (words("a"), "a"),
        (SinglePart(content_type="text/html", content=b"<b>"), ""),
        (SinglePart(content_type=mimi.MARKDOWN, content=b"\xff"), ""),
        (attachment(), ""),
        (MultiPart(semantics=CHOOSE_ONE, parts=(attachment(), words("a"), words("b"))), "a"),
        (MultiPart(semantics=PROCESS_ALL, parts=(words("a"), attachment(), words("b"))), "a\nb"),
        (MultiPart(semantics=SINGLE_UNIT, parts=(words("a"), words("b"))), "a\nb"),
        (MultiPart(semantics=SINGLE_UNIT, parts=(words("a"), attachment())), ""),
    ],
)
def test_plain_text_is_what_a_reader_would_see(part: Part, expected: str) -> None:
    """Known text types only; one of several, all of them, or all or nothing."""
    assert plain_text(message(part)) == expected


def test_parts_are_numbered_depth_first() -> None:
    """Containers take a number too, as in the draft's appendix."""
    inner = MultiPart(semantics=PROCESS_ALL, parts=(words("a"), attachment()))
    tree = MultiPart(semantics=PROCESS_ALL, parts=(inner, words("b")))
    assert [(index, type(part).__name__) for index, part in mimi.numbered_parts(tree)] == [
        (0, "MultiPart"),
        (1, "MultiPart"),
        (2, "SinglePart"),
        (3, "ExternalPart"),
        (4, "SinglePart"),
    ]


# --- what a message does to an earlier one --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replaces", "part", "target_sender", "expected"),
    [
        (None, HELLO, None, "show"),
        (None, NullPart(), None, "show"),
        (ID, HELLO, ALICE, "edit"),
        (ID, HELLO, BOB, "drop"),
        (ID, NullPart(), ALICE, "delete"),
        (ID, NullPart(), BOB, "drop"),
        (ID, HELLO, None, "hold"),
        (ID, NullPart(), None, "hold"),
    ],
)
def test_only_the_sender_changes_a_message(
    replaces: bytes | None, part: Part, target_sender: str | None, expected: str
) -> None:
    """Edits, deletes (which name the first version) and unlikes by somebody else are dropped."""
    assert effect(replaces, part, sender=ALICE, target_sender=target_sender) == expected


@pytest.mark.parametrize("length", [1, 2, 50])
def test_a_loop_of_replies_is_found(length: int) -> None:
    """Chains that lead back into themselves, of length 1, 2 and 50."""
    chain = [bytes([number]) * 32 for number in range(length)]
    replies: dict[bytes, bytes | None] = {chain[at]: chain[(at + 1) % length] for at in range(1, length)}
    assert closes_loop(chain[0], chain[1 % length], replies)


def test_a_chain_of_replies_is_no_loop() -> None:
    """Fifty honest replies, and one to a message that never arrived."""
    chain = [bytes([number]) * 32 for number in range(51)]
    replies: dict[bytes, bytes | None] = {chain[at]: chain[at - 1] for at in range(1, 50)}
    assert not closes_loop(chain[50], chain[49], {**replies, chain[0]: None})
    assert not closes_loop(chain[50], b"?" * 32, replies)
    assert not closes_loop(chain[0], None, {})


def test_a_loop_among_earlier_messages_is_found_too() -> None:
    """A reply into an existing loop ends."""
    first, second = b"1" * 32, b"2" * 32
    assert closes_loop(b"3" * 32, first, {first: second, second: first})


def test_equal_words_have_different_ids() -> None:
    """The salt makes two equal messages two messages."""
    one, other = message(), replace(message(), salt=b"s" * 16)
    ids = {message_id(ALICE, ROOM, encode(content), content.salt) for content in (one, other)}
    assert len(ids) == 2


@pytest.mark.parametrize("size", [0, -1, True, "5", None])
def test_a_tree_head_of_another_shape_is_none_and_its_message_is_read_all_the_same(size: Any) -> None:
    """True passes for 1 in Python, and would come back from the store as no number."""
    head = [size, b"r" * 32, b"s" * 64]
    assert decode(wire(extensions={1: ALICE, 2: ROOM, -2: head})).tree_head is None
    assert decode(wire(extensions={1: ALICE, 2: ROOM, -2: [5, *head[1:]]})).tree_head == (5, *head[1:])
