"""What a commit holds: inline proposals and the public side of an UpdatePath (RFC 9420 sections 7.6, 12.1, 12.4)."""

from dataclasses import dataclass
from typing import Final

from kith.protocol.mls.key_package import KeyPackage, read_key_package
from kith.protocol.mls.ratchet_tree import SOURCE_COMMIT, LeafNode, read_leaf
from kith.protocol.mls.refusals import Unsupported
from kith.protocol.mls.suite import KEY
from kith.protocol.wire import Malformed, Reader

ADD, REMOVE = 1, 3
MAX_PROPOSALS: Final = 256
"""Proposals in one commit: a group has at most 256 leaves."""
MAX_PATH_NODES: Final = 16
"""Nodes of an UpdatePath: 256 leaves are 8 levels deep."""
MAX_PATH_SECRETS: Final = 256
"""Encrypted path secrets for one node: at most one per leaf."""
MAX_CIPHERTEXT: Final = 1024

_NAMES: Final = {
    2: "update",
    4: "psk",
    5: "reinit",
    6: "external_init",
    7: "group_context_extensions",
}


@dataclass(frozen=True, slots=True)
class UpdatePathNode:
    """A fresh public key and how many subtrees its secret was encrypted to."""

    encryption_key: bytes
    secrets: int


@dataclass(frozen=True, slots=True)
class UpdatePath:
    """The committer's new leaf and the fresh keys above it."""

    leaf: LeafNode
    nodes: tuple[UpdatePathNode, ...]


def read_proposals(reader: Reader) -> tuple[tuple[KeyPackage, ...], tuple[int, ...]]:
    """Adds and Removes of `ProposalOrRef proposals<V>`, read to its end. No leaf is removed twice."""
    adds: list[KeyPackage] = []
    removes: list[int] = []
    while reader.left:
        if len(adds) + len(removes) == MAX_PROPOSALS:
            raise Malformed("a commit has too many proposals")
        _inline(reader)
        kind = reader.u16()
        if kind == ADD:
            adds.append(read_key_package(reader))
        elif kind == REMOVE:
            removes.append(reader.u32())
        else:
            raise Unsupported(f"a proposal of type {_NAMES.get(kind, 'unknown')} is not accepted")
    if len(set(removes)) != len(removes):
        raise Malformed("a commit removes one leaf twice")
    return tuple(adds), tuple(removes)


def _inline(reader: Reader) -> None:
    kind = reader.u8()
    if kind == 2:  # noqa: PLR2004 - ProposalOrRefType reference
        raise Unsupported("a proposal by reference is not accepted")
    if kind != 1:
        raise Malformed("a commit holds neither a proposal nor a reference")


def read_update_path(reader: Reader) -> UpdatePath:
    """The UpdatePath at the cursor; its leaf must be of source commit."""
    leaf = read_leaf(reader)
    if leaf.source != SOURCE_COMMIT:
        raise Malformed("the leaf of a commit is of another source")
    inner = Reader(reader.vector())
    nodes: list[UpdatePathNode] = []
    while inner.left:
        if len(nodes) == MAX_PATH_NODES:
            raise Malformed("a commit has too long a path")
        nodes.append(UpdatePathNode(inner.fixed_vector(KEY), _count_secrets(Reader(inner.vector()))))
    return UpdatePath(leaf, tuple(nodes))


def _count_secrets(reader: Reader) -> int:
    count = 0
    while reader.left:
        if count == MAX_PATH_SECRETS:
            raise Malformed("a commit has too many path secrets")
        skip_hpke_ciphertext(reader)
        count += 1
    return count


def skip_hpke_ciphertext(reader: Reader) -> None:
    """HPKECiphertext at the cursor: a 32-byte kem_output and a ciphertext."""
    reader.fixed_vector(KEY)
    reader.vector(max=MAX_CIPHERTEXT)
