"""Edits, deletions, reactions, passing on, timers, receipts and typing: what content says, and what it must not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.protocol import changes, ephemeral
from kith.protocol import content as mimi
from kith.protocol.changes import React, change_of
from kith.protocol.content import MimiContent, MultiPart, NullPart, SinglePart
from kith.protocol.emoji import MAX_BYTES, PICTURES, is_one_emoji
from kith.protocol.wire import Malformed
from protocol.franked import ALICE, BOB, OTHER_ROOM, ROOM

SALT, OTHER_SALT = bytes(16), bytes(range(16))
ID = b"\x01" + b"i" * 31
WHO: dict[str, Any] = {"salt": SALT, "sender_uri": ALICE, "room_uri": ROOM}


def in_pictures(symbol: str) -> bool:
    """Whether this is the code point of a picture."""
    return any(first <= ord(symbol) <= last for first, last in PICTURES)


@given(st.text(max_size=12))
def test_one_emoji_begins_with_a_picture_a_flag_or_a_keycap(text: str) -> None:
    """Nothing that can be read as words ever counts as a reaction."""
    if is_one_emoji(text):
        assert len(text.encode()) <= MAX_BYTES
        assert text[0] in "0123456789#*" or in_pictures(text[0]) or "\U0001f1e6" <= text[0] <= "\U0001f1ff"
        assert not any(one.isalpha() or one.isspace() for one in text)


@given(st.sampled_from(PICTURES), st.sampled_from(("", "\ufe0f", "\U0001f3fd")))
def test_every_picture_is_one_emoji_alone_and_none_twice(span: tuple[int, int], after: str) -> None:
    """First and last of each range, plain or with a variant."""
    for code in span:
        assert is_one_emoji(chr(code) + after)
        assert not is_one_emoji((chr(code) + after) * 2)


def test_several_reactions_in_one_text_are_no_reaction() -> None:
    """Each is a part of its own; a text of two is an answer."""
    assert change_of(mimi.reaction(ID, "👍", **WHO)) == React(ID, ("👍",))
    assert change_of(mimi.reaction(ID, "👍👍", **WHO)) is None
    assert change_of(mimi.reaction(ID, "ok", **WHO)) is None


@pytest.mark.parametrize("content", [b"\xff", b"", "👍\n".encode()])
def test_a_reaction_of_broken_text_is_no_reaction(content: bytes) -> None:
    """Not UTF-8, empty, or with a line end."""
    part = SinglePart(content_type=mimi.PLAIN, content=content, disposition=mimi.REACTION)
    assert changes.symbols_of(part) == ()
    assert changes.symbols_of(MultiPart(semantics=mimi.PROCESS_ALL, parts=(part, part))) == ()


def test_limits_of_senders_lie_within_those_of_receivers() -> None:
    """What a sender's device allows is never dropped by an honest receiver an hour later."""
    last = changes.EDIT_MS
    assert changes.may_edit(0, last, changes.MAX_EDITS - 1)
    assert not changes.may_edit(0, last + 1, 0)
    assert not changes.may_edit(0, 0, changes.MAX_EDITS)
    assert changes.edit_counts(0, last + changes.TOLERANCE_MS, 0)
    assert not changes.edit_counts(0, last + changes.TOLERANCE_MS + 1, 0)
    assert changes.may_delete(0, changes.DELETE_MS)
    assert not changes.may_delete(0, changes.DELETE_MS + 1)
    assert changes.delete_counts(0, changes.DELETE_MS + changes.TOLERANCE_MS)
    assert not changes.delete_counts(0, changes.DELETE_MS + changes.TOLERANCE_MS + 1)


def test_passing_on_counts_and_leaves_the_first_sender_behind() -> None:
    """New salt, sender and room; no answer, no topic, no expiry, no gossip, nothing unknown; facts about media stay."""
    words = mimi.text("news", salt=OTHER_SALT, sender_uri=BOB, room_uri=OTHER_ROOM, last_seen=ID, forwarded=4)
    first = replace(
        words,
        in_reply_to=ID,
        topic_id=b"t",
        expires=mimi.Expires(relative=True, time=60),
        extensions={**words.extensions, -2: [1, b"r" * 32, b"s" * 64], -4: [{1: 5}], 77: "who", "key": 1},
    )
    again = changes.forward(first, **WHO)
    assert mimi.decode(mimi.encode(again)) == again
    assert again.extensions == {1: ALICE, 2: ROOM, -3: 5, -4: [{1: 5}]}
    assert again == MimiContent(salt=SALT, extensions=again.extensions, part=first.part)
    assert [changes.chats_at_once(hops) for hops in (0, 4, 5, 2**32 - 1)] == [5, 5, 1, 1]
    assert (
        changes.forward(replace(first, extensions={**first.extensions, -3: 2**32 - 1}), **WHO).times_forwarded
        == 2**32 - 1
    )


def test_a_timer_is_one_of_the_allowed_times() -> None:
    """Anything else cannot be made, and says nothing when it comes."""
    for seconds in changes.TIMES:
        assert changes.timer_of(changes.timer(seconds, **WHO)) == seconds
    with pytest.raises(ValueError, match="299"):
        changes.timer(299, **WHO)
    made = changes.timer(300, **WHO)
    assert changes.timer_of(replace(made, replaces=ID)) is None
    assert changes.timer_of(replace(made, part=NullPart())) is None


def test_a_message_disappears_only_after_an_allowed_time_of_reading() -> None:
    """Whoever writes cannot make it go at once, at an hour of her own, or after a time that no other client knows."""
    said = mimi.text("psst", **WHO)
    for seconds in changes.TIMES[1:]:
        assert changes.life_of(replace(said, expires=mimi.Expires(relative=True, time=seconds))) == seconds
    for relative, time in ((True, 0), (True, 7), (True, 2**32 - 1), (False, 1), (False, 3600)):
        assert changes.life_of(replace(said, expires=mimi.Expires(relative=relative, time=time))) is None
    assert changes.life_of(said) is None


def test_receipts_of_none_or_too_many_cannot_be_made() -> None:
    """One to sixteen."""
    for count in (0, 17):
        with pytest.raises(Malformed):
            ephemeral.receipts(((ID, ephemeral.READ),) * count, **WHO)
    told = ephemeral.signal_of(ephemeral.receipts(((ID, 1), (ID, ephemeral.READ)), **WHO))
    assert isinstance(told, ephemeral.Receipts)
    assert told.read == (ID,)


@given(st.binary(max_size=200))
def test_no_body_of_receipts_does_harm(body: bytes) -> None:
    """Whatever it holds it is read or dropped."""
    part = SinglePart(content_type=ephemeral.STATUS, content=body, disposition=mimi.SESSION)
    told = ephemeral.signal_of(MimiContent(salt=SALT, extensions={1: ALICE, 2: ROOM}, part=part))
    assert told is None or isinstance(told, ephemeral.Receipts)


def test_words_in_the_ephemeral_class_are_dropped() -> None:
    """Otherwise it would be a channel that nobody can report."""
    for content in (
        mimi.text("psst", **WHO),
        mimi.reaction(ID, "👍", **WHO),
        mimi.delete(ID, **WHO),
        changes.timer(300, **WHO),
        replace(ephemeral.typing(**WHO), in_reply_to=ID),
    ):
        assert ephemeral.signal_of(content) is None
    assert ephemeral.signal_of(ephemeral.typing(**WHO)) == ephemeral.Typing()
