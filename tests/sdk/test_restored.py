"""An older copy of the server is put back: what comes afterwards is new, and the gap is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.serverside import made
from evil.scene import scene
from journeys.harness import Server
from kith.app import backup, restore
from kith.ledger.limits import DAY
from kith.messaging.flows import restoring
from kith.protocol.frames import MESSAGE
from kith.sdk.room import HOLE_MS
from sdk.meeting import Meeting, introduce, next_message


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test alone: it goes back in time."""
    running = made(tmp_path)
    yield running
    running.stop()


def back_in_time(server: Server, tmp_path: Path) -> None:
    """The server ends and starts again from the copy."""
    server.stop()
    restore.put_back(tmp_path / "copy", server.data, replace=True)
    server.start()


def test_after_a_restore_people_write_on_and_nothing_new_is_taken_for_old(server: Server, tmp_path: Path) -> None:
    """Both devices are ahead of the restored server; every later message arrives once, behind a gap."""
    meeting = Meeting(server.origin, tmp_path)

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("ben") as ben:
            await meeting.join(ann, "ann")
            await meeting.join(ben, "ben")
            hers, his = await introduce(ann, ben)
            await asyncio.to_thread(backup.make, server.data, tmp_path / "copy")  # while it runs
            for n in range(3):
                await hers.send(f"forgotten {n}")
                assert (await next_message(ben)).text == f"forgotten {n}"
            await asyncio.to_thread(back_in_time, server, tmp_path)
            for n in range(3):
                await hers.send(f"after {n}")
                assert (await next_message(ben)).text == f"after {n}"
                await his.send(f"yes {n}")
                assert (await next_message(ann)).text == f"yes {n}"
            texts = [message.text for message in his.history(100) if message.text.startswith(("forgotten", "after"))]
            assert texts == [*(f"forgotten {n}" for n in range(3)), *(f"after {n}" for n in range(3))]

    asyncio.run(story())


def test_without_the_leap_new_messages_are_lost(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same restore without its leap gives positions out twice, and devices refuse what they had."""
    monkeypatch.setattr(restore, "_COUNTERS", ())
    monkeypatch.setattr(restoring, "leap", lambda *_: None)
    meeting = Meeting(server.origin, tmp_path)

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("ben") as ben:
            await meeting.join(ann, "ann")
            await meeting.join(ben, "ben")
            hers, _ = await introduce(ann, ben)
            backup.make(server.data, tmp_path / "copy")
            for n in range(3):
                await hers.send(f"forgotten {n}")
                await next_message(ben)
            await asyncio.to_thread(back_in_time, server, tmp_path)
            hers.queue("lost")
            other = asyncio.create_task(next_message(ben))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(other, 3 * HOLE_MS / 1000)

    asyncio.run(story())


def test_a_room_goes_past_the_leap_of_a_restored_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a message comes behind the gap or an answer does, and when the server was restored again meanwhile."""

    async def story() -> None:
        async with scene(tmp_path, monkeypatch) as s:
            await s.goes_on()
            for far in (restoring.LEAP, restoring.far(400 * DAY)):
                before = len(s.texts())
                s.pos, s.seq = s.pos + far, s.seq + far
                await s.mail(MESSAGE, *s.says("behind the gap"))
                assert len(s.texts()) == before  # the hole may still fill
                await s.later(HOLE_MS)
                assert [(one.text, one.gap_before) for one in s.rows()][-1] == ("behind the gap", far)
                submit = await s.writes("an answer of ours")
                s.pos, s.seq = s.pos + far, s.seq + far
                await s.hears(s.answer(submit))
                await s.later(HOLE_MS)
                assert s.texts()[before:] == ["behind the gap", "an answer of ours"]
                assert s.state.outbox() == []
                await s.goes_on()

    asyncio.run(story())
