"""What the ephemeral class may carry: receipts and typing. Everything else in it is dropped.

Both are message content like any other (sender and room inside, compared with the leaf and the group), one single part
of their media type with disposition "session", without a reply or a replacement. They are never rendered and never
reported, so nothing but these two may travel where no frank is made; and neither counts when it comes franked.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from kith.protocol import cbor
from kith.protocol.cbor import Key, Value
from kith.protocol.content import MESSAGE_ID, ROOM, SENDER, SESSION, MimiContent, Part, SinglePart, numbered_parts
from kith.protocol.wire import Malformed

STATUS: Final = "application/mimi-message-status"
"""Body: a CBOR array of 1 to 16 pairs [message id, status]."""
TYPING: Final = "application/x.kith.typing"
"""Body: empty."""
MAX_RECEIPTS: Final = 16
READ: Final = 2
"""The only status that Kith sends: this message and everything before it has been read."""
LAST_STATUS: Final = 6


@dataclass(frozen=True, slots=True)
class Receipts:
    """What became of messages on the sender's side: pairs of message id and status (0 to 6)."""

    of: tuple[tuple[bytes, int], ...]

    @property
    def read(self) -> tuple[bytes, ...]:
        """The ids of those that were read."""
        return tuple(message for message, status in self.of if status == READ)


@dataclass(frozen=True, slots=True)
class Typing:
    """The sender is writing, now."""


Signal: TypeAlias = Receipts | Typing


def receipts(of: tuple[tuple[bytes, int], ...], *, salt: bytes, sender_uri: str, room_uri: str) -> MimiContent:
    """Tell what became of messages; Malformed for none, or more than 16."""
    body = cbor.encode([[message, status] for message, status in of])
    if _receipts(body) is None:
        raise Malformed("these are not receipts")
    return _signal(STATUS, body, salt, sender_uri, room_uri)


def typing(*, salt: bytes, sender_uri: str, room_uri: str) -> MimiContent:
    """Tell that one is writing."""
    return _signal(TYPING, b"", salt, sender_uri, room_uri)


def _signal(kind: str, body: bytes, salt: bytes, sender_uri: str, room_uri: str) -> MimiContent:
    extensions: dict[Key, Value] = {SENDER: sender_uri, ROOM: room_uri}
    return MimiContent(
        salt=salt, extensions=extensions, part=SinglePart(content_type=kind, content=body, disposition=SESSION)
    )


def signal_of(content: MimiContent) -> Signal | None:
    """What content of the ephemeral class says; None for all that is dropped."""
    part = content.part
    alone = content.replaces is None and content.in_reply_to is None and content.expires is None
    if not alone or not isinstance(part, SinglePart) or part.disposition != SESSION:
        return None
    if part.content_type == TYPING and part.content == b"":
        return Typing()
    return _receipts(part.content) if part.content_type == STATUS else None


def _receipts(body: bytes) -> Receipts | None:
    try:
        pairs = cbor.decode(body)
    except Malformed:
        return None
    if type(pairs) is not list or not 1 <= len(pairs) <= MAX_RECEIPTS or not all(map(_is_pair, pairs)):
        return None
    return Receipts(tuple((message, status) for message, status in cast("list[list[object]]", pairs)))  # type: ignore[misc]  # judged by _is_pair


def _is_pair(value: Value) -> bool:
    match value:
        case [bytes(message), int(status)] if type(status) is int:
            return len(message) == MESSAGE_ID and 0 <= status <= LAST_STATUS
        case _:
            return False


def misplaced(part: Part) -> bool:
    """Whether a durable message carries what belongs into the ephemeral class: it is dropped."""
    return any(isinstance(one, SinglePart) and one.content_type in (STATUS, TYPING) for _, one in numbered_parts(part))
