"""An honest hub, an honest sender and synthetic rooms, for tests that need franked messages."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol import content as mimi
from kith.protocol.franking import (
    AnyProof,
    Assessment,
    Context,
    ReportItem,
    assess,
    frank_and_tbs,
    franking_tag,
    sign_batch,
    sign_single,
)
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri, room_uri

SERVER = "h.example"


def uuid(number: int) -> str:
    """A valid version 4 UUID that ends in this number."""
    return f"0b0e7c0e-0000-4000-8000-{number:012x}"


ALICE, BOB = account_uri(SERVER, uuid(0xA)), account_uri(SERVER, uuid(0xB))
ALICE_PHONE, BOB_PHONE = device_uri(SERVER, uuid(0xA1)), device_uri(SERVER, uuid(0xB1))
ROOM, OTHER_ROOM = room_uri(SERVER, uuid(0xF1)), room_uri(SERVER, uuid(0xF2))
START_MS = 1_700_000_000_000


def seeded(number: int) -> Ed25519PrivateKey:
    """A signing key that every run shares."""
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def said(words: str, *, number: int, sender: str = ALICE, room: str = ROOM) -> bytes:
    """M: a text with a salt made from the number."""
    return mimi.encode(mimi.text(words, salt=number.to_bytes(16, "big"), sender_uri=sender, room_uri=room))


@dataclass
class Hub:
    """A hub with its keys; it franks whatever it is told, which lets tests make it lie."""

    hub_keys: dict[int, bytes] = field(default_factory=lambda: {7: b"\x42" * 32})
    signer: Ed25519PrivateKey = field(default_factory=lambda: seeded(0x24))

    def signing_key(self, hub_key_id: int) -> bytes | None:
        """One signing key for all of this hub's key ids."""
        return public_bytes(self.signer) if hub_key_id in self.hub_keys else None

    def franked(self, m: bytes, context: Context) -> tuple[bytes, bytes]:
        """Frank and TBS for this content in this context."""
        tag = franking_tag(m[2:18], m)  # the salt stands after the array head and its own
        return frank_and_tbs(self.hub_keys[context.hub_key_id], tag, context)

    def item(self, m: bytes, context: Context) -> ReportItem:
        """A genuine exhibit with a proof of kind 0."""
        frank, tbs = self.franked(m, context)
        return ReportItem(m, context, frank, 1, sign_single(self.signer, tbs))

    def batch(self, said_in: Sequence[tuple[bytes, Context]]) -> list[ReportItem]:
        """Genuine exhibits that were committed and signed together."""
        franked = [self.franked(m, context) for m, context in said_in]
        proofs: list[AnyProof] = sign_batch(self.signer, [tbs for _, tbs in franked])
        return [
            ReportItem(m, context, frank, 1, proof)
            for (m, context), (frank, _), proof in zip(said_in, franked, proofs, strict=True)
        ]

    def assess(self, items: Sequence[ReportItem], *, head: int = 10, room: str = ROOM) -> Assessment:
        """The hub's own judgement of a report by somebody who was always a member."""
        return assess(
            items,
            room_uri=room,
            room_head_seq=head,
            hub_key=self.hub_keys.get,
            signing_key=self.signing_key,
            was_member=lambda _seq: True,
        )


def context(seq: int, *, sender: str = ALICE, device: str = ALICE_PHONE, room: str = ROOM, key: int = 7) -> Context:
    """What an honest hub records for message number `seq`."""
    return Context(sender, room, START_MS + 1000 * seq, device, 5, seq, key)


def conversation(length: int) -> list[tuple[bytes, Context]]:
    """Alice and Bob in turn: contents and contexts with `room_seq` from 1."""
    turns = []
    for seq in range(1, length + 1):
        sender, device = (ALICE, ALICE_PHONE) if seq % 2 else (BOB, BOB_PHONE)
        turns.append((said(f"message {seq}", number=seq, sender=sender), context(seq, sender=sender, device=device)))
    return turns
