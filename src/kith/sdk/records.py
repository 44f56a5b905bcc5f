"""What the device keeps, record by record. Everything here is stored sealed (vault)."""

from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["text", "unsupported", "tombstone", "info", "effect"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable record; change it with `msgspec.structs.replace`."""


class SessionRecord(Record, frozen=True, kw_only=True):
    """account/session: where this device is signed in, and as whom."""

    origin: str
    server: str
    account: str
    device: str
    token: str
    handle: str

    def __repr__(self) -> str:
        """Without the token."""
        return f"SessionRecord({self.handle!r} at {self.origin!r})"


class KeyRecord(Record, frozen=True, kw_only=True):
    """keys/aik and keys/device: an Ed25519 seed; `added_ms` and `registered` are the device's."""

    seed: bytes
    added_ms: int = 0
    registered: bool = False

    def __repr__(self) -> str:
        """No key."""
        return "KeyRecord(…)"


class PackageRecord(Record, frozen=True, kw_only=True):
    """keys/kp/<ref>: the secret half of an uploaded key package."""

    secret: bytes
    last_resort: bool
    not_after_ms: int

    def __repr__(self) -> str:
        """No key."""
        return "PackageRecord(…)"


class Pin(Record, frozen=True, kw_only=True):
    """meta/pin/<account>: what was seen of somebody's identity; a later list may not be older."""

    aik: bytes
    version: int
    list: bytes


class PinnedManifest(Record, frozen=True, kw_only=True):
    """meta/manifest: (entry, signature) pairs pinned so far, as served."""

    entries: tuple[tuple[bytes, bytes], ...]


class Roster(Record, frozen=True, kw_only=True):
    """meta/room/<room>: who is in a room, as first seen. Direct rooms never change."""

    accounts: tuple[str, ...]


class FirstMessage(Record, frozen=True, kw_only=True):
    """meta/first/<request>: the first message, waiting here for the request to be accepted."""

    text: str
    created_ms: int


class GroupRecord(Record, frozen=True, kw_only=True):
    """groups/<room>.

    `joined` is False while the group is only being created. `pending_key` is the stream key of the commit that waits
    inside `state`. `broken` says why this device cannot follow; a new Welcome heals it. `revision` guards `state`.
    """

    state: bytes
    revision: int
    joined: bool
    pending_key: bytes | None
    broken: Literal["removed", "fork"] | None
    rotated_ms: int

    def __repr__(self) -> str:
        """No key."""
        return f"GroupRecord(revision {self.revision}, …)"


class FrankRecord(Record, frozen=True, kw_only=True):
    """What proves a message: kept with it, repeated in reports. `context` is an encoded SaferFrankingContext."""

    context: bytes
    server_frank: bytes
    suite: int
    proof: bytes


class MessageRecord(Record, frozen=True, kw_only=True):
    """messages/<room>/<seq>/<pos>: one row of a thread. `content` is M exactly as sent or received."""

    kind: Kind
    id: str
    pos: int
    seq: int | None
    at_ms: int
    mine: bool
    sender: str
    text: str
    reply_to: str | None = None
    content: bytes | None = None
    frank: FrankRecord | None = None
    edited: bool = False

    def __repr__(self) -> str:
        """Without what was said."""
        return f"MessageRecord({self.kind} at {self.pos}, …)"


class Thread(Record, frozen=True, kw_only=True):
    """meta/thread/<room>: where the thread stands.

    `pos`: room_pos up to which everything was processed. `seq`, `at_ms`: room_seq and time of the last message in
    turn. `head_seq`: highest room_seq of any message.
    """

    pos: int = 0
    seq: int = 0
    at_ms: int = 0
    head_seq: int = 0
    delivered_pos: int = 0
    last_id: bytes | None = None


class Sealed(Record, frozen=True, kw_only=True):
    """An encrypted message: sent, and sent again, unchanged, until it is answered."""

    key: bytes
    wire: bytes
    content: bytes
    epoch: int


class OutboxRecord(Record, frozen=True, kw_only=True):
    """outbox/<room>/<time>-<id>: what was written here and is not accepted yet, in order.

    plain: not encrypted yet. sealed: the bytes exist. failed: refused for good, for the reason in `failure`.
    """

    id: str
    room: str
    created_ms: int
    text: str
    reply_to: str | None = None
    sealed: Sealed | None = None
    failure: str | None = None
    details: str | None = None

    def __repr__(self) -> str:
        """Without what was said."""
        return f"OutboxRecord({self.id!r}, …)"

    @property
    def place(self) -> str:
        """Its key in the outbox."""
        return f"{self.room}/{padded(self.created_ms)}-{self.id}"


def padded(number: int) -> str:
    """Numbers in keys, so that they sort."""
    return f"{number:016d}"


def message_key(room: str, seq: int, pos: int) -> str:
    """The key of a row."""
    return f"{room}/{padded(seq)}/{padded(pos)}"
