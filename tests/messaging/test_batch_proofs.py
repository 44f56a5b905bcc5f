"""Proofs of a batch are made again from its leaves: the same bytes after a restart, for as long as a mail waits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kith.app.stream import Hub
from kith.ledger.database import Database
from kith.ledger.limits import DAY
from kith.messaging import outcomes
from kith.messaging.flows import delivery, sweeping
from kith.messaging.limits import DEFAULTS
from kith.protocol.frames import MESSAGE, Accepted, Mail
from kith.protocol.franking import BatchProof, Proof
from messaging.conftest import Pair
from messaging.test_lane import Desk, proves
from messaging.town import Town, projectors
from messaging.wire import online, serving


def batched(town: Town, pair: Pair, count: int = 3) -> dict[int, bytes]:
    """Messages of one batch, from both: position and proof. The first of each takes the flow, not the lane."""
    desk = Desk(town)
    desk.together([desk.item(pair.ana, pair.group), desk.item(pair.ben, pair.group)])
    items = [desk.item(phone, pair.group) for phone in (pair.ana, pair.ben) for _ in range(count)]
    answers = desk.together(items)
    town.database._lanes.remove(desk.lane)
    proofs = [Proof.decode(answer.proof) for answer in answers]
    assert all(isinstance(proof, BatchProof) and proof.batch_size == 2 * count for proof in proofs)
    return {answer.room_pos: answer.proof for answer in answers}


def rebuilt(town: Town, pair: Pair) -> dict[int, bytes | None]:
    """The proofs of what waits for either, as they would be sent now."""
    mails = [mail for phone in (pair.ana, pair.ben) for mail in town.mail(phone) if mail.kind == MESSAGE]
    return {mail.room_pos: town.body(mail).proof for mail in mails}


def test_a_restarted_server_makes_the_same_proofs(town: Town, pair: Pair, tmp_path: Path) -> None:
    """For mail and for a repeat, byte for byte, from another process's view of the file."""
    desk = Desk(town)
    desk.together([desk.item(pair.ana, pair.group), desk.item(pair.ben, pair.group)])
    items = [desk.item(pair.ana, pair.group) for _ in range(5)]
    first = desk.together(items)
    again = Database(tmp_path / "kith.db", projectors(), clock=town.clock)
    other = Town(again, town.clock, town.keys)
    try:
        assert [rebuilt(other, pair)[answer.room_pos] for answer in first] == [answer.proof for answer in first]
        for item, answer in zip(items, first, strict=True):
            assert other.do(delivery.send, item.sender, item.key, item.message, hub=other.hub) == answer
            assert proves(other, pair.ana, answer, pair.room)
    finally:
        again.close_now()


def test_a_device_that_comes_back_gets_the_proofs_that_the_sender_got(town: Town, pair: Pair) -> None:
    """Over the stream: nothing is remembered by the new hub, so that every path is made again."""
    sent = batched(town, pair)

    async def run() -> dict[int, bytes]:
        got: dict[int, bytes] = {}
        async with serving(town) as (_, url), asyncio.timeout(30):
            for phone in (pair.ana, pair.ben):
                async with online(url, town, phone) as device:
                    while len(set(got) & set(sent)) < len(sent) // (2 if phone is pair.ana else 1):
                        mail = await device.until(Mail)
                        if mail.kind == MESSAGE:
                            got[mail.room_pos] = mail.frank.proof
        return got

    got = asyncio.run(run())
    assert {position: got[position] for position in sent} == sent


def test_a_batch_formed_on_the_stream_is_proven_live_and_after_a_reconnect(town: Town, pair: Pair) -> None:
    """Answers, pushed mail and mail read back from the mailbox carry one and the same proof."""

    async def story(_: Hub, url: str) -> None:
        live: dict[int, bytes] = {}
        answers: dict[int, Accepted] = {}
        async with online(url, town, pair.ana) as ana, online(url, town, pair.ben) as ben:
            await ana.say(pair.group)
            while not any(isinstance(Proof.decode(one.proof or b""), BatchProof) for one in answers.values()):
                keys = {await ana.submit(pair.group) for _ in range(20)}
                while keys:
                    answer = await ana.until(Accepted)
                    keys.discard(answer.key)
                    answers[answer.room_pos] = answer
            while not set(answers) <= set(live):
                mail = await ben.until(Mail)
                if mail.kind == MESSAGE:
                    live[mail.room_pos] = mail.frank.proof
        assert all(proves(town, pair.ana, _as_answer(one), pair.room) for one in answers.values())
        back: dict[int, bytes] = {}
        async with online(url, town, pair.ben) as ben:
            while not set(answers) <= set(back):
                mail = await ben.until(Mail)
                if mail.kind == MESSAGE:
                    back[mail.room_pos] = mail.frank.proof
        expected = {position: answer.proof for position, answer in answers.items()}
        assert {position: live[position] for position in answers} == expected
        assert {position: back[position] for position in answers} == expected

    async def run() -> None:
        async with serving(town) as (hub, url), asyncio.timeout(60):
            await story(hub, url)

    asyncio.run(run())


def _as_answer(frame: Accepted) -> outcomes.Accepted:
    """The frame as the flow's answer, for `proves`."""
    facts = (frame.room_pos, frame.timestamp, frame.room_seq, frame.hub_key_id, frame.server_frank, frame.proof)
    return outcomes.Accepted(frame.key, *facts)


def test_a_batch_outlives_every_mail_that_it_proves(town: Town, pair: Pair) -> None:
    """To the last millisecond in which the mail waits its proof is the same; two days later the batch is gone."""
    sent = batched(town, pair)
    town.clock.now += DEFAULTS.mail_life_ms
    while town.do(sweeping.sweep):
        pass
    waiting = rebuilt(town, pair)
    assert {position: waiting[position] for position in sent} == sent
    town.clock.now += 1
    while town.do(sweeping.sweep):
        pass
    assert rebuilt(town, pair) == {}
    assert _batches(town) == 1
    town.clock.now += 2 * DAY
    while town.do(sweeping.sweep):
        pass
    assert _batches(town) == 0


@pytest.mark.parametrize("honest", [True, False])
def test_a_backlog_swept_piece_by_piece_never_leaves_mail_without_its_proof(
    town: Town, pair: Pair, honest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was off for long sweeps mail before batches; the control takes the batches first."""
    monkeypatch.setattr(sweeping, "MOST", 2)
    batched(town, pair)
    if not honest:
        monkeypatch.setattr(sweeping, "_old_mail", lambda *_: False)
    town.clock.now += DEFAULTS.mail_life_ms + 3 * DAY
    bare, more = False, True
    while more:
        more = town.do(sweeping.sweep)
        bare = bare or None in rebuilt(town, pair).values()
    assert bare is not honest
    assert _batches(town) == 0


def _batches(town: Town) -> int:
    [(count,)] = town.database._writer.execute("SELECT count(*) FROM batches")
    return int(count)
