"""Leaf nodes, parent nodes and the public ratchet tree (RFC 9420 sections 7 and 12.4.3.3)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from kith.protocol.mls.refusals import Unsupported
from kith.protocol.mls.suite import BASIC, HASH, KEY, SIGNATURE, SUITE, VERSION
from kith.protocol.signing import verify_with_label
from kith.protocol.wire import Malformed, Reader, vector

MAX_NODES: Final = 512
"""Nodes of a tree: 256 leaves and their parents, and one to spare."""
MAX_IDENTITY: Final = 1024
MAX_LIST: Final = 512
"""Bytes of one list of capabilities: 256 numbers."""
MAX_EXTENSIONS: Final = 64
MAX_LEAF_EXTENSION_BYTES: Final = 4096
_LAST_DEFAULT_EXTENSION: Final = 5
_U16: Final = 2

SOURCE_KEY_PACKAGE, SOURCE_UPDATE, SOURCE_COMMIT = 1, 2, 3
"""LeafNodeSource"""


@dataclass(frozen=True, slots=True)
class Extension:
    """A type and its uninterpreted bytes."""

    type: int
    data: bytes


def read_extensions(data: bytes) -> tuple[Extension, ...]:
    """`Extension extensions<V>` without its length; no type twice (section 13)."""
    reader = Reader(data)
    found: dict[int, Extension] = {}
    while reader.left:
        extension = Extension(reader.u16(), reader.vector())
        if extension.type in found or len(found) == MAX_EXTENSIONS:
            raise Malformed("an extension appears twice, or there are too many")
        found[extension.type] = extension
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a client says it understands."""

    versions: frozenset[int]
    suites: frozenset[int]
    extensions: frozenset[int]
    proposals: frozenset[int]
    credentials: frozenset[int]


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

    def verify_signature(self, group_id: bytes | None = None, leaf_index: int | None = None) -> bool:
        """Whether the leaf's own key signed it (section 7.2).

        Leaves from updates and commits are signed together with their group and place, which must then be given.
        """
        tbs = self.signed
        if self.source != SOURCE_KEY_PACKAGE:
            if group_id is None or leaf_index is None:
                return False
            tbs += vector(group_id) + leaf_index.to_bytes(4, "big")
        return verify_with_label(self.signature_key, "LeafNodeTBS", tbs, self.signature)

    def covers_suite(self) -> bool:
        """Whether version, suite, credential and every extension of this leaf are among its capabilities."""
        capabilities = self.capabilities
        own = {extension.type for extension in self.extensions if extension.type > _LAST_DEFAULT_EXTENSION}
        return (
            VERSION in capabilities.versions
            and SUITE in capabilities.suites
            and BASIC in capabilities.credentials
            and own <= capabilities.extensions
        )


def read_leaf(reader: Reader) -> LeafNode:
    """The LeafNode at the cursor."""
    start = reader.at
    encryption_key, signature_key = reader.fixed_vector(KEY), reader.fixed_vector(KEY)
    if reader.u16() != BASIC:
        raise Unsupported("only basic credentials are accepted")
    identity = reader.vector(max=MAX_IDENTITY)
    capabilities = Capabilities(*(_numbers(reader) for _ in range(5)))
    source = reader.u8()
    lifetime, parent_hash = None, b""
    if source == SOURCE_KEY_PACKAGE:
        lifetime = Lifetime(reader.u64(), reader.u64())
    elif source == SOURCE_COMMIT:
        parent_hash = _hash_or_empty(reader)
    elif source != SOURCE_UPDATE:
        raise Malformed("a leaf is of an unknown source")
    extensions = read_extensions(reader.vector(max=MAX_LEAF_EXTENSION_BYTES))
    signed = reader.since(start)
    signature = reader.fixed_vector(SIGNATURE)
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


def _numbers(reader: Reader) -> frozenset[int]:
    raw = reader.vector(max=MAX_LIST)
    if len(raw) % _U16:
        raise Malformed("a list of capabilities ends within a number")
    return frozenset(int.from_bytes(raw[at : at + _U16], "big") for at in range(0, len(raw), _U16))


def _hash_or_empty(reader: Reader) -> bytes:
    value = reader.vector(max=HASH)
    if len(value) not in (0, HASH):
        raise Malformed("a hash has the wrong length")
    return value


@dataclass(frozen=True, slots=True)
class ParentNode:
    """The public key of a subtree, and the leaves below that do not know its secret."""

    encryption_key: bytes
    parent_hash: bytes
    unmerged_leaves: tuple[int, ...]
    encoded: bytes


def _read_parent(reader: Reader) -> ParentNode:
    start = reader.at
    key, parent_hash = reader.fixed_vector(KEY), _hash_or_empty(reader)
    raw = reader.vector(max=4 * MAX_NODES)
    if len(raw) % 4:
        raise Malformed("a list of leaves ends within a number")
    unmerged = tuple(int.from_bytes(raw[at : at + 4], "big") for at in range(0, len(raw), 4))
    if any(first >= second for first, second in pairwise(unmerged)):
        raise Malformed("unmerged leaves are not in increasing order")
    return ParentNode(key, parent_hash, unmerged, reader.since(start))


Node: TypeAlias = LeafNode | ParentNode | None


def read_tree(data: bytes) -> tuple[Node, ...]:
    """`optional<Node> ratchet_tree<V>` with its length: the nodes in array order, filled up to a full tree.

    Leaves stand at even places, parents at odd ones, and the last node sent is not blank (section 12.4.3.3).
    """
    outer = Reader(data)
    reader = Reader(outer.vector())
    outer.done()
    nodes: list[Node] = []
    while reader.left:
        if len(nodes) == MAX_NODES:
            raise Malformed("a ratchet tree has too many nodes")
        nodes.append(_read_node(reader, is_leaf=len(nodes) % 2 == 0) if reader.presence() else None)
    if not nodes or nodes[-1] is None:
        raise Malformed("a ratchet tree ends with a blank node")
    full = 1
    while full < len(nodes):
        full = 2 * full + 1
    return (*nodes, *([None] * (full - len(nodes))))


def _read_node(reader: Reader, *, is_leaf: bool) -> LeafNode | ParentNode:
    if reader.u8() != (1 if is_leaf else 2):
        raise Malformed("a ratchet tree has a node of the wrong kind")
    return read_leaf(reader) if is_leaf else _read_parent(reader)


def leaves_of(tree: Sequence[Node]) -> list[tuple[int, LeafNode]]:
    """The leaves that are not blank, with their leaf index."""
    return [(place // 2, node) for place, node in enumerate(tree) if isinstance(node, LeafNode)]


def tree_hashes(tree: Sequence[Node]) -> list[bytes]:
    """The hash of every node's subtree, in array order (section 7.8)."""
    hashes = [b""] * len(tree)
    for place in range(0, len(tree), 2):
        hashes[place] = hashlib.sha256(b"\x01" + (place // 2).to_bytes(4, "big") + _optional(tree[place])).digest()
    step = 1
    while 2 * step <= len(tree):  # a parent of level k lies between children half its span away
        for place in range(2 * step - 1, len(tree), 4 * step):
            children = vector(hashes[place - step]) + vector(hashes[place + step])
            hashes[place] = hashlib.sha256(b"\x02" + _optional(tree[place]) + children).digest()
        step *= 2
    return hashes


def tree_hash(tree: Sequence[Node]) -> bytes:
    """The hash of the root."""
    return tree_hashes(tree)[len(tree) // 2]


def _optional(node: Node) -> bytes:
    return b"\x00" if node is None else b"\x01" + node.encoded
