"""The public ratchet tree (RFC 9420 sections 4, 7.1, 7.7 to 7.9 and 12.4.3.3): nodes, hashes, changes, validity.

A tree is a tuple of nodes in array order and always full; changes give another tuple.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from kith.protocol.mls import tree_math
from kith.protocol.mls.codec import KITH, Dialect, u32, vectors
from kith.protocol.mls.crypto import check_public_key
from kith.protocol.mls.leaf_node import SOURCE_COMMIT, LeafNode, read_hash, read_leaf
from kith.protocol.mls.refusals import BadSignature
from kith.protocol.wire import Malformed, Reader, vector

MAX_NODES: Final = 512
"""Nodes of a tree: 256 leaves and their parents, and one to spare."""


@dataclass(frozen=True, slots=True)
class ParentNode:
    """The public key of a subtree, and the leaves below that do not know its secret."""

    encryption_key: bytes
    parent_hash: bytes
    unmerged_leaves: tuple[int, ...]
    encoded: bytes

    def encode(self) -> bytes:
        """The bytes of these fields."""
        unmerged = vectors(map(u32, self.unmerged_leaves))
        return vector(self.encryption_key) + vector(self.parent_hash) + unmerged


def parent_node(encryption_key: bytes, parent_hash: bytes = b"", unmerged: tuple[int, ...] = ()) -> ParentNode:
    """A ParentNode with its encoding."""
    encoded = vector(encryption_key) + vector(parent_hash) + vectors(map(u32, unmerged))
    return ParentNode(encryption_key, parent_hash, unmerged, encoded)


def _read_parent(reader: Reader, dialect: Dialect) -> ParentNode:
    start = reader.at
    key, parent_hash = dialect.key(reader), read_hash(reader)
    raw = reader.vector(max=4 * MAX_NODES)
    if len(raw) % 4:
        raise Malformed("a list of leaves ends within a number")
    unmerged = tuple(int.from_bytes(raw[at : at + 4], "big") for at in range(0, len(raw), 4))
    if any(first >= second for first, second in pairwise(unmerged)):
        raise Malformed("unmerged leaves are not in increasing order")
    return ParentNode(key, parent_hash, unmerged, reader.since(start))


Node: TypeAlias = LeafNode | ParentNode | None
Tree: TypeAlias = tuple[Node, ...]


# --- encoding -------------------------------------------------------------------------------------------------------


def read_tree(data: bytes, dialect: Dialect = KITH) -> Tree:
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
        nodes.append(_read_node(reader, dialect, is_leaf=len(nodes) % 2 == 0) if reader.presence() else None)
    if not nodes or nodes[-1] is None:
        raise Malformed("a ratchet tree ends with a blank node")
    full = 1
    while full < len(nodes):
        full = 2 * full + 1
    return (*nodes, *([None] * (full - len(nodes))))


def _read_node(reader: Reader, dialect: Dialect, *, is_leaf: bool) -> LeafNode | ParentNode:
    if reader.u8() != (1 if is_leaf else 2):
        raise Malformed("a ratchet tree has a node of the wrong kind")
    return read_leaf(reader, dialect) if is_leaf else _read_parent(reader, dialect)


def encode_tree(tree: Sequence[Node]) -> bytes:
    """`optional<Node> ratchet_tree<V>` with its length; blank nodes at the right edge are left out."""
    last = max((place for place, node in enumerate(tree) if node is not None), default=-1)
    return vectors(_encode_node(node) for node in tree[: last + 1])


def _encode_node(node: Node) -> bytes:
    if node is None:
        return b"\x00"
    return (b"\x01\x01" if isinstance(node, LeafNode) else b"\x01\x02") + node.encoded


# --- looking --------------------------------------------------------------------------------------------------------


def leaf_count(tree: Sequence[Node]) -> int:
    """Leaves of the full tree, blank ones included."""
    return (len(tree) + 1) // 2


def leaves_of(tree: Sequence[Node]) -> list[tuple[int, LeafNode]]:
    """The leaves that are not blank, with their leaf index."""
    return [(place // 2, node) for place, node in enumerate(tree) if isinstance(node, LeafNode)]


def leaf_at(tree: Sequence[Node], index: int) -> LeafNode | None:
    """That leaf, or None when it is blank or beyond the tree."""
    node = tree[2 * index] if 0 <= 2 * index < len(tree) else None
    return node if isinstance(node, LeafNode) else None


def member_at(tree: Sequence[Node], index: int) -> LeafNode:
    """That leaf; Malformed when nobody is there."""
    leaf = leaf_at(tree, index)
    if leaf is None:
        raise Malformed("a message or proposal is by or about a leaf that is not there")
    return leaf


def resolution(tree: Sequence[Node], place: int) -> list[int]:
    """The places whose keys together reach everybody below this one (section 4.1.1)."""
    node = tree[place]
    if isinstance(node, ParentNode):
        return [place, *(2 * leaf for leaf in node.unmerged_leaves)]
    if node is not None:
        return [place]
    if place % 2 == 0:
        return []
    return resolution(tree, tree_math.left(place)) + resolution(tree, tree_math.right(place))


def filtered_direct_path(tree: Sequence[Node], leaf: int) -> list[tuple[int, int]]:
    """The places above a leaf that get fresh keys, each with its copath child, where somebody is (section 4.1.2)."""
    path: list[tuple[int, int]] = []
    below = 2 * leaf
    for place in tree_math.direct_path(2 * leaf, leaf_count(tree)):
        beside = tree_math.right(place) if below < place else tree_math.left(place)
        if any(tree[at] is not None for at in _span(beside)):
            path.append((place, beside))
        below = place
    return path


def _span(place: int) -> range:
    reach = (1 << tree_math.level(place)) - 1
    return range(place - reach, place + reach + 1)


# --- hashes (sections 7.8 and 7.9) ----------------------------------------------------------------------------------


def tree_hashes(tree: Sequence[Node]) -> list[bytes]:
    """The hash of every node's subtree, in array order."""
    hashes = [b""] * len(tree)
    for place in range(0, len(tree), 2):
        hashes[place] = _leaf_hash(place, tree[place])
    step = 1
    while 2 * step <= len(tree):  # a parent of level k lies between children half its span away
        for place in range(2 * step - 1, len(tree), 4 * step):
            hashes[place] = _parent_hash(tree[place], hashes[place - step], hashes[place + step])
        step *= 2
    return hashes


def _leaf_hash(place: int, node: Node) -> bytes:
    return hashlib.sha256(b"\x01" + (place // 2).to_bytes(4, "big") + _optional(node)).digest()


def _parent_hash(node: Node, left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x02" + _optional(node) + vector(left) + vector(right)).digest()


def _optional(node: Node) -> bytes:
    return b"\x00" if node is None else b"\x01" + node.encoded


def tree_hash(tree: Sequence[Node]) -> bytes:
    """The hash of the root."""
    return tree_hashes(tree)[len(tree) // 2]


def rehashed(tree: Sequence[Node], hashes: Sequence[bytes], leaf: int) -> list[bytes]:
    """The hashes after only this leaf and the nodes above it changed."""
    after = list(hashes)
    after[2 * leaf] = _leaf_hash(2 * leaf, tree[2 * leaf])
    for place in tree_math.direct_path(2 * leaf, leaf_count(tree)):
        after[place] = _parent_hash(tree[place], after[tree_math.left(place)], after[tree_math.right(place)])
    return after


def _hash_without(tree: Sequence[Node], hashes: Sequence[bytes], place: int, gone: Collection[int]) -> bytes:
    """The subtree's hash as if these leaves were not there, not even as unmerged ones."""
    if not any(tree_math.is_below(leaf, place) for leaf in gone):
        return hashes[place]
    if place % 2 == 0:
        return _leaf_hash(place, None)
    node = tree[place]
    if isinstance(node, ParentNode):
        unmerged = tuple(leaf for leaf in node.unmerged_leaves if leaf not in gone)
        node = parent_node(node.encryption_key, node.parent_hash, unmerged)
    left = _hash_without(tree, hashes, tree_math.left(place), gone)
    return _parent_hash(node, left, _hash_without(tree, hashes, tree_math.right(place), gone))


def parent_hash_of(tree: Sequence[Node], hashes: Sequence[bytes], node: ParentNode, beside: int) -> bytes:
    """What is below this node, on the side away from `beside`, must hold this as its parent hash (section 7.9)."""
    original = _hash_without(tree, hashes, beside, node.unmerged_leaves)
    content = vector(node.encryption_key) + vector(node.parent_hash) + vector(original)
    return hashlib.sha256(content).digest()


# --- changes (section 7.7) ------------------------------------------------------------------------------------------


def with_leaf_added(tree: Tree, leaf: LeafNode) -> tuple[Tree, int]:
    """The tree with this leaf at the leftmost blank place, doubled when there is none; and its index."""
    place = next((at for at in range(0, len(tree), 2) if tree[at] is None), None)
    nodes = list(tree)
    if place is None:
        place = len(tree) + 1 if tree else 0
        nodes += [None] * (len(tree) + 1 if tree else 1)
    index = place // 2
    nodes[place] = leaf
    for above in tree_math.direct_path(place, leaf_count(nodes)):
        node = nodes[above]
        if isinstance(node, ParentNode):
            unmerged = tuple(sorted((*node.unmerged_leaves, index)))
            nodes[above] = parent_node(node.encryption_key, node.parent_hash, unmerged)
    return tuple(nodes), index


def with_leaf_replaced(tree: Tree, index: int, leaf: LeafNode) -> Tree:
    """The tree with an updated leaf; what lies above it is blank."""
    return _blanked(tree, index, leaf)


def with_leaf_removed(tree: Tree, index: int) -> Tree:
    """The tree without this leaf, halved while its right half holds nobody."""
    after = _blanked(tree, index, None)
    while len(after) > 1 and not any(after[len(after) // 2 + 1 :]):
        after = after[: len(after) // 2]
    return after


def _blanked(tree: Tree, index: int, leaf: LeafNode | None) -> Tree:
    member_at(tree, index)
    nodes = list(tree)
    nodes[2 * index] = leaf
    for above in tree_math.direct_path(2 * index, leaf_count(tree)):
        nodes[above] = None
    return tuple(nodes)


def with_path(tree: Tree, index: int, leaf: LeafNode, parents: Iterable[tuple[int, ParentNode]]) -> Tree:
    """The tree with a committer's new leaf and parents; the other nodes above it are blank (section 7.5)."""
    nodes = list(_blanked(tree, index, leaf))
    for place, node in parents:
        nodes[place] = node
    return tuple(nodes)


# --- validity (sections 7.3, 7.9.2 and 12.4.3.1) --------------------------------------------------------------------


def check_keys_unique(tree: Sequence[Node]) -> None:
    """No encryption key and no signature key stands in the tree twice."""
    encryption = [node.encryption_key for node in tree if node is not None]
    signature = [node.signature_key for _, node in leaves_of(tree)]
    if len(set(encryption)) != len(encryption) or len(set(signature)) != len(signature):
        raise Malformed("a key stands in the ratchet tree twice")


def check_tree(tree: Sequence[Node], group_id: bytes) -> list[bytes]:
    """A tree as a joiner must check it; its hashes. BadSignature or Malformed when it is not in order."""
    for index, leaf in leaves_of(tree):
        if not leaf.verify_signature(group_id, index):
            raise BadSignature("a leaf of the group is not signed by its key")
    check_keys_unique(tree)
    for node in tree:
        if node is not None:
            check_public_key(node.encryption_key)
    for place in range(1, len(tree), 2):
        _check_unmerged(tree, place)
    hashes = tree_hashes(tree)
    for place in range(1, len(tree), 2):
        node = tree[place]
        if isinstance(node, ParentNode) and not _parent_hash_valid(tree, hashes, node, place):
            raise Malformed("a node of the ratchet tree was not made by a member below it")
    return hashes


def _check_unmerged(tree: Sequence[Node], place: int) -> None:
    node = tree[place]
    if not isinstance(node, ParentNode):
        return
    for leaf in node.unmerged_leaves:
        if not tree_math.is_below(leaf, place) or leaf_at(tree, leaf) is None:
            raise Malformed("an unmerged leaf is not below its node")
        above = tree_math.direct_path(2 * leaf, leaf_count(tree))
        for between in above[: above.index(place)]:
            inner = tree[between]
            if isinstance(inner, ParentNode) and leaf not in inner.unmerged_leaves:
                raise Malformed("an unmerged leaf is missing from a node in between")


def _parent_hash_valid(tree: Sequence[Node], hashes: Sequence[bytes], node: ParentNode, place: int) -> bool:
    """Whether some descendant vouches for this node (section 7.9.2)."""
    left, right = tree_math.left(place), tree_math.right(place)
    return _vouched(tree, hashes, node, left, right) or _vouched(tree, hashes, node, right, left)


def _vouched(tree: Sequence[Node], hashes: Sequence[bytes], node: ParentNode, child: int, beside: int) -> bool:
    expected = parent_hash_of(tree, hashes, node, beside)
    reached = resolution(tree, child)
    unmerged = {2 * leaf for leaf in node.unmerged_leaves if tree_math.is_below(leaf, child)}
    return any(_holds(tree[at], expected) and set(reached) - {at} == unmerged for at in reached)


def _holds(node: Node, parent_hash: bytes) -> bool:
    if isinstance(node, LeafNode):
        return node.source == SOURCE_COMMIT and node.parent_hash == parent_hash
    return node is not None and node.parent_hash == parent_hash
