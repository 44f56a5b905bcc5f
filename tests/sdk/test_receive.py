"""Every check of the franking profile, section 7: one change to a genuine message, and nothing of it is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol import content, franking
from kith.protocol.frames import Frank
from kith.protocol.identity import Identity
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri, room_uri
from kith.sdk.receive import Arrival, Flawed, Genuine, Place, context_of, contradicts, judge, report_item, row_of

HOST = "kith.test"
A, B, C = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(3))
SENDER = Identity(account_uri(HOST, A), device_uri(HOST, A))
ROOM = room_uri(HOST, B)
HUB, SIGNING = b"h" * 32, Ed25519PrivateKey.from_private_bytes(b"s" * 32)
PLACE = Place(seq=4, at_ms=1_000)


def said(words: str = "Hello", *, sender: str = SENDER.account_uri, room: str = ROOM, seq: int = 5) -> Arrival:
    """A message as an honest sender and an honest hub make it."""
    salt = b"x" * 16
    encoded = content.encode(content.text(words, salt=salt, sender_uri=sender, room_uri=room))
    tag = franking.franking_tag(salt, encoded)
    blank = Frank(1_000, seq, 7, bytes(32), franking.SUITE, b"")
    context = context_of(SENDER, 3, ROOM, blank)
    frank = franking.server_frank(HUB, tag, context)
    proof = franking.sign_single(SIGNING, franking.integrity_tbs(frank, context)).encode()
    hub = msgspec.structs.replace(blank, server_frank=frank, proof=proof)
    return Arrival(SENDER, 3, franking.build_aad(tag), encoded, hub, ROOM)


def key(hub_key_id: int) -> bytes | None:
    """The manifest."""
    return public_bytes(SIGNING) if hub_key_id == 7 else None


def test_a_genuine_message_passes_and_proves_itself() -> None:
    """The control of everything below; its stored record is a report item that the hub verifies."""
    verdict = judge(said(), PLACE, key)
    assert isinstance(verdict, Genuine)
    row = row_of(verdict, 9, B)
    assert (row.kind, row.text, row.mine, row.seq, row.sender) == ("text", "Hello", False, 5, A)
    item = report_item(verdict.encoded, verdict.frank)
    proven = franking.verify_item(
        item, room_uri=ROOM, hub_key={7: HUB}.get, signing_key=key, was_member=lambda _seq: True
    )
    assert isinstance(proven, franking.Verified)


ALTERED = {
    "unfranked": replace(said(), hub=None),
    "untagged": replace(said(), aad=said().aad + b"\0"),
    "cbor": replace(said(), plaintext=said().plaintext + b"\0"),
    "tag": replace(said(), plaintext=said("Jello").plaintext),
    "sender": said(sender=account_uri(HOST, C)),
    "room": said(room=room_uri(HOST, C)),
}
REHUBBED: dict[str, dict[str, Any]] = {
    "frank": {"server_frank": bytes(32)},
    "frank: time": {"accepted_timestamp": 1_001},
    "frank: place": {"room_seq": 6},
    "frank: key": {"hub_key_id": 8},
    "frank: suite": {"suite": 2},
    "frank: proof": {"proof": b"\x09"},
}


@pytest.mark.parametrize("flaw", ALTERED)
def test_an_altered_message_is_named_by_its_flaw(flaw: str) -> None:
    """By the sender, or on the way."""
    assert judge(ALTERED[flaw], PLACE, key) == Flawed(flaw)  # type: ignore[arg-type]  # the table's keys are flaws


@pytest.mark.parametrize("change", REHUBBED)
def test_an_altered_word_of_the_hub_does_not_verify(change: str) -> None:
    """Every field that the hub signed."""
    arrival = said()
    assert arrival.hub is not None
    hub = msgspec.structs.replace(arrival.hub, **REHUBBED[change])
    assert judge(replace(arrival, hub=hub), PLACE, key) == Flawed("frank")


@pytest.mark.parametrize(
    "other", [replace(said(), epoch=4), replace(said(), sender=Identity(SENDER.account_uri, device_uri(HOST, C)))]
)
def test_what_mls_authenticated_is_part_of_the_proof(other: Arrival) -> None:
    """Another epoch or another device of the same account than the hub signed for."""
    assert judge(other, PLACE, key) == Flawed("frank")


def test_places_and_times_only_grow() -> None:
    """A place that was taken keeps the hub's signature as possible evidence; an earlier time is refused."""
    taken = judge(said(seq=4), PLACE, key)
    assert isinstance(taken, Flawed)
    assert taken.flaw == "sequence"
    assert judge(said(), Place(4, 1_001), key) == Flawed("time")
    other = judge(said("Something else", seq=4), PLACE, key)
    assert isinstance(other, Flawed)
    assert taken.signed is not None
    assert other.signed is not None
    assert contradicts(taken.signed, other.signed)
    assert not contradicts(taken.signed, taken.signed)
