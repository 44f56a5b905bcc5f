"""The key schedule (RFC 9420 section 8): from one epoch's init_secret and a commit to the next epoch's secrets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from kith.protocol.mls.codec import Extension, encode_extensions, read_extensions, u16, u64
from kith.protocol.mls.crypto import HASH, derive_key_pair, derive_secret, expand_with_label, extract, mac, sha256
from kith.protocol.mls.suite import SUITE, VERSION, check_suite, check_version
from kith.protocol.wire import Malformed, Reader, vector

ZERO: Final = bytes(HASH)
MAX_GROUP_ID: Final = 255
MAX_EXPORT: Final = 255 * HASH
"""Bytes that HKDF-Expand can give."""


@dataclass(frozen=True, slots=True)
class GroupContext:
    """What every member agrees on (section 8.1)."""

    group_id: bytes
    epoch: int
    tree_hash: bytes
    confirmed_transcript_hash: bytes
    extensions: tuple[Extension, ...] = ()

    def encode(self) -> bytes:
        """The bytes that enter signatures, key derivation and HPKE contexts."""
        return (
            u16(VERSION)
            + u16(SUITE)
            + vector(self.group_id)
            + u64(self.epoch)
            + vector(self.tree_hash)
            + vector(self.confirmed_transcript_hash)
            + encode_extensions(self.extensions)
        )

    def next(self, *, tree_hash: bytes, extensions: tuple[Extension, ...]) -> "GroupContext":
        """The provisional context of the next epoch, before its transcript is known."""
        return replace(self, epoch=self.epoch + 1, tree_hash=tree_hash, extensions=extensions)


def read_group_context(reader: Reader) -> GroupContext:
    """The GroupContext at the cursor."""
    check_version(reader.u16())
    check_suite(reader.u16())
    group_id, epoch = reader.vector(max=MAX_GROUP_ID), reader.u64()
    tree_hash, transcript = reader.vector(max=HASH), reader.vector(max=HASH)
    return GroupContext(group_id, epoch, tree_hash, transcript, read_extensions(reader.vector()))


@dataclass(frozen=True, slots=True)
class EpochSecrets:
    """What an epoch keeps of its key schedule. The encryption secret went into the secret tree."""

    sender_data: bytes
    exporter: bytes
    authenticator: bytes
    confirmation_key: bytes
    membership_key: bytes
    resumption_psk: bytes
    init: bytes

    def __repr__(self) -> str:
        """No secret."""
        return "EpochSecrets(…)"

    def confirmation_tag(self, confirmed_transcript_hash: bytes) -> bytes:
        """The proof that its maker knows this epoch's secrets (section 6.1)."""
        return mac(self.confirmation_key, confirmed_transcript_hash)

    def export(self, label: bytes, context: bytes, length: int) -> bytes:
        """MLS-Exporter (section 8.5). More than 8160 bytes are Malformed."""
        if not 0 <= length <= MAX_EXPORT:
            raise Malformed("an exporter gives 0 to 8160 bytes")
        if length == 0:
            return b""
        return expand_with_label(derive_secret(self.exporter, label), b"exported", sha256(context), length)


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """An epoch's secrets with those that are used once: the encryption secret, and what a Welcome needs."""

    secrets: EpochSecrets
    encryption: bytes
    external: bytes
    joiner: bytes
    welcome: bytes

    def __repr__(self) -> str:
        """No secret."""
        return "NewEpoch(…)"


def joiner_secret(init_secret: bytes, commit_secret: bytes, context: bytes) -> bytes:
    """From the last epoch to the joiner secret; `context` is the new encoded GroupContext."""
    return expand_with_label(extract(init_secret, commit_secret), b"joiner", context, HASH)


def welcome_secret(joiner: bytes, psk: bytes) -> bytes:
    """What a Welcome's GroupInfo is encrypted with."""
    return derive_secret(extract(joiner, psk), b"welcome")


def epoch_from_joiner(joiner: bytes, psk: bytes, context: bytes) -> NewEpoch:
    """The rest of the schedule, where members and joiners meet."""
    member = extract(joiner, psk)
    epoch = expand_with_label(member, b"epoch", context, HASH)
    labels = (b"sender data", b"exporter", b"authentication", b"confirm", b"membership", b"resumption", b"init")
    return NewEpoch(
        secrets=EpochSecrets(*(derive_secret(epoch, label) for label in labels)),
        encryption=derive_secret(epoch, b"encryption"),
        external=derive_secret(epoch, b"external"),
        joiner=joiner,
        welcome=derive_secret(member, b"welcome"),
    )


def epoch_from_secret(epoch_secret: bytes) -> NewEpoch:
    """Epoch 0 of a group, whose creator draws the epoch secret (section 11)."""
    labels = (b"sender data", b"exporter", b"authentication", b"confirm", b"membership", b"resumption", b"init")
    return NewEpoch(
        secrets=EpochSecrets(*(derive_secret(epoch_secret, label) for label in labels)),
        encryption=derive_secret(epoch_secret, b"encryption"),
        external=derive_secret(epoch_secret, b"external"),
        joiner=b"",
        welcome=b"",
    )


def external_public_key(external: bytes) -> bytes:
    """external_pub (section 8.3). Kith never publishes it; the vectors check the schedule by it."""
    return derive_key_pair(external)[1]


# --- pre-shared keys (section 8.4) ----------------------------------------------------------------------------------

EXTERNAL, RESUMPTION = 1, 2
"""PSKType"""
MAX_PSK: Final = 1024


@dataclass(frozen=True, slots=True)
class PskId:
    """PreSharedKeyID. Kith's groups use none; the official vectors do."""

    type: int
    psk_id: bytes
    nonce: bytes
    usage: int = 0
    epoch: int = 0

    def encode(self) -> bytes:
        """For a resumption PSK, `psk_id` is the group it comes from."""
        if self.type == EXTERNAL:
            head = b"\x01" + vector(self.psk_id)
        else:
            head = b"\x02" + bytes((self.usage,)) + vector(self.psk_id) + u64(self.epoch)
        return head + vector(self.nonce)


def read_psk_id(reader: Reader) -> PskId:
    """The PreSharedKeyID at the cursor."""
    kind = reader.u8()
    if kind == EXTERNAL:
        return PskId(EXTERNAL, reader.vector(max=MAX_PSK), reader.vector(max=MAX_PSK))
    if kind != RESUMPTION:
        raise Malformed("a pre-shared key is of an unknown type")
    usage = reader.u8()
    psk_id, epoch = reader.vector(max=MAX_GROUP_ID), reader.u64()
    return PskId(RESUMPTION, psk_id, reader.vector(max=MAX_PSK), usage, epoch)


def psk_secret(psks: Sequence[tuple[PskId, bytes]]) -> bytes:
    """All injected keys in the order of their proposals; ZERO when there are none."""
    secret = ZERO
    for index, (psk_id, psk) in enumerate(psks):
        label = psk_id.encode() + u16(index) + u16(len(psks))
        secret = extract(expand_with_label(extract(ZERO, psk), b"derived psk", label, HASH), secret)
    return secret


# --- transcripts (section 8.2) --------------------------------------------------------------------------------------


def confirmed_transcript_hash(interim_before: bytes, transcript_input: bytes) -> bytes:
    """`transcript_input`: ConfirmedTranscriptHashInput, the wire format, content and signature of a commit."""
    return sha256(interim_before + transcript_input)


def interim_transcript_hash(confirmed: bytes, confirmation_tag: bytes) -> bytes:
    """The confirmed hash with its tag."""
    return sha256(confirmed + vector(confirmation_tag))
