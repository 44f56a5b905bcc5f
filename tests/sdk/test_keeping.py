"""How chats are kept on a device: pinned, muted, archived, half written, unread; deleted, and still reportable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from kith.sdk import Client, Refused, Room
from kith.sdk.folding import DAY_MS, KEEP_MS
from kith.sdk.keeping import KEPT_MS, MOST_PINNED, REPORT_ITEMS, Keeping, changed, is_archived
from kith.sdk.records import FrankRecord, Kept, KeptMessage, MessageRecord, Thread, message_key
from kith.sdk.vault import Vault
from sdk.meeting import CHEAP, FEW, PASSPHRASE, Meeting, introduce, next_message

ROOM = "00000000-0000-4000-8000-0000000000f1"
NOW = 1_700_000_000_000


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """An empty store."""
    made = Vault.open(tmp_path / "store.kith", PASSPHRASE, CHEAP)
    yield made
    made.close()


def keeping_of(vault: Vault, now: int = NOW) -> Keeping:
    """Without a server: what is kept is told to nobody."""
    return Keeping(vault, None, lambda: now)  # type: ignore[arg-type]  # never asked for


def said(seq: int, *, mine: bool = False, proven: bool = True) -> MessageRecord:
    """A message of a chat."""
    return MessageRecord(
        kind="text",
        id=f"{seq:064x}",
        pos=seq,
        seq=seq,
        at_ms=NOW + seq,
        mine=mine,
        sender="me" if mine else "them",
        text=f"nightingale {seq}",
        content=b"M" if proven else None,
        frank=FrankRecord(context=b"c", server_frank=b"f", suite=1, proof=b"p") if proven else None,
    )


def test_who_is_restricted_counts_as_unread_nowhere_and_brings_no_chat_back(vault: Vault) -> None:
    """The control is the same chat for somebody who restricts nobody."""
    stored(vault, [said(1)])
    keeping_of(vault).keep(ROOM, pinned=None, muted=None, archived=True)
    stored(vault, [said(2), said(3)])
    hushed = Keeping(vault, None, lambda: NOW, "them".__eq__)  # type: ignore[arg-type]  # never asked for
    for keeping, unread, archived in ((keeping_of(vault), 3, False), (hushed, 0, True)):
        state = keeping.state(ROOM)
        assert (state.unread.count, state.archived, state.at_ms) == (unread, archived, NOW + 3)


def stored(vault: Vault, rows: list[MessageRecord]) -> None:
    """These rows in the chat, whose last number is that of the last row."""
    with vault.transaction():
        for row in rows:
            key = message_key(ROOM, row.seq or 0, row.pos)
            vault.put("messages", key, row)
            vault.put("ids", f"{ROOM}/{row.id}", key)
        last = rows[-1].seq or 0
        vault.put("meta", f"thread/{ROOM}", Thread(pos=last, seq=last, head_seq=last))


@pytest.mark.parametrize(
    ("kept", "newest_ms", "away"),
    [
        (Kept(), 5, False),
        (Kept(archived_at_ms=5), 5, True),
        (Kept(archived_at_ms=5), 6, False),
        (Kept(archived_at_ms=5, muted=True), 6, True),
        (Kept(muted=True), 6, False),
    ],
)
def test_an_archived_chat_comes_back_with_the_next_message_unless_it_is_muted(
    kept: Kept, newest_ms: int, *, away: bool
) -> None:
    """The same table as in the web client."""
    assert is_archived(kept, newest_ms) is away


def test_a_chat_on_top_is_not_put_away_and_one_put_away_is_not_on_top() -> None:
    """Whatever was asked for last holds; muting changes neither."""
    pinned = changed(Kept(), pinned=True, muted=None, archived=None, newest_ms=7, now=NOW)
    assert pinned == Kept(pinned_ms=NOW)
    away = changed(pinned, pinned=None, muted=True, archived=True, newest_ms=7, now=NOW)
    assert away == Kept(muted=True, archived_at_ms=7)
    assert changed(away, pinned=True, muted=None, archived=None, newest_ms=7, now=NOW) == Kept(
        pinned_ms=NOW, muted=True
    )
    assert changed(pinned, pinned=True, muted=None, archived=None, newest_ms=7, now=NOW + 1) == pinned


def test_five_chats_are_pinned_and_a_sixth_is_refused(vault: Vault) -> None:
    """One that is unpinned makes room, and pinning one twice takes none."""
    keeping = keeping_of(vault)
    rooms = [f"room {number}" for number in range(MOST_PINNED + 1)]
    for room in rooms[:-1] * 2:
        keeping.keep(room, pinned=True, muted=None, archived=None)
    with pytest.raises(Refused, match="You can pin 5 chats"):
        keeping.keep(rooms[-1], pinned=True, muted=None, archived=None)
    keeping.keep(rooms[0], pinned=None, muted=None, archived=True)
    keeping.keep(rooms[-1], pinned=True, muted=None, archived=None)
    assert [keeping.state(room).pinned for room in rooms] == [False, *[True] * MOST_PINNED]


def test_a_draft_is_sealed_and_gone_when_it_is_emptied(vault: Vault, tmp_path: Path) -> None:
    """Its words are nowhere in the files of the store."""
    keeping = keeping_of(vault)
    keeping.set_draft(ROOM, "nightingale")
    assert keeping.state(ROOM).draft == "nightingale"
    assert all(b"nightingale" not in one.read_bytes() for one in tmp_path.iterdir())
    keeping.set_draft(ROOM, "")
    assert (keeping.state(ROOM).draft, vault.keys("meta", "draft/")) == ("", [])


def test_unread_messages_are_those_of_others_after_the_last_that_was_read(vault: Vault) -> None:
    """Own ones and lines of the client itself do not count."""
    rows = [said(1), said(2, mine=True), said(3), said(4, mine=True), said(5)]
    stored(vault, [*rows[:-1], replace(rows[3], id="line", kind="info", mine=False, pos=40), rows[-1]])
    keeping = keeping_of(vault)
    assert (keeping.state(ROOM).unread.count, keeping.state(ROOM).unread.first) == (3, rows[0].id)
    with vault.transaction():
        vault.put("meta", f"thread/{ROOM}", Thread(read_seq=3, head_seq=5))
    assert (keeping.state(ROOM).unread.count, keeping.state(ROOM).unread.first) == (1, rows[4].id)


def test_a_deleted_chat_keeps_its_last_proven_messages_for_thirty_days_and_nothing_else(vault: Vault) -> None:
    """Deleting it again, with more in it, keeps the newest of all; a second deletion does not lengthen anything."""
    stored(vault, [*map(said, range(1, 40)), said(40, proven=False)])
    keeping = keeping_of(vault)
    keeping.delete_thread(ROOM)
    assert vault.keys("messages") == vault.keys("ids") == []
    assert [row.seq for row in keeping.provable(ROOM)] == list(range(10, 40))
    assert keeping.state(ROOM).unread.count == 0
    stored(vault, [said(41), said(42)])
    later = keeping_of(vault, NOW + DAY_MS)
    later.delete_thread(ROOM)
    assert [row.seq for row in later.provable(ROOM)] == [*range(12, 40), 41, 42]
    assert len(vault.keys("kept")) == REPORT_ITEMS
    after = keeping_of(vault, NOW + KEPT_MS)
    assert [row.seq for row in after.provable(ROOM)] == [41, 42]
    assert keeping_of(vault, NOW + KEPT_MS + DAY_MS).provable(ROOM) == []
    assert vault.keys("kept") == []


def test_deleting_a_chat_keeps_nothing_longer_than_it_would_have_stayed(vault: Vault) -> None:
    """What was taken back or disappears; the control beside them is an ordinary message."""
    taken_back = replace(said(1), kind="deleted", text="", keep_ms=NOW + 1000)
    disappears = replace(said(2), vanish_ms=NOW + 2000)
    stored(vault, [taken_back, disappears, said(3)])
    keeping_of(vault).delete_thread(ROOM)
    ends = [one.until_ms for _, one in vault.scan("kept", "", KeptMessage)]
    assert ends == [NOW + 1000, NOW + 2000 + KEEP_MS, NOW + KEPT_MS]


class Clock:
    """A clock that a story moves on."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000 + self.ahead


def test_what_a_deleted_chat_said_is_still_proven_in_a_report_until_its_time_is_over(meeting: Meeting) -> None:
    """The server verifies every item. The control is the same report a month later, which proves nothing."""
    clock = Clock()

    async def story() -> None:
        vera = Client(meeting.folder / "vera.kith", PASSPHRASE, packages=FEW, cost=CHEAP, clock=clock)
        async with vera, meeting.client("max") as max_:
            await meeting.join(vera, "vera")
            await meeting.join(max_, "max")
            his, hers = await introduce(max_, vera, "Buy these coins now")
            await his.send("Only today")
            bad = await next_message(vera)
            await hers.delete_thread()
            assert (hers.history(), hers.message(bad.id), vera.search("coins")) == ([], None, [])
            filed = await hers.report("scam", upto=bad.id)
            assert filed.kind == "FULL"
            await chat_goes_on(max_, his, hers)
            await hers.delete_thread()
            clock.ahead = KEPT_MS + DAY_MS
            assert (await hers.report("scam")).kind == "NONE"

    asyncio.run(story())


async def chat_goes_on(other: Client, his: Room, hers: Room) -> None:
    """After it was deleted on one side: both write, and no gap is shown for what was deleted."""
    await his.send("Are you still there?")
    await hers.send("Who is asking?")
    assert (await next_message(other)).text == "Who is asking?"
    heard = [(one.text, one.gap_before) for one in hers.history()]
    assert ("Are you still there?", 0) in heard


def test_keeping_survives_the_program_and_tells_who_watches(meeting: Meeting) -> None:
    """On disk at once; `changes` names the chat; `mark_read` empties the count."""

    async def story() -> None:
        async with meeting.client("ida") as ida, meeting.client("jan") as jan:
            await meeting.join(ida, "ida")
            await meeting.join(jan, "jan")
            hers, _ = await introduce(jan, ida)
            room = ida.room(hers.id)
            assert room.kept.unread.count == 1
            await room.mark_read()
            assert room.kept.unread.count == 0
            await room.keep(pinned=True, muted=True)
            room.set_draft("Dear Jan")
        async with meeting.client("ida") as ida:
            state = ida.room(hers.id).kept
            assert (state.pinned, state.muted, state.archived, state.draft) == (True, True, False, "Dear Jan")
            watching = ida.changes()
            assert await anext(watching) == frozenset()
            await ida.room(hers.id).keep(archived=True)
            async with asyncio.timeout(20):
                while hers.id not in await anext(watching):
                    pass
            await watching.aclose()
            state = ida.room(hers.id).kept
            assert (state.pinned, state.archived) == (False, True)

    asyncio.run(story())
