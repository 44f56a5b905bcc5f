"""Accepting messages and handing them on: one body, one small row per device, one answer that a repeat gets again."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.ledger.database import Reader, Row, Tx
from kith.ledger.events import FirstMessage
from kith.ledger.limits import HOUR
from kith.ledger.signals import Delivered, MailArrived
from kith.messaging import store
from kith.messaging.envelope import Message, size_bucket
from kith.messaging.flows.writing import Sender, judge, may_write_here
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import Accepted, Refusal
from kith.people import connections
from kith.protocol.frames import MESSAGE, ROSTER, WELCOME
from kith.protocol.franking import TAG, Context, batch_proofs, frank_and_tbs, sign_single
from kith.protocol.uris import account_uri, device_uri, room_uri

RING_PIECE: Final = 64
"""Old answers of a device are dropped this many at a time, because all of its answers are looked through for them."""


class Franker(Protocol):
    """Whoever holds the hub's keys."""

    def current(self) -> tuple[int, bytes, Ed25519PrivateKey]:
        """The hub key in use: its id, its 32 bytes, and the signing key that serves it."""


class Hub(NamedTuple):
    """What franking needs of the server."""

    server: str
    franker: Franker


class Franked(NamedTuple):
    """A message's frank."""

    hub_key_id: int
    mac: bytes
    proof: bytes


def send(
    tx: Tx, sender: Sender, key: bytes, message: Message, *, hub: Hub, limits: Limits = DEFAULTS
) -> Accepted | Refusal:
    """Accept a durable message: checks 4 to 7 of the franking profile, section 6, then number, frank and store it.

    A repeat is answered before the checks: its answer was given when they held, and the epoch may have moved since.
    """
    first = answered(tx, sender.device, key)
    if first is not None:
        return first
    place = may_write_here(tx, sender.account, message.room)
    if isinstance(place, Refusal):
        return place
    head = tx.one(store.HEAD_NUMBERS, id=message.room)
    leaves = [leaf for leaf in tx.all(store.LEAVES, id=message.room) if leaf.live]
    if head is None or all(leaf.device != sender.device for leaf in leaves):
        return Refusal("invalid", "This device is not in the chat's group yet.")
    refusal = (
        _stale(message.epoch, head.epoch)
        or _untagged(message)
        or overfull(tx, message.room, leaves, sender, limits=limits)
    )
    if refusal is not None:
        return refusal
    recipients = [leaf.device for leaf in leaves if leaf.device != sender.device]
    return _accept(tx, sender, key, message, hub=hub, head=head, recipients=recipients)


def _stale(epoch: int, current: int | None) -> Refusal | None:
    if epoch == current:
        return None
    if current is None or epoch > current:
        return Refusal("invalid", "The message is of an epoch that this room has not reached.")
    return Refusal("epoch_too_old", str(current))


def _untagged(message: Message) -> Refusal | None:
    """No tag, no delivery: what cannot be reported is not delivered."""
    if message.tag is None:
        return Refusal("untagged", "The message does not carry exactly one franking tag.")
    return None


def overfull(tx: Tx, room: str, leaves: Iterable[Row], sender: Sender, *, limits: Limits) -> Refusal | None:
    """A device that collects nothing must not let a pair of accounts fill the disk."""
    others = {leaf.device for leaf in leaves if leaf.live and leaf.device != sender.device}
    if far_behind(tx, room, limits).isdisjoint(others):
        return None
    return Refusal("limited", "Very many messages wait here uncollected. Try again later.", None, HOUR)


def far_behind(reader: Reader, room: str, limits: Limits) -> set[str]:
    """Devices with more than `backlog` places between the newest that waits in a room and their oldest.

    Counted by what is stored, never by the numbers of positions: between two that follow each other a restore leaves a
    million free.
    """
    oldest = reader.value(store.PLACE_BACK, id=room, back=limits.backlog)
    if oldest is None:
        return set()
    return {row.device for row in reader.all(store.WAITING_SINCE, id=room, pos=oldest)}


def _accept(
    tx: Tx, sender: Sender, key: bytes, message: Message, *, hub: Hub, head: Row, recipients: Sequence[str]
) -> Accepted:
    room = message.room
    at, position, number = max(tx.now, head.last_ms), head.room_pos + 1, head.room_seq + 1
    frank = _frank(hub, sender, message, at, number)
    answer = Accepted(key, position, at, number, frank.hub_key_id, frank.mac, frank.proof)
    if recipients:
        body = {"room_seq": number, "hub_key_id": frank.hub_key_id, "frank": frank.mac, "proof": frank.proof}
        tx.put(store.bodies, room=room, room_pos=position, kind=MESSAGE, body=message.body, at_ms=at, **body)
    for device in recipients:
        post(tx, device, MESSAGE, room, position, by=sender.account)
    tx.run(store.HEAD_MOVED, id=room, pos=position, seq=number, at=at)
    size = size_bucket(len(message.body))
    tx.put(store.envelopes, room=room, room_seq=number, account=sender.account, at_ms=at, size_bucket=size)
    remember(tx, sender.device, answer)
    if tx.one(store.WRITER, id=room, who=sender.account) is None:
        tx.append(FirstMessage(room=room, account=sender.account))
    return answer


def _frank(hub: Hub, sender: Sender, message: Message, at: int, number: int) -> Franked:
    hub_key_id, hub_key, signer = hub.franker.current()
    context = context_of(hub, sender, message, at=at, number=number, hub_key_id=hub_key_id)
    mac, tbs = frank_and_tbs(hub_key, message.tag or b"", context)
    return Franked(hub_key_id, mac, sign_single(signer, tbs).encode())


def context_of(hub: Hub, sender: Sender, message: Message, *, at: int, number: int, hub_key_id: int) -> Context:
    """What the hub itself knows about a submission."""
    return Context(
        sender_uri=account_uri(hub.server, sender.account),
        room_uri=room_uri(hub.server, message.room),
        accepted_timestamp=at,
        sender_device=device_uri(hub.server, sender.device),
        epoch=message.epoch,
        room_seq=number,
        hub_key_id=hub_key_id,
    )


# --- stored proofs --------------------------------------------------------------------------------

_IN_BATCH: Final = 0xFF
"""The first byte of a stored proof that is only a place in a batch; proofs themselves begin with their kind, 0 or 1."""
_REFERENCE: Final = struct.Struct(">BQI")


def reference(batch: int, leaf: int) -> bytes:
    """What is stored instead of a proof of kind 1: which leaf of which batch."""
    return _REFERENCE.pack(_IN_BATCH, batch, leaf)


def proof_of(reader: Reader, stored: bytes | None) -> bytes | None:
    """The proof behind what is stored; the path is made again from the batch's leaves. None when the batch is gone."""
    if stored is None or stored[0] != _IN_BATCH:
        return stored
    _, number, leaf = _REFERENCE.unpack(stored)
    batch = reader.one(store.BATCH, which=number)
    if batch is None:
        return None
    leaves = [batch.leaves[at : at + TAG] for at in range(0, len(batch.leaves), TAG)]
    proof: bytes = batch_proofs(leaves, batch.signature)[leaf].encode()
    return proof


def post(
    tx: Tx,
    device: str,
    kind: int,
    room: str | None,
    position: int,
    *,
    about: str | None = None,
    by: str | None = None,
) -> None:
    """Put a mail into a device's mailbox and ring for it; `by` is who wrote it, when it is a message."""
    place = {"kind": kind, "room": room, "room_pos": position, "about": about}
    tx.put(store.mailbox, device=device, mail=number_mails(tx, 1), at_ms=tx.now, **place)
    tx.publish(MailArrived(device, room, by))


def number_mails(tx: Tx, count: int) -> int:
    """Ids for some mails, never given before: the first of them, in the order in which mails are posted."""
    row = tx.one(store.MAILS_NUMBERED, count=count)
    assert row is not None  # noqa: S101  an upsert returns its row
    return int(row.given) - count + 1


_GROUP = "room/"


def room_mark(room: str) -> str:
    """What a roster mail is about when a group's roster changed, and not an account's devices."""
    return _GROUP + room


def marked_room(about: str | None) -> str | None:
    """The group that a roster mail is about; None when it is about an account."""
    return about.removeprefix(_GROUP) if about is not None and about.startswith(_GROUP) else None


def answered(tx: Tx, device: str, key: bytes) -> Accepted | None:
    """The first answer to this submission, when it was accepted before."""
    row = tx.one(store.ANSWER, whose=device, key_=key)
    if row is None:
        return None
    proof = proof_of(tx, row.proof)
    if row.frank is not None and proof is None:  # its batch is past its retention
        tx.run(store.ANSWER_GONE, whose=device, key_=key)
        return None
    return Accepted(key, row.room_pos, row.at_ms, row.room_seq, row.hub_key_id, row.frank, proof)


def remember(tx: Tx, device: str, answer: Accepted, limits: Limits = DEFAULTS) -> None:
    """Keep an answer in the device's ring."""
    turn = int(tx.value(store.LAST_TURN, whose=device) or 0) + 1
    tx.put(
        store.answers,
        device=device,
        turn=turn,
        submit_key=answer.key,
        room_pos=answer.room_pos,
        at_ms=answer.timestamp,
        room_seq=answer.room_seq,
        hub_key_id=answer.hub_key_id,
        frank=answer.server_frank,
        proof=answer.proof,
    )
    if turn % RING_PIECE == 0:
        tx.run(store.ANSWERS_OLD, whose=device, up_to=turn - limits.answers_kept)


def ack(tx: Tx, account: str, device: str, mails: Sequence[int]) -> None:
    """A device has these mails: their rows go, bodies that nobody waits for go, senders get a hint."""
    read: dict[str, list[Received]] = {}
    for mail in mails:
        row = tx.one(store.MAIL_ROW, which=mail, whose=device)
        if row is None:
            continue
        tx.run(store.MAIL_GONE, whose=device, which=mail)
        if row.kind != ROSTER:
            tx.run(store.BODY_GONE, id=row.room, pos=row.room_pos, what=row.kind)
        if row.kind == MESSAGE:
            read.setdefault(row.room, []).append(Received(row.room_pos, mail))
    for room, received in read.items():
        other = peer_of(tx, account, room)
        if other is not None:
            hint_to(tx, other, device, room, received)


class Received(NamedTuple):
    """A message that a device has: where it stands in its room, and the id of its mail."""

    room_pos: int
    mail: int


def peer_of(reader: Reader, account: str, room: str) -> str | None:
    """The other person of a room of two, None once they parted: she is not told when the other comes on line."""
    place = reader.one(store.ROOM, id=room)
    if place is None or not connections.connected(reader, place.one, place.other):
        return None
    return str(place.other if place.one == account else place.one)


def hint_to(tx: Tx, other: str, device: str, room: str, received: Sequence[Received]) -> None:
    """Publish how far this device has everything, when that is news; nothing where that takes long to find out."""
    last = max(received)
    upto = last.room_pos
    if tx.any(store.WAITS_BEFORE, whose=device, before=last.mail):
        found = tx.one(store.FIRST_BEFORE, whose=device, before=last.mail, id=room)
        if found is None or (found.first is None and found.looked_at >= store.LOOKED_AT):
            return
        upto = upto if found.first is None else int(found.first) - 1
    if upto >= min(received).room_pos:
        tx.publish(Delivered(room, upto, other))


def received_upto(reader: Reader, account: str, room: str, head: int) -> int | None:
    """How far a device of the other person of a room of two has everything: what hints said, or said to nobody.

    None once the two parted, as for hints. A device whose Welcome waits has nothing of the room.
    """
    other = peer_of(reader, account, room)
    if other is None:
        return None
    devices = {leaf.device for leaf in reader.all(store.LEAVES, id=room) if leaf.live and leaf.account == other}
    waiting = reader.all(store.FIRST_WAITING, id=room, most=store.LOOKED_AT)
    all_seen = sum(one.mails for one in waiting) < store.LOOKED_AT
    beyond = head if all_seen else max(one.last for one in waiting) - 1
    upto = dict.fromkeys(devices, beyond)
    for one in waiting:
        if one.device in upto:
            position, kind = divmod(one.first, store.KINDS)
            upto[one.device] = 0 if kind == WELCOME else position - 1
    return max(upto.values(), default=0)


class Mail(NamedTuple):
    """A mail in a device's box; its body is fetched when its turn comes, for many bodies are large."""

    mail: int
    kind: int
    room: str | None
    room_pos: int
    about: str | None


class Body(NamedTuple):
    """What a mail carries: an MLSMessage, and the frank when it is a message."""

    body: bytes
    at_ms: int
    room_seq: int | None
    hub_key_id: int | None
    frank: bytes | None
    proof: bytes | None


def waiting(reader: Reader, device: str, after: int, most: int) -> list[Mail]:
    """Mails that a device has not acked, oldest first, from behind a mail id."""
    return [Mail(**row) for row in reader.all(store.MAIL, whose=device, after=after, most=most)]


def body_of(reader: Reader, mail: Mail) -> Body | None:
    """The body of a mail; None for rosters, and when it is past its retention."""
    row = reader.one(store.BODY, id=mail.room, pos=mail.room_pos, what=mail.kind)
    return None if row is None else Body(**row)._replace(proof=proof_of(reader, row.proof))


def unsent_before(reader: Reader, device: str, after: int, room: str, position: int) -> bool:
    """Whether a mail of this room with a smaller position may still wait behind this mail id.

    Among very many mails it is not looked for: it counts as there until the device has collected more of them.
    """
    found = reader.one(store.FIRST_AFTER, whose=device, after=after, id=room)
    if found is None or found.first is None:
        return found is not None and found.looked_at >= store.LOOKED_AT
    return int(found.first) < position


class Audience(NamedTuple):
    """To whom an ephemeral message goes, and after which position."""

    devices: list[str]
    after_pos: int


def audience(reader: Reader, sender: Sender, room: str, epoch: int) -> Audience | None:
    """Where an ephemeral message goes; None when it goes nowhere, of which nobody is told."""
    place, decision = judge(reader, sender.account, room)
    head = reader.one(store.HEAD_NUMBERS, id=room)
    if place is None or not decision.allowed or head is None or head.epoch != epoch:
        return None
    devices = [leaf.device for leaf in reader.all(store.LEAVES, id=room) if leaf.live]
    if sender.device not in devices:
        return None
    return Audience([device for device in devices if device != sender.device], head.room_pos)
