"""What a submitted message shows of itself: read and checked before any transaction. Pure."""

from __future__ import annotations

from typing import NamedTuple

from kith.messaging.handshakes import group_id_of
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import Refusal
from kith.protocol.franking import parse_aad
from kith.protocol.mls.framing import APPLICATION, parse_private_message
from kith.protocol.wire import Malformed

SMALLEST_BUCKET = 256


class Message(NamedTuple):
    """A durable message as its clear part shows it. `tag` is None when it carries no franking tag."""

    room: str
    epoch: int
    tag: bytes | None
    body: bytes


def read_message(room: str, body: bytes, limits: Limits = DEFAULTS) -> Message | Refusal:
    """Checks 1 and 3 of the franking profile, section 6: size, then the strict layout of a PrivateMessage.

    A missing tag is noted here and refused in its turn, after membership and epoch.
    """
    if len(body) > limits.message_bytes:
        return Refusal("too_large", f"A message may have {limits.message_bytes} bytes, this one has {len(body)}.")
    try:
        header = parse_private_message(body)
    except Malformed as flaw:
        return Refusal("invalid", f"This is not a message: {flaw}.")
    if header.content_type != APPLICATION or header.group_id != group_id_of(room):
        return Refusal("invalid", "This is not an application message of this room's group.")
    try:
        tag = parse_aad(header.authenticated_data)
    except Malformed:
        tag = None
    return Message(room, header.epoch, tag, body)


def read_ephemeral(room: str, body: bytes, limits: Limits = DEFAULTS) -> int | None:
    """The epoch of an ephemeral message, or None when it is not one: it must carry no authenticated data at all."""
    if len(body) > limits.ephemeral_bytes:
        return None
    try:
        header = parse_private_message(body)
    except Malformed:
        return None
    of_room = header.content_type == APPLICATION and header.group_id == group_id_of(room)
    return header.epoch if of_room and not header.authenticated_data else None


def size_bucket(size: int) -> int:
    """The power of two, from 256 up, that bounds this size in bytes: sizes themselves are not kept."""
    return max(SMALLEST_BUCKET, 1 << (size - 1).bit_length())
