"""Two people and a third: edits, deletions, reactions, quotes, passing on, reading, typing, timers; a real server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from kith.protocol import content as mimi
from kith.protocol.content import decode, plain_text
from kith.protocol.franking import ReportItem
from kith.sdk import Client, Message, Refused, Room
from kith.sdk.saying import UNSALTED
from sdk.meeting import Meeting, eventually, introduce, next_message


@asynccontextmanager
async def pair(meeting: Meeting) -> AsyncIterator[tuple[Client, Client, Room, Room]]:
    """Ann and Ben, connected, and the room of each."""
    async with meeting.client("ann") as ann, meeting.client("ben") as ben:
        await meeting.join(ann, "ann")
        await meeting.join(ben, "ben")
        yield ann, ben, *await introduce(ann, ben)


async def seen(room: Room, message: str, right: Callable[[Message], bool], what: str) -> Message:
    """The message, once it is as it should be."""

    async def look() -> Message | None:
        found = room.message(message)
        return found if found is not None and right(found) else None

    return await eventually(look, what)


def test_a_message_is_edited_by_its_sender_alone(meeting: Meeting) -> None:
    """The new words and "edited" on both sides, the old ones among the versions; others and late comers are refused."""

    async def run() -> None:
        async with pair(meeting) as (ann, ben, hers, his):
            said = await hers.send("Tuseday?")
            await next_message(ben)
            await said.edit("Tuesday?")
            await said.edit("Tuesday at 8?")
            there = await seen(his, said.id, lambda one: one.text == "Tuesday at 8?", "the edit")
            here = hers.message(said.id)
            assert here is not None
            for one in (there, here):
                assert (one.id, one.text, one.edited) == (said.id, "Tuesday at 8?", True)
                assert [old.text for old in one.versions()] == ["Tuseday?", "Tuesday?", "Tuesday at 8?"]
            assert [one.text for one in his.history() if one.kind == "text"] == ["Hello!", "Tuesday at 8?"]
            with pytest.raises(Refused, match="own messages"):
                await there.edit("Never")
            late = ann.now() + 25 * 3600 * 1000
            ann.now = lambda: late
            with pytest.raises(Refused, match="too old"):
                await said.edit("Wednesday")
            with pytest.raises(Refused, match="too old"):
                await said.delete()

    asyncio.run(run())


def test_a_deleted_message_leaves_a_placeholder_and_no_words(meeting: Meeting) -> None:
    """Also in quotes and search, on both sides; an edit that comes after it changes nothing."""

    async def run() -> None:
        async with pair(meeting) as (_, ben, hers, his):
            said = await hers.send("a regrettable sentence")
            (await next_message(ben))
            answer = await his.send("What?", reply_to=said.id)
            assert answer.quoted is not None
            assert answer.quoted.text == "a regrettable sentence"
            assert [one.id for one in ben.search("regrettable")] == [said.id]
            await said.edit("another sentence")
            await said.delete()
            gone = await seen(his, said.id, lambda one: one.kind == "deleted", "the deletion")
            assert (gone.text, gone.edited, gone.versions()) == ("", False, [])
            assert answer.quoted is not None
            assert answer.quoted.kind == "deleted"
            for room in (hers, his):
                assert room.search("regrettable") == room.search("another") == []
                assert [one.kind for one in room.history()].count("deleted") == 1
            with pytest.raises(Refused):
                await said.edit("again")
            with pytest.raises(Refused):
                await gone.react("👍")

    asyncio.run(run())


def test_a_reaction_is_one_is_changed_and_is_taken_back(meeting: Meeting) -> None:
    """Everybody sees whose it is; no word is one, and it is no message of its own."""

    async def run() -> None:
        async with pair(meeting) as (ann, ben, hers, his):
            said = await hers.send("I passed!")
            heard = await next_message(ben)
            await heard.react("🎉")
            there = await seen(hers, said.id, lambda one: bool(one.reactions), "the reaction")
            assert there.reactions == {"🎉": (ben.account,)}
            await heard.react("❤️")
            await heard.react("❤️")
            await said.react("🙏")
            both = {"❤️": (ben.account,), "🙏": (ann.account,)}
            await seen(hers, said.id, lambda one: one.reactions == both, "the changed reaction")
            await seen(his, said.id, lambda one: one.reactions == both, "hers")
            await heard.unreact()
            await seen(hers, said.id, lambda one: one.reactions == {"🙏": (ann.account,)}, "the end of it")
            for wrong in ("thanks", "❤️❤️", "", " "):
                with pytest.raises(Refused, match="one emoji"):
                    await heard.react(wrong)
            assert [one.text for one in hers.history() if one.kind == "text"] == ["Hello!", "I passed!"]

    asyncio.run(run())


def test_passing_on_counts_its_hops_and_its_chats(meeting: Meeting) -> None:
    """The words alone travel; five times passed on, they go to one chat at a time."""

    async def run() -> None:
        async with pair(meeting) as (_, ben, hers, his), meeting.client("cleo") as cleo:
            await meeting.join(cleo, "cleo")
            bens, cleos = await introduce(ben, cleo)
            said = await hers.send("The pool is closed today")
            heard = await next_message(ben)
            await heard.forward(bens)
            for hop in range(1, 6):
                ears, mouth = (cleo, cleos) if hop % 2 else (ben, bens)
                passed = await next_message(ears)
                assert (passed.text, passed.forwarded, passed.reply_to) == (said.text, hop, None)
                if hop < 5:
                    await passed.forward(mouth)
            with pytest.raises(Refused, match="one chat at a time"):
                await passed.forward(cleos, his)
            with pytest.raises(Refused, match="1 to 5"):
                await heard.forward()
            await passed.forward(cleos)
            assert (await next_message(ben)).forwarded == 6

    asyncio.run(run())


def test_what_is_too_long_to_be_passed_on_fails_by_itself(meeting: Meeting) -> None:
    """A stranger's longest message has no room for what one's own carries as well. What is behind it is sent."""

    async def run() -> None:
        async with pair(meeting) as (_, ben, hers, his):
            await hers.send("one")
            await next_message(ben)

            def whole(length: int) -> bytes:
                return mimi.encode(
                    mimi.text("x" * length, salt=UNSALTED, sender_uri=ben.words._sender, room_uri=ben.state(his.id).uri)
                )

            longest = whole(mimi.MAX_CONTENT - len(whole(60_000)) + 60_000)
            with pytest.raises(Refused) as refused:
                await ben.say(his.id, longest)
            assert refused.value.code == "too_large"
            assert (await his.send("behind it")).seq is not None

    asyncio.run(run())


def test_reading_and_typing_are_told_only_where_both_let_it(meeting: Meeting) -> None:
    """With one switch off neither tells nor is shown; what was read counts for everything before it."""

    async def run() -> None:
        async with pair(meeting) as (ann, ben, hers, his):
            first, second = await hers.send("one"), await hers.send("two")
            await next_message(ben)
            await next_message(ben)
            await his.mark_read()
            await seen(hers, second.id, lambda one: one.read_by == (ben.account,), "that it was read")
            await seen(hers, first.id, lambda one: one.read_by == (ben.account,), "that the earlier one was")

            async def writing() -> bool | None:
                await his.typing()
                ben.words._said_writing.clear()
                return hers.writing() == [ben.account] or None

            await eventually(writing, "that he is writing")

            async def quiet() -> bool | None:
                later = ann.now() + 60_000
                ann.now = lambda: later
                return hers.writing() == [] or None

            await eventually(quiet, "that he stopped")
            await ann.let_be_seen(typing=False, read_receipts=False)
            third = await hers.send("three")
            await next_message(ben)
            await his.mark_read()
            await his.typing()
            await his.send("four")  # comes after both on the one stream
            await next_message(ann)
            await hers.mark_read()
            assert hers.writing() == []
            assert [one.read_by for one in hers.history() if one.id == third.id] == [()]
            await hers.send("five")
            await next_message(ben)
            assert [one.read_by for one in his.history() if one.mine] == [()]

    asyncio.run(run())


def test_messages_disappear_by_the_clock_after_they_are_read(meeting: Meeting) -> None:
    """Here from reading, there from acceptance; the timer is said in the thread, and off again it leaves the rest."""

    async def run() -> None:
        async with pair(meeting) as (ann, ben, hers, his):
            await hers.set_timer(300)
            said = await hers.send("gone soon")
            heard = await next_message(ben)
            assert (his.timer_s, hers.timer_s) == (300, 300)
            assert any("disappear 5 minutes" in one.text for one in his.history() if one.kind == "info")
            assert said.vanish_ms == said.at_ms + 300_000
            handled = his.message(heard.id)
            assert handled is not None
            assert handled.vanish_ms is not None
            answer = await his.send("unread for now")
            await his.set_timer(0)
            stays = await his.send("this stays")
            late = max(ann.now(), ben.now()) + 301_000
            ann.now = ben.now = lambda: late
            assert his.message(heard.id) is None
            assert hers.message(said.id) is None
            assert ben.search("soon") == []
            waiting = [await next_message(ann), await next_message(ann)]
            assert [one.text for one in waiting] == ["unread for now", "this stays"]  # unread: its time had not begun
            unread = hers.message(answer.id)
            assert unread is not None
            assert unread.vanish_ms == late + 300_000
            assert [one.text for one in his.history() if one.kind == "text"] == ["Hello!", "this stays"]
            assert stays.vanish_ms is None
            with pytest.raises(Refused, match="one of these"):
                await hers.set_timer(299)

    asyncio.run(run())


def test_what_was_edited_and_deleted_is_reported_as_it_was_sent(meeting: Meeting) -> None:
    """Original, edit and deletion, each proven; nothing of it is shown any more."""

    async def run() -> None:
        async with pair(meeting) as (_, ben, hers, his):
            said = await hers.send("something mean")
            await next_message(ben)
            await said.edit("something meaner")
            await said.delete()
            gone = await seen(his, said.id, lambda one: one.kind == "deleted", "the deletion")
            filed = await gone.report("bullying", "She took it back, but I had read it.")
            assert filed.kind == "FULL"
            sent: list[str] = []
            call = ben.api.report

            async def noted(body: dict[str, object]) -> object:
                sent.extend(body["items"])  # type: ignore[arg-type]  # a list of texts
                return await call(body)

            ben.api.report = noted  # type: ignore[method-assign, assignment]
            await gone.report("bullying", "And again.")
            words = [plain_text(decode(ReportItem.decode(base64.b64decode(one)).content)) for one in sent]
            assert words == ["Hello!", "something mean", "something meaner"]

    asyncio.run(run())
