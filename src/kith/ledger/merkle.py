"""RFC 9162 §2.1: Merkle tree hash, inclusion and consistency proofs (SHA-256).

Functions take *leaf hashes*, SHA-256(0x00 ‖ leaf); nodes are SHA-256(0x01 ‖ left ‖ right).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

EMPTY = hashlib.sha256(b"").digest()
"""Root of a tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (which is at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def root(leaves: Sequence[bytes]) -> bytes:
    """The tree hash (§2.1.1)."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    half = _split(len(leaves))
    return node_hash(root(leaves[:half]), root(leaves[half:]))


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The path from a leaf to the root (§2.1.3.1); raises IndexError outside the tree."""
    if not 0 <= index < len(leaves):
        raise IndexError("no such leaf")
    if len(leaves) == 1:
        return []
    half = _split(len(leaves))
    if index < half:
        return [*inclusion(leaves[:half], index), root(leaves[half:])]
    return [*inclusion(leaves[half:], index - half), root(leaves[:half])]


def includes(path: Sequence[bytes], *, index: int, size: int, leaf: bytes, tree: bytes) -> bool:
    """Whether a path proves that a leaf hash stands at `index` in a tree of `size` (§2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, made = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if number & 1 or number == last:
            made = node_hash(step, made)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            made = node_hash(made, step)
        number, last = number >> 1, last >> 1
    return last == 0 and made == tree


def consistency(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """The proof that a tree of `first` leaves is a beginning of this one (§2.1.4.1); raises ValueError outside it."""
    if not 0 < first <= len(leaves):
        raise ValueError("the first tree must not be empty, nor larger than the second")
    return _subproof(leaves, first, whole=True)


def _subproof(leaves: Sequence[bytes], first: int, *, whole: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if whole else [root(leaves)]
    half = _split(len(leaves))
    if first <= half:
        return [*_subproof(leaves[:half], first, whole=whole), root(leaves[half:])]
    return [*_subproof(leaves[half:], first - half, whole=False), root(leaves[:half])]


def extends(proof: Sequence[bytes], *, first: int, second: int, old: bytes, new: bytes) -> bool:
    """Whether a proof shows that the tree `new` continues the tree `old` (§2.1.4.2)."""
    if first == second:
        return not proof and old == new
    if not 0 < first < second or not proof:
        return False
    path = list(proof) if first & (first - 1) else [old, *proof]
    number, last = first - 1, second - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    older = newer = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            newer = node_hash(newer, step)
        number, last = number >> 1, last >> 1
    return last == 0 and older == old and newer == new
