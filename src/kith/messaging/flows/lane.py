"""The lane of messages: what a commit batch holds of them is judged from facts in memory, written and signed as one.

Only the ordinary case runs here: a member's tagged message of the current epoch, to a room in which she has written
before. Everything else (a first message, a repeat, every refusal) goes through `delivery.send` in its turn, so that
there is one place that refuses. What is remembered of a room is dropped as soon as anybody writes to a table that it
may depend on, and whenever something was undone.

Order: items are numbered as they come; mail ids follow the same order, so that a device which is sent every mail of
every batch as it is released has them in the order of its mailbox.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.ledger import schema
from kith.ledger.database import Tx
from kith.messaging import store
from kith.messaging.envelope import Message, size_bucket
from kith.messaging.flows import delivery
from kith.messaging.flows.delivery import RING_PIECE, Hub, Received, reference
from kith.messaging.flows.writing import Sender, judge
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import Accepted, Refusal
from kith.people import store as people
from kith.protocol.frames import MESSAGE
from kith.protocol.franking import batch_proofs, frank_and_tbs, leaf_hash, sign_leaves, sign_single

ROOMS: Final = 20_000
"""Rooms remembered before all are forgotten: about a kilobyte each."""
TURNS: Final = 50_000
"""Devices whose place in their ring of answers is remembered."""

UNRELATED: Final = frozenset(
    table.name
    for table in (
        store.bodies,
        store.mailbox,
        store.envelopes,
        store.batches,
        store.counters,
        schema.events,
        schema.cursors,
        people.buckets,
        people.hushes,
        people.sessions,
        people.device_names,
    )
)
"""Tables on which nothing here depends. Any other may: a table is safe to forget about only once it is listed here."""


class Submission(NamedTuple):
    """A message that a device wants accepted; `whose` is told, and means nothing here."""

    sender: Sender
    key: bytes
    message: Message
    whose: object


class Mailed(NamedTuple):
    """A mail that a device was sent: where it belongs."""

    mail: int
    kind: int
    room: str
    room_pos: int


class Receipt(NamedTuple):
    """A device has these mails, which it was sent on its own stream.

    Needs no fsync of its own: losing it means a mail that comes twice, which devices drop by its id.
    """

    account: str
    device: str
    mails: Sequence[Mailed]


@dataclass(slots=True)
class Posted:
    """What became of a submission. `first_mail` counts on over `recipients`; `signals` are rung in its turn."""

    answer: Accepted | Refusal | None = None
    recipients: Sequence[str] = ()
    first_mail: int = 0
    signals: Sequence[object] = ()


@dataclass(slots=True)
class _Room:
    """A room as far as an ordinary message needs it."""

    epoch: int | None
    position: int
    number: int
    last_ms: int
    leaves: list[str]
    roomy_until: int = 0
    """Below this position no device can have too much waiting; then it is counted again."""
    may_write: set[str] = field(default_factory=set)
    have_written: set[str] = field(default_factory=set)
    peers: dict[str, str | None] = field(default_factory=dict)


class _Draft(NamedTuple):
    """A message that is accepted, once it is written."""

    submission: Submission
    posted: Posted
    position: int
    number: int
    at_ms: int
    frank: bytes
    tbs: bytes


class Messages:
    """The lane; `deliver` gets every outcome after the COMMIT."""

    def __init__(
        self, hub: Hub, deliver: Callable[[Sequence[tuple[object, object]]], None], limits: Limits = DEFAULTS
    ) -> None:
        self._hub, self._deliver, self._limits = hub, deliver, limits
        self._rooms: dict[str, _Room] = {}
        self._turns: dict[str, int] = {}
        self._drafts: list[_Draft] = []
        self._keys: set[tuple[str, bytes]] = set()
        self._signer: tuple[int, bytes, Ed25519PrivateKey] | None = None

    # what the database asks ----------------------------------------------------------------------

    def run(self, tx: Tx, items: Sequence[Submission | Receipt]) -> list[Posted | None]:
        """Accept or refuse submissions, in order; note what devices have."""
        outcomes: list[Posted | None] = []
        receipts: list[Receipt] = []
        for item in items:
            if isinstance(item, Receipt):
                receipts.append(item)
                outcomes.append(None)
            else:
                outcomes.append(self._submit(tx, item))
        self._write(tx)
        if receipts:
            self._collect(tx, receipts)
        return outcomes

    def forget(self) -> None:
        """Know nothing."""
        self._rooms.clear()
        self._turns.clear()
        self._drafts.clear()
        self._keys.clear()
        self._signer = None

    def changed(self, tables: set[str]) -> None:
        """Somebody else wrote; an answer of a commit moves a device's ring."""
        if store.answers.name in tables:
            self._turns.clear()
        if not tables <= UNRELATED:
            self._rooms.clear()

    def release(self, done: Sequence[tuple[object, object]]) -> None:
        """Durable, or failed."""
        self._deliver(done)

    # judging -------------------------------------------------------------------------------------

    def _submit(self, tx: Tx, item: Submission) -> Posted:
        sender, message = item.sender, item.message
        room = self._rooms.get(message.room) or self._visit(tx, message.room)
        if room is not None and self._ordinary(tx, item, room):
            return self._draft(tx, item, room)
        self._write(tx)
        before = len(tx.signals)
        answer = delivery.send(tx, sender, item.key, message, hub=self._hub, limits=self._limits)
        self._rooms.pop(message.room, None)
        self._turns.pop(sender.device, None)
        signals = tx.signals[before:]
        del tx.signals[before:]
        return Posted(answer, signals=signals)

    def _visit(self, tx: Tx, name: str) -> _Room | None:
        head = tx.one(store.HEAD_NUMBERS, id=name)
        if head is None:
            return None
        if len(self._rooms) >= ROOMS:
            self._rooms.clear()
        leaves = [leaf.device for leaf in tx.all(store.LEAVES, id=name) if leaf.live]
        room = _Room(head.epoch, head.room_pos, head.room_seq, head.last_ms, leaves)
        self._rooms[name] = room
        return room

    def _ordinary(self, tx: Tx, item: Submission, room: _Room) -> bool:
        sender, message = item.sender, item.message
        return (
            message.epoch == room.epoch
            and message.tag is not None
            and sender.device in room.leaves
            and (sender.account in room.may_write or self._may_write(tx, sender.account, message.room, room))
            and (sender.account in room.have_written or self._has_written(tx, sender.account, message.room, room))
            and (sender.device, item.key) not in self._keys
            and not tx.any(store.ANSWERED, whose=sender.device, key_=item.key)
            and self._has_space(tx, sender.device, message.room, room)
        )

    def _may_write(self, tx: Tx, account: str, name: str, room: _Room) -> bool:
        if not judge(tx, account, name)[1].allowed:
            return False
        room.may_write.add(account)
        return True

    def _has_written(self, tx: Tx, account: str, name: str, room: _Room) -> bool:
        if tx.one(store.WRITER, id=name, who=account) is None:
            return False
        room.have_written.add(account)
        return True

    def _has_space(self, tx: Tx, sender: str, name: str, room: _Room) -> bool:
        """As `delivery.overfull`; of what waits at most one place more for each message, so it is seldom counted."""
        if room.position < room.roomy_until:
            return True
        self._write(tx)  # what was accepted in this batch counts as well
        most = self._limits.backlog
        waiting = int(tx.value(store.PLACES_WAITING, id=name, most=most + 1) or 0)
        if waiting <= most:
            room.roomy_until = room.position + 1 + most - waiting
            return True
        behind = delivery.far_behind(tx, name, self._limits)
        return behind.isdisjoint(device for device in room.leaves if device != sender)

    def _draft(self, tx: Tx, item: Submission, room: _Room) -> Posted:
        sender, message = item.sender, item.message
        if self._signer is None:
            self._signer = self._hub.franker.current()
        hub_key_id, hub_key, _ = self._signer
        room.position += 1
        room.number += 1
        room.last_ms = max(tx.now, room.last_ms)
        numbers = {"at": room.last_ms, "number": room.number, "hub_key_id": hub_key_id}
        context = delivery.context_of(self._hub, sender, message, **numbers)
        frank, tbs = frank_and_tbs(hub_key, message.tag or b"", context)
        posted = Posted(recipients=[device for device in room.leaves if device != sender.device])
        self._drafts.append(_Draft(item, posted, room.position, room.number, room.last_ms, frank, tbs))
        self._keys.add((sender.device, item.key))
        return posted

    # writing -------------------------------------------------------------------------------------

    def _write(self, tx: Tx) -> None:
        """Sign and store what was accepted so far."""
        drafts, signer = self._drafts, self._signer
        if not drafts or signer is None:
            return
        self._drafts, self._keys, self._signer = [], set(), None
        hub_key_id, _, private = signer
        proofs, kept = _prove(tx, private, [draft.tbs for draft in drafts])
        heads: dict[str, dict[str, object]] = {}
        bodies: list[tuple[object, ...]] = []
        mails: list[tuple[object, ...]] = []
        envelopes: list[tuple[object, ...]] = []
        answers: list[tuple[object, ...]] = []
        for draft, proof, in_store in zip(drafts, proofs, kept, strict=True):
            (account, device), key, (room, _, _, body), _ = draft.submission
            position, number, at, posted = draft.position, draft.number, draft.at_ms, draft.posted
            posted.answer = Accepted(key, position, at, number, hub_key_id, draft.frank, proof)
            if posted.recipients:
                bodies.append((room, position, MESSAGE, body, at, number, hub_key_id, draft.frank, in_store))
                posted.first_mail = len(mails)
                mails += [(to, 0, MESSAGE, room, position, None, tx.now) for to in posted.recipients]
            envelopes.append((None, room, number, account, at, size_bucket(len(body))))
            turn = self._next_turn(tx, device)
            answers.append((device, key, turn, position, at, number, hub_key_id, draft.frank, in_store))
            heads[room] = {"id": room, "pos": position, "seq": number, "at": at}
        tx.run_many(store.HEAD_MOVED, list(heads.values()))
        tx.put_many(store.envelopes, envelopes)
        self._remember(tx, answers)
        if mails:
            tx.put_many(store.bodies, bodies)
            first = delivery.number_mails(tx, len(mails))
            tx.put_many(store.mailbox, [(to, mail, *rest) for mail, (to, _, *rest) in enumerate(mails, first)])
            for draft in drafts:
                draft.posted.first_mail += first

    def _next_turn(self, tx: Tx, device: str) -> int:
        turn = self._turns.get(device)
        if turn is None:
            if len(self._turns) >= TURNS:
                self._turns.clear()
            turn = int(tx.value(store.LAST_TURN, whose=device) or 0)
        self._turns[device] = turn + 1
        return turn + 1

    def _remember(self, tx: Tx, answers: Sequence[tuple[object, ...]]) -> None:
        tx.put_many(store.answers, answers)
        for device, _, turn, *_ in answers:
            if isinstance(turn, int) and turn % RING_PIECE == 0:
                tx.run(store.ANSWERS_OLD, whose=device, up_to=turn - self._limits.answers_kept)

    def _collect(self, tx: Tx, receipts: Sequence[Receipt]) -> None:
        """Mails go, bodies that nobody waits for go, senders get a hint."""
        mails = [mailed for receipt in receipts for mailed in receipt.mails]
        gone = [{"whose": receipt.device, "which": mailed.mail} for receipt in receipts for mailed in receipt.mails]
        tx.run_many(store.MAIL_GONE, gone)
        tx.run_many(store.BODY_GONE, [{"id": one.room, "pos": one.room_pos, "what": one.kind} for one in mails])
        read: dict[tuple[str, str, str], list[Received]] = {}
        for receipt in receipts:
            for mailed in receipt.mails:
                if mailed.kind == MESSAGE:
                    place = Received(mailed.room_pos, mailed.mail)
                    read.setdefault((receipt.account, receipt.device, mailed.room), []).append(place)
        for (account, device, room), received in read.items():
            other = self._peer(tx, account, room)
            if other is not None:
                delivery.hint_to(tx, other, device, room, received)

    def _peer(self, tx: Tx, account: str, name: str) -> str | None:
        room = self._rooms.get(name) or self._visit(tx, name)
        if room is None:
            return None
        if account not in room.peers:
            room.peers[account] = delivery.peer_of(tx, account, name)
        return room.peers[account]


def _prove(tx: Tx, private: Ed25519PrivateKey, batch: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """For each TBS the proof for its frame, and what is stored of it: a leaf's number when there is more than one."""
    if len(batch) == 1:
        proof = sign_single(private, batch[0]).encode()
        return [proof], [proof]
    leaves = [leaf_hash(tbs) for tbs in batch]
    signature = sign_leaves(private, leaves)
    tx.put(store.batches, at_ms=tx.now, leaves=b"".join(leaves), signature=signature)
    number = tx.last_serial()
    proofs = [proof.encode() for proof in batch_proofs(leaves, signature)]
    return proofs, [reference(number, leaf) for leaf in range(len(leaves))]
