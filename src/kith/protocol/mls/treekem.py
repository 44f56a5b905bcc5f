"""TreeKEM (RFC 9420 sections 7.4 to 7.6): fresh secrets along a path, told to everybody beside it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from kith.protocol.mls import tree_math
from kith.protocol.mls.codec import HpkeCiphertext
from kith.protocol.mls.crypto import (
    HASH,
    check_public_key,
    decrypt_with_label,
    derive_key_pair,
    derive_secret,
    encrypt_with_label,
    hpke_info,
)
from kith.protocol.mls.leaf_node import LeafNode, read_leaf
from kith.protocol.mls.proposals import UpdatePath, UpdatePathNode
from kith.protocol.mls.ratchet_tree import (
    ParentNode,
    Tree,
    filtered_direct_path,
    leaf_count,
    parent_hash_of,
    parent_node,
    rehashed,
    resolution,
    tree_hashes,
    with_path,
)
from kith.protocol.wire import Malformed, Reader

PrivateKeys = Mapping[int, bytes]
"""Private keys by the place of their node: our leaf, and what we learned above it."""


@dataclass(frozen=True, slots=True)
class PathSecrets:
    """Path secrets by place, from the lowest up, and the commit secret that they end in."""

    secrets: tuple[tuple[int, bytes], ...]
    private: Mapping[int, bytes]
    """The private keys of these nodes, by place."""
    public: Mapping[int, bytes]
    commit_secret: bytes

    def __repr__(self) -> str:
        """No secret."""
        return f"PathSecrets({len(self.secrets)} nodes)"


def node_key(path_secret: bytes) -> tuple[bytes, bytes]:
    """Private and public key of the node with this path secret."""
    return derive_key_pair(derive_secret(path_secret, b"node"))


def climb(path_secret: bytes, places: Sequence[int]) -> PathSecrets:
    """From the secret of the lowest of these places up to the commit secret."""
    secrets: list[tuple[int, bytes]] = []
    private, public = {}, {}
    for place in places:
        secrets.append((place, path_secret))
        private[place], public[place] = node_key(path_secret)
        path_secret = derive_secret(path_secret, b"path")
    return PathSecrets(tuple(secrets), private, public, path_secret)


# --- making a path --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewPath:
    """A path that we made: the tree with it, its hashes, its secrets, and whom its secrets go to."""

    tree: Tree
    hashes: tuple[bytes, ...]
    leaf: LeafNode
    secrets: PathSecrets
    path: tuple[tuple[int, int], ...]

    def __repr__(self) -> str:
        """No secret."""
        return f"NewPath({len(self.path)} nodes)"


def new_path(tree: Tree, index: int, *, path_secret: bytes, sign_leaf: Callable[[bytes], bytes]) -> NewPath:
    """Fresh keys above the leaf at `index`.

    `tree` has the proposals applied. `path_secret`: 32 fresh random bytes. `sign_leaf` is given the leaf's parent hash
    and returns the encoded LeafNode with a fresh key.
    """
    hashes = tree_hashes(tree)
    path = filtered_direct_path(tree, index)
    secrets = climb(path_secret, [place for place, _ in path])
    nodes = list(tree)
    parents: dict[int, ParentNode] = {}
    parent_hash = b""
    for place, beside in reversed(path):
        parents[place] = parent_node(secrets.public[place], parent_hash)
        nodes[place] = parents[place]
        parent_hash = parent_hash_of(nodes, hashes, parents[place], beside)
    leaf = read_leaf(Reader(sign_leaf(parent_hash)))
    after = with_path(tree, index, leaf, parents.items())
    return NewPath(after, tuple(rehashed(after, hashes, index)), leaf, secrets, tuple(path))


def encrypt_path(
    made: NewPath, *, group_context: bytes, new_leaves: Collection[int], random: Callable[[int], bytes]
) -> UpdatePath:
    """The UpdatePath with its secrets encrypted to everybody beside it, except those who join with this commit."""
    info = hpke_info(b"UpdatePathNode", group_context)
    nodes: list[UpdatePathNode] = []
    for (place, beside), (_, secret) in zip(made.path, made.secrets.secrets, strict=True):
        sealed = tuple(
            encrypt_with_label(_key_at(made.tree, to), info, secret, random(HASH))
            for to in recipients(made.tree, beside, new_leaves)
        )
        nodes.append(UpdatePathNode(_key_at(made.tree, place), sealed))
    return UpdatePath(made.leaf, tuple(nodes))


def _key_at(tree: Tree, place: int) -> bytes:
    node = tree[place]
    if node is None:
        raise Malformed("a path leads over a blank node")
    return node.encryption_key


def secret_above(made: NewPath, leaf: int) -> bytes | None:
    """The lowest path secret that somebody at this leaf must learn, or None when the path does not reach it."""
    return next((secret for place, secret in made.secrets.secrets if tree_math.is_below(leaf, place)), None)


def recipients(tree: Tree, beside: int, new_leaves: Collection[int]) -> list[int]:
    """The places that a path secret is encrypted to, in order."""
    return [place for place in resolution(tree, beside) if place % 2 or place // 2 not in new_leaves]


# --- following a path -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Merged:
    """The tree with a committer's path, checked as far as it can be without secrets, and its hashes."""

    tree: Tree
    hashes: tuple[bytes, ...]
    path: tuple[tuple[int, int], ...]


def merge_path(tree: Tree, index: int, update: UpdatePath, *, new_leaves: Collection[int]) -> Merged:
    """Put another member's path into the tree with the proposals applied (section 7.5). Malformed when it does not fit.

    Every key in it is new: to the tree, and to the path itself.
    """
    path = filtered_direct_path(tree, index)
    if len(path) != len(update.nodes):
        raise Malformed("a path is longer or shorter than it must be")
    _check_fresh(tree, update)
    hashes = tree_hashes(tree)
    nodes = list(tree)
    parent_hash = b""
    parents: dict[int, ParentNode] = {}
    for (place, beside), node in zip(reversed(path), reversed(update.nodes), strict=True):
        if len(recipients(tree, beside, new_leaves)) != node.secrets:
            raise Malformed("a path secret is encrypted to too many or too few")
        parents[place] = parent_node(node.encryption_key, parent_hash)
        nodes[place] = parents[place]
        parent_hash = parent_hash_of(nodes, hashes, parents[place], beside)
    if update.leaf.parent_hash != parent_hash:
        raise Malformed("the new leaf of a commit does not carry the hash of its path")
    after = with_path(tree, index, update.leaf, parents.items())
    return Merged(after, tuple(rehashed(after, hashes, index)), tuple(path))


def _check_fresh(tree: Tree, update: UpdatePath) -> None:
    fresh = [update.leaf.encryption_key, *(node.encryption_key for node in update.nodes)]
    present = {node.encryption_key for node in tree if node is not None}
    if len(set(fresh)) != len(fresh) or not present.isdisjoint(fresh):
        raise Malformed("a key in a path is not new")
    for key in fresh:
        check_public_key(key)


def decrypt_path(
    merged: Merged,
    update: UpdatePath,
    *,
    own_leaf: int,
    keys: PrivateKeys,
    new_leaves: Collection[int],
    group_context: bytes,
) -> PathSecrets:
    """Our part of a path: the secret encrypted to us, and all above it, checked against the public keys."""
    at = next((at for at, (place, _) in enumerate(merged.path) if tree_math.is_below(own_leaf, place)), None)
    if at is None:
        raise Malformed("a path does not reach this device")
    info = hpke_info(b"UpdatePathNode", group_context)
    sealed, key = _sealed_for(merged.tree, merged.path[at][1], update.nodes[at], keys, new_leaves)
    secret = decrypt_with_label(key, info, sealed)
    if len(secret) != HASH:
        raise Malformed("a path secret has the wrong length")
    return checked_climb(merged.tree, secret, [place for place, _ in merged.path[at:]])


def _sealed_for(
    tree: Tree, beside: int, node: UpdatePathNode, keys: PrivateKeys, new_leaves: Collection[int]
) -> tuple[HpkeCiphertext, bytes]:
    for place, sealed in zip(recipients(tree, beside, new_leaves), node.ciphertexts, strict=True):
        if place in keys:
            return sealed, keys[place]
    raise Malformed("a path secret is not encrypted to this device")


def checked_climb(tree: Tree, path_secret: bytes, places: Sequence[int]) -> PathSecrets:
    """`climb`, and Malformed unless every secret belongs to the public key that stands in the tree."""
    secrets = climb(path_secret, places)
    for place, public in secrets.public.items():
        node = tree[place]
        if node is None or public != node.encryption_key:
            raise Malformed("a path secret does not belong to its public key")
    return secrets


def signer_path(tree: Tree, signer: int, joiner: int) -> list[int]:
    """The places above both a committer and a joiner that have keys, from their common ancestor up."""
    lowest = tree_math.common_ancestor(signer, joiner)
    above = (lowest, *tree_math.direct_path(lowest, leaf_count(tree)))
    return [place for place in above if tree[place] is not None]
