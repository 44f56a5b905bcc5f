"""Array-based trees (RFC 9420 appendix C): leaves at even places, parents between their children.

Trees are full: their number of leaves is a power of two.
"""

from functools import lru_cache


def width(leaves: int) -> int:
    """Nodes of a tree with this many leaves."""
    return 2 * leaves - 1 if leaves else 0


def root(leaves: int) -> int:
    """The place of the root."""
    return leaves - 1


def level(place: int) -> int:
    """0 for leaves, and one more for each step up."""
    return ((place + 1) & ~place).bit_length() - 1


def left(place: int) -> int:
    """The left child of a parent node."""
    return place ^ (1 << (level(place) - 1))


def right(place: int) -> int:
    """The right child of a parent node."""
    return place ^ (3 << (level(place) - 1))


def parent(place: int) -> int:
    """The parent of a place that is not the root."""
    up = level(place)
    return (place | (1 << up)) & ~(1 << (up + 1))


def sibling(place: int) -> int:
    """The other child of the same parent."""
    above = parent(place)
    return right(above) if place < above else left(above)


@lru_cache(maxsize=4096)
def direct_path(place: int, leaves: int) -> tuple[int, ...]:
    """The places above this one, up to the root."""
    path: list[int] = []
    top = root(leaves)
    while place != top:
        place = parent(place)
        path.append(place)
    return tuple(path)


def is_below(leaf: int, place: int) -> bool:
    """Whether the subtree at `place` holds this leaf (by leaf index)."""
    reach = (1 << level(place)) - 1
    return place - reach <= 2 * leaf <= place + reach


def common_ancestor(first: int, second: int) -> int:
    """The lowest place above both leaves (by leaf index, different)."""
    up = (first ^ second).bit_length()
    return (first >> up << (up + 1)) + (1 << up) - 1
