"""Proposals, and the commits that carry them (RFC 9420 sections 7.6, 12.1 and 12.4): their bytes.

Which proposals a reader accepts is its `Dialect`; another one is Unsupported before any of its bytes are read.
What they do to a group is in `commit`.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from kith.protocol.mls.codec import (
    ADD,
    EXTERNAL_INIT,
    GROUP_CONTEXT_EXTENSIONS,
    KITH,
    PROPOSAL_NAMES,
    PSK,
    RE_INIT,
    REMOVE,
    UPDATE,
    Dialect,
    Extension,
    HpkeCiphertext,
    encode_extensions,
    optional,
    read_extensions,
    read_hpke_ciphertext,
    u8,
    u16,
    u32,
    vectors,
)
from kith.protocol.mls.crypto import ref_hash
from kith.protocol.mls.key_package import KeyPackage, read_key_package
from kith.protocol.mls.key_schedule import MAX_GROUP_ID, PskId, read_psk_id
from kith.protocol.mls.leaf_node import SOURCE_COMMIT, LeafNode, read_leaf
from kith.protocol.mls.refusals import Unsupported
from kith.protocol.mls.suite import HASH
from kith.protocol.wire import Malformed, Reader, vector

MAX_PROPOSALS: Final = 256
"""Proposals in one commit: a group has at most 256 leaves."""
MAX_PATH_NODES: Final = 16
"""Nodes of an UpdatePath: 256 leaves are 8 levels deep."""
MAX_PATH_SECRETS: Final = 256
"""Encrypted path secrets for one node: at most one per leaf."""


@dataclass(frozen=True, slots=True)
class Add:
    """A device joins with this key package."""

    key_package: KeyPackage

    def encode(self) -> bytes:
        """With its type."""
        return u16(ADD) + self.key_package.encode()


@dataclass(frozen=True, slots=True)
class Update:
    """The sender of the proposal changes its leaf."""

    leaf: LeafNode

    def encode(self) -> bytes:
        """With its type."""
        return u16(UPDATE) + self.leaf.encode()


@dataclass(frozen=True, slots=True)
class Remove:
    """The leaf with this index leaves."""

    removed: int

    def encode(self) -> bytes:
        """With its type."""
        return u16(REMOVE) + u32(self.removed)


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    """A key that members share already enters the next epoch."""

    psk: PskId

    def encode(self) -> bytes:
        """With its type."""
        return u16(PSK) + self.psk.encode()


@dataclass(frozen=True, slots=True)
class ReInit:
    """The group is replaced by another. Kith reads it only to write it again."""

    group_id: bytes
    version: int
    suite: int
    extensions: tuple[Extension, ...]

    def encode(self) -> bytes:
        """With its type."""
        head = u16(RE_INIT) + vector(self.group_id) + u16(self.version) + u16(self.suite)
        return head + encode_extensions(self.extensions)


@dataclass(frozen=True, slots=True)
class ExternalInit:
    """Part of an external commit. Kith reads it only to write it again."""

    kem_output: bytes

    def encode(self) -> bytes:
        """With its type."""
        return u16(EXTERNAL_INIT) + vector(self.kem_output)


@dataclass(frozen=True, slots=True)
class GroupContextExtensions:
    """The group's extensions are replaced by these."""

    extensions: tuple[Extension, ...]

    def encode(self) -> bytes:
        """With its type."""
        return u16(GROUP_CONTEXT_EXTENSIONS) + encode_extensions(self.extensions)


Proposal: TypeAlias = Add | Update | Remove | PreSharedKey | ReInit | ExternalInit | GroupContextExtensions


@dataclass(frozen=True, slots=True)
class ProposalRef:
    """The name of a proposal that travelled on its own."""

    ref: bytes


def proposal_ref(authenticated_content: bytes) -> bytes:
    """ProposalRef of an encoded AuthenticatedContent (section 5.2)."""
    return ref_hash(b"MLS 1.0 Proposal Reference", authenticated_content)


def proposal_type(proposal: Proposal) -> int:
    """Its number."""
    return int.from_bytes(proposal.encode()[:2], "big")


def read_proposal(reader: Reader, dialect: Dialect = KITH) -> Proposal:  # noqa: PLR0911 - one return per type
    """The Proposal at the cursor."""
    kind = reader.u16()
    if kind not in dialect.proposals:
        raise Unsupported(f"a proposal of type {PROPOSAL_NAMES.get(kind, 'unknown')} is not accepted")
    match kind:
        case 1:
            return Add(read_key_package(reader, dialect))
        case 2:
            return Update(read_leaf(reader, dialect))
        case 3:
            return Remove(reader.u32())
        case 4:
            return PreSharedKey(read_psk_id(reader))
        case 5:
            group_id, version, suite = reader.vector(max=MAX_GROUP_ID), reader.u16(), reader.u16()
            return ReInit(group_id, version, suite, read_extensions(reader.vector()))
        case 6:
            return ExternalInit(dialect.key(reader))
        case _:
            return GroupContextExtensions(read_extensions(reader.vector()))


@dataclass(frozen=True, slots=True)
class UpdatePathNode:
    """A fresh public key, and its secret encrypted to each subtree below."""

    encryption_key: bytes
    ciphertexts: tuple[HpkeCiphertext, ...]

    @property
    def secrets(self) -> int:
        """How many subtrees its secret was encrypted to."""
        return len(self.ciphertexts)

    def encode(self) -> bytes:
        """Key and ciphertexts."""
        return vector(self.encryption_key) + vectors(sealed.encode() for sealed in self.ciphertexts)


@dataclass(frozen=True, slots=True)
class UpdatePath:
    """The committer's new leaf and the fresh keys above it."""

    leaf: LeafNode
    nodes: tuple[UpdatePathNode, ...]

    def encode(self) -> bytes:
        """Leaf and nodes."""
        return self.leaf.encode() + vectors(node.encode() for node in self.nodes)


def read_update_path(reader: Reader, dialect: Dialect = KITH) -> UpdatePath:
    """The UpdatePath at the cursor; its leaf must be of source commit."""
    leaf = read_leaf(reader, dialect)
    if leaf.source != SOURCE_COMMIT:
        raise Malformed("the leaf of a commit is of another source")
    inner = Reader(reader.vector())
    nodes: list[UpdatePathNode] = []
    while inner.left:
        if len(nodes) == MAX_PATH_NODES:
            raise Malformed("a commit has too long a path")
        nodes.append(UpdatePathNode(dialect.key(inner), _ciphertexts(Reader(inner.vector()), dialect)))
    return UpdatePath(leaf, tuple(nodes))


def _ciphertexts(reader: Reader, dialect: Dialect) -> tuple[HpkeCiphertext, ...]:
    found: list[HpkeCiphertext] = []
    while reader.left:
        if len(found) == MAX_PATH_SECRETS:
            raise Malformed("a commit has too many path secrets")
        found.append(read_hpke_ciphertext(reader, dialect))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Commit:
    """Proposals, inline or by reference, and fresh secrets."""

    proposals: tuple[Proposal | ProposalRef, ...]
    path: UpdatePath | None

    def encode(self) -> bytes:
        """`ProposalOrRef proposals<V>` and the optional path."""
        return vectors(map(_encode_item, self.proposals)) + optional(self.path.encode() if self.path else None)


def _encode_item(item: Proposal | ProposalRef) -> bytes:
    return u8(2) + vector(item.ref) if isinstance(item, ProposalRef) else u8(1) + item.encode()


def read_commit(reader: Reader, dialect: Dialect = KITH) -> Commit:
    """The Commit at the cursor."""
    inner = Reader(reader.vector())
    items: list[Proposal | ProposalRef] = []
    while inner.left:
        if len(items) == MAX_PROPOSALS:
            raise Malformed("a commit has too many proposals")
        items.append(_read_item(inner, dialect))
    return Commit(tuple(items), read_update_path(reader, dialect) if reader.presence() else None)


def _read_item(reader: Reader, dialect: Dialect) -> Proposal | ProposalRef:
    kind = reader.u8()
    if kind == 1:
        return read_proposal(reader, dialect)
    if kind != 2:  # noqa: PLR2004 - ProposalOrRefType reference
        raise Malformed("a commit holds neither a proposal nor a reference")
    if not dialect.by_reference:
        raise Unsupported("a proposal by reference is not accepted")
    return ProposalRef(reader.fixed_vector(HASH))
