"""A program is killed at any moment, and a server too: no key serves twice, no message is lost or doubled."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from journeys.harness import Server, served
from kith.protocol.frames import Submit
from kith.sdk import Client, StoreInUse
from kith.sdk.room import Send
from sdk.meeting import CHEAP, PASSPHRASE, Meeting, eventually, introduce, next_message

WRITER = f"""
import asyncio, sys
from pathlib import Path
from kith.sdk import Client, Cost, PackageLimits

async def main(store, room, many):
    cost = Cost(memory_kib={CHEAP.memory_kib}, passes=1, lanes=1)
    async with Client(store, {PASSPHRASE!r}, packages=PackageLimits(first=5, refill_below=3, full=6), cost=cost) as me:
        chat = me.room(room)
        done = sum(one.mine for one in chat.history(10_000)) + len(chat.unsent())
        for number in range(done, many):
            chat.queue(f"number {{number}}")
        while chat.unsent():
            await asyncio.sleep(0.02)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def killed_and_started_again(store: Path, room: str, many: int) -> int:
    """A program that writes so many messages and is killed ever later, until it gets to its end; how often."""
    for kills in range(40):
        program = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", WRITER, str(store), room, str(many)])
        try:
            code = await asyncio.to_thread(program.wait, 0.5 * 1.11**kills)
        except subprocess.TimeoutExpired:
            program.send_signal(signal.SIGKILL)
            await asyncio.to_thread(program.wait)
        else:
            assert code == 0
            return kills
    raise AssertionError("it never got to its end")


def test_a_program_that_is_killed_again_and_again_says_everything_once(meeting: Meeting) -> None:
    """kill -9 while it encrypts and sends: the reader gets each message once, in order, and nothing unreadable."""
    many = 150

    async def story() -> None:
        async with meeting.client("cay") as cay:
            async with meeting.client("deb") as deb:
                await meeting.join(deb, "deb")
                await meeting.join(cay, "cay")
                room, _ = await introduce(deb, cay, "number 0")
            kills = await killed_and_started_again(meeting.folder / "deb.kith", room.id, many)
            heard = [await cay.next_message(everything=True) for _ in range(many - 1)]
            assert [one.kind for one in heard] == ["text"] * (many - 1)
            assert [one.text for one in heard] == [f"number {n}" for n in range(1, many)]
            assert [one.seq for one in cay.room(room.id).history(many)] == list(range(1, many + 1))
            assert kills > 0, "the machine was too fast for this test: raise `many`"

    asyncio.run(story())


async def encrypted_but_not_sent(client: Client, room: str, words: str) -> Submit:
    """Everything up to the moment at which the bytes would leave; they never do."""
    state = client.state(room)
    client._online = False
    client.queue(room, words)
    await asyncio.gather(*client._busy.values())
    state.turn(client.now(), set(), online=True)
    (frame,) = [one.frame for one in state.effects() if isinstance(one, Send)]
    assert isinstance(frame, Submit)
    return frame


def test_after_a_crash_the_same_bytes_leave(meeting: Meeting) -> None:
    """What was encrypted is on disk before it leaves; the next process sends exactly that, and is understood."""

    async def story() -> None:
        async with meeting.client("eli") as eli:
            async with meeting.client("fay") as fay:
                await meeting.join(fay, "fay")
                await meeting.join(eli, "eli")
                room, _ = await introduce(fay, eli)
                before = await encrypted_but_not_sent(fay, room.id, "said before the crash")
            async with meeting.client("fay") as fay:
                (waiting,) = fay.room(room.id).unsent()
                assert waiting.sealed is not None
                assert (waiting.sealed.key, waiting.sealed.wire) == (before.key, before.message)
                assert (await next_message(eli)).text == "said before the crash"
                await fay.room(room.id).send("and after it")
                assert (await next_message(eli)).text == "and after it"

    asyncio.run(story())


def test_a_lost_transaction_would_use_a_key_again(meeting: Meeting) -> None:
    """The control: encrypting twice from one stored state gives two messages of one key, of which one is unreadable."""

    async def story() -> None:
        async with meeting.client("gus") as gus, meeting.client("hal") as hal:
            await meeting.join(gus, "gus")
            await meeting.join(hal, "hal")
            room, _ = await introduce(gus, hal)
            record = gus.state(room.id)._record()
            await gus.room(room.id).send("with this key")
            assert record is not None
            vault = gus._need_vault()
            with vault.transaction():
                vault.put("groups", room.id, record)  # an older state: what a store copied back in time would hold
            await gus.room(room.id).send("with the same key")
            await gus.room(room.id).send("with the next key")
            kinds = [(await hal.next_message(everything=True)).kind for _ in range(3)]
            assert kinds == ["text", "tombstone", "text"]

    asyncio.run(story())


@pytest.mark.slow
def test_a_killed_server_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """kill -9 of the server with messages in flight both ways: everything once, in one order, on both sides."""

    async def story(server: Server) -> None:
        meeting = Meeting(server.origin, tmp_path)
        async with meeting.client("ida") as ida, meeting.client("jon") as jon:
            await meeting.join(ida, "ida")
            await meeting.join(jon, "jon")
            hers, his = await introduce(ida, jon)
            for number in range(10):
                hers.queue(f"ida {number}")
                his.queue(f"jon {number}")
            await asyncio.sleep(0.1)
            server.kill()
            await asyncio.to_thread(server.start)
            to_jon = [(await next_message(jon)).text for _ in range(10)]
            to_ida = [(await next_message(ida)).text for _ in range(10)]
            assert to_jon == [f"ida {n}" for n in range(10)]
            assert to_ida == [f"jon {n}" for n in range(10)]

            async def all_sent() -> bool | None:
                return None if hers.unsent() or his.unsent() else True

            await eventually(all_sent, "everything being sent")
            assert [one.text for one in hers.history()] == [one.text for one in his.history()]

    with served(tmp_path / "own") as server:
        asyncio.run(story(server))


def test_a_store_is_for_one_program_at_a_time(meeting: Meeting) -> None:
    """A second program gets a sentence, not the keys."""

    async def story() -> None:
        async with meeting.client("kim"):
            with pytest.raises(StoreInUse, match="Another program"):
                async with meeting.client("kim"):
                    pass
        async with meeting.client("kim"):
            pass

    asyncio.run(story())
