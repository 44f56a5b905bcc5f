"""What a room needs besides words: keys that are renewed, commits that race, mail that never comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kith.protocol.frames import MESSAGE, Commit, Mail, Refused
from kith.protocol.mls.ratchet_tree import leaves_of
from kith.sdk import Client, room
from kith.sdk.client import now_ms
from kith.sdk.link import Link
from sdk.meeting import CHEAP, FEW, PASSPHRASE, PASSWORD, Meeting, eventually, introduce, next_message

DAY_MS = 24 * 3600 * 1000


class Clock:
    """The true time and what was added to it."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        """Unix milliseconds."""
        return now_ms() + self.ahead_ms


def epoch_of(client: Client, room_id: str) -> int:
    """Which epoch this device is in."""
    return client.state(room_id)._epoch()


async def at_epoch(client: Client, room_id: str, epoch: int) -> None:
    """Wait until this device is in that epoch or a later one."""

    async def there() -> bool | None:
        return epoch_of(client, room_id) >= epoch or None

    await eventually(there, f"epoch {epoch}")


async def at_rest(client: Client) -> None:
    """Nothing is under way in any room of this device, nor will be before the clock goes on."""

    async def idle() -> bool | None:
        return not (client._busy or client._again) or None

    await eventually(idle, "every turn's end")


def test_a_device_that_only_reads_renews_its_keys_after_a_week(meeting: Meeting) -> None:
    """An empty commit in the day after the seventh, by the clock, once; before it, as a control, nothing."""
    clock = Clock()

    async def story() -> None:
        reader = Client(meeting.folder / "rae.kith", PASSPHRASE, packages=FEW, cost=CHEAP, clock=clock)
        async with reader as rae, meeting.client("tim") as tim:
            await meeting.join(rae, "rae")
            await meeting.join(tim, "tim")
            his, hers = await introduce(tim, rae)
            before = epoch_of(rae, hers.id)
            key = own_leaf_key(rae, hers.id)
            clock.ahead_ms = 7 * DAY_MS - 3_600_000
            rae._poke(hers.id)
            await at_rest(rae)
            assert epoch_of(rae, hers.id) == before
            clock.ahead_ms = 8 * DAY_MS + 60_000
            rae._poke(hers.id)
            await at_epoch(rae, hers.id, before + 1)
            await at_epoch(tim, his.id, before + 1)
            assert own_leaf_key(rae, hers.id) != key
            rae._poke(hers.id)
            await at_rest(rae)
            assert epoch_of(rae, hers.id) == before + 1
            await his.send("as before")
            assert (await next_message(rae)).text == "as before"

    asyncio.run(story())


def own_leaf_key(client: Client, room_id: str) -> bytes:
    """The public half of what others encrypt new epochs to."""
    group = client.state(room_id).group()
    assert group is not None
    leaf: Any = dict(leaves_of(group.tree))[group.own_leaf]
    return bytes(leaf.encryption_key)


def test_keys_are_renewed_after_so_many_messages(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted down to five here: no epoch carries more of one device, and nothing is lost on the way."""
    assert room.ROTATE_AFTER_MESSAGES == 1_000
    monkeypatch.setattr(room, "ROTATE_AFTER_MESSAGES", 5)

    async def story() -> None:
        async with meeting.client("sal") as sal, meeting.client("ugo") as ugo:
            await meeting.join(sal, "sal")
            await meeting.join(ugo, "ugo")
            hers, _ = await introduce(sal, ugo, "number 0")
            first = epoch_of(sal, hers.id)
            for number in range(1, 13):
                hers.queue(f"number {number}")
            heard = [(await next_message(ugo)).text for _ in range(12)]
            assert heard == [f"number {number}" for number in range(1, 13)]
            assert epoch_of(sal, hers.id) == first + 2  # 5 and 5 of them, then 3
            assert epoch_of(ugo, hers.id) == first + 2

    asyncio.run(story())


def test_two_devices_that_commit_at_once_end_in_one_epoch(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends commit in the same epoch: one wins, the other follows and commits again, and both go on."""
    held: list[tuple[Link, Commit]] = []
    send = Link.send

    def hold(link: Link, frame: Any) -> bool:
        if not isinstance(frame, Commit):
            return send(link, frame)
        held.append((link, frame))
        return True

    async def story() -> None:
        async with meeting.client("van") as van, meeting.client("wil") as wil:
            await meeting.join(van, "van")
            await meeting.join(wil, "wil")
            hers, his = await introduce(van, wil)
            before = epoch_of(van, hers.id)
            await at_epoch(wil, his.id, before)
            monkeypatch.setattr(Link, "send", hold)
            for client in (van, wil):  # a week passes for both in one moment
                client.now = later(8 * DAY_MS + 60_000)
                client._poke(hers.id)

            async def both() -> bool | None:
                return len(held) == 2 or None

            await eventually(both, "a commit of each")
            monkeypatch.setattr(Link, "send", send)
            for link, frame in held:
                send(link, frame)
            for client in (van, wil):
                await at_epoch(client, hers.id, before + 2)
            for client in (van, wil):
                await at_rest(client)
                record = client.state(hers.id)._record()
                assert record is not None
                assert (record.broken, record.pending_key) == (None, None)
            await hers.send("after the race")
            assert (await next_message(wil)).text == "after the race"
            await his.send("and back")
            assert (await next_message(van)).text == "and back"

    asyncio.run(story())


def later(ms: int) -> Callable[[], int]:
    """A clock that is ahead."""
    return lambda: now_ms() + ms


def test_where_nothing_is_taken_any_more_no_keys_are_renewed(meeting: Meeting) -> None:
    """After a block the week passes without a commit, and the next look is another day."""

    async def story() -> None:
        async with meeting.client("cy") as cy, meeting.client("di") as di:
            await meeting.join(cy, "cy")
            await meeting.join(di, "di")
            hers, _ = await introduce(di, cy)
            before = epoch_of(cy, hers.id)
            await cy.block(di.account)
            cy.now = later(8 * DAY_MS + 60_000)
            state = cy.state(hers.id)

            async def put_off() -> bool | None:
                cy._poke(hers.id)
                await at_rest(cy)
                return (state.wake_ms or 0) > cy.now() + DAY_MS // 2 or None

            await eventually(put_off, "another day")
            record = state._record()
            assert record is not None
            assert (epoch_of(cy, hers.id), record.pending_key, record.broken) == (before, None, None)

    asyncio.run(story())


def test_mail_of_a_group_does_not_stop_the_rest(meeting: Meeting) -> None:
    """Of one that this account has left: it is acknowledged, or it would fill the window before other mail."""

    async def story() -> None:
        async with meeting.client("eve") as eve, meeting.client("fin") as fin:
            await meeting.join(eve, "eve")
            await meeting.join(fin, "fin")
            his, _ = await introduce(fin, eve)
            made: dict[str, Any] = await eve.api.call(dict[str, Any], "POST", "/groups", {"name": "Choir"})
            group = made["room"]
            await eve.api.leave_group(group)
            acknowledged: list[int] = []
            link = eve._link
            assert link is not None
            acks = link.ack

            def note(mail_id: int) -> None:
                acknowledged.append(mail_id)
                acks(mail_id)

            link.ack = note  # type: ignore[method-assign]
            for number in (1, 2):
                eve._heard(Mail(1_000_000 + number, MESSAGE, group, number, b"sealed", None))

            async def both() -> bool | None:
                return {1_000_001, 1_000_002} <= set(acknowledged) or None

            await eventually(both, "the acknowledgement of both")
            assert {one.kind for one in eve.history(group, 10)} <= {"info", "tombstone"}
            await his.send("still here")
            assert (await next_message(eve)).text == "still here"

    asyncio.run(story())


def test_several_devices_come_and_go_at_once(meeting: Meeting) -> None:
    """Two new devices sign in while another is removed and both sides write: everybody left reads what follows."""

    async def story() -> None:
        async with meeting.client("xia") as xia, meeting.client("yan") as yan, meeting.client("xia2") as second:
            code = await meeting.join(xia, "xia")
            other_code = await meeting.join(yan, "yan")
            await second.sign_in(meeting.origin, xia.handle, PASSWORD, recovery_code=code)
            hers, his = await introduce(xia, yan)
            (gone,) = [one.id for one in await xia.devices() if not one.current]
            async with meeting.client("xia3") as third, meeting.client("yan2") as fourth:
                await asyncio.gather(
                    third.sign_in(meeting.origin, xia.handle, PASSWORD, recovery_code=code),
                    fourth.sign_in(meeting.origin, yan.handle, PASSWORD, recovery_code=other_code),
                    xia.remove_device(gone),
                    hers.send("while devices come and go"),
                    his.send("so do I"),
                )
                assert gone not in {one.id for one in await xia.devices()}
                left = (xia, yan, third, fourth)

                async def together() -> bool | None:
                    groups = [client.state(hers.id).group() for client in left]
                    there = [group for group in groups if group is not None]
                    sizes = {len(yan.state(hers.id)._engine().roster(group)) for group in there}
                    return (len(there), sizes, len({group.epoch for group in there})) == (4, {4}, 1) or None

                await eventually(together, "one epoch with the four devices that are left", 60)
                await his.send("for all of you")
                for client in (xia, third, fourth):
                    await hears(client, "for all of you")

    asyncio.run(story())


async def hears(client: Client, text: str) -> None:
    """That text stands in a thread of this device."""

    async def there() -> bool | None:
        rooms = [one.room for one in await client.chats()]
        return any(line.text == text for one in rooms for line in client.history(one, 50)) or None

    await eventually(there, text)


def test_mail_that_never_comes_leaves_a_gap_and_no_more(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread waits a moment for a missing place, goes on, and says how many messages are missing there."""
    monkeypatch.setattr(room, "HOLE_MS", 200)

    async def story() -> None:
        async with meeting.client("zoe") as zoe, meeting.client("abe") as abe:
            await meeting.join(zoe, "zoe")
            await meeting.join(abe, "abe")
            hers, his = await introduce(zoe, abe)
            await hers.send("one")
            state = abe.state(his.id)
            lost: list[Mail] = []
            taken = state.take

            def without_two(frame: Any) -> None:
                if isinstance(frame, Mail) and frame.kind == MESSAGE and len(lost) < 2:
                    lost.append(frame)
                else:
                    taken(frame)

            first = await next_message(abe)
            monkeypatch.setattr(state, "take", without_two)
            for text in ("lost", "lost too", "four", "five"):
                await hers.send(text)
            heard = [first, await next_message(abe), await next_message(abe)]
            assert [one.text for one in heard] == ["one", "four", "five"]
            assert [one.gap_before for one in heard] == [0, 2, 0]
            assert [one.gap_before for one in his.history()] == [0, 0, 2, 0]
            assert [one.gap_before for one in his.history(2)] == [2, 0]
            for late in lost:  # nothing is put in afterwards: the thread went on
                taken(late)
            abe._poke(his.id)
            await at_rest(abe)
            assert [one.text for one in his.history()] == ["Hello!", "one", "four", "five"]

    asyncio.run(story())


def test_news_that_came_after_a_commit_does_not_wait_for_its_refusal(meeting: Meeting) -> None:
    """A refused commit was made before the devices changed again: what is due since then stays due. Else it waits."""

    async def story() -> None:
        async with meeting.client("una") as una, meeting.client("vic") as vic:
            await meeting.join(una, "una")
            await meeting.join(vic, "vic")
            chat, _ = await introduce(una, vic)
            state = una.state(chat.id)
            record = state._record()
            assert record is not None
            refused = Refused(b"k" * 16, "invalid", "It does not leave the devices of this room.", None)
            state.turn(una.now(), set(), online=False)
            state._commit_refused(record, refused)
            assert state._reconcile_at == state._not_before >= una.now() + 20_000
            state.reconcile_soon(una.now())
            soon = state._reconcile_at
            state._commit_refused(record, refused)
            assert state._reconcile_at == soon < una.now() + 2_000

    asyncio.run(story())
