"""Sending: the hub's checks in order, numbers without holes, one answer for every repeat, franks that verify."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from kith.ledger.database import Tx
from kith.ledger.events import FirstMessage
from kith.ledger.limits import DAY
from kith.ledger.signals import Delivered
from kith.messaging import facts, store
from kith.messaging.envelope import read_message, size_bucket
from kith.messaging.flows import delivery, restoring
from kith.messaging.flows.writing import Sender
from kith.messaging.limits import DEFAULTS
from kith.messaging.outcomes import Accepted, Refusal
from kith.people import blocks, connections, enforcement
from kith.people.ladder import Step
from kith.protocol.frames import MESSAGE
from kith.protocol.franking import Context, Proof, build_aad, frank_and_tbs, verify_proof
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri, room_uri
from messaging.conftest import Pair
from messaging.mls import HOST, private
from messaging.town import Town


def accepted(answer: Accepted | Refusal) -> Accepted:
    """It was."""
    assert isinstance(answer, Accepted), answer
    return answer


def refused(answer: Accepted | Refusal) -> Refusal:
    """It was not."""
    assert isinstance(answer, Refusal), answer
    return answer


def test_the_frank_is_exactly_the_profiles(town: Town, pair: Pair) -> None:
    """Rebuilt from what a receiver knows, it matches, and the signature proves it."""
    answer = accepted(town.send(pair.ana, pair.group))
    context = Context(
        sender_uri=account_uri(HOST, pair.ana.account),
        room_uri=room_uri(HOST, pair.room),
        accepted_timestamp=answer.timestamp,
        sender_device=device_uri(HOST, pair.ana.device),
        epoch=1,
        room_seq=1,
        hub_key_id=7,
    )
    mac, tbs = frank_and_tbs(town.keys.secret, b"f" * 32, context)
    assert answer.server_frank == mac
    assert answer.proof is not None
    assert verify_proof(public_bytes(town.keys.signer), tbs, Proof.decode(answer.proof))
    mail = town.body(town.mail(pair.ben)[1])
    assert (mail.frank, mail.proof, mail.room_seq, mail.hub_key_id) == (mac, answer.proof, 1, 7)


def test_a_repeat_gets_the_first_answer_and_is_stored_once(town: Town, pair: Pair) -> None:
    """Also when the body differs, the epoch moved on, or the room was closed meanwhile."""
    key = os.urandom(16)
    first = accepted(town.send(pair.ana, pair.group, key))
    assert town.send(pair.ana, pair.group, key) == first
    submitted, after = pair.group.commit(pair.ben)
    accepted(town.commit(pair.ben, pair.room, submitted))
    assert town.send(pair.ana, pair.group, key) == first
    assert town.send(pair.ana, pair.group, key, after.message(size=9)) == first
    town.do(blocks.block, pair.ben.account, pair.ana.account)
    assert town.send(pair.ana, pair.group, key) == first
    assert [mail.kind for mail in town.mail(pair.ben)].count(MESSAGE) == 1


def test_the_same_key_of_another_device_is_another_submission(town: Town, pair: Pair) -> None:
    """Keys are the device's own."""
    key = os.urandom(16)
    assert accepted(town.send(pair.ana, pair.group, key)).room_seq == 1
    assert accepted(town.send(pair.ben, pair.group, key)).room_seq == 2


def test_only_the_last_256_answers_and_a_few_are_kept(town: Town, pair: Pair) -> None:
    """A ring, not an ever-growing table: every one of the last 256 is there, and never a whole piece more."""
    keys = [os.urandom(16) for _ in range(400)]
    for sent, key in enumerate(keys, 1):
        accepted(town.send(pair.ana, pair.group, key))
        if sent in (260, 319, 320, 321, 400):
            asked = "SELECT submit_key FROM answers WHERE device = ?"
            kept = {bytes(key) for (key,) in town.database._writer.execute(asked, (pair.ana.device,))}
            assert kept >= set(keys[sent - 256 : sent])
            assert len(kept) < 256 + delivery.RING_PIECE
    assert accepted(town.send(pair.ana, pair.group, keys[-256])).room_seq == 145


@pytest.mark.parametrize("change", ["size", "garbage", "kind", "group", "handshake"])
def test_what_is_not_a_message_of_the_room_is_refused(town: Town, pair: Pair, change: str) -> None:
    """Before the database is asked."""
    group, aad = pair.group, build_aad(b"f" * 32)
    body, code = {
        "size": (group.message(size=DEFAULTS.message_bytes), "too_large"),
        "garbage": (b"\0\1\0\2garbage", "invalid"),
        "kind": (private(group.group_id, 1, aad, content_type=3), "invalid"),
        "group": (private(b"g" * 16, 1, aad), "invalid"),
        "handshake": (group.commit(pair.ana)[0].commit, "invalid"),
    }[change]
    assert refused(town.send(pair.ana, group, body=body)).code == code


@pytest.mark.parametrize(
    "aad",
    [
        b"",
        bytes.fromhex("22002020") + b"f" * 31,
        bytes.fromhex("23002020") + b"f" * 32 + b"\0",
        bytes.fromhex("23002120") + b"f" * 32,
        bytes.fromhex("4027002020") + b"f" * 32 + bytes.fromhex("800100"),
        bytes.fromhex("4023002020") + b"f" * 32,
    ],
)
def test_without_exactly_one_tag_there_is_no_delivery(town: Town, pair: Pair, aad: bytes) -> None:
    """Missing, short, trailing, another component, a second component, a longer varint."""
    body = private(pair.group.group_id, 1, aad)
    assert refused(town.send(pair.ana, pair.group, body=body)).code == "untagged"
    assert [mail.kind for mail in town.mail(pair.ben)] == [3]


def test_the_checks_come_in_the_profiles_order(town: Town, pair: Pair) -> None:
    """Layout, then membership, then epoch, then tag: each hides what comes after it."""
    eve = town.phone(town.person("eve"))
    untagged = private(pair.group.group_id, 0, b"")
    assert refused(town.send(eve, pair.group, body=b"x")).code == "invalid"
    assert refused(town.send(eve, pair.group, body=untagged)).code == "absent"
    stale = refused(town.send(pair.ana, pair.group, body=untagged))
    assert (stale.code, stale.details) == ("epoch_too_old", "1")
    assert refused(town.send(pair.ana, pair.group, body=private(pair.group.group_id, 1, b""))).code == "untagged"
    future = private(pair.group.group_id, 2, build_aad(b"f" * 32))
    assert refused(town.send(pair.ana, pair.group, body=future)).code == "invalid"


def restricted(town: Town, account: str) -> str:
    """Suspend."""
    step = Step(what="suspended")
    measure: str = town.do(
        enforcement.impose, account, step, rule="test", because="A test.", source="rule:test", facts={}
    )
    return measure


def test_every_cause_on_the_other_side_reads_alike(town: Town, pair: Pair) -> None:
    """Block, end of the connection, suspension: one sentence and no decision."""
    answers = []
    town.do(connections.end, pair.ana.account, pair.ben.account)
    answers.append(town.send(pair.ana, pair.group))
    town.do(connections.grant, pair.ana.account, pair.ben.account)
    measure = restricted(town, pair.ben.account)
    answers.append(town.send(pair.ana, pair.group))
    town.do(enforcement.reverse, measure, "over")
    accepted(town.send(pair.ana, pair.group))
    town.do(blocks.block, pair.ben.account, pair.ana.account)
    answers.append(town.send(pair.ana, pair.group))
    assert set(answers) == {Refusal("not_allowed", "You can't send messages in this chat.")}


def test_ones_own_suspension_is_named(town: Town, pair: Pair) -> None:
    """By the id of a recorded decision, the same for every try of the day; reading and acking go on."""
    restricted(town, pair.ben.account)
    answers = {refused(town.send(pair.ben, pair.group)) for _ in range(3)}
    assert len(answers) == 1
    [refusal] = answers
    assert refusal.code == "restricted"
    assert refusal.decision is not None
    mail = town.mail(pair.ben)
    town.ack(pair.ben, *(one.mail for one in mail))
    assert town.mail(pair.ben) == []


def test_time_never_runs_backwards_in_a_room(town: Town, pair: Pair) -> None:
    """A clock that was set back cannot make a later message look earlier; the process' own clock helps too."""
    first = accepted(town.send(pair.ana, pair.group))
    town.clock.now -= DAY
    town.database._last_ms = 0
    assert accepted(town.send(pair.ana, pair.group)).timestamp == first.timestamp


def test_a_body_is_stored_once_and_forgotten_once_everybody_has_it(town: Town, pair: Pair) -> None:
    """Two recipients share it; the last ack removes it; the sender's own device gets no mail."""
    laptop = town.phone(pair.ben.account)
    town.stock(laptop)
    submitted, group = pair.group.commit(pair.ana, add=town.claim(pair.ana, pair.room, laptop))
    accepted(town.commit(pair.ana, pair.room, submitted))
    body = group.message()
    accepted(town.send(pair.ana, group, body=body))

    def bodies() -> int:
        [(count,)] = town.database._writer.execute("SELECT count(*) FROM bodies WHERE body = ?", (body,))
        return int(count)

    assert town.mail(pair.ana) == []
    assert [town.body(town.mail(phone)[-1]).body for phone in (pair.ben, laptop)] == [body, body]
    assert bodies() == 1
    town.ack(pair.ben, town.mail(pair.ben)[-1].mail)
    assert bodies() == 1
    town.ack(laptop, town.mail(laptop)[-1].mail)
    assert bodies() == 0


def test_a_device_acks_only_its_own_mail(town: Town, pair: Pair) -> None:
    """Ids of others, unknown ones and repeats change nothing."""
    before = town.mail(pair.ben)
    town.ack(pair.ana, *(mail.mail for mail in before), 0, 2**62)
    assert town.mail(pair.ben) == before


def test_a_mail_id_is_never_given_out_twice(town: Town, pair: Pair) -> None:
    """Or a late ack would delete a mail that was never seen."""
    seen: set[int] = set()
    for _ in range(3):
        accepted(town.send(pair.ana, pair.group))
        ids = {mail.mail for mail in town.mail(pair.ben)}
        assert not ids & seen
        seen |= ids
        town.ack(pair.ben, *ids)


def test_a_signed_out_device_gets_nothing_from_that_moment(town: Town, pair: Pair) -> None:
    """In the very transaction; it cannot send either, though its leaf is still in the group."""
    laptop = town.phone(pair.ben.account)
    town.stock(laptop)
    submitted, group = pair.group.commit(pair.ana, add=town.claim(pair.ana, pair.room, laptop))
    accepted(town.commit(pair.ana, pair.room, submitted))
    before = len(town.mail(laptop))
    town.sign_out(laptop)
    accepted(town.send(pair.ana, group))
    assert len(town.mail(laptop)) == before
    assert refused(town.send(laptop, group)).code == "invalid"
    town.react()
    assert town.mail(laptop) == []


def test_only_a_first_message_is_an_event_and_envelopes_hold_no_sizes(town: Town, pair: Pair) -> None:
    """Envelopes: who, where, when, and a power of two."""
    for size in (10, 3_000):
        accepted(town.send(pair.ana, pair.group, body=pair.group.message(size=size)))
    assert town.events(FirstMessage) == [FirstMessage(room=pair.room, account=pair.ana.account)]
    envelopes = town.ask(facts.envelopes_after, 0)
    assert [(one.account, one.other, one.room_seq, one.size_bucket) for one in envelopes] == [
        (pair.ana.account, pair.ben.account, 1, 256),
        (pair.ana.account, pair.ben.account, 2, 4096),
    ]
    assert [size_bucket(size) for size in (1, 256, 257, 65_536)] == [256, 256, 512, 65_536]


def test_a_room_that_nobody_collects_fills_up_to_a_limit(town: Town, pair: Pair) -> None:
    """Then the sender is told to wait; after an ack it goes on."""
    few = replace(DEFAULTS, backlog=3)
    message = read_message(pair.room, pair.group.message())
    sender = Sender(pair.ana.account, pair.ana.device)

    def send() -> Any:
        return town.do(delivery.send, sender, os.urandom(16), message, hub=town.hub, limits=few)

    answers = [send() for _ in range(5)]
    assert [isinstance(answer, Accepted) for answer in answers] == [True, True, True, False, False]
    assert answers[-1].code == "limited"
    town.ack(pair.ben, *(mail.mail for mail in town.mail(pair.ben)))
    accepted(send())


def test_a_room_in_which_mail_waits_is_not_full_because_a_restore_left_a_gap(town: Town, pair: Pair) -> None:
    """Messages and commits are taken at once; what really waits still counts, on both sides of the gap."""
    accepted(town.send(pair.ana, pair.group))
    town.do(restoring.leap, restoring.LEAP)
    assert accepted(town.send(pair.ana, pair.group)).room_pos == 3 + restoring.LEAP
    submitted, group = pair.group.commit(pair.ana)
    accepted(town.commit(pair.ana, pair.room, submitted))
    message = read_message(pair.room, group.message())
    sender, few = Sender(pair.ana.account, pair.ana.device), replace(DEFAULTS, backlog=4)
    answers = [town.do(delivery.send, sender, os.urandom(16), message, hub=town.hub, limits=few) for _ in range(2)]
    assert [isinstance(answer, Accepted) for answer in answers] == [True, False]


def test_many_writers_leave_no_hole(town: Town, pair: Pair) -> None:
    """Positions, numbers and mail are gapless and in order under parallel writes from both sides."""

    async def story() -> list[Accepted | Refusal]:
        def write(phone: Any) -> Any:
            message = read_message(pair.room, pair.group.message())
            sender = Sender(phone.account, phone.device)
            return town.database.write(delivery.send, sender, os.urandom(16), message, hub=town.hub)  # type: ignore[arg-type]

        return list(await asyncio.gather(*(write(phone) for _ in range(150) for phone in (pair.ana, pair.ben))))

    answers = [accepted(answer) for answer in asyncio.run(story())]
    assert sorted(answer.room_seq or 0 for answer in answers) == list(range(1, 301))
    assert sorted(answer.room_pos for answer in answers) == list(range(2, 302))
    for phone in (pair.ana, pair.ben):
        positions = [mail.room_pos for mail in town.mail(phone)]
        assert all(before < after for before, after in pairwise(positions))
    together = {mail.room_pos for phone in (pair.ana, pair.ben) for mail in town.mail(phone)}
    assert together >= set(range(2, 302))


class InterruptedFlowError(RuntimeError):
    """A planted failure."""


def test_a_flow_that_breaks_leaves_no_hole(town: Town, pair: Pair) -> None:
    """Number and position go back with it; the next message takes them; nothing of it was mailed or signalled."""

    def breaking(tx: Tx) -> None:
        message = read_message(pair.room, pair.group.message())
        sender = Sender(pair.ana.account, pair.ana.device)
        answer = delivery.send(tx, sender, os.urandom(16), message, hub=town.hub)  # type: ignore[arg-type]
        assert isinstance(answer, Accepted)
        raise InterruptedFlowError

    async def story() -> list[Any]:
        good = read_message(pair.room, pair.group.message())
        sender = Sender(pair.ben.account, pair.ben.device)
        writes = [
            town.database.write(delivery.send, sender, os.urandom(16), good, hub=town.hub)  # type: ignore[arg-type]
            if number % 2
            else town.database.write(breaking)
            for number in range(10)
        ]
        return await asyncio.gather(*writes, return_exceptions=True)

    town.heard.clear()
    answers = asyncio.run(story())
    assert sum(isinstance(answer, InterruptedFlowError) for answer in answers) == 5
    assert [answer.room_seq for answer in answers if isinstance(answer, Accepted)] == [1, 2, 3, 4, 5]
    assert {mail.room_pos for mail in town.mail(pair.ana)} == {2, 3, 4, 5, 6}
    assert all(getattr(signal, "device", "") != pair.ben.device for signal in town.heard)


@pytest.mark.parametrize("parted", [False, True])
def test_who_was_blocked_is_not_told_what_arrives(town: Town, pair: Pair, parted: bool) -> None:
    """An ack tells the sender something while the two are connected, and nothing after a block, nor after its end."""
    town.ack(pair.ben, *(mail.mail for mail in town.mail(pair.ben)))
    assert isinstance(town.send(pair.ana, pair.group), Accepted)
    if parted:
        town.do(blocks.block, pair.ben.account, pair.ana.account)
        town.do(blocks.unblock, pair.ben.account, pair.ana.account)
    heard: list[object] = []
    town.database.listeners.append(heard.append)
    town.ack(pair.ben, *(mail.mail for mail in town.mail(pair.ben)))
    hints = [one for one in heard if isinstance(one, Delivered)]
    assert hints == ([] if parted else [Delivered(pair.room, 2, pair.ana.account)])
    assert town.ask(delivery.received_upto, pair.ana.account, pair.room, 2) == (None if parted else 2)


def test_who_missed_the_hint_can_ask_how_far_the_other_side_is(
    town: Town, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one of her devices that is furthest counts; one that has not joined yet has nothing."""

    def upto() -> Any:
        return town.ask(
            delivery.received_upto, pair.ana.account, pair.room, accepted(town.send(pair.ana, group)).room_pos
        )

    group = pair.group
    assert upto() == 0  # her Welcome waits
    town.ack(pair.ben, town.mail(pair.ben)[0].mail)
    assert upto() == 1
    laptop = town.phone(pair.ben.account)
    town.stock(laptop)
    submitted, group = group.commit(pair.ana, add=town.claim(pair.ana, pair.room, laptop))
    accepted(town.commit(pair.ana, pair.room, submitted))
    assert upto() == 1
    town.ack(laptop, *(mail.mail for mail in town.mail(laptop)))
    assert upto() == 5
    town.ack(pair.ben, *(mail.mail for mail in town.mail(pair.ben)))
    monkeypatch.setattr(store, "LOOKED_AT", 3)  # where more waits, what was not looked at is not promised
    assert [upto(), upto(), upto(), upto()] == [6, 6, 6, 6]
    town.sign_out(pair.ben)
    assert upto() == 5
