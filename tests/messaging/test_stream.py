"""The stream over real sockets: admission, order, windows, refusals, and nothing that breaks it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from kith.app import stream
from kith.app.settings import Socket
from kith.app.stream import Hub
from kith.ledger.signals import Changed
from kith.messaging import handshakes
from kith.messaging.flows import handshaking
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.writing import NOT_ALLOWED
from kith.people import blocks, sessions
from kith.people.sessions import COOKIE
from kith.protocol import frames
from kith.protocol.frames import Accepted, Bye, Delivered, Ephemeral, Mail, Pong, Refused
from kith.protocol.franking import build_aad
from messaging.conftest import Pair
from messaging.mls import Group, private
from messaging.town import Town
from messaging.wire import ORIGIN, SOCKETS, Device, online, serving

NO_ROOM = "7f0c0c8e-0000-4000-8000-000000000000"
CARRIED_BY: Socket = "picows"
Story = Callable[[Hub, str], Awaitable[None]]


@pytest.fixture(autouse=True, params=SOCKETS)
def carried_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything here holds on the fast socket and on the plain one."""
    kind = str(request.param)
    monkeypatch.setitem(globals(), "CARRIED_BY", kind)
    return kind


def play(town: Town, story: Story, limits: Limits = DEFAULTS) -> None:
    """Run a story against a server of its own."""

    async def run() -> None:
        async with serving(town, limits, CARRIED_BY) as (hub, url), asyncio.timeout(60):
            await story(hub, url)

    asyncio.run(run())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that tells nobody when it happens."""
    while not holds():  # noqa: ASYNC110  see above
        await asyncio.sleep(0.02)


async def gone(device: Device, *codes: str) -> str:
    """The server says BYE with one of these codes and closes."""
    bye = await device.until(Bye)
    assert bye.code in codes
    with pytest.raises(ConnectionClosed):
        await device.next()
    return str(bye.code)


# --- admission ------------------------------------------------------------------------------------


async def knock(url: str, headers: dict[str, str], origin: str | None, protocol: str) -> tuple[int, bytes]:
    """Status and body of a handshake."""
    spoken = [Subprotocol(protocol)]
    try:
        where = None if origin is None else Origin(origin)
        async with connect(url, additional_headers=headers, origin=where, subprotocols=spoken) as socket:
            return (101 if socket.subprotocol == protocol else 0), b""
    except InvalidStatus as refused:
        return refused.response.status_code, bytes(refused.response.body)


def test_who_may_open_a_stream(town: Town, pair: Pair) -> None:
    """A token; with a cookie also the server's own Origin; the subprotocol; the path. Judged before the upgrade."""
    token = town.tokens[pair.ana.device]
    bearer, cookie = {"Authorization": f"Bearer {token}"}, {"Cookie": f"a=b; {COOKIE}={token}"}
    table: list[tuple[dict[str, str], str | None, str, str, int]] = [
        (bearer, None, "kith.v1", "", 101),
        (bearer, "https://elsewhere.test", "kith.v1", "", 101),
        (cookie, ORIGIN, "kith.v1", "", 101),
        (cookie, None, "kith.v1", "", 403),
        (cookie, "https://elsewhere.test", "kith.v1", "", 403),
        (cookie, "null", "kith.v1", "", 403),
        ({}, ORIGIN, "kith.v1", "", 401),
        ({"Authorization": "Bearer nonsense"}, None, "kith.v1", "", 401),
        ({"Authorization": f"Basic {token}"}, None, "kith.v1", "", 401),
        ({"Cookie": f"{COOKIE}=nonsense"}, ORIGIN, "kith.v1", "", 401),
        ({}, None, "kith.v1", f"?token={token}", 401),
        (bearer, None, "kith.v2", "", 400),
        (bearer, None, "kith.v1", "/more", 404),
    ]

    async def story(_hub: Hub, url: str) -> None:
        for headers, origin, protocol, tail, status in table:
            got, body = await knock(url + tail, headers, origin, protocol)
            assert got == status
            assert got == 101 or json.loads(body)["error"]["message"]

    play(town, story)


def test_a_newer_connection_replaces_the_older(town: Town, pair: Pair) -> None:
    """BYE replaced; the newer one works, also after the older is gone."""

    async def story(hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as older, online(url, town, pair.ana) as newer:
            await gone(older, "replaced")
            assert hub.connected == 1
            assert isinstance(await newer.say(pair.group), Accepted)

    play(town, story)


class Full:
    """A disk that is full until told otherwise."""

    read_only = True


def test_a_server_short_of_space_takes_nothing_new_and_delivers_the_rest(town: Town, pair: Pair) -> None:
    """REFUSED read_only with a sentence and a time; mail still goes out; the same bytes are taken afterwards."""

    async def story(hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana, online(url, town, pair.ben) as ben:
            assert isinstance(await ana.say(pair.group), Accepted)
            hub._disk = disk = Full()  # type: ignore[assignment]  # as much of a disk as the hub asks for
            later = pair.group.message()
            refused = await ana.say(pair.group, b"k" * 16, later)
            assert isinstance(refused, Refused)
            assert refused.code == "read_only"
            assert "short of disk space" in str(refused.details)
            assert refused.retry_after_ms
            await ben.ack(await ben.until(Mail))
            disk.read_only = False
            assert isinstance(await ana.say(pair.group, b"k" * 16, later), Accepted)

    play(town, story)


def test_a_signed_out_device_is_cut_off_at_once(town: Town, pair: Pair) -> None:
    """BYE signed_out without anybody asking, and its token opens nothing any more."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as device:
            await town.database.write(sessions.destroy, pair.ana.account, pair.ana.device)
            async with asyncio.timeout(1):
                await gone(device, "signed_out")
        with pytest.raises(InvalidStatus):
            async with online(url, town, pair.ana):
                pass

    play(town, story)


def test_a_server_that_stops_says_so(town: Town, pair: Pair) -> None:
    """BYE restarting, and no new streams."""

    async def story(hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as device:
            closing = asyncio.create_task(hub.close())
            await gone(device, "restarting")
            await closing
            assert hub.connected == 0
        with pytest.raises(InvalidStatus):
            async with online(url, town, pair.ana):
                pass

    play(town, story)


# --- messages -------------------------------------------------------------------------------------


def test_a_message_reaches_the_other_phone_and_its_sender_gets_the_same_frank(town: Town, pair: Pair) -> None:
    """ACCEPTED and MAIL carry one frank; an ack empties the mailbox and hints at delivery."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana, online(url, town, pair.ben) as ben:
            body = pair.group.message()
            accepted = await ana.say(pair.group, body=body)
            assert isinstance(accepted, Accepted)
            welcome, mail = await ben.until(Mail), await ben.until(Mail)
            assert (welcome.kind, welcome.room_pos) == (frames.WELCOME, 1)
            assert (mail.kind, mail.room, mail.room_pos, mail.body) == (frames.MESSAGE, pair.room, 2, body)
            frank = (mail.frank.accepted_timestamp, mail.frank.room_seq, mail.frank.server_frank, mail.frank.proof)
            assert frank == (accepted.timestamp, accepted.room_seq, accepted.server_frank, accepted.proof)
            await ben.ack(welcome, mail)
            assert await ana.until(Delivered) == Delivered(pair.room, 2)

    play(town, story)
    assert town.mail(pair.ben) == []


def test_a_repeat_on_a_new_connection_gets_the_first_answer(town: Town, pair: Pair) -> None:
    """The answer was lost with the first connection."""

    async def story(_hub: Hub, url: str) -> None:
        key, body = os.urandom(16), pair.group.message()
        async with online(url, town, pair.ana) as ana:
            first = await ana.say(pair.group, key, body)
        async with online(url, town, pair.ana) as ana:
            assert await ana.say(pair.group, key, body) == first

    play(town, story)


def test_refusals_carry_what_the_contract_says(town: Town, pair: Pair) -> None:
    """Codes and details for each kind."""
    group = pair.group
    _, ahead = group.commit(pair.ana)
    eve = town.phone(town.person("eve"))

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana, online(url, town, eve) as stranger:
            stale = await ana.say(group, body=private(group.group_id, 0, build_aad(b"f" * 32)))
            assert (stale.code, stale.details) == ("epoch_too_old", "1")
            untagged = await ana.say(group, body=private(group.group_id, 1, b""))
            assert (untagged.code, untagged.retry_after_ms) == ("untagged", None)
            assert (await ana.say(ahead)).code == "invalid"
            assert (await ana.say(group, body=group.message(size=74_000))).code == "too_large"
            submitted, _ = ahead.commit(pair.ana)
            wrong = await ana.commit(pair.room, submitted)
            assert (wrong.code, wrong.details) == ("wrong_epoch", "1")
            fixed = await stranger.say(group)
            await town.database.write(blocks.block, pair.ben.account, pair.ana.account)
            blocked = await ana.say(group)
            assert (fixed.code, fixed.details) == (blocked.code, blocked.details)
            assert (blocked.code, blocked.details) == ("not_allowed", "You can't send messages in this chat.")

    play(town, story)


def test_a_commit_of_who_may_not_write_is_refused_before_it_is_read(
    town: Town, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mebibyte of tree costs work: nothing of it is looked at for a stranger, the blocked, or no room."""
    submitted, _ = pair.group.commit(pair.ana)
    heavy = submitted._replace(group_info=b"\0" * 200_000)
    eve = town.phone(town.person("eve"))
    looked_at: list[str] = []
    read = handshakes.read

    def watched(*args: Any, **facts: Any) -> Any:
        looked_at.append(facts["device"])
        return read(*args, **facts)

    monkeypatch.setattr(handshaking, "read", watched)

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana, online(url, town, eve) as stranger:
            refused = [await stranger.commit(room, heavy) for room in (pair.room, NO_ROOM)]
            assert looked_at == []
            member = await ana.commit(pair.room, heavy)
            assert (member.code, looked_at) == ("invalid", [pair.ana.device])
            await town.database.write(blocks.block, pair.ben.account, pair.ana.account)
            refused.append(await ana.commit(pair.room, heavy))
            assert looked_at == [pair.ana.device]
            assert {(one.code, one.details) for one in refused} == {("not_allowed", NOT_ALLOWED)}

    play(town, story)


def test_a_large_commit_is_read_beside_the_loop_whichever_part_is_large(
    town: Town, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commit, Welcome and GroupInfo count together; a small one is read at once, which is the control."""
    beside: list[bool] = []
    prepare = handshaking.prepare

    def watched(*args: Any, **facts: Any) -> Any:
        beside.append(threading.current_thread() is not threading.main_thread())
        return prepare(*args, **facts)

    monkeypatch.setattr(handshaking, "prepare", watched)
    small, _ = pair.group.commit(pair.ana)
    large = b"\0" * 20_000
    parts = [small._replace(commit=large), small._replace(welcome=large), small._replace(group_info=large)]

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            for part in parts:
                assert isinstance(await ana.commit(pair.room, part), Refused)
            assert isinstance(await ana.commit(pair.room, small), Accepted)

    play(town, story)
    assert beside == [True, True, True, False]


def test_a_commit_over_the_stream_moves_everybody(town: Town, pair: Pair) -> None:
    """ACCEPTED without a frank for the committer, MAIL for the other."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana, online(url, town, pair.ben) as ben:
            submitted, group = pair.group.commit(pair.ben)
            accepted = await ben.commit(pair.room, submitted)
            assert (accepted.room_pos, accepted.room_seq, accepted.suite, accepted.proof) == (2, None, None, None)
            mail = await ana.until(Mail)
            assert (mail.kind, mail.room_pos, mail.body, mail.frank) == (
                frames.COMMIT,
                2,
                submitted.commit,
                None,
            )
            assert (await ana.say(group)).room_pos == 3

    play(town, story)


def test_answers_and_mail_of_a_room_come_in_the_order_of_their_positions(town: Town, pair: Pair) -> None:
    """Both sides write at once, as fast as they may: every device sees every position, each one step further."""
    count = 60

    async def talk(device: Device) -> list[int]:
        for _ in range(count):
            await device.submit(pair.group)
        positions: list[int] = []
        while len(positions) < 2 * count:
            frame = await device.next()
            if isinstance(frame, Accepted) or (isinstance(frame, Mail) and frame.kind == frames.MESSAGE):
                positions.append(frame.room_pos)
            if isinstance(frame, Mail):
                await device.ack(frame)
            assert not isinstance(frame, Refused)
        return positions

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana, online(url, town, pair.ben) as ben:
            welcome = await ben.until(Mail)
            await ben.ack(welcome)
            seen = await asyncio.gather(talk(ana), talk(ben))
            assert list(seen) == [list(range(2, 2 * count + 2))] * 2

    play(town, story)


def test_unacked_mail_is_sent_again_in_order_on_every_connect(town: Town, pair: Pair) -> None:
    """And what was acked is not."""

    async def story(_hub: Hub, url: str) -> None:
        for _ in range(5):
            town.send(pair.ana, pair.group)
        async with online(url, town, pair.ben) as ben:
            mails = [await ben.until(Mail) for _ in range(6)]
            await ben.ack(mails[1], mails[3])
            assert await ben.silent()
        async with online(url, town, pair.ben) as ben:
            again = [await ben.until(Mail) for _ in range(4)]
            assert again == [mails[0], mails[2], mails[4], mails[5]]

    play(town, story)


def test_no_more_than_a_window_of_mail_is_under_way(town: Town, pair: Pair) -> None:
    """The next comes when one was acked."""

    async def story(_hub: Hub, url: str) -> None:
        for _ in range(5):
            town.send(pair.ana, pair.group)
        async with online(url, town, pair.ben) as ben:
            mails = [await ben.until(Mail) for _ in range(3)]
            assert await ben.silent()
            await ben.ack(mails[0])
            assert (await ben.until(Mail)).room_pos == 4
            assert await ben.silent()

    play(town, story, replace(DEFAULTS, mail_in_flight=3))


def test_an_answer_waits_for_mail_before_it_even_when_the_window_is_full(town: Town, pair: Pair) -> None:
    """A device that is catching up gets its own answers in their place."""

    async def story(_hub: Hub, url: str) -> None:
        for _ in range(3):
            town.send(pair.ana, pair.group)
        async with online(url, town, pair.ben) as ben:
            await ben.submit(pair.group)
            first = [await ben.until(Mail) for _ in range(2)]
            assert await ben.silent()
            await ben.ack(*first)
            rest = [await ben.next() for _ in range(3)]
            places = [frame.room_pos for frame in rest if isinstance(frame, (Mail, Accepted))]
            assert places == [3, 4, 5]
            assert isinstance(rest[-1], Accepted)

    play(town, story, replace(DEFAULTS, mail_in_flight=2))


def test_who_acks_nothing_is_dropped_and_resumes(town: Town, pair: Pair) -> None:
    """BYE slow; the mailbox still has everything."""

    async def story(_hub: Hub, url: str) -> None:
        for _ in range(3):
            town.send(pair.ana, pair.group)
        async with online(url, town, pair.ben) as ben:
            await gone(ben, "slow")
        async with online(url, town, pair.ben) as ben:
            assert (await ben.until(Mail)).room_pos == 1

    play(town, story, replace(DEFAULTS, mail_in_flight=2, ack_timeout_ms=200))


def test_acks_of_what_was_never_sent_do_not_keep_a_full_window_open(town: Town, pair: Pair) -> None:
    """Only an ack of mail that is under way says that somebody reads."""

    async def story(_hub: Hub, url: str) -> None:
        for _ in range(3):
            town.send(pair.ana, pair.group)
        async with online(url, town, pair.ben) as ben:
            for _ in range(2):
                await ben.until(Mail)
            with contextlib.suppress(ConnectionClosed):
                for _ in range(60):
                    await ben.put(frames.Ack((999_999,)))
                    await asyncio.sleep(0.05)
            await gone(ben, "slow")

    play(town, story, replace(DEFAULTS, mail_in_flight=2, ack_timeout_ms=400))


def test_answers_behind_mail_that_is_not_acked_do_not_pile_up(
    town: Town, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bounded number of them waits; further submissions are told to come later, and nothing is lost."""
    monkeypatch.setattr("kith.app.connection.REPLIES", 5)

    async def story(_hub: Hub, url: str) -> None:
        for _ in range(3):
            town.send(pair.ana, pair.group)
        async with online(url, town, pair.ben) as ben:
            mails = [await ben.until(Mail) for _ in range(2)]
            for _ in range(5):
                await ben.submit(pair.group)
            assert await ben.silent(0.5)
            key = await ben.submit(pair.group)
            refused = await ben.until(Refused)
            assert (refused.key, refused.code) == (key, "limited")
            await ben.ack(*mails)
            positions = [(await ben.until(Accepted)).room_pos for _ in range(5)]
            assert positions == [5, 6, 7, 8, 9]
            assert isinstance(await ben.say(pair.group, key), Accepted)

    play(town, story, replace(DEFAULTS, mail_in_flight=2))


def test_who_reads_nothing_is_dropped(town: Town, pair: Pair) -> None:
    """Full buffers in the kernel and the server end the connection after the timeout."""
    for _ in range(120):
        town.send(pair.ana, pair.group, body=pair.group.message(size=70_000))

    async def story(hub: Hub, url: str) -> None:
        headers = {"Authorization": f"Bearer {town.tokens[pair.ben.device]}"}
        async with connect(
            url,
            additional_headers=headers,
            subprotocols=[Subprotocol("kith.v1")],
            compression=None,
            max_queue=1,
            close_timeout=0.2,
        ):
            await until(lambda: hub.connected == 1)
            await until(lambda: hub.connected == 0)

    play(town, story, replace(DEFAULTS, send_timeout_ms=300, mail_in_flight_bytes=2**30))


def test_who_says_nothing_at_all_is_dropped_and_ping_keeps_alive(town: Town, pair: Pair) -> None:
    """PING is answered with the time."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            for _ in range(4):
                await asyncio.sleep(0.15)
                await ana.put(frames.Ping())
                assert await ana.until(Pong) == Pong(town.clock.now)
            await gone(ana, "slow")

    play(town, story, replace(DEFAULTS, idle_timeout_ms=300))


def test_notices_ring_online_devices_and_need_no_ack(town: Town, pair: Pair) -> None:
    """Each word once, however often it was rung; nothing of it is stored."""

    async def story(hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            for _ in range(3):
                hub.listener(Changed(pair.ana.account, "standing"))
            hub.listener(Changed(pair.ben.account, "notices"))
            hub.listener(Changed(pair.ana.account, "requests"))
            mails = [await ana.until(Mail) for _ in range(2)]
            assert [(mail.mail_id, mail.kind, mail.room, json.loads(mail.body)) for mail in mails] == [
                (0, frames.NOTICE, None, {"what": "standing"}),
                (0, frames.NOTICE, None, {"what": "requests"}),
            ]
            assert await ana.silent()
            await ana.ack(*mails)

    play(town, story)


# --- ephemeral ------------------------------------------------------------------------------------


def test_typing_reaches_devices_on_line_behind_what_was_said(town: Town, pair: Pair) -> None:
    """An ephemeral frame follows the message sent before it and carries its position; it is stored nowhere."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana, online(url, town, pair.ben) as ben:
            for _ in range(3):
                await ana.submit(pair.group)
            body = pair.group.message(tag=None)
            await ana.put(frames.SendEphemeral(pair.room, body))
            got = [await ben.next() for _ in range(5)]
            assert [type(frame) for frame in got] == [Mail] * 4 + [Ephemeral]
            assert got[-1] == Ephemeral(pair.room, 4, body)
        async with online(url, town, pair.ben) as ben:
            assert [type(await ben.next()) for _ in range(4)] == [Mail] * 4
            assert await ben.silent()

    play(town, story)


def test_an_ephemeral_frame_waits_for_a_device_that_is_catching_up_or_is_dropped(town: Town, pair: Pair) -> None:
    """It never overtakes a message; when its time is over it is not sent at all."""

    async def story(_hub: Hub, url: str) -> None:
        for _ in range(2):
            town.send(pair.ana, pair.group)
        async with online(url, town, pair.ana) as ana, online(url, town, pair.ben) as ben:
            first = [await ben.until(Mail) for _ in range(2)]
            await ana.put(frames.SendEphemeral(pair.room, pair.group.message(tag=None)))
            assert await ben.silent(0.1)
            await ben.ack(first[0])
            assert (await ben.until(Mail)).room_pos == 3
            assert isinstance(await ben.next(), Ephemeral)
            town.send(pair.ana, pair.group)
            await ana.put(frames.SendEphemeral(pair.room, pair.group.message(tag=None)))
            await asyncio.sleep(0.7)
            await ben.ack(first[1])
            assert (await ben.until(Mail)).room_pos == 4
            assert await ben.silent()

    play(town, story, replace(DEFAULTS, mail_in_flight=2, ephemeral_wait_ms=500))


def test_what_is_not_ephemeral_is_dropped_silently(town: Town, pair: Pair) -> None:
    """Tagged, stale, too large, of another room, garbage, by a stranger, across a block: nobody hears anything."""
    group = pair.group
    eve = town.phone(town.person("eve"))

    async def story(_hub: Hub, url: str) -> None:
        async with (
            online(url, town, pair.ana) as ana,
            online(url, town, pair.ben) as ben,
            online(url, town, eve) as stranger,
        ):
            await ben.until(Mail)
            good = group.message(tag=None)
            for body in (
                group.message(),
                private(group.group_id, 0, b""),
                group.message(tag=None, size=5_000),
                private(b"g" * 16, 1, b""),
                b"garbage",
            ):
                await ana.put(frames.SendEphemeral(pair.room, body))
            await stranger.put(frames.SendEphemeral(pair.room, good))
            assert await ben.silent()
            await ana.put(frames.SendEphemeral(pair.room, good))
            assert isinstance(await ben.next(), Ephemeral)
            await town.database.write(blocks.block, pair.ben.account, pair.ana.account)
            await ana.put(frames.SendEphemeral(pair.room, good))
            assert await ben.silent() or isinstance(ben.seen[-1], Mail)
            assert not isinstance(ben.seen[-1], Ephemeral)
            assert await ana.silent()

    play(town, story)


# --- floods and garbage ---------------------------------------------------------------------------


def test_submissions_over_the_rate_are_refused_with_a_time(town: Town, pair: Pair) -> None:
    """The connection stays; the message can be sent again."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            answers = [await ana.say(pair.group) for _ in range(5)]
            assert [isinstance(answer, Accepted) for answer in answers] == [True, True, True, False, False]
            assert answers[-1].code == "limited"
            assert 0 < answers[-1].retry_after_ms <= 1_000

    play(town, story, replace(DEFAULTS, submits_burst=3, submits_per_second=1))


def test_reconnecting_does_not_reset_the_rate(town: Town, pair: Pair) -> None:
    """The pace is the account's, over all its devices."""
    laptop = town.phone(pair.ana.account)

    async def story(_hub: Hub, url: str) -> None:
        for phone in (pair.ana, laptop, pair.ana):
            async with online(url, town, phone) as device:
                last = await device.say(pair.group)
        assert isinstance(last, Refused)
        assert last.code == "limited"

    play(town, story, replace(DEFAULTS, submits_burst=2, submits_per_second=1))


def test_a_crowd_of_accounts_does_not_reset_the_rate(town: Town, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a pace of which nothing is used is forgotten, however many accounts come by."""
    monkeypatch.setattr(stream, "PACES", 4)

    async def story(hub: Hub, url: str) -> None:
        hub._paces_before_looking = 4
        async with online(url, town, pair.ana):
            used = hub.pace(pair.ana.account)
        for _ in range(20):  # some minutes of a commit's pace
            used.commits.wait(asyncio.get_running_loop().time())
        for number in range(40):
            hub.pace(f"somebody {number}")
        assert len(hub._paces) < 12
        assert hub.pace(pair.ana.account) is used

    play(town, story)


def test_acks_of_mail_that_was_never_sent_are_paid_for(town: Town, pair: Pair) -> None:
    """A frame with thousands of made-up ids slows its sender down, and nothing else."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            began = asyncio.get_running_loop().time()
            await ana.put(frames.Ack(tuple(range(10_000, 10_400))))
            await ana.put(frames.Ping())
            await ana.until(Pong)
            assert asyncio.get_running_loop().time() - began > 0.3

    play(town, story, replace(DEFAULTS, frames_burst=10, frames_per_second=1_000))


def test_frames_over_the_rate_are_read_later(town: Town, pair: Pair) -> None:
    """A flood of pings is answered at the rate, and memory does not grow with it."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            began = asyncio.get_running_loop().time()
            for _ in range(40):
                await ana.put(frames.Ping())
            for _ in range(40):
                await ana.until(Pong)
            assert asyncio.get_running_loop().time() - began > 0.25

    play(town, story, replace(DEFAULTS, frames_burst=10, frames_per_second=100))


@pytest.mark.parametrize(
    "data",
    [
        "text",
        b"",
        b"\x05",
        b"\x91\x06",
        b"\x91\x10",
        b"\x92\x05\x00",
        b"\x94\x01\xc4\x0f" + b"k" * 15 + b"\xa1r\xc4\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\x91\x05\x00",
        b"\x92\x03\x91\xff",
        b"\x93\x04\xa1r\xc4\x00",
        b"\x92\x03" + b"\x91" * 500,
        frames.encode(frames.Submit(b"k" * 16, "7f0c0c8e-0000-4000-8000-000000000000", bytes(81 * 1024))),
    ],
    ids=lambda data: str(len(data)),
)
def test_anything_else_ends_the_connection_with_protocol(town: Town, pair: Pair, data: bytes | str) -> None:
    """And the next connection works."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            await ana.socket.send(data)
            await gone(ana, "protocol")
        async with online(url, town, pair.ana) as ana:
            assert isinstance(await ana.say(pair.group), Accepted)

    play(town, story)


def test_a_frame_over_a_mebibyte_is_cut_off_by_the_socket(town: Town, pair: Pair) -> None:
    """Before it was read whole; a commit of nearly that size is read and refused in words."""
    room = pair.room

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            await ana.put(frames.Commit(b"k" * 16, room, bytes(500_000), None, bytes(500_000)))
            assert (await ana.until(Refused)).code == "invalid"
            await ana.socket.send(bytes(1024 * 1024 + 8192))
            with pytest.raises(ConnectionClosed) as closed:
                await ana.until(Bye)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009

    play(town, story)


WHOLE = st.sampled_from([1, 2, 3, 4, 5, 16, 0, 2**40, -1])
VALUES: Any = st.recursive(
    st.none() | st.booleans() | WHOLE | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=12,
)


@given(data=st.lists(st.binary(max_size=200) | VALUES, min_size=1, max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_bytes_break_the_stream(town: Town, pair: Pair, data: list[Any]) -> None:
    """Raw bytes and well-formed msgpack of any shape: the connection answers or says BYE, and the server lives."""
    import msgspec  # noqa: PLC0415  only here

    raw = [item if isinstance(item, bytes) else msgspec.msgpack.encode(item) for item in data]

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            try:
                for item in raw:
                    await ana.socket.send(item)
                while not isinstance(await ana.next(), Bye):
                    pass
            except (ConnectionClosed, TimeoutError):
                pass
            codes = {frame.code for frame in ana.seen if isinstance(frame, Bye)}
            assert codes <= {"protocol"}
        async with online(url, town, pair.ana) as ana:
            await ana.put(frames.Ping())
            assert isinstance(await ana.until(Pong), Pong)

    play(town, story)


@given(commit=st.binary(max_size=300), welcome=st.none() | st.binary(max_size=100), info=st.binary(max_size=300))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_handshake_breaks_the_stream(
    town: Town, pair: Pair, commit: bytes, welcome: bytes | None, info: bytes
) -> None:
    """Any three byte strings are refused in words."""

    async def story(_hub: Hub, url: str) -> None:
        async with online(url, town, pair.ana) as ana:
            await ana.put(frames.Commit(b"k" * 16, pair.room, commit, welcome, info))
            assert (await ana.until(Refused)).code == "invalid"
            assert isinstance(await ana.say(Group.created(pair.room, pair.ana, town.clock.now)), Refused)

    play(town, story)
