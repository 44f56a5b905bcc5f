"""MLSMessage, PublicMessage and PrivateMessage (RFC 9420 section 6): what can be read without secrets.

What these functions return is unverified. `public_message` and `private_message` turn it into `Verified` content.
"""

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from kith.protocol.mls.codec import KITH, Dialect, u8, u16, u32, u64
from kith.protocol.mls.key_package import KeyPackage
from kith.protocol.mls.proposals import (
    Add,
    Commit,
    Proposal,
    Remove,
    UpdatePath,
    read_commit,
    read_proposal,
)
from kith.protocol.mls.refusals import Unsupported
from kith.protocol.mls.suite import VERSION, WireFormat, as_message, open_message
from kith.protocol.signing import verify_with_label
from kith.protocol.wire import Malformed, Reader, vector

APPLICATION, PROPOSAL, COMMIT = 1, 2, 3
"""Content types (section 6)."""
MEMBER: Final = 1
"""The sender type of a group member, the only one that Kith accepts."""

MAX_COMMIT: Final = 1024 * 1024
"""Bytes of a commit."""
MAX_AAD: Final = 4096
"""Bytes of authenticated data; Kith's own are 0 or 36."""
MAX_GROUP_ID: Final = 255
MAX_MAC: Final = 64
MAX_SENDER_DATA: Final = 64

_PRIVATE_HEAD: Final = struct.pack(">HH", VERSION, WireFormat.PRIVATE_MESSAGE)
_U64: Final = struct.Struct(">Q")

Body: TypeAlias = bytes | Proposal | Commit


# --- PrivateMessage -------------------------------------------------------------------------------------------------


class PrivateHeader(msgspec.Struct, frozen=True, gc=False):
    """What a PrivateMessage says in clear. The sender's leaf is not among it."""

    group_id: bytes
    epoch: int
    content_type: int
    authenticated_data: bytes


def parse_private_message(message: bytes) -> PrivateHeader:
    """The clear part of an MLSMessage that is a PrivateMessage, checked to its last byte (sections 6, 6.3)."""
    return parse_private(message)[0]


def parse_private(message: bytes) -> tuple[PrivateHeader, bytes, bytes]:
    """The same with the encrypted sender data and the ciphertext."""
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
    sender_data, at = _vector_at(message, at)
    ciphertext, at = _vector_at(message, at)
    if at != len(message):
        raise Malformed("there are bytes after the end")
    if len(group_id) > MAX_GROUP_ID or len(authenticated_data) > MAX_AAD or not ciphertext:
        raise Malformed("a part of the message has an impossible size")
    return PrivateHeader(group_id, epoch, content_type, authenticated_data), sender_data, ciphertext


def encode_private(header: PrivateHeader, sender_data: bytes, ciphertext: bytes) -> bytes:
    """An MLSMessage with a PrivateMessage."""
    return (
        _PRIVATE_HEAD
        + vector(header.group_id)
        + _U64.pack(header.epoch)
        + u8(header.content_type)
        + vector(header.authenticated_data)
        + vector(sender_data)
        + vector(ciphertext)
    )


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


# --- content that both kinds of message carry ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FramedContent:
    """What a member says, before it is signed. `encoded` are the bytes that signatures and transcripts take."""

    group_id: bytes
    epoch: int
    sender_leaf: int
    authenticated_data: bytes
    content_type: int
    body: Body
    encoded: bytes

    def __repr__(self) -> str:
        """Without what was said."""
        return f"FramedContent(type {self.content_type}, leaf {self.sender_leaf}, epoch {self.epoch})"


def encode_body(body: Body) -> bytes:
    """Application data as a vector, proposals and commits as they are."""
    return vector(body) if isinstance(body, bytes) else body.encode()


def framed_content(
    group_id: bytes, epoch: int, sender_leaf: int, authenticated_data: bytes, body: Body
) -> FramedContent:
    """What this member says, with its encoding."""
    kind = APPLICATION if isinstance(body, bytes) else COMMIT if isinstance(body, Commit) else PROPOSAL
    return _framed(group_id, epoch, sender_leaf, authenticated_data, kind, body, encode_body(body))


def framed_from_private(header: PrivateHeader, sender_leaf: int, body: Body, encoded_body: bytes) -> FramedContent:
    """What a PrivateMessage said, once it is decrypted."""
    return _framed(
        header.group_id, header.epoch, sender_leaf, header.authenticated_data, header.content_type, body, encoded_body
    )


def _framed(  # noqa: PLR0917 - the fields, in the order of the RFC
    group_id: bytes, epoch: int, sender_leaf: int, aad: bytes, content_type: int, body: Body, encoded_body: bytes
) -> FramedContent:
    head = vector(group_id) + u64(epoch) + u8(MEMBER) + u32(sender_leaf) + vector(aad) + u8(content_type)
    return FramedContent(group_id, epoch, sender_leaf, aad, content_type, body, head + encoded_body)


def content_tbs(wire_format: WireFormat, content: bytes, group_context: bytes) -> bytes:
    """FramedContentTBS of a member (section 6.1)."""
    return u16(VERSION) + u16(wire_format) + content + group_context


def read_framed_content(reader: Reader, dialect: Dialect = KITH) -> FramedContent:
    """The FramedContent of a member at the cursor."""
    start = reader.at
    group_id = reader.vector(max=MAX_GROUP_ID)
    epoch = reader.u64()
    sender_leaf = _member(reader)
    authenticated_data = reader.vector(max=MAX_AAD)
    content_type = reader.u8()
    body = read_body(reader, content_type, dialect)
    return FramedContent(group_id, epoch, sender_leaf, authenticated_data, content_type, body, reader.since(start))


def read_body(reader: Reader, content_type: int, dialect: Dialect) -> Body:
    """The content of this type at the cursor."""
    if content_type == APPLICATION:
        return reader.vector()
    if content_type == PROPOSAL:
        return read_proposal(reader, dialect)
    if content_type == COMMIT:
        return read_commit(reader, dialect)
    raise Malformed("a message has an unknown content type")


# --- PublicMessage --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PublicMessage:
    """A PublicMessage of a member as it arrived. Nothing in it is verified."""

    content: FramedContent
    signature: bytes
    confirmation_tag: bytes | None
    membership_tag: bytes

    def encode(self) -> bytes:
        """The MLSMessage of these fields."""
        content = self.content
        fields = framed_content(
            content.group_id, content.epoch, content.sender_leaf, content.authenticated_data, content.body
        )
        tags = vector(self.confirmation_tag) if self.confirmation_tag is not None else b""
        tail = vector(self.signature) + tags + vector(self.membership_tag)
        return as_message(WireFormat.PUBLIC_MESSAGE, fields.encoded + tail)


def parse_public_message(message: bytes, dialect: Dialect = KITH) -> PublicMessage:
    """The PublicMessage in an MLSMessage, read to its last byte."""
    reader = open_message(message, WireFormat.PUBLIC_MESSAGE, limit=MAX_COMMIT)
    content = read_framed_content(reader, dialect)
    signature = dialect.signature(reader)
    confirmation_tag = reader.vector(max=MAX_MAC) if content.content_type == COMMIT else None
    membership_tag = reader.vector(max=MAX_MAC)
    reader.done()
    return PublicMessage(content, signature, confirmation_tag, membership_tag)


def _member(reader: Reader) -> int:
    sender_type = reader.u8()
    if sender_type == MEMBER:
        return reader.u32()
    names = {2: "external", 3: "new_member_proposal", 4: "new_member_commit"}
    if sender_type in names:
        raise Unsupported(f"a handshake by a sender of type {names[sender_type]} is not accepted")
    raise Malformed("a message has an unknown sender type")


# --- commits as a delivery service sees them ------------------------------------------------------------------------


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
        tbs = content_tbs(WireFormat.PUBLIC_MESSAGE, self.framed_content, group_context)
        return verify_with_label(signature_key, "FramedContentTBS", tbs, self.signature)

    def transcript_input(self) -> bytes:
        """ConfirmedTranscriptHashInput (section 8.2)."""
        return transcript_input(WireFormat.PUBLIC_MESSAGE, self.framed_content, self.signature)


def transcript_input(wire_format: WireFormat, content: bytes, signature: bytes) -> bytes:
    """ConfirmedTranscriptHashInput of an encoded FramedContent (section 8.2)."""
    return u16(wire_format) + content + vector(signature)


def parse_commit(message: bytes) -> CommitHeader:
    """A commit as a MLSMessage PublicMessage with member sender and inline Add and Remove proposals only.

    Other senders and content types are Malformed; other proposals and references are Unsupported, by name.
    """
    public = parse_public_message(message)
    content = public.content
    commit = content.body
    if not isinstance(commit, Commit) or public.confirmation_tag is None:
        raise Malformed("this public message is not a commit")
    adds = tuple(item.key_package for item in commit.proposals if isinstance(item, Add))
    removes = tuple(item.removed for item in commit.proposals if isinstance(item, Remove))
    if len(set(removes)) != len(removes):
        raise Malformed("a commit removes one leaf twice")
    return CommitHeader(
        group_id=content.group_id,
        epoch=content.epoch,
        sender_leaf=content.sender_leaf,
        authenticated_data=content.authenticated_data,
        adds=adds,
        removes=removes,
        path=commit.path,
        framed_content=content.encoded,
        signature=public.signature,
        confirmation_tag=public.confirmation_tag,
    )
