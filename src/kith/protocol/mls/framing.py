"""MLSMessage, PublicMessage and PrivateMessage (RFC 9420 section 6), as far as they are visible without secrets."""

import struct
from dataclasses import dataclass
from typing import Final

import msgspec

from kith.protocol.mls.key_package import KeyPackage
from kith.protocol.mls.proposals import UpdatePath, read_proposals, read_update_path
from kith.protocol.mls.refusals import Unsupported
from kith.protocol.mls.suite import VERSION, WireFormat, open_message
from kith.protocol.signing import verify_with_label
from kith.protocol.wire import Malformed, Reader, vector

APPLICATION, PROPOSAL, COMMIT = 1, 2, 3
"""Content types (section 6)."""
MEMBER: Final = 1
"""The sender type of a group member."""

MAX_COMMIT: Final = 1024 * 1024
"""Bytes of a commit."""
MAX_AAD: Final = 4096
"""Bytes of authenticated data; Kith's own are 0 or 36."""
MAX_GROUP_ID: Final = 255
MAX_MAC: Final = 64

_PRIVATE_HEAD: Final = struct.pack(">HH", VERSION, WireFormat.PRIVATE_MESSAGE)
_U64: Final = struct.Struct(">Q")


class PrivateHeader(msgspec.Struct, frozen=True, gc=False):
    """What a PrivateMessage says in clear. The sender's leaf is not among it."""

    group_id: bytes
    epoch: int
    content_type: int
    authenticated_data: bytes


def parse_private_message(message: bytes) -> PrivateHeader:
    """The clear part of an MLSMessage that is a PrivateMessage, checked to its last byte (sections 6, 6.3)."""
    if message[:4] != _PRIVATE_HEAD:
        raise Malformed("this is not an MLS 1.0 PrivateMessage")
    group_id, at = _vector_at(message, 4)
    stop = at + 8
    if len(message) <= stop:
        raise Malformed("the data ends too early")
    (epoch,) = _U64.unpack_from(message, at)
    content_type = message[stop]
    if not APPLICATION <= content_type <= COMMIT:
        raise Malformed("a message has an unknown content type")
    authenticated_data, at = _vector_at(message, stop + 1)
    _, at = _vector_at(message, at)
    ciphertext, at = _vector_at(message, at)
    if at != len(message):
        raise Malformed("there are bytes after the end")
    if len(group_id) > MAX_GROUP_ID or len(authenticated_data) > MAX_AAD or not ciphertext:
        raise Malformed("a part of the message has an impossible size")
    return PrivateHeader(group_id, epoch, content_type, authenticated_data)


def _vector_at(data: bytes, at: int) -> tuple[bytes, int]:
    """`Reader.vector` without a Reader: this runs for every message that is sent."""
    size = len(data)
    if at >= size:
        raise Malformed("the data ends too early")
    length = data[at]
    at += 1
    if length >= 0x80:  # noqa: PLR2004 - four bytes or none: no hurry
        reader = Reader(data[at - 1 : at + 3])
        length = reader.varint()
        at += 3
    elif length >= 0x40:  # noqa: PLR2004 - the top bits 01 announce one further byte
        if at >= size:
            raise Malformed("the data ends too early")
        length = (length & 0x3F) << 8 | data[at]
        if length < 0x40:  # noqa: PLR2004 - would have fitted six bits
            raise Malformed("a length is not in its shortest form")
        at += 1
    stop = at + length
    if stop > size:
        raise Malformed("the data ends too early")
    return data[at:stop], stop


@dataclass(frozen=True, slots=True)
class CommitHeader:
    """What a commit sent as PublicMessage by a member says. Its signature is not yet verified.

    `adds` and `removes` are the inline proposals in order; `path` is the committer's new leaf and the public side of
    the UpdatePath. `framed_content` and `signature` are what section 6.1 signs and section 8.2 hashes.
    """

    group_id: bytes
    epoch: int
    sender_leaf: int
    authenticated_data: bytes
    adds: tuple[KeyPackage, ...]
    removes: tuple[int, ...]
    path: UpdatePath | None
    framed_content: bytes
    signature: bytes
    confirmation_tag: bytes

    @property
    def has_path(self) -> bool:
        """Whether the commit brings fresh secrets."""
        return self.path is not None

    def verify_signature(self, signature_key: bytes, group_context: bytes) -> bool:
        """Whether the leaf with this key signed the commit in this GroupContext (FramedContentTBS, section 6.1)."""
        head = VERSION.to_bytes(2, "big") + WireFormat.PUBLIC_MESSAGE.to_bytes(2, "big")
        return verify_with_label(
            signature_key, "FramedContentTBS", head + self.framed_content + group_context, self.signature
        )

    def transcript_input(self) -> bytes:
        """ConfirmedTranscriptHashInput (section 8.2)."""
        return WireFormat.PUBLIC_MESSAGE.to_bytes(2, "big") + self.framed_content + vector(self.signature)


def parse_commit(message: bytes) -> CommitHeader:
    """A commit as a MLSMessage PublicMessage with member sender and inline Add and Remove proposals only.

    Other senders and content types are Malformed; other proposals and references are Unsupported, by name.
    """
    reader = open_message(message, WireFormat.PUBLIC_MESSAGE, limit=MAX_COMMIT)
    start = reader.at
    group_id = reader.vector(max=MAX_GROUP_ID)
    epoch = reader.u64()
    sender_leaf = _member(reader)
    authenticated_data = reader.vector(max=MAX_AAD)
    if reader.u8() != COMMIT:
        raise Malformed("this public message is not a commit")
    adds, removes = read_proposals(Reader(reader.vector()))
    path = read_update_path(reader) if reader.presence() else None
    framed_content = reader.since(start)
    header = CommitHeader(
        group_id=group_id,
        epoch=epoch,
        sender_leaf=sender_leaf,
        authenticated_data=authenticated_data,
        adds=adds,
        removes=removes,
        path=path,
        framed_content=framed_content,
        signature=reader.vector(max=MAX_MAC),
        confirmation_tag=reader.vector(max=MAX_MAC),
    )
    reader.vector(max=MAX_MAC)  # membership_tag: only members can check it
    reader.done()
    return header


def _member(reader: Reader) -> int:
    sender_type = reader.u8()
    if sender_type == MEMBER:
        return reader.u32()
    names = {2: "external", 3: "new_member_proposal", 4: "new_member_commit"}
    if sender_type in names:
        raise Unsupported(f"a handshake by a sender of type {names[sender_type]} is not accepted")
    raise Malformed("a message has an unknown sender type")
