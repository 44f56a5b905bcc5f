"""The lane of messages: the same answers as one by one, proofs of a batch, and facts that are never stale."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from kith.app.stream import Hub
from kith.messaging.envelope import read_message
from kith.messaging.flows import delivery, restoring
from kith.messaging.flows.lane import Mailed, Messages, Posted, Receipt, Submission
from kith.messaging.flows.writing import Sender
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import Accepted, Refusal
from kith.people import blocks
from kith.protocol import frames
from kith.protocol.frames import MESSAGE, Mail
from kith.protocol.franking import BatchProof, Context, Proof, frank_and_tbs, verify_proof
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri, room_uri
from messaging.conftest import Pair
from messaging.mls import HOST, Group, Phone
from messaging.town import Town
from messaging.wire import online, serving


class Desk:
    """Submits to a lane and keeps what comes out."""

    def __init__(self, town: Town, limits: Limits = DEFAULTS) -> None:
        self.town = town
        self.done: list[tuple[Any, Any]] = []
        self.lane = Messages(town.hub, self.done.extend, limits)
        town.database.open_lane(self.lane)

    def item(self, phone: Phone, group: Group, key: bytes | None = None) -> Submission:
        """A message."""
        message = read_message(group.room, group.message())
        assert not isinstance(message, Refusal)
        return Submission(Sender(phone.account, phone.device), key or os.urandom(16), message, None)

    def together(self, items: Sequence[Submission | Receipt]) -> list[Any]:
        """Run these as one; their answers."""
        before = len(self.done)

        async def run() -> None:
            for item in items:
                self.town.database.submit(self.lane, item)
            while len(self.done) < before + len(items):  # noqa: ASYNC110  nobody rings
                await asyncio.sleep(0.005)

        asyncio.run(run())
        return [getattr(outcome, "answer", outcome) for _, outcome in self.done[before:]]


def proves(town: Town, phone: Phone, answer: Accepted, room: str) -> bool:
    """Whether frank and proof of an answer are what a receiver would rebuild."""
    context = Context(
        sender_uri=account_uri(HOST, phone.account),
        room_uri=room_uri(HOST, room),
        accepted_timestamp=answer.timestamp,
        sender_device=device_uri(HOST, phone.device),
        epoch=1,
        room_seq=answer.room_seq or 0,
        hub_key_id=7,
    )
    mac, tbs = frank_and_tbs(town.keys.secret, b"f" * 32, context)
    assert answer.proof is not None
    return answer.server_frank == mac and verify_proof(public_bytes(town.keys.signer), tbs, Proof.decode(answer.proof))


def test_every_message_of_a_batch_is_proven_by_one_signature(town: Town, pair: Pair) -> None:
    """In the answer, in the mail whose path is made again, and for a repeat; altered numbers prove nothing."""
    desk = Desk(town)
    desk.together([desk.item(pair.ana, pair.group), desk.item(pair.ben, pair.group)])
    items = [desk.item(phone, pair.group) for phone in (pair.ana, pair.ben) for _ in range(5)]
    answers = desk.together(items)
    proofs = [Proof.decode(answer.proof) for answer in answers]
    assert all(isinstance(proof, BatchProof) and proof.batch_size == 10 for proof in proofs)
    assert len({proof.signature for proof in proofs}) == 1
    for item, answer in zip(items, answers, strict=True):
        phone = pair.ana if item.sender.device == pair.ana.device else pair.ben
        assert proves(town, phone, answer, pair.room)
        assert not proves(town, phone, answer._replace(timestamp=answer.timestamp + 1), pair.room)
        assert not proves(town, pair.ben if phone is pair.ana else pair.ana, answer, pair.room)
    kept = {mail.room_pos: town.body(mail) for phone in (pair.ana, pair.ben) for mail in town.mail(phone)}
    assert all(kept[answer.room_pos].proof == answer.proof for answer in answers)
    assert desk.together([items[3], items[7]]) == [answers[3], answers[7]]


def test_numbers_and_mail_ids_go_on_whichever_way_a_message_takes(town: Town, pair: Pair) -> None:
    """Lane, refusals, repeats and plain flows in one queue: no hole, no duplicate, mail in order."""
    desk, key = Desk(town), os.urandom(16)
    eve = town.phone(town.person("eve"))
    items = [
        desk.item(pair.ana, pair.group),
        desk.item(pair.ana, pair.group, key),
        desk.item(eve, pair.group),
        desk.item(pair.ana, pair.group, key),
        desk.item(pair.ben, pair.group),
        desk.item(pair.ana, pair.group),
    ]
    answers = desk.together([*items, *items[:1]])
    assert isinstance(town.send(pair.ben, pair.group), Accepted)
    answers += desk.together([desk.item(pair.ben, pair.group), desk.item(pair.ana, pair.group)])
    seqs = [answer.room_seq if isinstance(answer, Accepted) else answer.code for answer in answers]
    assert seqs == [1, 2, "absent", 2, 3, 4, 1, 6, 7]
    positions = [mail.room_pos for mail in town.mail(pair.ben)]
    assert positions == [1, 2, 3, 5, 8]
    for phone in (pair.ana, pair.ben):
        assert all(a.mail < b.mail and a.room_pos < b.room_pos for a, b in pairwise(town.mail(phone)))


def test_the_lane_fills_a_room_as_far_as_one_by_one_would(town: Town, pair: Pair) -> None:
    """Within one batch as well, and whether or not a restore left a gap in between; after an ack it goes on."""
    desk = Desk(town, replace(DEFAULTS, backlog=6))  # one place is Ben's Welcome
    desk.together([desk.item(pair.ana, pair.group) for _ in range(2)])
    town.do(restoring.leap, restoring.LEAP)
    answers = desk.together([desk.item(pair.ana, pair.group) for _ in range(5)])
    assert [isinstance(answer, Accepted) for answer in answers] == [True, True, True, True, False]
    assert answers[-1].code == "limited"
    assert isinstance(desk.together([desk.item(pair.ben, pair.group)])[0], Accepted)  # hers are collected
    town.ack(pair.ben, *(mail.mail for mail in town.mail(pair.ben)))
    assert isinstance(desk.together([desk.item(pair.ana, pair.group)])[0], Accepted)


def test_the_mail_id_that_is_pushed_is_the_one_in_the_mailbox(town: Town, pair: Pair) -> None:
    """Several devices, several messages: ids count on over the recipients."""
    laptop = town.phone(pair.ben.account)
    town.stock(laptop)
    submitted, group = pair.group.commit(pair.ana, add=town.claim(pair.ana, pair.room, laptop))
    assert isinstance(town.commit(pair.ana, pair.room, submitted), Accepted)
    desk = Desk(town)
    desk.together([desk.item(pair.ana, group)])
    desk.together([desk.item(pair.ana, group) for _ in range(4)])
    pushed = {
        (device, outcome.first_mail + at, outcome.answer.room_pos)
        for _, outcome in desk.done[1:]
        for at, device in enumerate(outcome.recipients)
    }
    boxes = {(phone.device, mail.mail, mail.room_pos) for phone in (pair.ben, laptop) for mail in town.mail(phone)[-4:]}
    assert pushed == boxes
    assert len(pushed) == 8


def test_receipts_clear_mailbox_and_body(town: Town, pair: Pair) -> None:
    """As an ack of the plain flow does."""
    desk = Desk(town)
    desk.together([desk.item(pair.ana, pair.group) for _ in range(3)])
    mails = [Mailed(one.mail, one.kind, pair.room, one.room_pos) for one in town.mail(pair.ben)]
    desk.together([Receipt(pair.ben.account, pair.ben.device, mails)])
    assert town.mail(pair.ben) == []
    [(bodies,)] = town.database._writer.execute("SELECT count(*) FROM bodies WHERE kind = ?", (MESSAGE,))
    assert bodies == 0


@pytest.mark.parametrize("deaf", [False, True])
def test_a_block_is_known_to_the_next_message(town: Town, pair: Pair, deaf: bool) -> None:
    """What was remembered ends with the write that changes it; the control, a lane told nothing, goes on."""
    desk = Desk(town)
    for _ in range(2):
        assert isinstance(desk.together([desk.item(pair.ana, pair.group)])[0], Accepted)
    if deaf:
        town.database._lanes.remove(desk.lane)
    town.do(blocks.block, pair.ben.account, pair.ana.account)
    [answer] = desk.together([desk.item(pair.ana, pair.group)])
    assert isinstance(answer, Accepted) is deaf


def test_a_signed_out_device_is_known_to_the_next_message(town: Town, pair: Pair) -> None:
    """It neither sends nor gets anything."""
    desk = Desk(town)
    desk.together([desk.item(pair.ana, pair.group) for _ in range(2)])
    town.sign_out(pair.ben)
    assert isinstance(desk.together([desk.item(pair.ana, pair.group)])[0], Accepted)
    assert desk.done[-1][1].recipients == []
    assert isinstance(desk.together([desk.item(pair.ben, pair.group)])[0], Refusal)


def test_one_peer_whose_socket_breaks_costs_the_others_nothing(town: Town, pair: Pair) -> None:
    """Her stream ends; everybody else has the message, and she has it when she is back."""
    laptop = town.phone(pair.ben.account)
    town.stock(laptop)
    submitted, group = pair.group.commit(pair.ana, add=town.claim(pair.ana, pair.room, laptop))
    assert isinstance(town.commit(pair.ana, pair.room, submitted), Accepted)

    async def story(hub: Hub, url: str) -> None:
        def broken(_: Sequence[bytes]) -> None:
            raise OSError

        async with online(url, town, pair.ana) as ana, online(url, town, laptop) as other:
            async with online(url, town, pair.ben) as ben:
                await ana.say(group)
                while (await ben.until(Mail)).kind != MESSAGE:
                    pass
                hub._by_device[pair.ben.device]._link.write = broken  # type: ignore[method-assign,assignment]
                second = await ana.say(group)
                assert isinstance(second, frames.Accepted)
                while (await other.until(Mail)).room_pos != second.room_pos:
                    pass
                while hub.connected == 3:  # noqa: ASYNC110  nobody rings
                    await asyncio.sleep(0.01)
            async with online(url, town, pair.ben) as ben:
                while (await ben.until(Mail)).room_pos != second.room_pos:
                    pass

    async def run() -> None:
        async with serving(town) as (hub, url), asyncio.timeout(30):
            await story(hub, url)

    asyncio.run(run())


def test_a_spliced_mail_is_the_frame_itself() -> None:
    """Byte for byte what the encoder makes."""
    frank = frames.Frank(1_700_000_000_000, 2**33, 7, b"m" * 32, 1, b"\1" * 300)
    for number in (1, 127, 128, 70_000, 2**40):
        whole = frames.encode(Mail(number, MESSAGE, "7f0c0c8e-0000-4000-8000-000000000000", number, b"b" * 900, frank))
        tail = frames.mail_tail(MESSAGE, "7f0c0c8e-0000-4000-8000-000000000000", number, b"b" * 900, frank)
        assert frames.mail_with(number, tail) == whole


def test_a_proof_whose_batch_is_gone_is_no_answer(town: Town, pair: Pair) -> None:
    """After its retention a repeat is a new message instead of half a frank."""
    desk = Desk(town)
    desk.together([desk.item(pair.ana, pair.group), desk.item(pair.ben, pair.group)])
    items = [desk.item(pair.ana, pair.group) for _ in range(2)]
    first = desk.together(items)[0]
    town.database._writer.execute("DELETE FROM batches")
    again = town.do(delivery.send, items[0].sender, items[0].key, items[0].message, hub=town.hub)
    assert isinstance(again, Accepted)
    assert again.room_seq == first.room_seq + 2
    assert isinstance(desk.done[0][1], Posted)
