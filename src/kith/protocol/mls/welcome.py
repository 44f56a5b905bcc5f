"""Welcome (RFC 9420 section 12.4.3.1): the bytes that bring new members in, and what only their addressee can read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kith.protocol.mls.codec import (
    KITH,
    Dialect,
    HpkeCiphertext,
    optional,
    read_hpke_ciphertext,
    u16,
    vectors,
)
from kith.protocol.mls.crypto import (
    AEAD_KEY,
    AEAD_NONCE,
    HASH,
    aead_open,
    aead_seal,
    decrypt_with_label,
    encrypt_with_label,
    expand_with_label,
    hpke_info,
)
from kith.protocol.mls.key_schedule import PskId, read_psk_id
from kith.protocol.mls.suite import SUITE, WireFormat, as_message, open_message
from kith.protocol.wire import Malformed, Reader, vector

MAX_WELCOME: Final = 1024 * 1024
"""Bytes of an MLSMessage with a Welcome."""
MAX_JOINERS: Final = 256
MAX_PSKS: Final = 256


@dataclass(frozen=True, slots=True)
class Welcome:
    """For whom it is, each once and in order, and the GroupInfo that they share."""

    secrets: tuple[tuple[bytes, HpkeCiphertext], ...]
    encrypted_group_info: bytes
    suite: int = SUITE

    @property
    def refs(self) -> tuple[bytes, ...]:
        """The KeyPackageRefs it addresses."""
        return tuple(ref for ref, _ in self.secrets)

    def encode(self) -> bytes:
        """The MLSMessage of these fields."""
        secrets = vectors(vector(ref) + sealed.encode() for ref, sealed in self.secrets)
        return as_message(WireFormat.WELCOME, u16(self.suite) + secrets + vector(self.encrypted_group_info))


def parse_welcome(message: bytes, dialect: Dialect = KITH) -> Welcome:
    """The Welcome in an MLSMessage mls_welcome, which is read to its last byte."""
    reader = open_message(message, WireFormat.WELCOME, limit=MAX_WELCOME)
    suite = dialect.suite(reader)
    secrets = _secrets(Reader(reader.vector()), dialect)
    encrypted_group_info = reader.vector()
    reader.done()
    return Welcome(secrets, encrypted_group_info, suite)


def _secrets(reader: Reader, dialect: Dialect) -> tuple[tuple[bytes, HpkeCiphertext], ...]:
    found: dict[bytes, HpkeCiphertext] = {}
    while reader.left:
        if len(found) == MAX_JOINERS:
            raise Malformed("a Welcome is for too many devices")
        ref = reader.fixed_vector(HASH)
        if ref in found:
            raise Malformed("a Welcome addresses one key package twice")
        found[ref] = read_hpke_ciphertext(reader, dialect)
    return tuple(found.items())


@dataclass(frozen=True, slots=True)
class GroupSecrets:
    """What a joiner needs: the joiner secret, the committer's secret at their common ancestor, injected keys."""

    joiner: bytes
    path_secret: bytes | None
    psks: tuple[PskId, ...] = ()

    def __repr__(self) -> str:
        """No secret."""
        return "GroupSecrets(…)"

    def encode(self) -> bytes:
        """The plaintext for one joiner."""
        path = None if self.path_secret is None else vector(self.path_secret)
        return vector(self.joiner) + optional(path) + vectors(psk.encode() for psk in self.psks)


def read_group_secrets(data: bytes) -> GroupSecrets:
    """GroupSecrets with exactly these bytes."""
    reader = Reader(data)
    joiner = reader.fixed_vector(HASH)
    path_secret = reader.fixed_vector(HASH) if reader.presence() else None
    inner = Reader(reader.vector())
    reader.done()
    psks: list[PskId] = []
    while inner.left:
        if len(psks) == MAX_PSKS:
            raise Malformed("a Welcome names too many pre-shared keys")
        psks.append(read_psk_id(inner))
    return GroupSecrets(joiner, path_secret, tuple(psks))


def open_group_secrets(welcome: Welcome, ref: bytes, init_private: bytes) -> GroupSecrets:
    """Our part of a Welcome. Malformed when it is not for us, BadTag when it is not encrypted to our key."""
    sealed = next((sealed for to, sealed in welcome.secrets if to == ref), None)
    if sealed is None:
        raise Malformed("a Welcome is not for this key package")
    info = hpke_info(b"Welcome", welcome.encrypted_group_info)
    return read_group_secrets(decrypt_with_label(init_private, info, sealed))


def _info_key(welcome_secret: bytes) -> tuple[bytes, bytes]:
    key = expand_with_label(welcome_secret, b"key", b"", AEAD_KEY)
    return key, expand_with_label(welcome_secret, b"nonce", b"", AEAD_NONCE)


def open_group_info(welcome: Welcome, welcome_secret: bytes) -> bytes:
    """The encoded GroupInfo, or BadTag."""
    return aead_open(*_info_key(welcome_secret), welcome.encrypted_group_info, b"")


def make_welcome(
    group_info: bytes, welcome_secret: bytes, joiners: Sequence[tuple[bytes, bytes, GroupSecrets, bytes]]
) -> Welcome:
    """A Welcome for these joiners: KeyPackageRef, init key, secrets, and 32 fresh random bytes each."""
    encrypted = aead_seal(*_info_key(welcome_secret), group_info, b"")
    info = hpke_info(b"Welcome", encrypted)
    sealed = (
        (ref, encrypt_with_label(init_key, info, secrets.encode(), ephemeral))
        for ref, init_key, secrets, ephemeral in joiners
    )
    return Welcome(tuple(sealed), encrypted)
