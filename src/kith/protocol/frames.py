"""The frames of the stream `kith.v1`: one msgpack array per WebSocket message, told apart by its first integer.

Decoding is strict: exactly the elements of the frame, exact types, no bytes after it, and a size limit that is
applied before anything is decoded. Everything else is Malformed.
"""

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from kith.protocol.wire import Malformed

MAX_FRAME: Final = 80 * 1024
"""Bytes of a frame."""
MAX_COMMIT_FRAME: Final = 1024 * 1024
"""Bytes of a COMMIT, and of a MAIL that carries what a COMMIT brought."""
MAX_ACKS: Final = 4096
"""Mail ids in one ACK."""

MESSAGE, COMMIT, WELCOME, ROSTER, NOTICE = range(1, 6)
"""Kinds of MAIL."""

_COMMIT_START: Final = b"\x96\x02"
"""An array of six whose first element is 2."""
_MAIL_START: Final = b"\x97\x13"
"""An array of seven whose first element is 19."""
_UUID4: Final = r"\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z"

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
U16: TypeAlias = Annotated[int, Meta(ge=0, le=2**16 - 1)]
U32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
SubmitKey: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16)]
RoomId: TypeAlias = Annotated[str, Meta(pattern=_UUID4)]
Code: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[a-z_]+\Z")]
Hash: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Frame(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True, gc=False):
    """What all frames share: an array, nothing beyond the named elements, immutable."""


# --- from a device --------------------------------------------------------------------------------------------------


class Submit(Frame, tag=1, frozen=True):
    """SUBMIT: a durable message. `key` makes a repeat harmless; `message` is an MLSMessage (PrivateMessage)."""

    key: SubmitKey
    room: RoomId
    message: bytes


class Commit(Frame, tag=2, frozen=True):
    """COMMIT: a handshake with what belongs to it; all three are MLSMessages, the Welcome only when it adds."""

    key: SubmitKey
    room: RoomId
    commit: bytes
    welcome: bytes | None
    group_info: bytes


class Ack(Frame, tag=3, frozen=True):
    """ACK: these mails are stored on the device and may leave the mailbox."""

    mail_ids: Annotated[tuple[Count, ...], Meta(max_length=MAX_ACKS)]


class SendEphemeral(Frame, tag=4, frozen=True):
    """EPHEMERAL: typing or a receipt; untagged, unnumbered, dropped where it cannot be delivered now."""

    room: RoomId
    message: bytes


class Ping(Frame, tag=5, frozen=True):
    """PING: answer with PONG."""


ClientFrame: TypeAlias = Submit | Commit | Ack | SendEphemeral | Ping

# --- from the server ------------------------------------------------------------------------------------------------


class Hello(Frame, tag=16, frozen=True):
    """HELLO: the server's time and the device it takes this connection for."""

    time_ms: Count
    device: RoomId


class Accepted(Frame, tag=17, frozen=True):
    """ACCEPTED: durable. Position, time and, for a message, the hub's frank: the sender's own record."""

    key: SubmitKey
    room_pos: Count
    timestamp: Count
    room_seq: Count | None
    hub_key_id: U32 | None
    server_frank: Hash | None
    suite: U16 | None
    proof: bytes | None

    def __post_init__(self) -> None:
        """A frank is whole or absent."""
        absent = self.room_seq is None
        rest = (self.hub_key_id is None, self.server_frank is None, self.suite is None, self.proof is None)
        if rest != (absent, absent, absent, absent):
            raise ValueError("a frank is whole or absent")


class Refused(Frame, tag=18, frozen=True):
    """REFUSED: nothing was stored. `details` depends on the code: a sentence, a decision id or the current epoch."""

    key: SubmitKey
    code: Code
    details: str | None
    retry_after_ms: Count | None


class Frank(Frame, frozen=True):
    """The hub's record of one message, as receivers need it to rebuild the context and check the proof."""

    accepted_timestamp: Count
    room_seq: Count
    hub_key_id: U32
    server_frank: Hash
    suite: U16
    proof: bytes


class Mail(Frame, tag=19, frozen=True):
    """MAIL: something that waits for this device until it acks `mail_id`.

    For kinds 4 (roster) and 5 (notice) the body is JSON and `room_pos` 0; only these may be of no room.
    """

    mail_id: Count
    kind: Annotated[int, Meta(ge=MESSAGE, le=NOTICE)]
    room: RoomId | None
    room_pos: Count
    body: bytes
    frank: Frank | None

    def __post_init__(self) -> None:
        """Roster and notice may be of no room; only a message is franked."""
        if self.room is None and self.kind not in (ROSTER, NOTICE):
            raise ValueError("this kind of mail belongs to a room")
        if self.frank is not None and self.kind != MESSAGE:
            raise ValueError("only messages are franked")


class Ephemeral(Frame, tag=20, frozen=True):
    """EPHEMERAL: somebody's typing or receipt, to be shown only by a device that has everything up to `after_pos`."""

    room: RoomId
    after_pos: Count
    body: bytes


class Bye(Frame, tag=21, frozen=True):
    """BYE: the server closes the connection for this reason."""

    code: Code


class Pong(Frame, tag=22, frozen=True):
    """PONG: the answer to PING, with the server's time."""

    time_ms: Count


class Delivered(Frame, tag=23, frozen=True):
    """DELIVERED: a device of another account has acked everything up to that position. A hint, never queued."""

    room: RoomId
    room_pos: Count


class Unknown(msgspec.Struct, frozen=True):
    """A server frame of a later version; ignore it."""

    kind: int


ServerFrame: TypeAlias = Hello | Accepted | Refused | Mail | Ephemeral | Bye | Pong | Delivered

_FIRST_SERVER_KIND, _LAST_KNOWN_KIND = 16, 23
_ENCODER: Final = msgspec.msgpack.Encoder()
_CLIENT: Final[msgspec.msgpack.Decoder[ClientFrame]] = msgspec.msgpack.Decoder(ClientFrame)
_SERVER: Final[msgspec.msgpack.Decoder[ServerFrame]] = msgspec.msgpack.Decoder(ServerFrame)
_NOT_A_FRAME: Final = "this is not a frame of kith.v1"


def encode(frame: ClientFrame | ServerFrame) -> bytes:
    """The frame's bytes."""
    return _ENCODER.encode(frame)


def mail_tail(kind: int, room: str, room_pos: int, body: bytes, frank: Frank | None) -> bytes:
    """What follows the mail id in a MAIL frame: the same bytes for every device that gets this body."""
    return _ENCODER.encode((kind, room, room_pos, body, frank))[1:]


def mail_with(mail_id: int, tail: bytes) -> bytes:
    """A MAIL frame from its id and its tail."""
    return _MAIL_START + _ENCODER.encode(mail_id) + tail


def decode_client(data: bytes) -> ClientFrame:
    """The frame that a device sent; Malformed for everything else. Sizes are judged before decoding."""
    if len(data) > (MAX_COMMIT_FRAME if data.startswith(_COMMIT_START) else MAX_FRAME):
        raise Malformed("a frame is larger than allowed")
    try:
        return _CLIENT.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Malformed(_NOT_A_FRAME) from None


def decode_server(data: bytes) -> ServerFrame | Unknown:
    """The frame that the server sent, Unknown for a kind above those known here, Malformed for everything else."""
    if len(data) > (MAX_COMMIT_FRAME if data.startswith(_MAIL_START) else MAX_FRAME):
        raise Malformed("a frame is larger than allowed")
    kind = _kind(data)
    if kind is not None and kind > _LAST_KNOWN_KIND:
        return Unknown(kind)
    try:
        frame = _SERVER.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Malformed(_NOT_A_FRAME) from None
    if len(data) > MAX_FRAME and not (isinstance(frame, Mail) and frame.kind in (COMMIT, WELCOME)):
        raise Malformed("a frame is larger than allowed")
    return frame


def _kind(data: bytes) -> int | None:
    """The integer after a short array head (1 to 15 elements), without decoding anything further."""
    if len(data) < 2 or not 0x91 <= data[0] <= 0x9F or data[1] > 0x7F:  # noqa: PLR2004 - msgpack's fixarray and fixint
        return None
    return data[1]
