"""Leaf nodes (RFC 9420 section 7.2): a member's keys, credential and abilities, signed by itself."""

from dataclasses import dataclass
from typing import Final

from kith.protocol.mls.codec import (
    KITH,
    Dialect,
    Extension,
    encode_extensions,
    encode_numbers,
    read_extensions,
    read_numbers,
    u8,
    u16,
    u32,
    u64,
)
from kith.protocol.mls.refusals import Unsupported
from kith.protocol.mls.suite import BASIC, HASH, SUITE, VERSION
from kith.protocol.signing import verify_with_label
from kith.protocol.wire import Malformed, Reader, vector

MAX_IDENTITY: Final = 1024
MAX_LEAF_EXTENSION_BYTES: Final = 4096
LAST_DEFAULT_EXTENSION: Final = 5
LAST_DEFAULT_PROPOSAL: Final = 7
"""Types up to these are known to every client and never listed (section 7.2)."""

SOURCE_KEY_PACKAGE, SOURCE_UPDATE, SOURCE_COMMIT = 1, 2, 3
"""LeafNodeSource"""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a client says it understands, in the order in which it says so."""

    versions: tuple[int, ...] = (VERSION,)
    suites: tuple[int, ...] = (SUITE,)
    extensions: tuple[int, ...] = ()
    proposals: tuple[int, ...] = ()
    credentials: tuple[int, ...] = (BASIC,)

    def encode(self) -> bytes:
        """Five lists."""
        lists = (self.versions, self.suites, self.extensions, self.proposals, self.credentials)
        return b"".join(map(encode_numbers, lists))

    def covers(self, extensions: tuple[Extension, ...]) -> bool:
        """Whether each of these extensions is among them or known to everybody."""
        return all(one.type <= LAST_DEFAULT_EXTENSION or one.type in self.extensions for one in extensions)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Unix seconds, both inclusive."""

    not_before: int
    not_after: int


@dataclass(frozen=True, slots=True)
class LeafNode:
    """A member's public keys and credential. `identity` is that of its basic credential."""

    encryption_key: bytes
    signature_key: bytes
    identity: bytes
    capabilities: Capabilities
    source: int
    lifetime: Lifetime | None
    parent_hash: bytes
    extensions: tuple[Extension, ...]
    signature: bytes
    encoded: bytes
    signed: bytes

    def encode(self) -> bytes:
        """The bytes of these fields; `encoded` are those that were received."""
        return self._unsigned() + vector(self.signature)

    def _unsigned(self) -> bytes:
        return leaf_fields(
            encryption_key=self.encryption_key,
            signature_key=self.signature_key,
            identity=self.identity,
            capabilities=self.capabilities,
            source=_source(self),
            extensions=self.extensions,
        )

    def verify_signature(self, group_id: bytes | None = None, leaf_index: int | None = None) -> bool:
        """Whether the leaf's own key signed it (section 7.2).

        Leaves from updates and commits are signed together with their group and place, which must then be given.
        """
        tbs = self.signed
        if self.source != SOURCE_KEY_PACKAGE:
            if group_id is None or leaf_index is None:
                return False
            tbs += leaf_place(group_id, leaf_index)
        return verify_with_label(self.signature_key, "LeafNodeTBS", tbs, self.signature)

    def covers_suite(self) -> bool:
        """Whether version, suite, credential and every extension of this leaf are among its capabilities."""
        capabilities = self.capabilities
        return (
            VERSION in capabilities.versions
            and SUITE in capabilities.suites
            and BASIC in capabilities.credentials
            and capabilities.covers(self.extensions)
        )


def _source(leaf: LeafNode) -> bytes:
    if leaf.lifetime is not None:
        return from_lifetime(leaf.lifetime)
    return from_commit(leaf.parent_hash) if leaf.source == SOURCE_COMMIT else u8(leaf.source)


def from_lifetime(lifetime: Lifetime) -> bytes:
    """LeafNodeSource key_package with its lifetime."""
    return u8(SOURCE_KEY_PACKAGE) + u64(lifetime.not_before) + u64(lifetime.not_after)


def from_commit(parent_hash: bytes) -> bytes:
    """LeafNodeSource commit with its parent hash."""
    return u8(SOURCE_COMMIT) + vector(parent_hash)


def leaf_place(group_id: bytes, leaf_index: int) -> bytes:
    """What LeafNodeTBS adds for updates and commits."""
    return vector(group_id) + u32(leaf_index)


def leaf_fields(
    *,
    encryption_key: bytes,
    signature_key: bytes,
    identity: bytes,
    capabilities: Capabilities,
    source: bytes,
    extensions: tuple[Extension, ...] = (),
) -> bytes:
    """A LeafNode up to its signature; `source` is of `from_lifetime` or `from_commit`."""
    keys = vector(encryption_key) + vector(signature_key)
    credential = u16(BASIC) + vector(identity)
    return keys + credential + capabilities.encode() + source + encode_extensions(extensions)


def read_leaf(reader: Reader, dialect: Dialect = KITH) -> LeafNode:
    """The LeafNode at the cursor."""
    start = reader.at
    encryption_key, signature_key = dialect.key(reader), dialect.key(reader)
    if reader.u16() != BASIC:
        raise Unsupported("only basic credentials are accepted")
    identity = reader.vector(max=MAX_IDENTITY)
    capabilities = Capabilities(*(read_numbers(reader) for _ in range(5)))
    source = reader.u8()
    lifetime, parent_hash = None, b""
    if source == SOURCE_KEY_PACKAGE:
        lifetime = Lifetime(reader.u64(), reader.u64())
    elif source == SOURCE_COMMIT:
        parent_hash = read_hash(reader)
    elif source != SOURCE_UPDATE:
        raise Malformed("a leaf is of an unknown source")
    extensions = read_extensions(reader.vector(max=MAX_LEAF_EXTENSION_BYTES))
    signed = reader.since(start)
    signature = dialect.signature(reader)
    return LeafNode(
        encryption_key=encryption_key,
        signature_key=signature_key,
        identity=identity,
        capabilities=capabilities,
        source=source,
        lifetime=lifetime,
        parent_hash=parent_hash,
        extensions=extensions,
        signature=signature,
        encoded=reader.since(start),
        signed=signed,
    )


def read_hash(reader: Reader) -> bytes:
    """A hash, or nothing."""
    value = reader.vector(max=HASH)
    if len(value) not in (0, HASH):
        raise Malformed("a hash has the wrong length")
    return value
