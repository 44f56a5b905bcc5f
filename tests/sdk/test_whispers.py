"""Receipts and typing: what may travel where nothing is franked, and what a server can make of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from evil.scene import ME, OUTSIDER, ROOM, THEM, Scene, scene
from kith.protocol import changes, ephemeral, franking
from kith.protocol import content as mimi
from kith.protocol.content import MimiContent
from kith.protocol.frames import Ephemeral, Frank, Refused, SendEphemeral
from kith.protocol.mls.engine import Application
from kith.protocol.uris import account_uri, room_uri
from kith.sdk import answers
from kith.sdk.errors import Unreachable
from sdk.test_key_log import HOST

OPEN = answers.Controls(read_receipts=True, typing=True)
CLOSED = answers.Controls()


def who(sender: str = THEM, room: str = ROOM) -> dict[str, str]:
    """What content claims about its sender and room."""
    return {"sender_uri": account_uri(HOST, sender), "room_uri": room_uri(HOST, room)}


def typing(**claims: str) -> MimiContent:
    """Somebody is writing."""
    return ephemeral.typing(salt=os.urandom(16), **{**who(), **claims})


def psst() -> MimiContent:
    """Words."""
    sender, room = who().values()
    return mimi.text("psst", salt=os.urandom(16), sender_uri=sender, room_uri=room)


def read(*ids: str, status: int = ephemeral.READ) -> MimiContent:
    """These were read."""
    return ephemeral.receipts(tuple((bytes.fromhex(one), status) for one in ids), salt=os.urandom(16), **who())


def whispered(s: Scene, content: MimiContent, aad: bytes = b"") -> bytes:
    """The other one encrypts it."""
    made = s.peer.engine.protect(s.group, mimi.encode(content), aad)
    s.group = made.state
    return made.message


def franked(s: Scene, content: MimiContent) -> tuple[bytes, Frank]:
    """The other one sends it as a durable message."""
    encoded = mimi.encode(content)
    tag = franking.franking_tag(content.salt, encoded)
    return whispered(s, content, franking.build_aad(tag)), s.frank(tag, s.peer, s.group.epoch)


async def hears(s: Scene, body: bytes, after_pos: int | None = None) -> None:
    """The server hands an ephemeral frame on."""
    s.client._heard(Ephemeral(ROOM, s.pos if after_pos is None else after_pos, body))
    await s.settled()


def told(s: Scene) -> list[MimiContent]:
    """What this device whispered, as the other one reads it."""
    found = []
    for frame in [one for one in s.line.sent if isinstance(one, SendEphemeral)]:
        done = s.peer.engine.process(s.group, frame.message)
        assert isinstance(done.event, Application)
        assert done.event.authenticated_data == b""
        s.group = done.state
        found.append(mimi.decode(done.event.plaintext))
    s.line.sent.clear()
    return found


def play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Scene], Awaitable[None]], kind: str = "direct"
) -> None:
    """One scene in which both switches are on."""

    async def story() -> None:
        async with scene(tmp_path, monkeypatch, kind=kind) as s:
            s.client.words._controls = OPEN
            await act(s)
            await s.goes_on()  # whatever came, the conversation does

    asyncio.run(story())


def test_typing_and_receipts_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of everything below: honest ones, which are never rows of the thread."""

    async def act(s: Scene) -> None:
        submit = await s.writes("hello")
        await s.hears(s.answer(submit))
        rows = len(s.rows())
        await hears(s, whispered(s, typing()))
        assert s.client.words.writing(ROOM) == [THEM]
        await hears(s, whispered(s, read(s.rows()[-1].id)))
        assert s.rows()[-1].read_by == (THEM,)
        assert len(s.rows()) == rows

    play(tmp_path, monkeypatch, act)


@pytest.mark.parametrize(
    "content",
    [
        lambda: mimi.reply(
            b"\x01" * 32, "psst", salt=os.urandom(16), sender_uri=who()["sender_uri"], room_uri=who()["room_uri"]
        ),
        lambda: typing(sender_uri=account_uri(HOST, OUTSIDER)),
        lambda: typing(room_uri=room_uri(HOST, OUTSIDER)),
        lambda: changes.timer(300, salt=os.urandom(16), **who()),
    ],
    ids=["words", "another sender", "another room", "a timer"],
)
def test_anything_else_in_the_ephemeral_class_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Callable[[], MimiContent]
) -> None:
    """Otherwise it would be a channel that nobody can report."""

    async def act(s: Scene) -> None:
        before = s.marks(), len(s.rows())
        await hears(s, whispered(s, content()))
        assert (s.marks(), len(s.rows())) == before
        assert s.client.words.writing(ROOM) == []
        assert s.state.thread().timer_s == 0

    play(tmp_path, monkeypatch, act)


def test_ephemeral_kinds_are_dropped_where_they_are_franked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row to see, no gap, and nobody is shown as writing."""

    async def act(s: Scene) -> None:
        before = s.marks(), len(s.rows())
        await s.message(franked(s, typing()))
        assert (s.marks(), len(s.rows())) == before
        assert s.client.words.writing(ROOM) == []

    play(tmp_path, monkeypatch, act)


def test_a_server_cannot_lose_a_message_by_calling_it_ephemeral(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own bytes say what it is: its key is not spent, and as mail it is read."""

    async def act(s: Scene) -> None:
        said = s.says("important")
        await hears(s, said[0])
        assert "important" not in s.texts()
        await s.message(said)
        assert s.texts().count("important") == 1

    play(tmp_path, monkeypatch, act)


def test_a_whisper_that_is_ahead_of_the_messages_costs_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key comes after theirs; nothing that was skipped could be read any more."""

    async def act(s: Scene) -> None:
        said = s.says("first")
        later = whispered(s, typing())
        await hears(s, later, after_pos=s.pos + 1)
        assert s.client.words.writing(ROOM) == []
        await s.message(said)
        assert s.texts().count("first") == 1

    play(tmp_path, monkeypatch, act)


def test_noise_and_repeats_do_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any kind, and many at once."""

    async def act(s: Scene) -> None:
        before = s.marks()
        said = whispered(s, typing())
        for body in (b"", b"x", os.urandom(300), said[:-1], said, said):
            await hears(s, body)
        for _ in range(200):
            s.client._heard(Ephemeral(ROOM, s.pos, os.urandom(40)))
        s.client._heard(Ephemeral(OUTSIDER, 0, said))
        await s.settled()
        assert s.marks() == before
        assert s.client.words.writing(ROOM) == [THEM]

    play(tmp_path, monkeypatch, act)


def test_receipts_claim_only_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown ids and another status say nothing; what was read once is not unread again."""

    async def act(s: Scene) -> None:
        for text in ("one", "two"):
            await s.hears(s.answer(await s.writes(text)))
        one, two = [row for row in s.rows() if row.mine]
        await hears(s, whispered(s, read("01" * 32)))
        await hears(s, whispered(s, read(two.id, status=1)))
        assert [row.read_by for row in s.rows() if row.mine] == [(), ()]
        await hears(s, whispered(s, read(two.id)))
        await hears(s, whispered(s, read(one.id)))
        assert [row.read_by for row in s.rows() if row.mine] == [(THEM,), (THEM,)]

    play(tmp_path, monkeypatch, act)


def test_who_does_not_tell_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the switches off nothing leaves, and nothing that comes is kept."""

    async def act(s: Scene) -> None:
        s.client.words._controls = CLOSED
        await s.hears(s.answer(await s.writes("hello")))
        await s.message(s.says("hello"))
        await hears(s, whispered(s, typing()))
        await hears(s, whispered(s, read(next(row.id for row in s.rows() if row.mine))))
        await s.client.room(ROOM).mark_read()
        await s.client.room(ROOM).typing()
        s.client.words._controls = OPEN
        assert s.client.words.writing(ROOM) == []
        assert all(row.read_by == () for row in s.rows())
        assert told(s) == []

    play(tmp_path, monkeypatch, act)


def test_where_somebody_is_restricted_nothing_is_told_and_nothing_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it made up for when it is lifted; the control is what is read after that."""

    async def act(s: Scene) -> None:
        await s.hears(s.answer(await s.writes("hello")))
        s.server.hushes = [THEM]
        await s.client.words.learn_restricted()
        await s.message(s.says("read me"))
        await hears(s, whispered(s, typing()))
        await hears(s, whispered(s, read(next(row.id for row in s.rows() if row.mine))))
        await s.client.room(ROOM).mark_read()
        await s.client.room(ROOM).typing()
        assert s.client.words.writing(ROOM) == []
        assert all(row.read_by == () for row in s.rows())
        assert [row.quiet for row in s.rows() if row.kind == "text"] == [False, True]
        s.server.hushes = []
        await s.client.words.learn_restricted()
        await s.client.words.seen(ROOM)
        assert told(s) == []
        await s.message(s.says("and me"))
        await s.client.room(ROOM).mark_read()
        newest = s.rows()[-1]
        assert [ephemeral.signal_of(one) for one in told(s)] == [
            ephemeral.Receipts(((bytes.fromhex(newest.id), ephemeral.READ),))
        ]

    play(tmp_path, monkeypatch, act)


def test_nothing_is_told_before_it_is_known_who_is_restricted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that cannot ask stays silent: a read status cannot be taken back."""

    async def act(s: Scene) -> None:
        async def unreachable() -> list[answers.Hushed]:
            raise Unreachable("No connection.")

        with monkeypatch.context() as cut:
            cut.setattr(s.server, "restricted", unreachable)
            await s.message(s.says("read me"))
            await s.client.room(ROOM).mark_read()
            assert told(s) == []
        await s.client.words.seen(ROOM)
        assert len(told(s)) == 1

    play(tmp_path, monkeypatch, act)


def test_nothing_is_whispered_past_a_message_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent and unanswered, or refused for now: the same bytes go out again, and must not find their key passed by."""

    async def act(s: Scene) -> None:
        await s.message(s.says("read me"))
        room = s.client.room(ROOM)
        submit = await s.writes("on its way")
        await room.typing()
        await room.mark_read()
        assert not [one for one in s.line.sent if isinstance(one, SendEphemeral)]
        await s.hears(Refused(submit.key, "limited", None, 60_000))
        s.client.words._said_writing.clear()
        await room.typing()
        assert not [one for one in s.line.sent if isinstance(one, SendEphemeral)]
        await s.later(61_000)
        await s.hears(s.answer(s.submits()[-1]))
        s.client.words._said_writing.clear()
        await room.typing()
        newest = next(row for row in s.rows() if row.text == "read me")
        receipt = ephemeral.Receipts(((bytes.fromhex(newest.id), ephemeral.READ),))
        # What was owed left as soon as nothing was in its way.
        assert [ephemeral.signal_of(one) for one in told(s)] == [receipt, ephemeral.Typing()]
        await s.client.words.seen(ROOM)
        assert [ephemeral.signal_of(one) for one in told(s)] == [receipt]  # once more, for who was away
        await s.client.words.seen(ROOM)
        assert told(s) == []

    play(tmp_path, monkeypatch, act)


def test_whispers_end_where_keys_must_be_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They spend the same keys as messages, of which receivers skip only so many."""

    async def act(s: Scene) -> None:
        with monkeypatch.context() as few:
            few.setattr("kith.sdk.room.ROTATE_AFTER_MESSAGES", 2)
            for _ in range(5):
                s.client.words._said_writing.clear()
                await s.client.room(ROOM).typing()
            assert len(told(s)) == 2

    play(tmp_path, monkeypatch, act)


def test_in_a_group_only_who_leads_it_sets_the_timer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member's timer changes nothing; the owner's, as a control, does, and is said."""

    async def act(s: Scene) -> None:
        def timer(seconds: int) -> MimiContent:
            return changes.timer(seconds, salt=os.urandom(16), **who())

        with monkeypatch.context() as demoted:
            demoted.setattr("kith.sdk.room.MANAGERS", frozenset({"admin"}))
            await s.message(franked(s, timer(300)))
            assert s.state.thread().timer_s == 0
        lines = len(s.lines())
        await s.message(franked(s, timer(3600)))
        assert s.state.thread().timer_s == 3600
        assert [line.split(" set ")[1] for line in s.lines()[lines:]] == [
            "messages here to disappear 1 hour after they are read."
        ]
        await s.message(franked(s, timer(0)))
        assert s.state.thread().timer_s == 0
        assert s.client.account == ME

    play(tmp_path, monkeypatch, act, kind="group")
