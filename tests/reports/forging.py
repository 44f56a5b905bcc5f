"""True reports and single forgeries of them, each with the reason that must be given.

Run as a program to judge many: `python tests/reports/forging.py 100000`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if __name__ == "__main__":  # beside pytest, the tests' folder is not on the path
    sys.path.insert(0, str(Path(__file__).parents[1]))

from kith.protocol import cbor
from kith.protocol import content as mimi
from kith.protocol.franking import BatchProof, ReportItem, SingleProof, integrity_tbs, sign_batch, sign_single
from kith.protocol.uris import account_uri, device_uri, room_uri
from kith.reports.evidence import Examined, Parties
from reports.world import HOST, Chat, Hub


class Scene:
    """Two people in two chats, with more messages than a report takes, under two hub keys."""

    def __init__(self, seed: int) -> None:
        self.hub = Hub(seed)
        self.random = self.hub.random
        self.me, self.them, self.stranger = (self.hub.new_id() for _ in range(3))
        self.chat, self.elsewhere = self.hub.chat(self.me, self.them), self.hub.chat(self.me, self.them)
        for chat in (self.chat, self.elsewhere):
            for burst in range(self.random.randint(3, 6)):
                sender = self.random.choice((self.me, self.them))
                texts = [f"line {self.random.random()}" for _ in range(self.random.randint(1, 4))]
                self.hub.say(chat, sender, *texts, hub_key_id=1 + burst % 2)

    @property
    def parties(self) -> Parties:
        """I report them, for what was said in our first chat."""
        return Parties(server=HOST, reporter=self.me, reported=self.them, room=self.chat.room)

    def some(self, chat: Chat | None = None) -> list[ReportItem]:
        """A true selection of a chat."""
        items = (chat or self.chat).items
        return self.random.sample(items, self.random.randint(1, len(items)))

    def judge(self, items: list[ReportItem]) -> Examined:
        """As the server judges, after the trip over the wire."""
        return self.hub.examine([ReportItem.decode(item.encode()) for item in items], self.parties)


LONGEST_PATH = 32
"""Nodes of a path that can be encoded."""

Forge = Callable[[Scene, ReportItem], ReportItem]


def _content(item: ReportItem, **changes: object) -> ReportItem:
    """Another content, properly encoded, with everything else as it was."""
    changed = replace(mimi.decode(item.content), **changes)  # type: ignore[arg-type]  # fields of MimiContent
    return replace(item, content=mimi.encode(changed))


def _context(item: ReportItem, **changes: object) -> ReportItem:
    return replace(item, context=msgspec.structs.replace(item.context, **changes))


def _extensions(item: ReportItem, key: int, value: str) -> dict[int | str, object]:
    return {**mimi.decode(item.content).extensions, key: value}


def _flip(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def altered_text(_: Scene, item: ReportItem) -> ReportItem:
    """One word more."""
    part = mimi.decode(item.content).part
    return _content(item, part=replace(part, content=part.content + b"!"))  # type: ignore[union-attr,arg-type]


def altered_salt(scene: Scene, item: ReportItem) -> ReportItem:
    """Another salt of the right length."""
    return _content(item, salt=scene.random.randbytes(16))


def long_salt(_: Scene, item: ReportItem) -> ReportItem:
    """The salt with a zero after it, which HMAC alone would not notice."""
    fields = list(cbor.decode(item.content))  # type: ignore[arg-type]  # content is an array
    fields[0] = fields[0] + b"\0"  # type: ignore[operator]
    return replace(item, content=cbor.encode(fields))


def other_sender_in_content(scene: Scene, item: ReportItem) -> ReportItem:
    """The words name another author than the server recorded."""
    return _content(item, extensions=_extensions(item, mimi.SENDER, account_uri(HOST, scene.stranger)))


def other_sender_in_context(scene: Scene, item: ReportItem) -> ReportItem:
    """The record names another author than the words."""
    return _context(item, sender_uri=account_uri(HOST, scene.stranger))


def other_sender(scene: Scene, item: ReportItem) -> ReportItem:
    """Both name another author: the classic frame-up."""
    mine = mimi.decode(item.content).sender_uri == account_uri(HOST, scene.me)
    victim = account_uri(HOST, scene.them if mine else scene.me)
    changed = _content(item, extensions=_extensions(item, mimi.SENDER, victim))
    return _context(changed, sender_uri=victim)


def other_room_in_content(scene: Scene, item: ReportItem) -> ReportItem:
    """The words name another room."""
    return _content(item, extensions=_extensions(item, mimi.ROOM, room_uri(HOST, scene.elsewhere.room)))


def other_room_in_context(scene: Scene, item: ReportItem) -> ReportItem:
    """The record names another room."""
    return _context(item, room_uri=room_uri(HOST, scene.elsewhere.room))


def from_elsewhere(scene: Scene, _: ReportItem) -> ReportItem:
    """A true message of another chat."""
    return scene.random.choice(scene.elsewhere.items)


def brought_here(scene: Scene, _: ReportItem) -> ReportItem:
    """A true message of another chat, rewritten to be of this one."""
    other = scene.random.choice(scene.elsewhere.items)
    here = room_uri(HOST, scene.chat.room)
    return _context(_content(other, extensions=_extensions(other, mimi.ROOM, here)), room_uri=here)


def other_time(scene: Scene, item: ReportItem) -> ReportItem:
    """Earlier or later."""
    return _context(item, accepted_timestamp=item.context.accepted_timestamp + scene.random.choice((-1, 1, 10**9)))


def other_place(scene: Scene, item: ReportItem) -> ReportItem:
    """Another number in the same room."""
    return _context(item, room_seq=item.context.room_seq + scene.random.choice((1, 2, 1000, 2**63)))


def other_device(scene: Scene, item: ReportItem) -> ReportItem:
    """Another device."""
    return _context(item, sender_device=device_uri(HOST, scene.hub.new_id()))


def other_epoch(_: Scene, item: ReportItem) -> ReportItem:
    """Another epoch."""
    return _context(item, epoch=item.context.epoch + 1)


def other_key(_: Scene, item: ReportItem) -> ReportItem:
    """Another key that the server has."""
    return _context(item, hub_key_id=3 - item.context.hub_key_id)


def unknown_key(scene: Scene, item: ReportItem) -> ReportItem:
    """A key that the server has not, or no more."""
    return _context(item, hub_key_id=scene.random.choice((0, 3, 2**32 - 1)))


def never_sent(scene: Scene, item: ReportItem) -> ReportItem:
    """Invented words in the record of something true."""
    return replace(item, content=scene.hub.content(scene.chat, _sender(scene, item), "invented"))


def never_sent_random(scene: Scene, item: ReportItem) -> ReportItem:
    """Invented words with an invented frank."""
    return replace(never_sent(scene, item), server_frank=scene.random.randbytes(32))


def broken_frank(scene: Scene, item: ReportItem) -> ReportItem:
    """One bit of the frank."""
    return replace(item, server_frank=_flip(item.server_frank, scene.random.randrange(32), scene.random.randrange(8)))


def broken_signature(scene: Scene, item: ReportItem) -> ReportItem:
    """One bit of the signature."""
    proof = item.proof
    return replace(item, proof=replace(proof, signature=_flip(proof.signature, scene.random.randrange(64), 0)))


def cut_signature(scene: Scene, item: ReportItem) -> ReportItem:
    """A signature that ends too early."""
    return replace(item, proof=replace(item.proof, signature=item.proof.signature[: scene.random.randrange(64)]))


def own_signature(scene: Scene, item: ReportItem) -> ReportItem:
    """Signed by somebody who is not the server."""
    forger = Ed25519PrivateKey.from_private_bytes(scene.random.randbytes(32))
    return replace(item, proof=sign_single(forger, integrity_tbs(item.server_frank, item.context)))


def other_suite(scene: Scene, item: ReportItem) -> ReportItem:
    """Another signature suite."""
    return replace(item, suite=scene.random.choice((0, 2, 3, 65535)))


def other_kind_of_proof(scene: Scene, item: ReportItem) -> ReportItem:
    """A single signature shown as a batch's, or the reverse."""
    if isinstance(item.proof, SingleProof):
        return replace(item, proof=BatchProof(0, 2, (scene.random.randbytes(32),), item.proof.signature))
    return replace(item, proof=SingleProof(item.proof.signature))


def other_leaf(scene: Scene, item: ReportItem) -> ReportItem:
    """Another place in the batch, or a batch of another size."""
    if isinstance(item.proof, SingleProof):
        return other_kind_of_proof(scene, item)
    grown = replace(item.proof, batch_size=item.proof.batch_size + 4)
    moved = replace(item.proof, leaf_index=(item.proof.leaf_index + 1) % item.proof.batch_size)
    return replace(item, proof=scene.random.choice((grown, moved)))


def path_of_another_batch(scene: Scene, item: ReportItem) -> ReportItem:
    """The whole proof of a true message of another batch: a root that the server did sign, but not over this."""
    others = [
        one for chat in (scene.chat, scene.elsewhere) for one in chat.items if _signature(one) != _signature(item)
    ]
    batched = [one for one in others if isinstance(one.proof, BatchProof)]
    return replace(item, proof=scene.random.choice(batched or others).proof)


def proof_of_a_neighbour(scene: Scene, item: ReportItem) -> ReportItem:
    """The proof of another message of the same batch: the right root, from another leaf."""
    neighbours = [one for one in _batch_of(scene, item) if one.context != item.context]
    return replace(item, proof=scene.random.choice(neighbours).proof)


def long_path(scene: Scene, item: ReportItem) -> ReportItem:
    """More nodes than the size of the batch implies, up to as many as there can be."""
    proof = _batch_proof(scene, item)
    more = scene.random.randint(1, LONGEST_PATH - len(proof.path))
    nodes = tuple(scene.random.randbytes(32) for _ in range(more))
    return replace(item, proof=replace(proof, path=scene.random.choice((proof.path + nodes, nodes + proof.path))))


def short_path(scene: Scene, item: ReportItem) -> ReportItem:
    """A node less than the size of the batch implies."""
    proof = _batch_proof(scene, item)
    return replace(item, proof=replace(proof, path=proof.path[:-1]))


def other_node(scene: Scene, item: ReportItem) -> ReportItem:
    """One bit of one node: another root."""
    proof = _batch_proof(scene, item)
    path, at = list(proof.path), scene.random.randrange(len(proof.path))
    path[at] = _flip(path[at], scene.random.randrange(32), scene.random.randrange(8))
    return replace(item, proof=replace(proof, path=tuple(path)))


def largest_batch(scene: Scene, item: ReportItem) -> ReportItem:
    """As large and as deep as the numbers allow: 32 hashes and no more."""
    proof = _batch_proof(scene, item)
    path = tuple(scene.random.randbytes(32) for _ in range(LONGEST_PATH))
    return replace(item, proof=BatchProof(scene.random.randrange(2**31), 2**32 - 1, path, proof.signature))


def single_as_batch(scene: Scene, item: ReportItem) -> ReportItem:
    """The server's true signature over this message alone, relabelled as that of a batch of one or of two."""
    [alone] = scene.hub.frank([item.content], [item.context])
    path = scene.random.choice(((), (scene.random.randbytes(32),)))
    return replace(item, proof=BatchProof(0, 1 + len(path), path, alone.proof.signature))


def batch_as_single(scene: Scene, item: ReportItem) -> ReportItem:
    """The true signature of the batch that this message is in, relabelled as one over the message alone."""
    return replace(item, proof=SingleProof(_batch_proof(scene, item).signature))


def inner_node_as_leaf(scene: Scene, item: ReportItem) -> ReportItem:
    """A second preimage as far as a report can say it: the message stands a level higher, where an inner node is."""
    proof = _batch_proof(scene, item)
    higher = replace(proof, leaf_index=proof.leaf_index >> 1, batch_size=max(2, (proof.batch_size + 1) >> 1))
    return replace(item, proof=replace(higher, path=proof.path[1:]))


def rotated_key(scene: Scene, item: ReportItem) -> ReportItem:
    """A batch with this very message in it, signed by the server's own key of another period."""
    period = 3 - item.context.hub_key_id
    other = scene.random.choice([one for one in scene.chat.items if one != item])
    leaves = [integrity_tbs(one.server_frank, one.context) for one in (item, other)]
    return replace(item, proof=sign_batch(scene.hub.signers[period], leaves)[0])


def _signature(item: ReportItem) -> bytes:
    return item.proof.signature


def _batch_of(scene: Scene, item: ReportItem) -> list[ReportItem]:
    """The messages that share this item's signature; for one that was signed alone, a batch is signed now."""
    batch = [one for one in scene.chat.items if _signature(one) == _signature(item)]
    if len(batch) > 1:
        return batch
    others = [scene.hub.content(scene.chat, _sender(scene, item), f"beside it {n}") for n in (1, 2)]
    contexts = [msgspec.structs.replace(item.context, room_seq=item.context.room_seq + n) for n in (1, 2)]
    return scene.hub.frank([item.content, *others], [item.context, *contexts])


def _batch_proof(scene: Scene, item: ReportItem) -> BatchProof:
    """A true proof of this item as one of a batch."""
    if isinstance(item.proof, BatchProof):
        return item.proof
    proof = _batch_of(scene, item)[0].proof
    assert isinstance(proof, BatchProof)
    return proof


def loose_encoding(_: Scene, item: ReportItem) -> ReportItem:
    """The same words in CBOR that no signer writes: a length in more bytes than it needs."""
    assert item.content[0] == 0x87, "content is an array of seven"
    return replace(item, content=b"\x98\x07" + item.content[1:])


def no_content(scene: Scene, item: ReportItem) -> ReportItem:
    """Bytes that are no message at all."""
    return replace(item, content=scene.random.randbytes(scene.random.randint(0, 200)))


def other_server(scene: Scene, item: ReportItem) -> ReportItem:
    """A message of another server's room with the same id."""
    there = room_uri("other.test", scene.chat.room)
    return _context(_content(item, extensions=_extensions(item, mimi.ROOM, there)), room_uri=there)


def _sender(scene: Scene, item: ReportItem) -> str:
    return scene.me if item.context.sender_uri == account_uri(HOST, scene.me) else scene.them


FORGERIES: dict[Forge, str] = {
    altered_text: "frank_mismatch",
    altered_salt: "frank_mismatch",
    long_salt: "salt",
    other_sender_in_content: "sender_mismatch",
    other_sender_in_context: "sender_mismatch",
    other_sender: "frank_mismatch",
    other_room_in_content: "room_mismatch",
    other_room_in_context: "room_mismatch",
    from_elsewhere: "room_mismatch",
    brought_here: "frank_mismatch",
    other_time: "frank_mismatch",
    other_place: "frank_mismatch",
    other_device: "frank_mismatch",
    other_epoch: "frank_mismatch",
    other_key: "frank_mismatch",
    unknown_key: "key_expired",
    never_sent: "frank_mismatch",
    never_sent_random: "frank_mismatch",
    broken_frank: "frank_mismatch",
    broken_signature: "signature",
    cut_signature: "signature",
    own_signature: "signature",
    other_suite: "signature",
    other_kind_of_proof: "signature",
    other_leaf: "signature",
    path_of_another_batch: "signature",
    proof_of_a_neighbour: "signature",
    long_path: "signature",
    short_path: "signature",
    other_node: "signature",
    largest_batch: "signature",
    single_as_batch: "signature",
    batch_as_single: "signature",
    inner_node_as_leaf: "signature",
    rotated_key: "signature",
    loose_encoding: "cbor",
    no_content: "cbor",
    other_server: "room_mismatch",
}
"""Every single change, and the one reason that the server must give for it."""


@dataclass
class Tally:
    """What happened to many reports."""

    true_items: int = 0
    true_rejected: int = 0
    forgeries: int = 0
    forgeries_accepted: int = 0
    wrong_reasons: int = 0

    @property
    def clean(self) -> bool:
        """Nothing false was accepted, nothing true rejected, every reason right."""
        return not (self.true_rejected or self.forgeries_accepted or self.wrong_reasons)


def judge_one(scene: Scene, forge: Forge, reason: str, tally: Tally) -> None:
    """A true report with one item replaced by its forgery; the others must still verify."""
    items = scene.some()
    at = scene.random.randrange(len(items))
    forged = forge(scene, items[at])
    assert forged != items[at], forge.__name__
    examined = scene.judge([*items[:at], forged, *items[at + 1 :]])
    flaws = [exhibit.flaw for exhibit in examined.exhibits if exhibit.item == forged.encode()]
    tally.true_items += len(items) - 1
    tally.true_rejected += sum(not e.verified and e.item != forged.encode() for e in examined.exhibits)
    tally.forgeries += 1
    tally.forgeries_accepted += flaws != [reason] and None in flaws
    tally.wrong_reasons += flaws != [reason]


def judge_many(count: int, seed: int = 7) -> tuple[Tally, Counter[str]]:
    """Judge `count` forgeries, all kinds in turn, in ever new scenes."""
    tally, kinds, scene = Tally(), Counter[str](), Scene(seed)
    for number in range(count):
        if number % 40 == 0:
            scene = Scene(seed + number)
        forge, reason = list(FORGERIES.items())[number % len(FORGERIES)]
        judge_one(scene, forge, reason, tally)
        kinds[forge.__name__] += 1
    return tally, kinds


def main() -> None:
    """Judge as many as asked for and say what happened; exit 1 unless it is clean."""
    began = time.perf_counter()
    tally, kinds = judge_many(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    for name, count in kinds.items():
        print(f"{count:7} {name}")
    print(tally, f"{time.perf_counter() - began:.0f} s")
    sys.exit(0 if tally.clean else 1)


if __name__ == "__main__":
    main()
