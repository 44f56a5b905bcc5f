"""What a message must pass before anything of it is stored or shown (franking profile, section 7).

Pure: takes what MLS authenticated, what the hub said and where the thread stands, and returns the message with its
proof, or why there is none.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from kith.protocol import content as mimi
from kith.protocol import franking
from kith.protocol.attachments import shown_of
from kith.protocol.changes import change_of, life_of, timer_of
from kith.protocol.content import MimiContent
from kith.protocol.ephemeral import Signal, misplaced, signal_of
from kith.protocol.frames import Accepted, Frank
from kith.protocol.identity import Identity
from kith.protocol.uris import parse_uri
from kith.protocol.wire import Malformed
from kith.sdk.records import FrankRecord, Kind, MessageRecord

Flaw: TypeAlias = Literal["unfranked", "untagged", "cbor", "tag", "sender", "room", "frank", "sequence", "time"]
HubKey: TypeAlias = Callable[[int], bytes | None]

FARTHEST_SEQ: Final = 1_000_000_000
"""No hole is larger, not even a restored server's. A number further ahead, once believed, would make every honest one
after it a repetition."""
LARGEST_SEQ: Final = 2**40


@dataclass(frozen=True, slots=True)
class Arrival:
    """A decrypted message: the account and device of the MLS leaf that sent it, and what came with it."""

    sender: Identity
    epoch: int
    aad: bytes
    plaintext: bytes
    hub: Frank | None
    room_uri: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where the thread stands: the next message must come after this."""

    seq: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Genuine:
    """A message that passed every check."""

    content: MimiContent
    encoded: bytes
    id: bytes
    context: franking.Context
    frank: FrankRecord


@dataclass(frozen=True, slots=True)
class Flawed:
    """Why there is nothing to show. `signed`: the hub did sign this, though it cannot have this place."""

    flaw: Flaw
    signed: FrankRecord | None = None


def judge(  # noqa: PLR0911 - one return per check of the profile
    arrival: Arrival, place: Place, hub_key: HubKey
) -> Genuine | Flawed:
    """All checks in their order."""
    hub = arrival.hub
    if hub is None:
        return Flawed("unfranked")
    opened = _open(arrival)
    if not isinstance(opened, MimiContent):
        return Flawed(opened)
    if opened.sender_uri != arrival.sender.account_uri:
        return Flawed("sender")
    if opened.room_uri != arrival.room_uri:
        return Flawed("room")
    context = context_of(arrival.sender, arrival.epoch, arrival.room_uri, hub)
    frank = proven(context, hub, hub_key)
    if frank is None:
        return Flawed("frank")
    if hub.room_seq <= place.seq or too_far(hub.room_seq, place.seq):
        return Flawed("sequence", frank)
    if hub.accepted_timestamp < place.at_ms:
        return Flawed("time")
    identity = mimi.message_id(opened.sender_uri, opened.room_uri, arrival.plaintext, opened.salt)
    return Genuine(opened, arrival.plaintext, identity, context, frank)


def too_far(seq: int, last: int) -> bool:
    """Whether a room_seq cannot be true after the last one (0: a device that joined just now may begin anywhere)."""
    return seq > (last + FARTHEST_SEQ if last else LARGEST_SEQ)


def _open(arrival: Arrival) -> MimiContent | Literal["untagged", "cbor", "tag"]:
    try:
        tag = franking.parse_aad(arrival.aad)
    except Malformed:
        return "untagged"
    try:
        content = mimi.decode(arrival.plaintext)
    except Malformed:
        return "cbor"
    expected = franking.franking_tag(content.salt, arrival.plaintext)
    return content if hmac.compare_digest(expected, tag) else "tag"


def context_of(sender: Identity, epoch: int, room_uri: str, hub: Frank) -> franking.Context:
    """Rebuilt from what MLS authenticated and this device knows; only the hub's own fields come from the hub."""
    return franking.Context(
        sender_uri=sender.account_uri,
        room_uri=room_uri,
        accepted_timestamp=hub.accepted_timestamp,
        sender_device=sender.device_uri,
        epoch=epoch,
        room_seq=hub.room_seq,
        hub_key_id=hub.hub_key_id,
    )


def hub_of(accepted: Accepted) -> Frank | None:
    """The hub's record in the answer to an own message; None for a commit."""
    if accepted.room_seq is None or accepted.hub_key_id is None or accepted.server_frank is None:
        return None
    return Frank(
        accepted.timestamp,
        accepted.room_seq,
        accepted.hub_key_id,
        accepted.server_frank,
        accepted.suite or 0,
        accepted.proof or b"",
    )


def proven(context: franking.Context, hub: Frank, hub_key: HubKey) -> FrankRecord | None:
    """The record to keep when the hub's signature over this context holds."""
    key = hub_key(hub.hub_key_id)
    try:
        proof = franking.Proof.decode(hub.proof)
    except Malformed:
        return None
    tbs = franking.integrity_tbs(hub.server_frank, context)
    if key is None or hub.suite != franking.SUITE or not franking.verify_proof(key, tbs, proof):
        return None
    return FrankRecord(context=context.encode(), server_frank=hub.server_frank, suite=hub.suite, proof=hub.proof)


def contradicts(one: FrankRecord, two: FrankRecord) -> bool:
    """Whether the hub vouched for two different messages at one place of one room."""
    first, second = franking.Context.decode(one.context), franking.Context.decode(two.context)
    same_place = (first.room_uri, first.room_seq) == (second.room_uri, second.room_seq)
    return same_place and (one.context, one.server_frank) != (two.context, two.server_frank)


def report_item(content: bytes, frank: FrankRecord) -> franking.ReportItem:
    """The exhibit: exactly the stored bytes and their proof."""
    return franking.ReportItem(
        content=content,
        context=franking.Context.decode(frank.context),
        server_frank=frank.server_frank,
        suite=frank.suite,
        proof=franking.Proof.decode(frank.proof),
    )


def row_of(message: Genuine, pos: int, self_account: str) -> MessageRecord:
    """The row that a genuine message becomes. Words and files are shown; the rest cannot be shown here."""
    content = message.content
    sender = parse_uri(message.context.sender_uri)[2]
    kind, words = shown(content)
    return MessageRecord(
        kind="effect" if unseen(content) else kind,
        id=message.id.hex(),
        pos=pos,
        seq=message.context.room_seq,
        at_ms=message.context.accepted_timestamp,
        mine=sender == self_account,
        sender=sender,
        text=words,
        reply_to=content.in_reply_to.hex() if content.in_reply_to else None,
        content=message.encoded,
        frank=message.frank,
        forwarded=content.times_forwarded,
        fades_s=life_of(content),
    )


def shown(content: MimiContent) -> tuple[Kind, str]:
    """What a message of its own, or the newest version of one, shows."""
    there = shown_of(content, parse_uri(content.sender_uri)[0])
    return "unsupported" if there.text is None and not there.files else "text", there.text or ""


def unseen(content: MimiContent) -> bool:
    """Whether a message has no row of its own to see: it does something, or belongs into the ephemeral class."""
    return change_of(content) is not None or timer_of(content) is not None or misplaced(content.part)


def whispered(arrival: Arrival) -> Signal | None:
    """What a message of the ephemeral class says, once MLS has opened it; None for everything that is dropped."""
    if arrival.aad:
        return None
    try:
        content = mimi.decode(arrival.plaintext)
    except Malformed:
        return None
    if content.sender_uri != arrival.sender.account_uri or content.room_uri != arrival.room_uri:
        return None
    return signal_of(content)


def tombstone(pos: int, at_ms: int, sender: str) -> MessageRecord:
    """A message that could not be verified: nothing of it is kept."""
    return MessageRecord(
        kind="tombstone", id=f"pos-{pos}", pos=pos, seq=None, at_ms=at_ms, mine=False, sender=sender, text=""
    )


def info(pos: int, at_ms: int, text: str, salt: str) -> MessageRecord:
    """A line that the client itself says."""
    return MessageRecord(
        kind="info", id=f"info-{pos}-{salt}", pos=pos, seq=None, at_ms=at_ms, mine=False, sender="", text=text
    )
