"""Every lie of `attacks.json` against the SDK: refused or said aloud, and the genuine chat goes on."""

from __future__ import annotations

import asyncio
import copy
import json
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace as altered
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from evil.scene import (
    ELSEWHERE,
    GHOST,
    ME,
    MEMORY,
    OUTSIDER,
    ROOM,
    TABLET,
    THEIRS,
    THEM,
    Device,
    Scene,
    scene,
)
from kith.protocol import identity, uris
from kith.protocol.frames import COMMIT, MESSAGE, WELCOME, Refused
from kith.protocol.identity import DeviceEntry
from kith.protocol.signing import public_bytes
from kith.sdk import answers
from kith.sdk.room import AHEAD, BROKEN, EQUIVOCATION, REMOVED, STRANGER, THEIR_DEVICE, UNLISTED

Attack = Callable[[Scene, bool], Awaitable[None]]
ATTACKS: dict[str, Attack] = {}
LIST: dict[str, dict[str, str]] = {
    one["name"]: one for one in json.loads(Path(__file__).with_name("attacks.json").read_text("utf-8"))
}
UNJOINED = {"wrong-welcome", "altered-welcome", "stranger-in-welcome", "far-position-welcome"}
"""These begin before this device is in the chat."""
WAY_OUT = "sign out and in again here to join anew"
FAR = 2**50


def attack(made: Attack) -> Attack:
    """One of the list, by its name."""
    ATTACKS[made.__name__.replace("_", "-")] = made
    return made


def flip(data: bytes, at: int = 0) -> bytes:
    """One bit is another."""
    copied = bytearray(data)
    copied[at] ^= 1
    return bytes(copied)


# --- messages and their franks ----------------------------------------------------------------------------------------


async def rehubbed(s: Scene, lie: bool, **change: Any) -> None:
    """A message whose hub record is changed on the way."""
    body, frank = s.says("with its frank")
    await s.message((body, replace(frank, **change) if lie else frank))
    assert ("with its frank" in s.texts()) is not lie


@attack
async def altered_ciphertext(s: Scene, lie: bool) -> None:
    """A byte of a message is changed on the way."""
    body, frank = s.says("hello")
    await s.message((flip(body, len(body) - 3) if lie else body, frank))


@attack
async def altered_tag(s: Scene, lie: bool) -> None:
    """A byte of the authenticated data, which holds the franking tag, is changed."""
    body, frank = s.says("hello")
    await s.message((flip(body, 64) if lie else body, frank))


@attack
async def truncated_message(s: Scene, lie: bool) -> None:
    """The last byte of a message is missing."""
    body, frank = s.says("hello")
    await s.message((body[:-1] if lie else body, frank))


@attack
async def not_mls(s: Scene, lie: bool) -> None:
    """The body of a message is no MLS at all."""
    body, frank = s.says("hello")
    await s.message((b"hello" if lie else body, frank))


@attack
async def altered_frank(s: Scene, lie: bool) -> None:
    """The hub's MAC is replaced."""
    await rehubbed(s, lie, server_frank=bytes(32))


@attack
async def altered_signature(s: Scene, lie: bool) -> None:
    """A byte of the hub's signature is changed."""
    body, frank = s.says("hello")
    await s.message((body, replace(frank, proof=flip(frank.proof, 20)) if lie else frank))


@attack
async def altered_time(s: Scene, lie: bool) -> None:
    """Another time than the hub signed."""
    await rehubbed(s, lie, accepted_timestamp=s.clock())


@attack
async def altered_sequence(s: Scene, lie: bool) -> None:
    """Another sequence number than the hub signed."""
    await rehubbed(s, lie, room_seq=7)


@attack
async def other_hub_key(s: Scene, lie: bool) -> None:
    """Another key id than the hub signed."""
    await rehubbed(s, lie, hub_key_id=9)


@attack
async def unknown_suite(s: Scene, lie: bool) -> None:
    """A franking suite that does not exist."""
    await rehubbed(s, lie, suite=2)


@attack
async def no_frank(s: Scene, lie: bool) -> None:
    """A genuine message without the hub's record."""
    body, frank = s.says("hello")
    await s.mail(MESSAGE, body, None if lie else frank)


@attack
async def swapped_franks(s: Scene, lie: bool) -> None:
    """Two messages come with each other's records."""
    (one, first), (two, second) = s.says("one"), s.says("two")
    await s.message((one, second if lie else first))
    await s.message((two, first if lie else second))


@attack
async def frank_for_another_device(s: Scene, lie: bool) -> None:
    """The hub signs that another device sent it."""
    await s.message(s.says("hello", **({"sender_device": uris.device_uri("kith.test", GHOST)} if lie else {})))


@attack
async def frank_for_another_room(s: Scene, lie: bool) -> None:
    """The hub signs it for another chat."""
    await s.message(s.says("hello", **({"room_uri": uris.room_uri("kith.test", ELSEWHERE)} if lie else {})))


@attack
async def frank_for_another_epoch(s: Scene, lie: bool) -> None:
    """The hub signs it for another epoch."""
    await s.message(s.says("hello", **({"epoch": 9} if lie else {})))


# --- order, number and time -------------------------------------------------------------------------------------------


@attack
async def repeated_sequence(s: Scene, lie: bool) -> None:
    """Two different messages are signed for one sequence number."""
    await s.message(s.says("the first"))
    await s.message(s.says("the second", **({"room_seq": s.seq} if lie else {})))
    assert (EQUIVOCATION in s.lines()) is lie
    assert ("the second" in s.texts()) is not lie


@attack
async def lower_sequence(s: Scene, lie: bool) -> None:
    """The hub signs a sequence number that is over."""
    for text in ("one", "two"):
        await s.message(s.says(text))
    await s.message(s.says("three", **({"room_seq": 1} if lie else {})))


@attack
async def far_sequence(s: Scene, lie: bool) -> None:
    """The hub signs a sequence number that nobody will reach, so that all later ones are lower."""
    await s.message(s.says("the first"))
    await s.message(s.says("far ahead", **({"room_seq": FAR} if lie else {})))


@attack
async def far_first_sequence(s: Scene, lie: bool) -> None:
    """The same for the first message that a device reads."""
    await s.message(s.says("the first", **({"room_seq": FAR} if lie else {})))


@attack
async def time_runs_backwards(s: Scene, lie: bool) -> None:
    """The hub signs a time before the last message's."""
    await s.message(s.says("the first"))
    await s.message(s.says("earlier", **({"accepted_timestamp": 5} if lie else {})))


@attack
async def time_of_the_future(s: Scene, lie: bool) -> None:
    """The hub signs a time far ahead, so that all later ones are earlier."""
    await s.message(s.says("tomorrow's", **({"accepted_timestamp": s.clock() + 10**12} if lie else {})))
    assert "tomorrow's" in s.texts()
    assert (AHEAD in s.lines()) is lie


@attack
async def replayed_message(s: Scene, lie: bool) -> None:
    """An old message comes again as the newest."""
    said = s.says("once")
    await s.message(said)
    await s.message(said if lie else s.says("then this"))
    assert s.texts().count("once") == 1


@attack
async def repeated_delivery(s: Scene, lie: bool) -> None:
    """A message that was read comes again at its place."""
    said = s.says("once")
    await s.message(said)
    if lie:
        await s.message(said, pos=s.pos)
    assert s.texts() == ["once"]


@attack
async def reordered_mail(s: Scene, lie: bool) -> None:
    """Mail comes in another order."""
    one, two = s.says("one"), s.says("two")
    for said, pos in [(two, s.pos + 2), (one, s.pos + 1)] if lie else [(one, s.pos + 1), (two, s.pos + 2)]:
        await s.message(said, pos=pos)
    s.pos += 2
    assert s.texts() == ["one", "two"]


@attack
async def reordered_positions(s: Scene, lie: bool) -> None:
    """Two messages change places, numbers included."""
    one, two = s.says("one"), s.says("two")
    await s.message(two if lie else one)
    await s.message(one if lie else two)


@attack
async def withheld_message(s: Scene, lie: bool) -> None:
    """A message never comes."""
    await s.message(s.says("before"))
    kept = s.says("withheld")
    s.pos += 1
    if not lie:
        await s.message(kept, pos=s.pos)
    await s.message(s.says("the next"))
    await s.later(6_000)
    assert "the next" in s.texts()


@attack
async def far_position(s: Scene, lie: bool) -> None:
    """An unsigned position far ahead, so that all later mail looks as if it was seen."""
    await s.message(s.says("far away"), pos=FAR if lie else None)
    await s.message(s.says("and another"), pos=9_000 if lie else None)
    await s.later(6_000)
    assert s.texts() == ["far away", "and another"]


@attack
async def message_of_the_past(s: Scene, lie: bool) -> None:
    """A message is held back until its epoch is over."""
    kept = s.says("of epoch 1")
    if not lie:
        await s.message(kept)
    await s.mail(COMMIT, s.commit())
    if lie:
        await s.message(kept)


@attack
async def message_of_another_room(s: Scene, lie: bool) -> None:
    """A message of another group is given out as one of this chat."""
    here, there = s.group, s.peer.engine.create_group(uris.group_id(ELSEWHERE), not_before=1, not_after=2)
    s.group = there if lie else here
    said = s.says("elsewhere")
    s.group = here if lie else s.group
    await s.message(said)


@attack
async def message_as_commit(s: Scene, lie: bool) -> None:
    """A message comes as a change of the group."""
    body, frank = s.says("hello")
    await s.mail(COMMIT if lie else MESSAGE, body, None if lie else frank)


@attack
async def commit_as_message(s: Scene, lie: bool) -> None:
    """A change of the group comes as a message."""
    made = s.commit()
    if lie:
        await s.mail(MESSAGE, made)
    await s.mail(COMMIT, made)


# --- answers ----------------------------------------------------------------------------------------------------------


@attack
async def answer_without_proof(s: Scene, lie: bool) -> None:
    """Accepted, with no signature."""
    answer = s.answer(await s.writes("mine"))
    blank = {"room_seq": None, "hub_key_id": None, "server_frank": None, "suite": None, "proof": None}
    await s.hears(replace(answer, **blank) if lie else answer)
    assert ("mine" in s.texts()) is not lie


@attack
async def answer_for_another_place(s: Scene, lie: bool) -> None:
    """Accepted, at a sequence number that the hub did not sign."""
    answer = s.answer(await s.writes("mine"))
    await s.hears(replace(answer, room_seq=900) if lie else answer)
    assert ("mine" in s.texts()) is not lie


@attack
async def answer_of_a_far_sequence(s: Scene, lie: bool) -> None:
    """Accepted, signed for a number that nobody will reach."""
    await s.message(s.says("hello"))
    submit = await s.writes("mine")
    await s.hears(s.answer(submit, **({"room_seq": FAR} if lie else {})))
    assert ("mine" in s.texts()) is not lie


@attack
async def answer_at_a_far_position(s: Scene, lie: bool) -> None:
    """Accepted, at an unsigned position far ahead."""
    answer = s.answer(await s.writes("mine"))
    await s.hears(replace(answer, room_pos=FAR) if lie else answer)
    assert "mine" in s.texts()


@attack
async def answer_of_the_future(s: Scene, lie: bool) -> None:
    """Accepted, signed for a time far ahead."""
    submit = await s.writes("mine")
    await s.hears(s.answer(submit, **({"accepted_timestamp": s.clock() + 10**12} if lie else {})))


@attack
async def invented_answer(s: Scene, lie: bool) -> None:
    """Accepted, for something that was never sent."""
    submit = await s.writes("mine")
    answer = s.answer(submit)
    if lie:
        await s.hears(replace(answer, key=b"k" * 16))
        assert "mine" not in s.texts()
    await s.hears(answer)
    assert "mine" in s.texts()


@attack
async def repeated_answer(s: Scene, lie: bool) -> None:
    """The same answer three times."""
    answer = s.answer(await s.writes("mine"))
    for _ in range(3 if lie else 1):
        await s.hears(answer)
    assert s.texts() == ["mine"]


@attack
async def false_refusal(s: Scene, lie: bool) -> None:
    """Your epoch is over, which it is not."""
    submit = await s.writes("mine")
    if lie:
        await s.hears(Refused(submit.key, "epoch_too_old", "1", None))
        await s.later(4_000)
        submit = s.submits()[-1]
    await s.hears(s.answer(submit))
    assert s.texts() == ["mine"]


# --- commits ----------------------------------------------------------------------------------------------------------


@attack
async def ghost_member(s: Scene, lie: bool) -> None:
    """A device of somebody outside the chat is added (with the help of a member's device)."""
    ghost = Device(OUTSIDER, GHOST) if lie else Device(THEM, TABLET)
    if not lie:
        s.server.lists_devices(THEM, s.peer, ghost)
    await s.mail(COMMIT, s.commit(ghost.package()))
    assert (STRANGER in s.lines()) is lie
    s.client.queue(ROOM, "a secret")
    await s.settled()
    assert bool(s.submits()) is not lie
    if not lie:
        await s.hears(s.answer(s.submits()[-1]))


@attack
async def ghost_device(s: Scene, lie: bool) -> None:
    """A device is added that its account does not list (with the help of a member's device)."""
    ghost = Device(THEM, GHOST)
    if not lie:
        s.server.lists_devices(THEM, s.peer, ghost)
    await s.mail(COMMIT, s.commit(ghost.package()))
    assert (UNLISTED in s.lines()) is lie
    s.client.queue(ROOM, "only for listed devices")
    await s.settled()
    assert len(s.commits()) == lie  # nothing is said before the ghost is out
    assert bool(s.submits()) is not lie
    if lie:
        await s.adopts()
        assert s.peer.engine.roster(s.group)[-1].identity != ghost.who.encode()
    await s.hears(s.answer(s.submits()[-1]))


@attack
async def swapped_leaf_key(s: Scene, lie: bool) -> None:
    """A listed device is added with another key than listed."""
    tablet = Device(THEM, TABLET)
    s.server.lists_devices(THEM, s.peer, tablet)
    await s.mail(COMMIT, s.commit((Device(THEM, TABLET) if lie else tablet).package()))
    assert (STRANGER in s.lines()) is lie


@attack
async def external_commit(s: Scene, lie: bool) -> None:
    """Somebody adds themselves from outside."""
    before = s.group
    made = s.commit()
    if lie:
        await s.mail(COMMIT, external(made))
        assert s.state.group().epoch == before.epoch
    await s.mail(COMMIT, made)


def external(commit: bytes) -> bytes:
    """The same commit, said to be of somebody who is not in the group yet (RFC 9420 section 6.1)."""
    at = 4 + 1 + commit[4] + 8  # version, wire format, group id, epoch
    assert commit[at] == 1
    return commit[:at] + b"\x04" + commit[at + 5 :]


@attack
async def altered_commit(s: Scene, lie: bool) -> None:
    """A change is altered; the genuine one comes after it."""
    made = s.commit()
    if lie:
        await s.mail(COMMIT, flip(made, len(made) // 2))
    await s.mail(COMMIT, made)


@attack
async def commit_replaced_by_noise(s: Scene, lie: bool) -> None:
    """Noise comes instead of a change."""
    made = s.commit()
    await s.mail(COMMIT, b"\x00\x01\x00\x01" + b"\xff" * 99 if lie else made)
    await s.mail(COMMIT, s.commit())
    assert (BROKEN in s.lines()) is lie


@attack
async def withheld_commit(s: Scene, lie: bool) -> None:
    """A change never comes."""
    made = s.commit()
    if not lie:
        await s.mail(COMMIT, made)
    await s.mail(COMMIT, s.commit())
    assert (BROKEN in s.lines()) is lie


@attack
async def late_commit(s: Scene, lie: bool) -> None:
    """A change comes when its place was given up."""
    made = s.commit()
    s.pos += 1
    if not lie:
        await s.mail(COMMIT, made, pos=s.pos)
    await s.message(s.says("in the new epoch"))
    await s.later(6_000)
    if lie:
        await s.mail(COMMIT, made, pos=s.pos - 1)
    assert s.state.group().epoch == s.group.epoch


@attack
async def replayed_commit(s: Scene, lie: bool) -> None:
    """A change that was followed comes again."""
    made = s.commit()
    for _ in range(2 if lie else 1):
        await s.mail(COMMIT, made)


@attack
async def fork(s: Scene, lie: bool) -> None:
    """Two changes of one epoch, one for each half of the chat."""
    before = s.group
    other = s.commit()
    s.group = before
    await s.mail(COMMIT, s.commit())
    if lie:
        await s.mail(COMMIT, other)


@attack
async def own_commit_mailed_back(s: Scene, lie: bool) -> None:
    """This device's own change comes back as somebody else's."""
    record, group = s.state._record(), s.state.group()
    s.state._propose(record, group, [], [])
    s.client._poke(ROOM)
    await s.settled()
    if lie:
        await s.mail(COMMIT, s.commits()[-1].commit)
    await s.adopts()


@attack
async def taken_out(s: Scene, lie: bool) -> None:
    """This device is removed (with the help of a member's device)."""
    leaf = s.my_leaf()
    assert leaf is not None
    await s.mail(COMMIT, s.commit(removes=(leaf,) if lie else ()))
    assert (REMOVED in s.lines()) is lie


@attack
async def oversize_commit(s: Scene, lie: bool) -> None:
    """A change of two megabytes."""
    made = s.commit()
    if lie:
        await s.mail(COMMIT, made + bytes(2 * 1024 * 1024))
    await s.mail(COMMIT, made)


@attack
async def oversize_tree(s: Scene, lie: bool) -> None:
    """A change that makes a group of more than 256 devices."""
    before, many = s.group, (f"00000000-0000-4000-8000-{n:012x}" for n in range(4096, 4352))
    if lie:
        await s.mail(COMMIT, s.commit(*(Device(THEM, one).package() for one in many)))
        s.group = before
    await s.mail(COMMIT, s.commit())


# --- Welcomes ---------------------------------------------------------------------------------------------------------


@attack
async def wrong_welcome(s: Scene, lie: bool) -> None:
    """A Welcome to another group than this chat's."""
    if lie:
        here = s.group
        s.group = s.peer.engine.create_group(uris.group_id(ELSEWHERE), not_before=1, not_after=2)
        s.commit(s.joins())
        await s.mail(WELCOME, s.welcome)
        s.group = here
    s.commit(s.joins())
    await s.mail(WELCOME, s.welcome)


@attack
async def altered_welcome(s: Scene, lie: bool) -> None:
    """A Welcome with a byte changed; the genuine one comes after it."""
    s.commit(s.joins())
    if lie:
        await s.mail(WELCOME, flip(s.welcome, len(s.welcome) - 40))
    await s.mail(WELCOME, s.welcome)


@attack
async def stranger_in_welcome(s: Scene, lie: bool) -> None:
    """A Welcome to a group with a device of somebody outside the chat."""
    before = s.group
    if lie:
        s.commit(Device(OUTSIDER, GHOST).package())
        s.commit(s.joins())
        await s.mail(WELCOME, s.welcome)
        assert not s.state.has_group()
        s.group = before
    s.commit(s.joins())
    await s.mail(WELCOME, s.welcome)


@attack
async def far_position_welcome(s: Scene, lie: bool) -> None:
    """A genuine Welcome at a position far ahead."""
    s.commit(s.joins())
    await s.mail(WELCOME, s.welcome, pos=FAR if lie else None)
    assert s.state.has_group()


@attack
async def replayed_welcome(s: Scene, lie: bool) -> None:
    """The Welcome that was used comes again."""
    before = s.state.group()
    if lie:
        await s.mail(WELCOME, s.welcome, pos=s.pos)
    assert s.state.group() == before


@attack
async def replayed_welcome_after_a_break(s: Scene, lie: bool) -> None:
    """An old Welcome, to lead a device that lost the chat back to a past epoch."""
    old = s.welcome
    await s.mail(COMMIT, s.commit())
    if lie:
        s.commit()
        await s.mail(COMMIT, s.commit())
        await s.mail(WELCOME, old)


# --- keys of people ---------------------------------------------------------------------------------------------------


async def about_their_keys(s: Scene, lie: bool, change: Callable[[answers.Devices], answers.Devices]) -> None:
    """The server says that the other one's devices changed, and answers so about them; nothing follows from it."""
    if lie:
        s.server.lie = lambda answer: change(answer) if answer.account == THEM else answer
    await s.roster()
    assert s.commits() == []
    s.server.lie = lambda answer: answer
    await s.roster()


@attack
async def ghost_in_the_answer(s: Scene, lie: bool) -> None:
    """A device beside those on the signed list."""
    ghost = answers.Device(uris.device_uri("kith.test", GHOST), b"g" * 32, 5, b"c" * 64)
    await about_their_keys(s, lie, lambda answer: replace(answer, devices=[*answer.devices, ghost]))


@attack
async def ghost_in_the_list(s: Scene, lie: bool) -> None:
    """A list with one more device, under the old signature."""
    made = s.server.lists[THEM]
    forged = altered(
        made, version=9, entries=(*made.entries, DeviceEntry(uris.device_uri("kith.test", GHOST), b"g" * 32, 5))
    )
    await about_their_keys(s, lie, lambda answer: replace(answer, device_list=forged.encode()))


@attack
async def forged_certificate(s: Scene, lie: bool) -> None:
    """A device without its account's certificate."""

    def forge(answer: answers.Devices) -> answers.Devices:
        return replace(answer, devices=[replace(one, certificate=b"c" * 64) for one in answer.devices])

    await about_their_keys(s, lie, forge)


@attack
async def swapped_device_key(s: Scene, lie: bool) -> None:
    """Another key for a listed device."""
    await about_their_keys(
        s, lie, lambda answer: replace(answer, devices=[replace(one, mls_key=b"g" * 32) for one in answer.devices])
    )


@attack
async def keys_of_somebody_else(s: Scene, lie: bool) -> None:
    """The answer is about another account."""
    await about_their_keys(s, lie, lambda _answer: s.server.devices(ME, 0))


@attack
async def rolled_back_list(s: Scene, lie: bool) -> None:
    """An older list than was seen."""
    old, signed = s.server.lists[THEM], identity.sign_device_list(s.server.aiks[THEM], s.server.lists[THEM])
    s.server.lists_devices(THEM, s.peer)
    await s.roster()
    await about_their_keys(
        s, lie, lambda answer: replace(answer, device_list=old.encode(), device_list_signature=signed)
    )


@attack
async def two_lists_of_one_version(s: Scene, lie: bool) -> None:
    """Another list with the version of the one that was seen."""
    other = altered(s.server.lists[THEM], signed_ms=8)
    signed = identity.sign_device_list(s.server.aiks[THEM], other)
    await about_their_keys(
        s, lie, lambda answer: replace(answer, device_list=other.encode(), device_list_signature=signed)
    )


@attack
async def vanished_keys(s: Scene, lie: bool) -> None:
    """No keys for somebody whose keys are known."""
    await s.roster()
    nothing: dict[str, Any] = {"aik": None, "device_list": None, "device_list_signature": None, "devices": []}
    await about_their_keys(s, lie, lambda answer: replace(answer, **nothing))


@attack
async def swapped_identity(s: Scene, lie: bool) -> None:
    """All keys signed anew under another identity key."""
    forger = Ed25519PrivateKey.generate()
    await about_their_keys(s, lie, lambda _answer: s.server.devices(THEM, s.log_size, forger))


@attack
async def own_identity_swapped(s: Scene, lie: bool) -> None:
    """Another identity key for this device's own account."""
    assert s.client._world is not None
    s.client._world.directory.own_identity(public_bytes(s.server.aiks[ME]))
    forger = Ed25519PrivateKey.generate()
    if lie:
        s.server.lie = lambda answer: s.server.devices(ME, 0, forger) if answer.account == ME else answer
    await s.roster()
    assert s.commits() == []
    s.server.lie = lambda answer: answer
    await s.roster()


async def adds_tablet(s: Scene, lie: bool, lied: bytes) -> None:
    """They have a new device; the server hands out this package for it."""
    tablet = Device(THEM, TABLET)
    s.server.lists_devices(THEM, s.peer, tablet)
    s.server.packages[TABLET] = lied if lie else tablet.package()
    await s.roster()
    assert len(s.commits()) == (not lie)
    if not lie:
        await s.adopts()
        assert THEIR_DEVICE in s.lines()


@attack
async def swapped_key_package(s: Scene, lie: bool) -> None:
    """A key package with another key for a new device."""
    await adds_tablet(s, lie, Device(THEM, TABLET).package())


@attack
async def key_package_of_a_stranger(s: Scene, lie: bool) -> None:
    """A key package of somebody outside the chat."""
    await adds_tablet(s, lie, Device(OUTSIDER, GHOST).package())


@attack
async def key_package_of_another_device(s: Scene, lie: bool) -> None:
    """A key package of another device than was asked for."""
    await adds_tablet(s, lie, Device(THEM, THEIRS, s.peer.key).package())


async def spoils_tablet(s: Scene, lie: bool, spoil: Callable[[Device], bytes]) -> None:
    """The package is the new device's own, and still no good; the next one is."""
    tablet = Device(THEM, TABLET)
    s.server.lists_devices(THEM, s.peer, tablet)
    s.server.packages[TABLET] = spoil(tablet) if lie else tablet.package()
    await s.roster()
    assert len(s.commits()) == (not lie)
    s.server.packages[TABLET] = tablet.package()
    if lie:
        await s.roster()
    await s.adopts()
    assert THEIR_DEVICE in s.lines()


@attack
async def stale_key_package(s: Scene, lie: bool) -> None:
    """An expired key package."""
    await spoils_tablet(s, lie, lambda tablet: tablet.package(expired=True))


@attack
async def altered_key_package(s: Scene, lie: bool) -> None:
    """A key package with a byte changed."""
    await spoils_tablet(s, lie, lambda tablet: flip(tablet.package(), -5))


@attack
async def noise_as_key_package(s: Scene, lie: bool) -> None:
    """Noise as a key package."""
    await adds_tablet(s, lie, b"\x00\x01\x00\x05" + b"\xff" * 50)


# --- rosters ----------------------------------------------------------------------------------------------------------


@attack
async def third_account(s: Scene, lie: bool) -> None:
    """A third person appears in a chat of two."""
    s.server.accounts = [ME, THEM, OUTSIDER] if lie else [ME, THEM]
    s.server.lists_devices(OUTSIDER, Device(OUTSIDER, GHOST))
    await s.roster(OUTSIDER)
    assert s.client.state(ROOM).world.directory.roster(ROOM) == (ME, THEM)


@attack
async def chat_becomes_group(s: Scene, lie: bool) -> None:
    """A chat of two is called a group."""
    s.server.kind = "group" if lie else "direct"
    directory = s.client.state(ROOM).world.directory
    if lie:
        with pytest.raises(Exception, match="group"):
            directory.learn_room(await s.server.room(ROOM))
    else:
        directory.learn_room(await s.server.room(ROOM))
    s.server.kind = "direct"


# --- groups -----------------------------------------------------------------------------------------------------------


@attack
async def group_ghost_member(s: Scene, lie: bool) -> None:
    """Somebody whom the roster does not name is added (with the help of a member's device)."""
    ghost = Device(OUTSIDER, GHOST)
    s.server.lists_devices(OUTSIDER, ghost)
    await s.mail(COMMIT, s.commit(ghost.package()) if lie else s.commit())
    assert (UNLISTED in s.lines()) is lie
    s.client.queue(ROOM, "only for members")
    await s.settled()
    assert len(s.commits()) == lie
    if lie:
        assert not s.submits()
        await s.adopts()
        assert len(s.group.members()) == len((s.mine, s.peer))
    await s.hears(s.answer(s.submits()[-1]))


@attack
async def group_ghost_speaks(s: Scene, lie: bool) -> None:
    """Somebody whom the roster does not name says something."""
    ghost = Device(OUTSIDER, GHOST)
    s.server.lists_devices(OUTSIDER, ghost)
    if lie:
        await s.mail(COMMIT, s.commit(ghost.package()))
        await s.message(s.ghost_says(ghost, "I am one of you"))
    assert s.texts() == []


@attack
async def group_roster_ghost(s: Scene, lie: bool) -> None:
    """The server puts somebody on the roster whom nobody invited."""
    ghost = Device(OUTSIDER, GHOST)
    s.server.lists_devices(OUTSIDER, ghost)
    s.server.packages[GHOST] = ghost.package()
    if lie:
        s.server.accounts = [ME, THEM, OUTSIDER]
    await s.members_changed()
    if s.commits():
        await s.adopts()
    assert any(line.startswith("Name 3 joined") for line in s.lines()) is lie


@attack
async def group_becomes_chat(s: Scene, lie: bool) -> None:
    """A group is called a chat of two."""
    s.server.kind = "direct" if lie else "group"
    await s.members_changed()
    assert s.state.world.directory.who(ROOM).is_group
    s.server.kind = "group"


@attack
async def group_replayed_welcome(s: Scene, lie: bool) -> None:
    """The Welcome that was used comes again, as the newest mail."""
    before = s.state.group()
    if lie:
        await s.mail(WELCOME, s.welcome, pos=s.pos + 1)
    assert s.state.group() == before


# --- the server's keys and its log ------------------------------------------------------------------------------------


async def about_its_keys(s: Scene, lie: bool, made: identity.Manifest, hub: Ed25519PrivateKey) -> None:
    """The server shows another manifest, and franks with the key in it."""
    honest, key = s.server.manifest, s.server.hub
    if lie:
        s.server.manifest, s.server.hub = made, hub
    await s.message(s.says("under another key"))
    assert ("under another key" in s.texts()) is not lie
    s.server.manifest, s.server.hub = honest, key


@attack
async def swapped_server_key(s: Scene, lie: bool) -> None:
    """Another signing key than was pinned."""
    other = Ed25519PrivateKey.generate()
    await about_its_keys(s, lie, identity.first_manifest(other, first_hub_key_id=1, created_ms=1), other)


@attack
async def forged_manifest_entry(s: Scene, lie: bool) -> None:
    """A new signing key that the one before did not sign."""
    other = Ed25519PrivateKey.generate()
    honest = identity.append_entry(
        s.server.manifest, signer=s.server.hub, public_key=public_bytes(other), first_hub_key_id=2, created_ms=2**41
    )
    first, second = honest.signed
    forged = altered(honest, signed=(first, altered(second, signature=flip(second.signature, 5))))
    await about_its_keys(s, lie, forged, other)


@attack
async def dropped_manifest_entry(s: Scene, lie: bool) -> None:
    """A signing key that was shown is gone."""
    short, other = s.server.manifest, Ed25519PrivateKey.generate()
    s.server.manifest = identity.append_entry(
        short, signer=s.server.hub, public_key=public_bytes(other), first_hub_key_id=2, created_ms=2**41
    )
    assert s.client._trust is not None
    await s.client._trust.learn_server()
    await s.message(s.says("of the first key"))
    await about_its_keys(s, lie, short, Ed25519PrivateKey.generate())


@attack
async def keys_not_in_the_log(s: Scene, lie: bool) -> None:
    """Keys without a proof from the key log."""
    await about_their_keys(s, lie, lambda answer: replace(answer, transparency=None))


@attack
async def dropped_log_entry(s: Scene, lie: bool) -> None:
    """The newest version of somebody's keys is left out."""
    old = s.server.devices(THEM, 0)
    s.server.lists_devices(THEM, s.peer)
    await about_their_keys(s, lie, lambda answer: replace(old, transparency=answer.transparency))


@attack
async def forked_log(s: Scene, lie: bool) -> None:
    """Another log than was shown before."""
    fork = s.server.log.fork()
    await s.roster()
    for other in (fork, s.server.log):
        other.log("00000000-0000-4000-8000-0000000000ef", bytes([other is fork]))
    await s.roster()
    for _ in range(3):
        fork.log("00000000-0000-4000-8000-0000000000ea", b"more")
    await about_their_keys(s, lie, lambda answer: replace(answer, transparency=fork.proof(THEM, s.log_size)))


@attack
async def rolled_back_log(s: Scene, lie: bool) -> None:
    """An older log than was shown before."""
    old = copy.copy(s.server.log.fork())
    await s.roster()
    s.server.log.log("00000000-0000-4000-8000-0000000000ef", b"more")
    await s.roster()
    await about_their_keys(s, lie, lambda answer: replace(answer, transparency=old.proof(THEM, 0)))


# --- the run ----------------------------------------------------------------------------------------------------------


def seen(s: Scene) -> str:
    """What became of it: `broken` (with the way out said), `flagged` (the person sees that something was wrong)."""
    if not s.state.has_group():
        assert any(WAY_OUT in line.lower() for line in s.lines()), s.lines()
        return "broken"
    genuine = sum(line == THEIR_DEVICE for line in s.lines())
    return "flagged" if s.marks() > genuine or s.client.alarms() else "refused"


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_the_lie_is_refused_or_seen_and_the_chat_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the lie: exactly the outcome of the table, then the genuine chat. Without it: nothing to see."""
    kind = "group" if name.startswith("group-") else "direct"

    async def run(*, lie: bool) -> str:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            async with scene(Path(folder), monkeypatch, joined=name not in UNJOINED, kind=kind) as s:
                await ATTACKS[name](s, lie)
                outcome = seen(s)
                await (s.heals() if outcome == "broken" else s.goes_on())
                return outcome

    assert asyncio.run(run(lie=False)) == "refused", "the control shows nothing"
    assert asyncio.run(run(lie=True)) == LIST[name]["sdk"]


def test_the_list_and_what_is_run_are_the_same() -> None:
    """No row without a test, no test without a row."""
    assert {name for name, one in LIST.items() if one["sdk"] != "-"} == set(ATTACKS)
