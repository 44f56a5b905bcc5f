"""Commits: one per epoch, only what was consented to, exactly what they say, and mail to everybody concerned."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kith.app import why
from kith.ledger.events import DecisionMade, EpochAdvanced, MembershipEnded, MembershipStarted
from kith.ledger.limits import DAY
from kith.messaging import facts
from kith.messaging.flows import handshaking
from kith.messaging.flows.writing import Sender
from kith.messaging.handshakes import Handshake, Submitted
from kith.messaging.limits import DEFAULTS
from kith.messaging.outcomes import Accepted, Refusal
from kith.people import blocks
from kith.people import store as people
from kith.protocol.frames import COMMIT, MESSAGE, WELCOME
from kith.protocol.mls.framing import parse_commit
from kith.protocol.mls.key_package import parse_key_package
from messaging.conftest import Pair
from messaging.mls import HOST, Group, Phone, welcome
from messaging.town import Town


def accepted(answer: Accepted | Refusal) -> Accepted:
    """It was."""
    assert isinstance(answer, Accepted), answer
    return answer


def refused(answer: Accepted | Refusal, code: str = "invalid") -> str:
    """It was not, with this code; the details."""
    assert isinstance(answer, Refusal), answer
    assert answer.code == code
    return answer.details


def laptop_of(town: Town, phone: Phone) -> Phone:
    """A second device with key packages."""
    laptop = town.phone(phone.account)
    town.stock(laptop)
    return laptop


def test_the_first_commit_makes_the_group(town: Town, pair: Pair) -> None:
    """Epoch 1, both are members from message 1 on, and the Welcome waits for who was added."""
    assert [mail.kind for mail in town.mail(pair.ben)] == [WELCOME]
    assert town.mail(pair.ana) == []
    [event] = town.events(EpochAdvanced)
    both = {pair.ana.device: pair.ana.account, pair.ben.device: pair.ben.account}
    assert (event.epoch, event.device, event.added, event.removed) == (1, pair.ana.device, both, ())
    started = {(one.account, one.first_seq) for one in town.events(MembershipStarted)}
    assert started == {(pair.ana.account, 1), (pair.ben.account, 1)}


def test_of_two_first_commits_one_wins(town: Town) -> None:
    """The loser is told the epoch and will be welcomed."""
    ana, ben = town.phone(town.person("ana")), town.phone(town.person("ben"))
    room = town.connect(ana.account, ben.account)
    for phone in (ana, ben):
        town.stock(phone)
    attempts = []
    for by, other in ((ana, ben), (ben, ana)):
        submitted, _ = Group.created(room, by, town.clock.now).commit(by, add=town.claim(by, room, other))
        attempts.append(town.commit(by, room, submitted))
    accepted(attempts[0])
    assert refused(attempts[1], "wrong_epoch") == "1"
    assert [mail.kind for mail in town.mail(ben)] == [WELCOME]


def test_commits_of_one_epoch_race_and_one_wins(town: Town, pair: Pair) -> None:
    """Both were prepared against the same epoch; the flow compares again."""
    ready = []
    for phone in (pair.ana, pair.ben):
        submitted, _ = pair.group.commit(phone)
        before = town.ask(handshaking.group_of, phone.account, pair.room)
        here = {"server": HOST, "room": pair.room, "device": phone.device}
        prepared = handshaking.prepare(submitted, before, **here, now_ms=town.clock.now)
        assert isinstance(prepared, Handshake)
        ready.append((Sender(phone.account, phone.device), prepared))

    async def story() -> list[Any]:
        write = town.database.write
        return await asyncio.gather(
            *(write(handshaking.commit, sender, os.urandom(16), pair.room, one) for sender, one in ready)
        )

    first, second = asyncio.run(story())
    accepted(first)
    assert refused(second, "wrong_epoch") == "2"


def test_a_repeated_commit_gets_its_first_answer(town: Town, pair: Pair) -> None:
    """Though its epoch is over by its own success."""
    submitted, _ = pair.group.commit(pair.ana)
    key = os.urandom(16)
    first = accepted(town.commit(pair.ana, pair.room, submitted, key))
    assert town.commit(pair.ana, pair.room, submitted, key) == first
    assert refused(town.commit(pair.ana, pair.room, submitted), "wrong_epoch") == "2"


def test_messages_and_commits_share_one_row_of_positions(town: Town, pair: Pair) -> None:
    """Numbers count messages alone; a message of the old epoch comes too late."""
    assert accepted(town.send(pair.ana, pair.group)).room_pos == 2
    submitted, group = pair.group.commit(pair.ben)
    moved = accepted(town.commit(pair.ben, pair.room, submitted))
    assert (moved.room_pos, moved.room_seq) == (3, None)
    assert isinstance(town.send(pair.ana, pair.group), Refusal)
    late = accepted(town.send(pair.ana, group))
    assert (late.room_pos, late.room_seq) == (4, 2)
    assert [(mail.kind, mail.room_pos) for mail in town.mail(pair.ana)] == [(COMMIT, 3)]
    assert [(mail.kind, mail.room_pos) for mail in town.mail(pair.ben)] == [(WELCOME, 1), (MESSAGE, 2), (MESSAGE, 4)]


def test_an_added_device_gets_the_welcome_and_the_others_the_commit(town: Town, pair: Pair) -> None:
    """A joiner's positions start after its Welcome."""
    laptop = laptop_of(town, pair.ben)
    submitted, group = pair.group.commit(pair.ana, add=town.claim(pair.ana, pair.room, laptop))
    accepted(town.commit(pair.ana, pair.room, submitted))
    accepted(town.send(pair.ana, group))
    assert [(mail.kind, mail.room_pos) for mail in town.mail(laptop)] == [(WELCOME, 2), (MESSAGE, 3)]
    assert [mail.kind for mail in town.mail(pair.ben)] == [WELCOME, COMMIT, MESSAGE]


def test_a_signed_out_device_must_leave_with_the_next_commit(town: Town, pair: Pair) -> None:
    """Its leaf may be removed by anybody in the room, and a commit that keeps it is refused."""
    laptop = laptop_of(town, pair.ben)
    submitted, group = pair.group.commit(pair.ana, add=town.claim(pair.ana, pair.room, laptop))
    accepted(town.commit(pair.ana, pair.room, submitted))
    town.sign_out(laptop)
    keeping, _ = group.commit(pair.ana)
    assert "not registered" in refused(town.commit(pair.ana, pair.room, keeping))
    removing, _ = group.commit(pair.ana, remove=(laptop,))
    accepted(town.commit(pair.ana, pair.room, removing))
    assert town.events(EpochAdvanced)[-1].removed == (laptop.device,)


def test_nobody_removes_a_registered_device_of_the_other(town: Town, pair: Pair) -> None:
    """But one's own other device, yes."""
    laptop = laptop_of(town, pair.ana)
    submitted, group = pair.group.commit(pair.ana, add=town.claim(pair.ana, pair.room, laptop))
    accepted(town.commit(pair.ana, pair.room, submitted))
    expelling, _ = group.commit(pair.ana, remove=(pair.ben,))
    assert "somebody else" in refused(town.commit(pair.ana, pair.room, expelling))
    own, _ = group.commit(pair.ana, remove=(laptop,))
    accepted(town.commit(pair.ana, pair.room, own))
    assert [mail.kind for mail in town.mail(laptop)] == [WELCOME, COMMIT]


def test_a_device_may_be_removed_and_added_again_in_one_commit(town: Town, pair: Pair) -> None:
    """It rejoins with a fresh key package: one Welcome, no commit, membership goes on."""
    package = town.claim(pair.ana, pair.room, pair.ben)
    town.do(lambda tx: tx.run(people.KEY_END, id=pair.ben.device))
    fresh = replace(pair.ben, key=Phone("", "").key)
    row = {"device": fresh.device, "mls_key": fresh.public, "added_ms": 1, "certificate": b"c" * 64}
    town.do(lambda tx: tx.put(people.device_keys, account=fresh.account, **row))
    old, _ = pair.group.commit(pair.ana, remove=(pair.ben,), add=package)
    assert "not registered" in refused(town.commit(pair.ana, pair.room, old))
    town.stock(fresh)
    again, group = pair.group.commit(pair.ana, remove=(pair.ben,), add=town.claim(pair.ana, pair.room, fresh))
    accepted(town.commit(pair.ana, pair.room, again))
    accepted(town.send(fresh, group))
    assert [mail.kind for mail in town.mail(fresh)] == [WELCOME, WELCOME]
    assert town.events(MembershipEnded) == []


def test_membership_follows_the_leaves_and_is_known_afterwards(town: Town, pair: Pair) -> None:
    """Whoever had no leaf at a message was no member then."""
    accepted(town.send(pair.ana, pair.group))
    town.sign_out(pair.ben)
    submitted, group = pair.group.commit(pair.ana, remove=(pair.ben,))
    accepted(town.commit(pair.ana, pair.room, submitted))
    accepted(town.send(pair.ana, group))
    back = town.phone(pair.ben.account)
    town.stock(back)
    for _ in range(2):  # without a message in between, an interval is empty and forgotten
        submitted, group = group.commit(pair.ana, add=town.claim(pair.ana, pair.room, back))
        accepted(town.commit(pair.ana, pair.room, submitted))
        town.do(lambda tx: tx.run(people.KEY_END, id=back.device))
        submitted, group = group.commit(pair.ana, remove=(back,))
        accepted(town.commit(pair.ana, pair.room, submitted))
        row = {"device": back.device, "mls_key": back.public, "added_ms": 1, "certificate": b"c" * 64}
        town.do(lambda tx, row=row: tx.put(people.device_keys, account=back.account, **row))
    submitted, group = group.commit(pair.ana, add=town.claim(pair.ana, pair.room, back))
    accepted(town.commit(pair.ana, pair.room, submitted))
    accepted(town.send(pair.ana, group))
    ben = [town.ask(facts.was_member, pair.room, pair.ben.account, seq) for seq in range(5)]
    ana = [town.ask(facts.was_member, pair.room, pair.ana.account, seq) for seq in range(5)]
    assert ben == [False, True, False, True, True]
    assert ana == [False, True, True, True, True]
    assert town.ask(facts.last_seq, pair.room) == 3


def test_only_packages_issued_for_this_room_to_this_device_are_added(town: Town, pair: Pair) -> None:
    """Not one of another room, not one claimed by somebody else, not one never claimed, none twice, none stale."""
    eve = town.phone(town.person("eve"))
    town.stock(eve)
    elsewhere = town.connect(pair.ana.account, eve.account)
    laptop = laptop_of(town, pair.ben)
    never = {laptop: laptop.key_package(town.clock.now)}
    by_ben = town.claim(pair.ben, pair.room, laptop)
    stranger = town.claim(pair.ana, elsewhere, eve)
    for add in (never, by_ben, stranger):
        submitted, _ = pair.group.commit(pair.ana, add=add)
        assert "not issued" in refused(town.commit(pair.ana, pair.room, submitted))
    package = town.claim(pair.ana, pair.room, laptop)
    stale, _ = pair.group.commit(pair.ana, add=package)
    town.clock.now += DAY
    assert "not issued" in refused(town.commit(pair.ana, pair.room, stale))
    town.clock.now -= DAY
    town.database._last_ms = 0
    added, group = pair.group.commit(pair.ana, add=package)
    accepted(town.commit(pair.ana, pair.room, added))
    without, group = group.commit(pair.ana, remove=())
    accepted(town.commit(pair.ana, pair.room, without))
    twice, _ = group.commit(pair.ben, remove=(laptop,), add=package)
    assert "not issued" in refused(town.commit(pair.ben, pair.room, twice))


def test_a_block_stops_commits_and_claims_alike(town: Town, pair: Pair) -> None:
    """Everything that concerns the other side reads alike."""
    submitted, _ = pair.group.commit(pair.ana)
    town.do(blocks.block, pair.ben.account, pair.ana.account)
    assert refused(town.commit(pair.ana, pair.room, submitted), "not_allowed").startswith("You can't send")
    eve = town.phone(town.person("eve"))
    assert isinstance(town.commit(eve, pair.room, submitted), Refusal)
    assert town.commit(eve, "7f0c0c8e-0000-4000-8000-000000000000", submitted).code == "absent"  # type: ignore[union-attr]


def test_an_empty_commit_needs_a_path_and_an_add_brings_its_welcome(town: Town, pair: Pair) -> None:
    """A Welcome goes with Adds, for exactly them."""
    laptop = laptop_of(town, pair.ben)
    package = town.claim(pair.ana, pair.room, laptop)
    good, _ = pair.group.commit(pair.ana, add=package)
    ref = parse_key_package(package[laptop]).ref
    empty, _ = pair.group.commit(pair.ana)
    for wrong in (
        good._replace(welcome=None),
        good._replace(welcome=welcome(b"r" * 32)),
        good._replace(welcome=welcome(ref, b"r" * 32)),
        good._replace(welcome=b"garbage"),
        empty._replace(welcome=welcome(ref)),
    ):
        refused(town.commit(pair.ana, pair.room, wrong))
    accepted(town.commit(pair.ana, pair.room, good))


def test_the_group_info_must_be_what_the_commit_leaves(town: Town, pair: Pair) -> None:
    """Another epoch, other members, another transcript, another signer, another room: refused."""
    laptop = laptop_of(town, pair.ben)
    package = town.claim(pair.ana, pair.room, laptop)
    good, after = pair.group.commit(pair.ana, add=package)
    empty, rotated = pair.group.commit(pair.ana)
    other_room = town.connect(pair.ana.account, town.person("eve"))
    infos = {
        "an epoch further": after.commit(pair.ana)[0].group_info,
        "of before": pair.group.info(pair.ana),
        "without the added device": rotated.info(pair.ana),
        "signed by another member": after.info(pair.ben),
        "of another room": Group.created(other_room, pair.ana, town.clock.now).commit(pair.ana)[0].group_info,
        "not one": b"\0\1\0\4",
    }
    for name, info in infos.items():
        answer = town.commit(pair.ana, pair.room, good._replace(group_info=info))
        assert isinstance(answer, Refusal), name
    refused(town.commit(pair.ana, pair.room, Submitted(empty.commit, good.welcome, good.group_info)))
    refused(town.commit(pair.ana, pair.room, good._replace(commit=empty.commit)))
    refused(town.commit(pair.ana, other_room, good), "wrong_epoch")
    accepted(town.commit(pair.ana, pair.room, good))


def test_a_commit_is_its_senders_own(town: Town, pair: Pair) -> None:
    """Another member cannot hand it in, nor can another device of the same account, nor a forged signature pass."""
    laptop = laptop_of(town, pair.ana)
    submitted, _ = pair.group.commit(pair.ana)
    for phone in (pair.ben, laptop):
        assert "another device" in refused(town.commit(phone, pair.room, submitted))
    at = submitted.commit.index(parse_commit(submitted.commit).signature)
    forged = submitted.commit[:at] + bytes(64) + submitted.commit[at + 64 :]
    assert "not signed" in refused(town.commit(pair.ana, pair.room, submitted._replace(commit=forged)))


def test_a_group_may_be_made_before_the_other_has_a_device(town: Town) -> None:
    """And a creator cannot smuggle a stranger in at the first commit either."""
    ana, eve = town.phone(town.person("ana")), town.phone(town.person("eve"))
    room = town.connect(ana.account, town.person("ben"))
    town.stock(eve)
    smuggled, _ = Group.created(room, ana, town.clock.now).commit(ana, add={eve: eve.key_package(town.clock.now)})
    refused(town.commit(ana, room, smuggled))
    alone, group = Group.created(room, ana, town.clock.now).commit(ana)
    accepted(town.commit(ana, room, alone))
    assert accepted(town.send(ana, group)).room_pos == 2


def test_commits_too_stop_when_nobody_collects(town: Town, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair of accounts cannot fill the disk with handshakes either."""
    monkeypatch.setattr(handshaking, "DEFAULTS", replace(DEFAULTS, backlog=2))
    group, answers = pair.group, []
    for _ in range(3):
        submitted, group = group.commit(pair.ana)
        answers.append(town.commit(pair.ana, pair.room, submitted))
    assert [isinstance(answer, Accepted) for answer in answers] == [True, True, False]
    refused(answers[-1], "limited")


@given(which=st.integers(0, 1), at=st.integers(0, 5_000), bit=st.integers(0, 7))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_is_refused_wherever_the_server_can_see_it(
    town: Town, pair: Pair, which: int, at: int, bit: int
) -> None:
    """Only the membership tag, the last 33 bytes of a commit, is for members alone: everything else is signed."""
    submitted, _ = pair.group.commit(pair.ana)
    parts = [submitted.commit, submitted.group_info]
    at %= len(parts[which])
    changed = bytearray(parts[which])
    changed[at] ^= 1 << bit
    parts[which] = bytes(changed)
    before = town.ask(handshaking.group_of, pair.ana.account, pair.room)
    here = {"server": HOST, "room": pair.room, "device": pair.ana.device}
    prepared = handshaking.prepare(Submitted(parts[0], None, parts[1]), before, **here, now_ms=town.clock.now)
    if isinstance(prepared, Handshake):
        assert which == 0
        assert at >= len(changed) - 33


def test_every_refused_commit_has_a_decision_that_why_explains(town: Town, pair: Pair) -> None:
    """By rule, once a day for a room, found by the room's id as well; a lost race is no refusal."""
    never = laptop_of(town, pair.ben)
    smuggled, _ = pair.group.commit(pair.ana, add={never: never.key_package(town.clock.now)})
    altered = smuggled._replace(commit=smuggled.commit[:-40] + bytes(7) + smuggled.commit[-33:])
    for submitted in (smuggled, smuggled, altered):
        refused(town.commit(pair.ana, pair.room, submitted))
    made = [event for event in town.events(DecisionMade) if event.policy == handshaking.POLICY]
    assert [event.reasons[0].rule for event in made] == ["commit-package", "commit-consistency"]
    assert all(event.about == pair.ana.account and event.facts["room"] == pair.room for event in made)
    assert made[0].reasons[0].because in town.ask(why.story, pair.room)
    empty, _ = pair.group.commit(pair.ana)
    accepted(town.commit(pair.ana, pair.room, empty))
    refused(town.commit(pair.ana, pair.room, empty), "wrong_epoch")
    assert len([event for event in town.events(DecisionMade) if event.policy == handshaking.POLICY]) == 2


def test_whoever_is_brought_in_comes_with_every_device(town: Town, pair: Pair) -> None:
    """Unless a device has no key package to be added with; the control is the same commit with both."""
    eve = town.phone(town.person("eve"))
    tablet = town.phone(eve.account)
    room = town.connect(pair.ana.account, eve.account)
    for phone in (eve, tablet):
        town.stock(phone, 2)
    claimed = town.claim(pair.ana, room, eve, tablet)
    fresh = Group.created(room, pair.ana, town.clock.now)
    half, _ = fresh.commit(pair.ana, add={eve: claimed[eve]})
    assert "all of their devices" in refused(town.commit(pair.ana, room, half))
    whole, _ = fresh.commit(pair.ana, add=claimed)
    accepted(town.commit(pair.ana, room, whole))


def test_a_device_without_key_packages_holds_nobody_up(town: Town, pair: Pair) -> None:
    """It is added later, by whoever sees it."""
    eve = town.phone(town.person("eve"))
    town.phone(eve.account)
    room = town.connect(pair.ana.account, eve.account)
    town.stock(eve)
    first, _ = Group.created(room, pair.ana, town.clock.now).commit(pair.ana, add=town.claim(pair.ana, room, eve))
    accepted(town.commit(pair.ana, room, first))
