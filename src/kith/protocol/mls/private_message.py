"""PrivateMessage (RFC 9420 section 6.3): encryption of content, padding, and hiding of who sent it.

Opening gives the content together with the secret tree in which its key no longer is. It exists only once AEAD **and**
signature were right, so a tampered copy burns nothing and the genuine message still opens.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from kith.protocol.mls.codec import Dialect, u8, u32, u64
from kith.protocol.mls.crypto import aead_open, aead_seal
from kith.protocol.mls.framing import (
    APPLICATION,
    COMMIT,
    MAX_MAC,
    MAX_SENDER_DATA,
    FramedContent,
    PrivateHeader,
    encode_body,
    encode_private,
    framed_from_private,
    read_body,
)
from kith.protocol.mls.public_message import Verified, check_signature
from kith.protocol.mls.ratchet_tree import Tree, member_at
from kith.protocol.mls.secret_tree import SecretTree, sender_data_key
from kith.protocol.mls.suite import SIGNATURE, WireFormat
from kith.protocol.wire import Malformed, Reader, vector

BUCKETS: Final = (256, 512, 1024, 2048, 4096, 16384, 65536)
"""Bytes of the encoded content that messages are padded to. Larger ones go unpadded: nothing larger fits a frame."""
REUSE_GUARD: Final = 4


@dataclass(frozen=True, slots=True)
class Epoch:
    """What reading an epoch's messages takes: its secrets, its tree, and its context."""

    context: bytes
    sender_data_secret: bytes
    secret_tree: SecretTree
    tree: Tree

    def __repr__(self) -> str:
        """No secret."""
        return "Epoch(…)"


class Sealed(NamedTuple):
    """A message, and the secret tree after it."""

    message: bytes
    secret_tree: SecretTree


class Opened(NamedTuple):
    """A genuine message, and the secret tree after it."""

    verified: Verified
    secret_tree: SecretTree


def padded_size(size: int) -> int:
    """The bucket for this many bytes of encoded content."""
    return next((bucket for bucket in BUCKETS if bucket >= size), size)


def protect(
    verified: Verified, *, sender_data_secret: bytes, secret_tree: SecretTree, reuse_guard: bytes, pad: bool
) -> Sealed:
    """The MLSMessage of content that we signed. `reuse_guard`: four fresh random bytes."""
    content = verified.content
    plain = encode_body(content.body) + verified.auth_data()
    if pad:
        plain += bytes(padded_size(len(plain)) - len(plain))
    application = content.content_type == APPLICATION
    key, after = secret_tree.step(content.sender_leaf, application=application)
    header = PrivateHeader(content.group_id, content.epoch, content.content_type, content.authenticated_data)
    ciphertext = aead_seal(key.key, guarded(key.nonce, reuse_guard), plain, _content_aad(header))
    data = u32(content.sender_leaf) + u32(key.generation) + reuse_guard
    data_key, data_nonce = sender_data_key(sender_data_secret, ciphertext)
    sender_data = aead_seal(data_key, data_nonce, data, _sender_data_aad(header))
    return Sealed(encode_private(header, sender_data, ciphertext), after)


def unprotect(
    parsed: tuple[PrivateHeader, bytes, bytes], epoch: Epoch, *, dialect: Dialect, window: int, forward: int
) -> Opened:
    """Who sent it and what; BadTag, BadSignature, Replay, TooOld or Malformed otherwise."""
    header, sender_data, ciphertext = parsed
    sender_leaf, generation, reuse_guard = _open_sender(header, sender_data, ciphertext, epoch.sender_data_secret)
    leaf = member_at(epoch.tree, sender_leaf)
    application = header.content_type == APPLICATION
    key, after = epoch.secret_tree.take(
        sender_leaf, generation, application=application, window=window, forward=forward
    )
    plain = aead_open(key.key, guarded(key.nonce, reuse_guard), ciphertext, _content_aad(header))
    content, signature, confirmation_tag = _read_plain(plain, header, sender_leaf, dialect)
    check_signature(
        WireFormat.PRIVATE_MESSAGE,
        content,
        signature,
        group_context=epoch.context,
        signature_key=leaf.signature_key,
    )
    return Opened(Verified(WireFormat.PRIVATE_MESSAGE, content, signature, confirmation_tag), after)


def guarded(nonce: bytes, reuse_guard: bytes) -> bytes:
    """The nonce with the reuse guard in its first four bytes (section 6.3.1)."""
    first = int.from_bytes(nonce[:REUSE_GUARD], "big") ^ int.from_bytes(reuse_guard, "big")
    return first.to_bytes(REUSE_GUARD, "big") + nonce[REUSE_GUARD:]


def _content_aad(header: PrivateHeader) -> bytes:
    return _sender_data_aad(header) + vector(header.authenticated_data)


def _sender_data_aad(header: PrivateHeader) -> bytes:
    return vector(header.group_id) + u64(header.epoch) + u8(header.content_type)


def _open_sender(
    header: PrivateHeader, sender_data: bytes, ciphertext: bytes, sender_data_secret: bytes
) -> tuple[int, int, bytes]:
    if len(sender_data) > MAX_SENDER_DATA:
        raise Malformed("a part of the message has an impossible size")
    key, nonce = sender_data_key(sender_data_secret, ciphertext)
    reader = Reader(aead_open(key, nonce, sender_data, _sender_data_aad(header)))
    sender_leaf, generation, reuse_guard = reader.u32(), reader.u32(), reader.take(REUSE_GUARD)
    reader.done()
    return sender_leaf, generation, reuse_guard


def _read_plain(
    plain: bytes, header: PrivateHeader, sender_leaf: int, dialect: Dialect
) -> tuple[FramedContent, bytes, bytes | None]:
    reader = Reader(plain)
    body = read_body(reader, header.content_type, dialect)
    encoded_body = reader.since(0)
    signature = reader.fixed_vector(SIGNATURE)
    confirmation_tag = reader.vector(max=MAX_MAC) if header.content_type == COMMIT else None
    if any(reader.take(reader.left)):
        raise Malformed("the padding of a message is not zero")
    return framed_from_private(header, sender_leaf, body, encoded_body), signature, confirmation_tag
